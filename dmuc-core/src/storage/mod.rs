//! What must survive: the traits that a storage backend implements.
//!
//! A room's record is a small map of parts (`config`, `subject`, `occupant/...`), each a JSON text that only
//! the core understands; its history is a set of logs, one per origin, read in several orders. Backends need to know
//! neither rooms nor XMPP. The conformance suite (feature `conformance`) says whether an implementation is right.

pub mod columns;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod fault;
mod memory;
mod transfer;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::{StoreError, StoreErrorKind};
pub use fault::{Fault, FaultPlan, FaultyStore, Operation};
pub use memory::MemoryStore;
pub use transfer::Transfer;

use crate::address::Address;
use crate::clock::Millis;
use crate::event::{ChainDigest, Event, EventId, Position};
use crate::nick::Nick;
use crate::policy::PeerRule;

/// Names a room for life; a room created again under an old address gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoomUid(pub Uuid);

impl fmt::Display for RoomUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Counts the commits of one room, from 1; 0 stands for "does not exist".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Revision(pub u64);

/// A right to write one room, held by one node until it expires or is taken.
///
/// `fence` rises with every change of holder: a commit with a lower one than the store knows is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Which room.
    pub room: RoomUid,
    /// Fencing token.
    pub fence: u64,
    /// Until when, by the clock of the caller.
    pub expires: Millis,
}

/// A lease that was prolonged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// As it is now.
    pub lease: Lease,
    /// Another node has asked for it since it was taken: stanzas for the room arrive there.
    pub wanted: bool,
}

/// A room as found in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name for life.
    pub uid: RoomUid,
    /// Its last commit.
    pub revision: Revision,
    /// Its parts by key.
    pub parts: BTreeMap<String, String>,
}

/// What an address holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing, ever or any more.
    Vacant,
    /// A room.
    Room(Found),
    /// A room was destroyed here, and its tombstone is still kept.
    Tombstone(Tombstone),
}

/// What is left of a destroyed room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Which room it was.
    pub uid: RoomUid,
    /// Its address here.
    pub jid: Address,
    /// When it was destroyed.
    pub at: Millis,
    /// Where its occupants were sent.
    pub alternate: Option<Address>,
    /// Why.
    pub reason: Option<String>,
    /// Until when joins are refused with `gone`; the address may be used again after that.
    pub blocks_until: Millis,
}

/// An event in an instance's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The event.
    pub event: Event,
    /// The chain digest of its origin's log up to it; absent if an earlier event of that log is not held here.
    pub digest: Option<ChainDigest>,
    /// Kept, but not delivered nor shown in queries.
    #[serde(default)]
    pub withheld: bool,
}

/// One durable change of one room.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Binds an address to the room's uid; the first change of a new room, at revision 0.
    Create {
        /// The room's address here.
        jid: Address,
    },
    /// Sets a part.
    Put {
        /// Part name, `kind` or `kind/detail`.
        key: String,
        /// JSON.
        value: String,
    },
    /// Drops a part, if it is there.
    Delete {
        /// Part name.
        key: String,
    },
    /// Appends to the logs. Idempotent by position: a second append of the same position changes nothing.
    Append(Box<LogEntry>),
    /// Replaces the content of an event, if it is held (XEP-0424, XEP-0425).
    Redact {
        /// Which event.
        id: EventId,
        /// What stands in its place.
        content: Vec<crate::stanza::Payload>,
    },
    /// Marks an event as withheld or not, if it is held.
    Withhold {
        /// Which event.
        pos: Position,
        /// Withheld or revealed.
        withheld: bool,
    },
    /// Removes the room, its parts and its logs; the last change of a room. Leaves a tombstone if given.
    Destroy(Option<Tombstone>),
}

/// Changes of one room that become durable together.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomCommit {
    /// The lease under which they are made.
    pub lease: Lease,
    /// The revision that they follow.
    pub expected: Revision,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

/// A listed room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its address.
    pub jid: Address,
    /// Its name for life.
    pub uid: RoomUid,
    /// Its `card` part, if it has one: what discovery shows without waking the room.
    pub card: Option<String>,
}

/// Which page of a domain's public rooms is wanted, in order of address (XEP-0059).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    /// Only those after this one.
    pub after: Option<Address>,
    /// Only those before this one.
    pub before: Option<Address>,
    /// Without those so many that come first; with no other bound.
    pub index: Option<u64>,
    /// The last page instead of the first, of what the rest selects.
    pub last: bool,
    /// At most so many.
    pub max: u32,
}

