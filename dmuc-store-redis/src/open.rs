//! Opening a store, and saying what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::{Client, RedisError};
use tracing::warn;

use crate::RedisStore;
use crate::commit::Nonces;
use crate::connection::{Connection, LANES};
use crate::durability::shortcomings;
use crate::error::explain;
use crate::keys::Keys;
use crate::listen::Listener;
use crate::peers::CHANNEL;
use crate::url::StoreUrl;

/// How often a connection that was lost is tried again before what waits for it is told.
const RECONNECTIONS: usize = 3;
const RECONNECT_AFTER: Duration = Duration::from_millis(50);
const RECONNECT_AFTER_MAX: Duration = Duration::from_millis(500);
/// How often a node of a cluster is asked again, after a redirection or a failure.
const CLUSTER_RETRIES: u32 = 5;

/// What to do about a server whose settings may lose what it has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Use it, and say so in the log.
    #[default]
    Warn,
    /// Refuse it.
    Strict,
}

/// How a store is used, as far as its URL does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What to do about a server that may lose what it has acknowledged.
    pub durability: Durability,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub answer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Warn,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a store cannot be used. No variant repeats the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not one of Redis.
    #[error("the URL of the store cannot be used: {0}")]
    Url(
        /// What is wrong with it.
        &'static str,
    ),
    /// The server cannot be reached, or does not answer.
    #[error("the server cannot be used: {advice}")]
    Unreachable {
        /// What it is about.
        advice: String,
        /// What the server or the connection says.
        #[source]
        source: RedisError,
    },
    /// The server lacks commands.
    #[error("the server is version {found}, and 6.2 or newer is needed")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The server only repeats what another one takes.
    #[error("the server is a replica and takes no changes: use the address of the primary")]
    Replica,
    /// The server may lose what it has acknowledged.
    #[error("with `durability = \"strict\"` this store is not used: the server {}", .0.join("; the server "))]
    NotDurable(
        /// What there is to be set.
        Vec<String>,
    ),
}

pub(crate) async fn open(url: &str, options: &Options) -> Result<RedisStore, OpenError> {
    let url = StoreUrl::parse(url)?;
    // Whoever came first has chosen, and any choice will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let nodes = url.nodes.iter().map(|node| Client::open(node.as_str()));
    let nodes = nodes.collect::<Result<Vec<Client>, _>>().map_err(explain)?;
    let connection = if url.is_cluster {
        Connection::to_cluster(connect_cluster(&url, options).await?, url.min_replicas)
    } else {
        Connection::to_server(connect(&nodes, options).await?, url.min_replicas)
    };
    let found = shortcomings(&connection, url.min_replicas, url.is_trusted).await?;
    match options.durability {
        Durability::Strict if !found.is_empty() => return Err(OpenError::NotDurable(found)),
        _ => {
            for found in &found {
                warn!("what is acknowledged may be lost: the Redis server {found}");
            }
        }
    }
    let keys = Keys::new(&url.prefix);
    let listener = Listener::start(nodes, keys.store(CHANNEL));
    let (nonces, remembered) = (Arc::new(Nonces::new()), Arc::default());
    Ok(RedisStore { connection, keys, listener, nonces, remembered })
}

async fn connect(nodes: &[Client], options: &Options) -> Result<Vec<ConnectionManager>, OpenError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.answer_timeout))
        .set_number_of_retries(RECONNECTIONS)
        .set_min_delay(RECONNECT_AFTER)
        .set_max_delay(RECONNECT_AFTER_MAX);
    let node = nodes.first().ok_or(OpenError::Url("it names no host"))?;
    let mut lanes = Vec::with_capacity(LANES);
    for _ in 0..LANES {
        lanes.push(node.get_connection_manager_with_config(config.clone()).await.map_err(explain)?);
    }
    Ok(lanes)
}

async fn connect_cluster(
    url: &StoreUrl,
    options: &Options,
) -> Result<redis::cluster_async::ClusterConnection, OpenError> {
    let client = ClusterClient::builder(url.nodes.iter().map(String::as_str))
        .connection_timeout(options.connect_timeout)
        .response_timeout(options.answer_timeout)
        .retries(CLUSTER_RETRIES)
        .build();
    client.map_err(explain)?.get_async_connection().await.map_err(explain)
}
