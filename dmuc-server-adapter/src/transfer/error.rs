//! What can go wrong with whole stores.

use std::fmt;

use dmuc_core::Address;
use dmuc_core::storage::StoreError;

use super::compare::{Difference, Key};

/// Which of two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that is read.
    Source,
    /// The one that is written.
    Target,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// Why a store was not moved, written to a file or read from it. What had been written stays, and the same command again
/// goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A store failed.
    #[error("the {role} store failed")]
    Store {
        /// Which one.
        role: Role,
        /// How.
        source: StoreError,
    },
    /// Rooms of the source are in use.
    #[error("{}", awake(.0))]
    Awake(
        /// Which.
        Vec<Address>,
    ),
    /// Somebody took rooms of the source while it was read.
    #[error(
        "rooms of the source were used while it was read: stop every dmucd that uses it, and begin again"
    )]
    Used,
    /// The target holds something else; nothing was written.
    #[error("the target holds what the source does not, or something else in its place:{}\n{ADVICE}", list(.0))]
    Occupied(
        /// What.
        Vec<Difference>,
    ),
    /// The address of a room, or of a tombstone, holds something else in the target, or what the target has of a room's
    /// logs is not what the source has.
    #[error("the target holds something else in place of the {0}: it is left as it is")]
    InTheWay(
        /// Of what.
        Key,
    ),
    /// After all was written, the target does not hold what the source does.
    #[error("the target is not what the source is:{}", list(.0))]
    Differs(
        /// In what.
        Vec<Difference>,
    ),
    /// A file is not what was exported.
    #[error("line {line}: {mistake}")]
    Malformed {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        mistake: String,
    },
    /// A file cannot be read or written.
    #[error("the file cannot be read or written")]
    File(#[from] std::io::Error),
}

impl TransferError {
    pub(super) fn of(role: Role) -> impl Fn(StoreError) -> Self {
        move |source| Self::Store { role, source }
    }
}

/// What helps if the target is occupied.
const ADVICE: &str = "Nothing was written. Name an empty store, or ask for merging: it leaves alone what the source does not have.";
/// As many are named in a message.
const NAMED_MAX: usize = 20;

fn list<T: fmt::Display>(all: &[T]) -> String {
    let named: String = all.iter().take(NAMED_MAX).map(|one| format!("\n  {one}")).collect();
    match all.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named}\n  and {more} more"),
    }
}

fn awake(rooms: &[Address]) -> String {
    format!(
        "{} rooms of the source are in use:{}\nStop every dmucd that uses this store, and try again. If one was killed, \
         its rooms are free when their leases end (`limits.lease-seconds`).",
        rooms.len(),
        list(rooms)
    )
}
