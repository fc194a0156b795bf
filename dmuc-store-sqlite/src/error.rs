//! SQLite's errors as the kinds that callers act on.

use dmuc_core::storage::{StoreError, StoreErrorKind};

/// Names the operation that an error of SQLite ended.
pub(crate) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::caused(kind(&error), operation, error)
}

fn kind(error: &sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::Database(error) => {
            match error.code().as_deref().and_then(|code| code.parse::<i64>().ok()) {
                // Extended codes carry the primary one in their low byte: SQLITE_CORRUPT, SQLITE_NOTADB.
                Some(code) if matches!(code & 0xff, 11 | 26) => StoreErrorKind::Corrupt,
                // SQLITE_ERROR, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_MISUSE, SQLITE_RANGE: ours to mend.
                Some(code) if matches!(code & 0xff, 1 | 19 | 20 | 21 | 25) => StoreErrorKind::Unexpected,
                _ => StoreErrorKind::Unavailable,
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Unavailable,
    }
}

/// Something read is not what was written.
pub(crate) fn corrupt(
    operation: &'static str,
) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    move |error| StoreError::caused(StoreErrorKind::Corrupt, operation, error)
}

pub(crate) fn conflict(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, operation)
}
