//! The names of keys. What stands in braces decides on which node of a cluster a key lives.

use std::sync::Arc;

use dmuc_core::storage::RoomUid;

/// A room's keys, as the scripts expect them: its lease, its record, and what makes up its logs.
pub(crate) const ROOM: [&str; 10] =
    ["lease", "room", "log", "index", "order", "runs", "speakers", "hidden", "logs", "amended"];
/// How many of them are of interest where the logs are not.
pub(crate) const WITHOUT_LOGS: usize = 2;
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

    /// All keys of a room that a commit concerns.
    pub fn of_commit(&self, uid: RoomUid, with_logs: bool) -> Vec<String> {
        let count = if with_logs { ROOM.len() } else { WITHOUT_LOGS };
        ROOM[..count].iter().map(|name| self.room(uid, name)).collect()
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
