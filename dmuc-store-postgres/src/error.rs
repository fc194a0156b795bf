//! PostgreSQL's errors as the kinds that callers act on, and as words for operators.

use std::error::Error;
use std::fmt;

use dmuc_core::storage::{StoreError, StoreErrorKind};

/// Names the operation that an error of PostgreSQL ended.
pub(crate) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::caused(kind(&error), operation, Explained::from(error))
}

/// Classes and codes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn kind(error: &sqlx::Error) -> StoreErrorKind {
    match code(error).as_deref() {
        // data_corrupted, index_corrupted.
        Some("XX001" | "XX002") => StoreErrorKind::Corrupt,
        // Not supported, bad data, constraints, syntax and names: ours to mend.
        Some(code) if ["0A", "22", "23", "42"].iter().any(|class| code.starts_with(class)) => {
            StoreErrorKind::Unexpected
        }
        Some(_) => StoreErrorKind::Unavailable,
        None => match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreErrorKind::Corrupt,
            sqlx::Error::Encode(_) => StoreErrorKind::Unexpected,
            _ => StoreErrorKind::Unavailable,
        },
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// Whether the same may go well at once: another transaction was in the way, and nothing has been done.
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
    // serialization_failure, deadlock_detected.
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

/// An error with what an operator needs to know about it.
#[derive(Debug)]
pub(crate) struct Explained {
    hint: Option<&'static str>,
    error: sqlx::Error,
}

impl From<sqlx::Error> for Explained {
    fn from(error: sqlx::Error) -> Self {
        Self { hint: hint(&error), error }
    }
}

fn hint(error: &sqlx::Error) -> Option<&'static str> {
    match code(error).as_deref() {
        Some("25006") => {
            Some("the server only reads: it is a replica, or default_transaction_read_only is set")
        }
        Some("53100") => Some("the disk of the server is full"),
        Some("53300") => Some("the server has no connection left: raise its max_connections, or open fewer"),
        Some("57014") => Some("a statement took too long and was given up"),
        Some("57P01" | "57P02" | "57P03") => Some("the server is stopping or starting"),
        Some(code) if code.starts_with("28") => Some("the server refuses this user or password"),
        Some(_) => None,
        None => match error {
            sqlx::Error::PoolTimedOut => {
                Some("no connection could be had in time: the server is away or too busy")
            }
            sqlx::Error::Io(_) => Some("the connection to the server was lost or cannot be made"),
            _ => None,
        },
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hint {
            Some(hint) => write!(f, "{hint}: {}", self.error),
            None => fmt::Display::fmt(&self.error, f),
        }
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// No answer came in time; what was asked may be done or not.
pub(crate) fn unanswered(operation: &'static str) -> StoreError {
    StoreError::caused(StoreErrorKind::Unavailable, operation, "the server does not answer")
}

/// Something read is not what was written.
pub(crate) fn corrupt(operation: &'static str) -> impl Fn(Box<dyn Error + Send + Sync>) -> StoreError {
    move |error| StoreError::caused(StoreErrorKind::Corrupt, operation, error)
}

pub(crate) fn conflict(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, operation)
}
