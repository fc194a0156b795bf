//! Group commit: changes of many rooms that arrive while a commit is in flight go out together in the next.

use std::sync::Arc;

use dmuc_core::storage::{Revision, RoomCommit, Storage, StoreError, StoreErrorKind};
use tokio::sync::{mpsc, oneshot};

/// What becomes of a room's commit.
pub(super) type Outcome = Result<Revision, StoreError>;

/// One room's commit on its way to the store.
pub(super) struct Job {
    pub commit: RoomCommit,
    pub outcome: oneshot::Sender<Outcome>,
}

/// Carries out jobs until no room is left that could send one. An idle store gets each job at once.
pub(super) async fn run(storage: Arc<dyn Storage>, mut jobs: mpsc::Receiver<Job>, group_max: usize) {
    let mut group = Vec::new();
    while jobs.recv_many(&mut group, group_max).await > 0 {
        let (commits, waiting): (Vec<_>, Vec<_>) =
            group.drain(..).map(|job: Job| (job.commit, job.outcome)).unzip();
        let mut results = storage.commit(&commits).await.into_iter();
        for outcome in waiting {
            // A room that is gone does not wait for its answer.
            let _ = outcome.send(results.next().unwrap_or_else(|| Err(unanswered())));
        }
    }
}

fn unanswered() -> StoreError {
    StoreError::new(StoreErrorKind::Unexpected, "commit: fewer results than commits")
}
