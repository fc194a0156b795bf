//! What can go wrong in a store.

use std::error::Error;

/// What kind of failure it was, which is what callers act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached or does not answer; try again later.
    Unavailable,
    /// The revision or the lease is not ours any more.
    Conflict,
    /// What was read is not what was written.
    Corrupt,
    /// Anything else.
    Unexpected,
}

/// A failed operation of a store. "Not found" is never an error.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {kind:?}")]
pub struct StoreError {
    /// What kind of failure.
    pub kind: StoreErrorKind,
    /// Which operation failed, in the backend's words.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a cause of its own.
    #[must_use]
    pub fn new(kind: StoreErrorKind, operation: &'static str) -> Self {
        Self { kind, operation, source: None }
    }

    /// An error with its cause.
    pub fn caused(
        kind: StoreErrorKind,
        operation: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, operation, source: Some(source.into()) }
    }

    /// The same failure as the result of each of `count` operations.
    #[must_use]
    pub fn for_all<T>(self, count: usize) -> Vec<Result<T, Self>> {
        let Self { kind, operation, source } = self;
        let text = source.map(|source| source.to_string());
        let error = || match &text {
            Some(text) => Self::caused(kind, operation, text.clone()),
            None => Self::new(kind, operation),
        };
        std::iter::repeat_with(|| Err(error())).take(count).collect()
    }
}
