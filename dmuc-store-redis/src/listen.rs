//! Hearing of changed rules: a connection of its own, made again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use dmuc_core::storage::{StoreError, StoreErrorKind};
use futures_util::StreamExt;
use redis::aio::PubSub;
use redis::{Client, RedisResult};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// How long nothing is heard before the connection is made anew: one that is lost without a word tells nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a connection may take, and how long after a failure the next one is made.
const CONNECT: Duration = Duration::from_secs(5);
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
    /// Listens to a channel until the last clone is gone. Of a cluster, any node will do.
    pub fn start(nodes: Vec<Client>, channel: String) -> Self {
        let (sender, changes) = watch::channel(());
        let task = tokio::spawn(async move {
            for node in nodes.iter().cycle() {
                if let Err(error) = listen(node, &channel, &sender).await {
                    debug!(%error, "not listening for changed rules: they are looked up from time to time");
                    sleep(RETRY).await;
                }
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

/// Listens until the connection is lost or silent.
async fn listen(node: &Client, channel: &str, changes: &watch::Sender<()>) -> RedisResult<()> {
    let subscribed = timeout(CONNECT, subscribe(node, channel)).await;
    let mut messages =
        subscribed.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??.into_on_message();
    changes.send_replace(());
    while let Ok(Some(_)) = timeout(SILENCE, messages.next()).await {
        changes.send_replace(());
    }
    Ok(())
}

async fn subscribe(node: &Client, channel: &str) -> RedisResult<PubSub> {
    let mut connection = node.get_async_pubsub().await?;
    connection.subscribe(channel).await?;
    Ok(connection)
}
