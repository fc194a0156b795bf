//! The server's errors as the kinds that callers act on, with what an operator can do about them.

use std::error::Error;

use dmuc_core::storage::{StoreError, StoreErrorKind};
use redis::{ErrorKind, ParsingError, RedisError};

use crate::OpenError;

/// Names the operation that an error of the server ended.
pub(crate) fn failed(operation: &'static str) -> impl Fn(RedisError) -> StoreError {
    move |error| {
        let (kind, advice) = judge(&error);
        let source: Box<dyn Error + Send + Sync> = match advice {
            Some(advice) => Box::new(Advised { advice, source: error }),
            None => Box::new(error),
        };
        StoreError { kind, operation, source: Some(source) }
    }
}

/// Something read is not what was written.
pub(crate) fn corrupt<E: Into<Box<dyn Error + Send + Sync>>>(
    operation: &'static str,
) -> impl Fn(E) -> StoreError {
    move |error| StoreError::caused(StoreErrorKind::Corrupt, operation, error)
}

/// An answer is of another type than what is kept under its key.
pub(crate) fn unreadable(operation: &'static str) -> impl Fn(ParsingError) -> StoreError {
    corrupt(operation)
}

pub(crate) fn conflict(operation: &'static str, why: impl Into<String>) -> StoreError {
    StoreError::caused(StoreErrorKind::Conflict, operation, why.into())
}

/// The error of an attempt to open a store.
pub(crate) fn explain(source: RedisError) -> OpenError {
    let (_, advice) = judge(&source);
    OpenError::Unreachable {
        advice: advice.map_or_else(|| source.category().to_owned(), str::to_owned),
        source,
    }
}

/// An error of the server, and what can be done about it.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
struct Advised {
    advice: &'static str,
    source: RedisError,
}

fn judge(error: &RedisError) -> (StoreErrorKind, Option<&'static str>) {
    use StoreErrorKind::{Corrupt, Unavailable};
    let advice = match error.code().unwrap_or_default() {
        "MISCONF" => {
            "the server cannot write to its disk and takes no changes: see its log, make room on the disk"
        }
        "OOM" => {
            "the server has used up its `maxmemory` and takes no changes: raise it, or let history expire"
        }
        "READONLY" => "the server is a replica and takes no changes: use the address of the primary",
        "LOADING" => "the server is starting and still reading its data",
        "CLUSTERDOWN" => "the cluster is down, or does not cover all slots: see `CLUSTER INFO`",
        "MASTERDOWN" => "the replica has lost its primary",
        "TRYAGAIN" | "MOVED" | "ASK" => "the cluster is moving slots",
        "NOREPLICAS" => {
            "fewer replicas have the change than `min_replicas`, or the server's `min-replicas-to-write`, asks for"
        }
        "BUSY" => "the server is busy with a script of somebody else's",
        "NOAUTH" | "WRONGPASS" => "the server wants another user name or password",
        "NOPERM" => {
            "the user may not do this: it needs all commands but administrative ones, on all keys of the store"
        }
        "WRONGTYPE" => {
            return (Corrupt, Some("a key of the store holds something else: is its prefix used twice?"));
        }
        _ => return judge_by_kind(error),
    };
    (Unavailable, Some(advice))
}

fn judge_by_kind(error: &RedisError) -> (StoreErrorKind, Option<&'static str>) {
    use StoreErrorKind::{Corrupt, Unavailable, Unexpected};
    match error.kind() {
        _ if error.is_timeout() => (Unavailable, Some("the server does not answer in time")),
        _ if error.is_connection_refusal() => {
            (Unavailable, Some("the server is down: it refuses connections"))
        }
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => {
            (Unavailable, Some("the connection to the server is lost"))
        }
        ErrorKind::AuthenticationFailed => {
            (Unavailable, Some("the server wants another user name or password"))
        }
        ErrorKind::UnexpectedReturnType => (Corrupt, None),
        ErrorKind::Server(_) | ErrorKind::Extension => (Unexpected, None),
        _ => (Unavailable, None),
    }
}
