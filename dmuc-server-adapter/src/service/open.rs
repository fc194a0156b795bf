//! Opening a store by its URL.

use std::sync::Arc;
use std::time::Duration;

use dmuc_core::storage::{MemoryStore, Transfer};

/// Why a store was not opened. No variant repeats the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL has no scheme of a store.
    #[error("not the URL of a store: expected `sqlite:FILE`, `postgres://HOST/DATABASE`, `redis://HOST` or `memory:`{}", hint(.0))]
    Malformed(
        /// What stands before the first colon, if anything does.
        Option<String>,
    ),
    /// The backend exists but was not built in.
    #[error("`{scheme}:` is not built in: enable feature `{feature}`")]
    NotBuiltIn {
        /// The URL's scheme.
        scheme: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// The backend failed.
    #[error("the store cannot be opened")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn hint(scheme: &Option<String>) -> String {
    scheme.as_ref().map(|scheme| format!(", not `{scheme}:`")).unwrap_or_default()
}

/// How a store is used, as far as its URL does not say. Stores without a server have no use for most of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Most connections for statements at once.
    pub connections: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a statement may take before it is given up.
    pub statement_timeout: Duration,
    /// Whether a server that may lose what it has acknowledged is refused, or used with a warning. Not every store leaves
    /// the choice.
    pub strict_durability: bool,
    /// Whether a file that is not there is made. Where a store is only read, its name is wrong then.
    pub create: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            strict_durability: false,
            create: true,
        }
    }
}

/// The backends that this build has.
enum Backend {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "redis")]
    Redis,
}

/// The schemes of Redis and Valkey.
const REDIS: [&str; 6] = ["redis", "rediss", "redis+cluster", "rediss+cluster", "valkey", "valkeys"];

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "redis")))]
fn missing(feature: &'static str) -> Result<Backend, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: feature, feature })
}

fn backend(url: &str) -> Result<Backend, OpenError> {
    match url.split_once(':') {
        Some(("memory", _)) => Ok(Backend::Memory),
        #[cfg(feature = "sqlite")]
        Some(("sqlite", _)) => Ok(Backend::Sqlite),
        #[cfg(not(feature = "sqlite"))]
        Some(("sqlite", _)) => missing("sqlite"),
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => Ok(Backend::Postgres),
        #[cfg(not(feature = "postgres"))]
        Some(("postgres" | "postgresql", _)) => missing("postgres"),
        #[cfg(feature = "redis")]
        Some((scheme, _)) if REDIS.contains(&scheme) => Ok(Backend::Redis),
        #[cfg(not(feature = "redis"))]
        Some((scheme, _)) if REDIS.contains(&scheme) => missing("redis"),
        Some((scheme, _)) => Err(OpenError::Malformed(Some(scheme.to_owned()))),
        None => Err(OpenError::Malformed(None)),
    }
}

/// Whether [`open_storage`] would try to open this URL.
///
/// # Errors
/// [`OpenError::Malformed`], [`OpenError::NotBuiltIn`].
pub fn check_store_url(url: &str) -> Result<(), OpenError> {
    backend(url).map(drop)
}

/// Opens the store of a URL as [`open_storage_with`] does, with the default options.
///
/// # Errors
/// [`OpenError`].
pub async fn open_storage(url: &str) -> Result<Arc<dyn Transfer>, OpenError> {
    open_storage_with(url, &StoreOptions::default()).await
}

/// Opens the store of a URL: `sqlite:FILE` (feature `sqlite`), `postgres://HOST/DATABASE` (feature `postgres`),
/// `redis://HOST` or `redis+cluster://HOST,HOST` (feature `redis`), or `memory:`, which forgets everything at the end. What comes is a [`Storage`](dmuc_core::storage::Storage) too.
///
/// # Errors
/// [`OpenError`].
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "redis")),
    allow(unused_variables, reason = "no other backend has options")
)]
pub async fn open_storage_with(url: &str, options: &StoreOptions) -> Result<Arc<dyn Transfer>, OpenError> {
    match backend(url)? {
        Backend::Memory => Ok(Arc::new(MemoryStore::default())),
        #[cfg(feature = "sqlite")]
        Backend::Sqlite if options.create => opened(dmuc_store_sqlite::SqliteStore::open(url).await),
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => opened(dmuc_store_sqlite::SqliteStore::open_existing(url).await),
        #[cfg(feature = "postgres")]
        Backend::Postgres => {
            let options = dmuc_store_postgres::Options {
                connections: options.connections,
                connect_timeout: options.connect_timeout,
                statement_timeout: options.statement_timeout,
            };
            opened(dmuc_store_postgres::PostgresStore::open(url, &options).await)
        }
        #[cfg(feature = "redis")]
        Backend::Redis => {
            use dmuc_store_redis::{Durability, Options, RedisStore};
            let options = Options {
                durability: if options.strict_durability { Durability::Strict } else { Durability::Warn },
                connect_timeout: options.connect_timeout,
                answer_timeout: options.statement_timeout,
            };
            opened(RedisStore::open(url, &options).await)
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
fn opened<S, E>(store: Result<S, E>) -> Result<Arc<dyn Transfer>, OpenError>
where
    S: Transfer + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    match store {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(OpenError::Failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_store_url, open_storage};

    #[test]
    fn what_is_not_built_in_says_how_to_get_it() {
        let said = |url| check_store_url(url).err().map(|error| error.to_string());
        assert_eq!(said("memory:"), None);
        let missing = "`postgres:` is not built in: enable feature `postgres`";
        let postgres = if cfg!(feature = "postgres") { None } else { Some(missing) };
        assert_eq!(said("postgres://me:hunter2@db/x").as_deref(), postgres);
        let typo = said("sqlight:x.db").expect("there is no such store");
        assert!(typo.ends_with(", not `sqlight:`"), "{typo}");
        assert!(said("dmuc.db").is_some());
    }

    #[tokio::test]
    async fn a_memory_store_opens() {
        let store = open_storage("memory:").await.expect("nothing can fail");
        assert!(store.rules().await.expect("nothing can fail").is_empty());
    }
}
