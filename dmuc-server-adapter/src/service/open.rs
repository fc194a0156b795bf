//! Opening a store by its URL.

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
    Failed(#[from] dmuc_core::storage::StoreError),
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
