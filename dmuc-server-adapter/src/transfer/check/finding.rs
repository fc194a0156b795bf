//! What a check finds.

use std::fmt;
use std::ops::RangeInclusive;

use dmuc_core::Address;
use dmuc_core::event::{EventId, Position};
use dmuc_core::storage::{Frontier, StoreError, StoreErrorKind};

use crate::service::chain;
use crate::transfer::Counts;

/// Something found, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// In which room, or at which room's address; none if it concerns the store.
    pub room: Option<Address>,
    /// What.
    pub what: What,
}

/// Something found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// A record is not what this program writes, or cannot be read.
    Unreadable(String),
    /// The address leads to another room than its record says.
    OtherRoom,
    /// There is a room and a tombstone at one address.
    TombstoneOfRoom,
    /// What discovery shows of the room is not what its record says.
    WrongCard,
    /// The directory of public rooms shows it, and its card does not say that it is public.
    NotPublic,
    /// The directory of public rooms of a domain does not have as many rooms as say that they are public.
    Directory {
        /// Which domain.
        domain: String,
        /// How many it has.
        listed: u64,
        /// How many say so.
        public: u64,
    },
    /// The digest of an entry is not that of the log up to it.
    Chain(Position),
    /// Numbers of a log that are not there, between others that are.
    Hole {
        /// Which log; the entry behind the hole.
        log: Position,
        /// Which numbers.
        missing: RangeInclusive<u64>,
        /// Whether it is the log of this service.
        is_own: bool,
    },
    /// How far a log is held is not what the store says of it.
    WrongFrontier {
        /// What the store says.
        said: Frontier,
        /// What there is.
        held: Option<Frontier>,
    },
    /// The entries in order of arrival are not those of the logs.
    OtherEntries {
        /// How many there are in order of arrival.
        arrived: u64,
        /// How many in the logs.
        logged: u64,
    },
    /// Some of the entries that arrived with this one, or after it, are not what is found under their ids.
    Ids(EventId),
    /// The newest history is not what is newest in canonical order.
    Recent,
    /// The archive does not select what it must.
    Archive {
        /// By what.
        by: String,
        /// How many entries it has.
        counted: u64,
        /// How many there are.
        shown: u64,
    },
    /// It changed whenever it was read; it was not checked.
    Busy,
}

impl What {
    /// Whether it must not be so. What another service said may be missing until it comes.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        !matches!(self, Self::Hole { is_own: false, .. } | Self::Busy)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::OtherRoom => f.write_str("the address leads to another room than its record says"),
            Self::TombstoneOfRoom => f.write_str("there is a tombstone where there is a room"),
            Self::WrongCard => f.write_str("what discovery shows is not what its record says"),
            Self::NotPublic => {
                f.write_str("the directory shows it, but its card does not say that it is public")
            }
            Self::Directory { domain, listed, public } => {
                write!(
                    f,
                    "the directory of {domain} has {listed} rooms, but {public} say that they are public"
                )
            }
            Self::Chain(pos) => write!(f, "the digest of {pos:?} is not that of the log up to it"),
            Self::Hole { log, missing, .. } => {
                write!(f, "the log {}.{} lacks {} to {}", log.o, log.i, missing.start(), missing.end())
            }
            Self::WrongFrontier { said, held } => {
                let held = held.as_ref().map_or("nothing".to_owned(), describe);
                write!(f, "the store says that it holds {}, but it holds {held}", describe(said))
            }
            Self::OtherEntries { arrived, logged } => {
                write!(f, "the {arrived} entries in order of arrival are not the {logged} of the logs")
            }
            Self::Ids(id) => write!(f, "entries from {id} on are not found by their ids"),
            Self::Recent => f.write_str("the newest history is not the newest in canonical order"),
            Self::Archive { by, counted, shown } => {
                write!(f, "the archive selects {counted} entries by {by}, but there are {shown}")
            }
            Self::Busy => f.write_str("not checked: it changed whenever it was read"),
        }
    }
}

fn describe(Frontier { pos, digest, low }: &Frontier) -> String {
    let digest = digest.map_or("no digest".to_owned(), |digest| format!("digest {digest}"));
    format!("{}.{} from {low} to {} with {digest}", pos.o, pos.i, pos.s)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.room {
            Some(room) => write!(f, "{room}: {}", self.what),
            None => write!(f, "{}", self.what),
        }
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// What was read.
    pub counts: Counts,
    /// What must not be so.
    pub mistakes: u64,
    /// What may be so.
    pub notices: u64,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counts, mistakes, notices } = self;
        write!(f, "{counts}: {mistakes} mistakes, {notices} notices")
    }
}

impl What {
    /// What a failed reading says of the store; a store that does not answer says nothing.
    pub(super) fn of(error: StoreError) -> Result<Self, StoreError> {
        match error.kind {
            StoreErrorKind::Unavailable => Err(error),
            _ => Ok(Self::Unreadable(chain(&error))),
        }
    }
}
