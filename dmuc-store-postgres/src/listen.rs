//! Hearing of changed rules: a connection of its own, made again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use dmuc_core::storage::{StoreError, StoreErrorKind};
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// The channel of `pg_notify`. Stores of other schemas in the same database use it too, which does no harm.
const CHANNEL: &str = "dmuc_rules";
/// How long nothing is heard before the connection is tried, and how long that may take.
const SILENCE: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(5);
/// How long after a failure the next connection is made.
const RETRY: Duration = Duration::from_secs(2);

/// Tells when rules may have changed; clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    changes: watch::Receiver<()>,
    task: Arc<Task>,
}

#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Listens on a connection of `pool` until the last clone is gone.
    pub fn start(pool: PgPool) -> Self {
        let (sender, changes) = watch::channel(());
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&pool, &sender).await {
                    debug!(%error, "not listening for changed rules: they are looked up from time to time");
                }
                sleep(RETRY).await;
            }
        });
        Self { changes, task: Arc::new(Task(task.abort_handle())) }
    }

    /// Waits for a change, or for a connection after which earlier changes may have gone unheard.
    pub async fn changed(&self) -> Result<(), StoreError> {
        let mut changes = self.changes.clone();
        changes.mark_unchanged();
        let stopped = |_| StoreError::new(StoreErrorKind::Unavailable, "listen for changed rules: closed");
        changes.changed().await.map_err(stopped)
    }

    pub fn stop(&self) {
        self.task.0.abort();
    }
}

/// Listens until the connection is lost.
async fn listen(pool: &PgPool, changes: &watch::Sender<()>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    loop {
        changes.send_replace(());
        while is_silent(&mut listener).await? {
            let answer = timeout(ANSWER, sqlx::query("SELECT 1").execute(&mut listener)).await;
            answer.map_err(|_| sqlx::Error::PoolTimedOut)??;
        }
    }
}

/// Whether nothing was heard for a while; something may be a notification or the loss of the connection.
async fn is_silent(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    match timeout(SILENCE, listener.try_recv()).await {
        Err(_) => Ok(true),
        Ok(Ok(Some(_))) => Ok(false),
        Ok(Ok(None)) => Err(sqlx::Error::PoolClosed),
        Ok(Err(error)) => Err(error),
    }
}
