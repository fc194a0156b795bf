//! The commits of one room: at most one in flight, the later ones merged into the next.

use std::collections::VecDeque;

use dmuc_core::io::{Cause, CommitId};
use dmuc_core::storage::{Change, StoreError, StoreErrorKind};
use tokio::sync::oneshot;

use super::committer::Outcome;

/// What a room has changed and the store has not confirmed yet.
#[derive(Default)]
pub(super) struct Ledger {
    gathered: Vec<Change>,
    newest: CommitId,
    durable: CommitId,
    flying: Option<(CommitId, oneshot::Receiver<Outcome>)>,
    owed: VecDeque<(CommitId, Cause)>,
}

impl Ledger {
    /// Takes one commit of the instance.
    pub fn add(&mut self, id: CommitId, changes: Vec<Change>, cause: Option<Cause>) {
        self.newest = id;
        self.gathered.extend(changes);
        self.owed.extend(cause.map(|cause| (id, cause)));
    }

    /// Remembers a request whose answer waits behind the commits so far.
    pub fn owe(&mut self, cause: Cause) {
        self.owed.push_back((self.newest, cause));
    }

    /// The changes to send to the store now, if it has confirmed all earlier ones.
    pub fn next(&mut self) -> Option<Vec<Change>> {
        let ready = self.flying.is_none() && !self.gathered.is_empty();
        ready.then(|| std::mem::take(&mut self.gathered))
    }

    /// What [`next`](Self::next) gave is on its way.
    pub fn sent(&mut self, outcome: oneshot::Receiver<Outcome>) {
        self.flying = Some((self.newest, outcome));
    }

    /// Waits for the store; for ever if nothing is in flight.
    pub async fn landing(&mut self) -> (CommitId, Outcome) {
        let Some((id, outcome)) = &mut self.flying else { return std::future::pending().await };
        let (id, outcome) = (*id, outcome.await.unwrap_or_else(|_| Err(gone())));
        self.flying = None;
        (id, outcome)
    }

    /// Everything up to `id` is durable.
    pub fn landed(&mut self, id: CommitId) {
        self.durable = id;
        while self.owed.front().is_some_and(|(owed, _)| *owed <= id) {
            self.owed.pop_front();
        }
    }

    /// The store failed; gives those who must be told.
    pub fn fail(&mut self) -> Vec<Cause> {
        let owed = std::mem::take(self).owed;
        owed.into_iter().map(|(_, cause)| cause).collect()
    }

    /// The newest commit of the instance.
    pub fn newest(&self) -> CommitId {
        self.newest
    }

    /// The newest durable commit.
    pub fn durable(&self) -> CommitId {
        self.durable
    }

    /// How many wait for the store.
    pub fn waiting(&self) -> usize {
        self.owed.len()
    }

    /// Whether a commit is in flight.
    pub fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    /// Whether the store has confirmed everything.
    pub fn is_settled(&self) -> bool {
        self.flying.is_none() && self.gathered.is_empty()
    }
}

fn gone() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "commit: the service is shutting down")
}