/// A page of a domain's public rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryPage {
    /// In order of address.
    pub rooms: Vec<Listed>,
    /// How many public rooms there are in all.
    pub count: u64,
    /// How many of those lie before the first of `rooms`.
    pub index: u64,
}

/// The durable state of room instances.
#[async_trait]
pub trait Room: Send + Sync {
    /// Looks up what `jid` holds.
    ///
    /// To ensure correctness: answer `Vacant` only if the store has been read and holds neither a room nor a tombstone
    /// whose `blocks_until` is after `now`. A store that cannot be read is an error: a room that fails to load is
    /// never created anew.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn load(&self, jid: &Address, now: Millis) -> Result<Entry, StoreError>;

    /// Makes commits durable; each is all or nothing, none depends on another, results in the same order.
    ///
    /// To ensure correctness: a commit is durable (it survives the loss of power) before its result is given; it is
    /// refused with `Conflict`, changing nothing, if the room is at another revision than `expected` or its fence is
    /// above the lease's. `Create` needs revision 0 and an address without room or blocking tombstone; a tombstone
    /// blocks here if its `blocks_until` is after the end of the commit's lease, which is after the caller's now.
    /// On success the room is at `expected + 1`.
    async fn commit(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>>;

    /// Takes the lease of a room for `node` until `now + ttl_ms`, if it is free, expired or already held by `node`.
    ///
    /// To ensure correctness: every success for another node than the last holder raises the fence; it works for a
    /// uid that has no room yet. A refusal is noted for the holder, see [`Renewal::wanted`]; a success clears the note.
    ///
    /// # Errors
    /// `Conflict` while another node holds it; `Unavailable`.
    async fn acquire(&self, room: RoomUid, node: &str, now: Millis, ttl_ms: u64)
    -> Result<Lease, StoreError>;

    /// Prolongs those leases that are still the newest, each for itself; results in the same order. `Conflict` for one
    /// that has been taken over.
    async fn renew(&self, leases: &[Lease], now: Millis, ttl_ms: u64) -> Vec<Result<Renewal, StoreError>>;

    /// Gives a lease back. A lease that was taken over is left alone.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Rooms of a service domain of which the lease has expired at `now` and was not given back, those that expired
    /// first first, at most `limit`: the node that had them is gone, and their occupants wait for another.
    ///
    /// To be of use it must not read the rooms of which the leases are well: it is asked every few seconds.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn abandoned(&self, domain: &str, now: Millis, limit: u32) -> Result<Vec<Address>, StoreError>;

    /// Rooms of a service domain in order of address, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn list(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError>;

    /// Counts the rooms of a service domain by a field of their `card` part: how many there are for each text that the
    /// field has, and under the empty text those whose card has none. Rooms without a card are not counted.
    ///
    /// To be of use it must not cost much more than reading the cards: it is asked whenever a service starts.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn tally(&self, domain: &str, field: &str) -> Result<BTreeMap<String, u32>, StoreError>;

    /// A page of a service domain's public rooms: those whose `card` part is a JSON object with `"public":true`.
    /// `None` if `after` or `before` is no such room. Neither counting nor paging may read all the cards.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn directory(&self, domain: &str, wanted: &Directory) -> Result<Option<DirectoryPage>, StoreError>;

    /// The rooms of a service domain that have a part of this name, in order of address, each with the part; at most
    /// `limit`.
    ///
    /// To be of use it must not read other rooms for names of the kind `subscriber/...`, which it is asked for by
    /// users.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn holding(
        &self,
        domain: &str,
        key: &str,
        limit: u32,
    ) -> Result<Vec<(Address, String)>, StoreError>;
}

/// The text of a top-level field of a card; empty if it has none. For [`Room::tally`].
#[must_use]
pub fn card_field(card: &str, field: &str) -> String {
    let card: Option<serde_json::Value> = serde_json::from_str(card).ok();
    let text = card.as_ref().and_then(|card| card.get(field)?.as_str());
    text.unwrap_or_default().to_owned()
}

/// Whether a card is that of a public room. For [`Room::directory`].
#[must_use]
pub fn card_is_public(card: &str) -> bool {
    let card: Option<serde_json::Value> = serde_json::from_str(card).ok();
    card.is_some_and(|card| card["public"] == true)
}

