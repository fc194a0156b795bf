//! Opening a store by its URL.

use std::sync::Arc;

use dmuc_core::storage::{MemoryStore, Transfer};

/// Why a store was not opened. No variant repeats the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL has no scheme of a store.
    #[error("not the URL of a store: expected `sqlite:FILE` or `memory:`{}", hint(.0))]
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

/// The backends that this build has.
enum Backend {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

fn backend(url: &str) -> Result<Backend, OpenError> {
    let missing = |scheme, feature| Err(OpenError::NotBuiltIn { scheme, feature });
    match url.split_once(':') {
        Some(("memory", _)) => Ok(Backend::Memory),
        #[cfg(feature = "sqlite")]
        Some(("sqlite", _)) => Ok(Backend::Sqlite),
        #[cfg(not(feature = "sqlite"))]
        Some(("sqlite", _)) => missing("sqlite", "sqlite"),
        Some(("postgres" | "postgresql", _)) => missing("postgres", "postgres"),
        Some(("redis" | "rediss", _)) => missing("redis", "redis"),
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

/// Opens the store of a URL: `sqlite:FILE` (feature `sqlite`), or `memory:`, which forgets everything at the end.
/// What comes is a [`Storage`](dmuc_core::storage::Storage) too.
///
/// # Errors
/// [`OpenError`].
pub async fn open_storage(url: &str) -> Result<Arc<dyn Transfer>, OpenError> {
    match backend(url)? {
        Backend::Memory => Ok(Arc::new(MemoryStore::default())),
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => {
            let store = dmuc_store_sqlite::SqliteStore::open(url).await;
            Ok(Arc::new(store.map_err(|error| OpenError::Failed(error.into()))?))
        }
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
        assert_eq!(said("postgres://me:hunter2@db/x").as_deref(), Some(missing));
        let typo = "not the URL of a store: expected `sqlite:FILE` or `memory:`, not `sqlight:`";
        assert_eq!(said("sqlight:x.db").as_deref(), Some(typo));
        assert!(said("dmuc.db").is_some());
    }

    #[tokio::test]
    async fn a_memory_store_opens() {
        let store = open_storage("memory:").await.expect("nothing can fail");
        assert!(store.rules().await.expect("nothing can fail").is_empty());
    }
}
