//! The names of keys. What stands in braces decides on which node of a cluster a key lives.

use std::sync::Arc;

use dmuc_core::storage::RoomUid;

/// A room's keys, as the scripts expect them: its lease, its record, and what makes up its logs.
pub(crate) const ROOM: [&str; 10] =
    ["lease", "room", "log", "index", "order", "runs", "speakers", "logs", "hidden", "amended"];
/// How many of them are of interest where the logs are not.
const WITHOUT_LOGS: usize = 2;
/// How many of them are of interest where entries are only appended and shown.
const WITHOUT_AMENDMENTS: usize = 8;

/// Which of a room's keys something concerns, from the first on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// Its lease and its record.
    Record = WITHOUT_LOGS as isize,
    /// Its logs too, as far as they grow.
    Growth = WITHOUT_AMENDMENTS as isize,
    /// All of them.
    All = ROOM.len() as isize,
}
/// A domain's keys, as the scripts expect them.
const DOMAIN: [&str; 6] = ["addresses", "rooms", "public", "holding", "stones", "open"];

/// Names keys that all begin alike; clones are cheap.
#[derive(Debug, Clone)]
pub(crate) struct Keys(Arc<str>);

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self(prefix.into())
    }

    /// A key of a room, one of [`ROOM`].
    pub fn room(&self, uid: RoomUid, name: &str) -> String {
        format!("{}{{{}}}:{name}", self.0, uid.0.simple())
    }

    /// The keys of a room that a commit concerns.
    pub fn of_commit(&self, uid: RoomUid, extent: Extent) -> Vec<String> {
        ROOM[..extent as usize].iter().map(|name| self.room(uid, name)).collect()
    }

    /// The keys that make up a room's logs.
    pub fn of_logs(&self, uid: RoomUid) -> Vec<String> {
        ROOM[WITHOUT_LOGS..].iter().map(|name| self.room(uid, name)).collect()
    }

    /// A key of what is known of a domain's rooms outside of them.
    pub fn domain(&self, domain: &str, name: &str) -> String {
        format!("{}{{{domain}}}:{name}", self.0)
    }

    /// All keys of a domain.
    pub fn of_domain(&self, domain: &str) -> Vec<String> {
        DOMAIN.iter().map(|name| self.domain(domain, name)).collect()
    }

    /// A key of the whole store.
    pub fn store(&self, name: &str) -> String {
        format!("{}{name}", self.0)
    }
}
