//! What an operator may turn about the running of rooms.

use std::time::Duration;

/// Limits and periods of a [`Service`](super::Service); the defaults suit a machine of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// By what name those who look into the store know this process. It need not be unique: every life of a process
    /// is told from all others, whatever its name.
    pub node: String,
    /// Most stanzas that wait for one room; more are refused with `resource-constraint`.
    pub mailbox_max: usize,
    /// Most rooms in memory at a time; stanzas for further ones are refused with `resource-constraint`.
    pub rooms_awake_max: usize,
    /// A room that nobody used for so long is dropped to its record.
    pub hibernate_after: Duration,
    /// How long a room stays ours if this process dies; until then its stanzas wait at other processes. It is renewed
    /// three times in that time, which costs one row of the store for each room in memory.
    pub lease_ttl: Duration,
    /// How often the peer rules are read from the store.
    pub peers_every: Duration,
    /// How often the rooms in the store are counted, for the limits on their number: other processes make rooms, too.
    pub count_every: Duration,
    /// How often archives are searched for what is older than they keep.
    pub expire_every: Duration,
    /// Most rooms whose changes are sent to the store together.
    pub group_max: usize,
    /// Most inputs of one room that wait for the store before it takes no more.
    pub waiting_max: usize,
    /// Most questions of one room that the store answers at a time.
    pub asks_max: usize,
    /// Most room listings that the store answers at a time, for the whole service.
    pub lists_max: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            node: "single".to_owned(),
            mailbox_max: 1024,
            rooms_awake_max: 100_000,
            hibernate_after: Duration::from_secs(300),
            lease_ttl: Duration::from_secs(10),
            peers_every: Duration::from_secs(5),
            count_every: Duration::from_secs(600),
            expire_every: Duration::from_secs(3600),
            group_max: 256,
            waiting_max: 1024,
            asks_max: 16,
            lists_max: 8,
        }
    }
}