/// What one origin's log holds here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    /// Origin, incarnation, and the highest number up to which nothing is missing from `low` on.
    pub pos: Position,
    /// Chain digest at `pos`, if known.
    pub digest: Option<ChainDigest>,
    /// The lowest number held; 1 unless older ones have expired or were never fetched. A log of which every entry
    /// has expired is still listed, with the last position and digest that it had and `low` one above: its origin
    /// goes on from there, and no number is used twice.
    pub low: u64,
}

/// How much of the recent history is wanted; XEP-0045 §7.2.15. All limits hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recent {
    /// At most so many messages.
    pub stanzas: Option<u32>,
    /// At most so many characters of XML in total, counted over whole stanzas as [`Event::bytes`] does.
    pub chars: Option<u64>,
    /// None from before.
    pub since: Option<Millis>,
}

/// Which part of the archive is wanted, in arrival order (XEP-0313, XEP-0059): filters, which hold together, and a page
/// of what they select.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveQuery {
    /// None from before.
    pub start: Option<Millis>,
    /// None from after.
    pub end: Option<Millis>,
    /// Only what was said under this occupant id.
    pub oid: Option<String>,
    /// Only what was said under this nick.
    pub nick: Option<Nick>,
    /// Only these.
    pub ids: Option<Vec<EventId>>,
    /// Only those that arrived after this one.
    pub after_id: Option<EventId>,
    /// Only those that arrived before this one.
    pub before_id: Option<EventId>,
    /// The page begins after this one.
    pub after: Option<EventId>,
    /// The page ends before this one.
    pub before: Option<EventId>,
    /// The page begins with the entry at this place among those selected, from 0; with no other bound of the page.
    pub index: Option<u64>,
    /// The last page instead of the first, of what the rest selects.
    pub last: bool,
    /// At most so many.
    pub max: u32,
}

/// A page of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In arrival order.
    pub entries: Vec<LogEntry>,
    /// Whether nothing lies beyond the page in the direction of paging.
    pub complete: bool,
    /// How many the filters select in all, without paging.
    pub count: u64,
    /// How many of those lie before the first of `entries`.
    pub index: u64,
}

/// The durable logs of rooms, and the archive. Withheld entries appear only in `range`.
#[async_trait]
pub trait HistoryStore: Send + Sync {
    /// Appends entries, all or none; for a history store that is not the room store too, so the room need not exist.
    ///
    /// To ensure correctness: idempotent by position, durable before it returns, and arrival order is the order
    /// of first appends. An event id that is held at another position is a `Conflict`.
    ///
    /// # Errors
    /// `Unavailable`, `Conflict`.
    async fn append(&self, room: RoomUid, entries: &[LogEntry]) -> Result<(), StoreError>;

    /// What is held of each origin's log, in order of origin and incarnation.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn frontier(&self, room: RoomUid) -> Result<Vec<Frontier>, StoreError>;

    /// Entries of one log from `from.s` to `to` (both included), ascending, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn range(
        &self,
        room: RoomUid,
        from: &Position,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, StoreError>;

    /// The newest entries within limits, ascending in canonical order.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn recent(&self, room: RoomUid, limits: Recent) -> Result<Vec<LogEntry>, StoreError>;

    /// A page of the archive; `None` if the query names an entry that is not held.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn page(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Option<Page>, StoreError>;

    /// Drops entries whose stamp is before `before`. The horizon (`low`) moves first, so that a crash in between
    /// leaves entries that are not shown rather than shown holes. Gives how many were dropped.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError>;
}

/// Which services we peer with, kept by operators. Decisions are made by [`PeerRules`](crate::policy::PeerRules)
/// from a snapshot in memory.
#[async_trait]
pub trait PeerPolicy: Send + Sync {
    /// All rules, in order of domain.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn rules(&self) -> Result<Vec<PeerRule>, StoreError>;

    /// Sets the rule for its domain.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn set_rule(&self, rule: &PeerRule) -> Result<(), StoreError>;

    /// Drops the rule for a domain, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn drop_rule(&self, domain: &str) -> Result<(), StoreError>;

    /// Waits until the rules may have changed since it was called, by whatever node; it may return without a change.
    /// The default waits for ever: who wants to know looks from time to time as well.
    ///
    /// # Errors
    /// `Unavailable`, if changes may go unnoticed.
    async fn rules_changed(&self) -> Result<(), StoreError> {
        std::future::pending().await
    }
}

/// A backend with all that rooms need.
pub trait Storage: Room + HistoryStore + PeerPolicy {}

impl<T: Room + HistoryStore + PeerPolicy> Storage for T {}
