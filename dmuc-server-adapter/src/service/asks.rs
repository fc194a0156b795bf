//! The questions of one room to its store.

use std::collections::VecDeque;
use std::sync::Arc;

use dmuc_core::io::{self, Cause, CommitId, Query, QueryId};
use dmuc_core::storage::{RoomUid, Storage, StoreError, StoreErrorKind};
use tokio::task::JoinSet;
use tracing::warn;

/// The store's answer.
pub(super) type Answer = Result<io::Answer, StoreErrorKind>;

/// A question, once all commits up to `after` are durable.
struct Waiting {
    id: QueryId,
    query: Query,
    after: CommitId,
}

/// Questions that wait for commits or for their answers.
#[derive(Default)]
pub(super) struct Asks {
    waiting: VecDeque<Waiting>,
    running: JoinSet<(QueryId, Answer)>,
    causes: Vec<(QueryId, Cause)>,
}

impl Asks {
    /// Takes a question.
    pub fn add(&mut self, id: QueryId, query: Query, after: CommitId, cause: Option<Cause>) {
        self.waiting.push_back(Waiting { id, query, after });
        self.causes.extend(cause.map(|cause| (id, cause)));
    }

    /// Asks whatever waits for no later commit than `durable`.
    pub fn start(&mut self, storage: &Arc<dyn Storage>, room: RoomUid, durable: CommitId) {
        while let Some(ask) = self.waiting.pop_front_if(|ask| ask.after <= durable) {
            let storage = storage.clone();
            self.running.spawn(async move { (ask.id, answer(&*storage, room, ask.query).await) });
        }
    }

    /// Waits for an answer; for ever if nothing was asked.
    pub async fn next(&mut self) -> (QueryId, Answer) {
        loop {
            match self.running.join_next().await {
                Some(Ok(answer)) => {
                    self.causes.retain(|(id, _)| *id != answer.0);
                    return answer;
                }
                Some(Err(error)) => warn!(%error, "a question to the store was not answered"),
                None => return std::future::pending().await,
            }
        }
    }

    /// Drops all; gives those who must be told.
    pub fn fail(&mut self) -> Vec<Cause> {
        std::mem::take(self).causes.into_iter().map(|(_, cause)| cause).collect()
    }

    /// How many are not answered yet.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Whether all are answered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

async fn answer(storage: &dyn Storage, room: RoomUid, query: Query) -> Answer {
    let result = match query {
        Query::Recent(limits) => storage.recent(room, limits).await.map(io::Answer::Entries),
        Query::Page(query) => storage.page(room, &query).await.map(io::Answer::Page),
        _ => Err(StoreError::new(StoreErrorKind::Unexpected, "query: unknown to this service")),
    };
    result.map_err(|error| {
        warn!(%room, error = %super::chain(&error), "the store did not answer a question");
        error.kind
    })
}
