//! What a store is made of, as it is moved.

use std::collections::BTreeMap;
use std::fmt;

use dmuc_core::Address;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{Frontier, LogEntry, RoomUid, Tombstone};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the sequence that this program writes, and the only one that it reads.
pub(super) const VERSION: u32 = 1;
pub(super) const FORMAT: &str = "dmuc-store";

/// One thing in a store. They come in this order: a header; rules, by domain; tombstones, by domain and address; rooms,
/// by domain and address, each followed by its entries in order of arrival, its logs, and its end; a trailer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The first record.
    Header {
        /// `dmuc-store`.
        format: String,
        /// 1.
        version: u32,
    },
    /// What the operator allows one peer.
    Rule(PeerRule),
    /// What is left of a destroyed room, whether it still blocks its address or not.
    Tombstone(Tombstone),
    /// A room begins.
    Room(RoomRecord),
    /// An entry of its logs.
    Entry(Box<LogEntry>),
    /// How far one of its logs is held.
    Log(Frontier),
    /// The room is complete.
    EndOfRoom {
        /// How many entries it has.
        entries: u64,
        /// SHA-256 of the room's lines up to here, in hexadecimal.
        sha256: String,
    },
    /// The last record.
    Trailer {
        /// How many there are of each.
        #[serde(flatten)]
        counts: Counts,
        /// SHA-256 of all lines up to here, in hexadecimal.
        sha256: String,
    },
}

/// A room without its logs. Its revision and its lease are matters of one store, and do not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// Its address.
    pub jid: Address,
    /// Its name for life.
    pub uid: RoomUid,
    /// Its parts by key.
    pub parts: BTreeMap<String, String>,
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Peer rules.
    pub rules: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Rooms.
    pub rooms: u64,
    /// Entries of all their logs.
    pub entries: u64,
}

impl Counts {
    /// Counts a room with the entries of its logs, as if none was missing among them.
    pub(super) fn add_room(&mut self, frontier: &[Frontier]) {
        self.rooms += 1;
        self.entries += frontier.iter().map(|log| (log.pos.s + 1).saturating_sub(log.low)).sum::<u64>();
    }

    /// Rooms and entries, which is what progress is counted in.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.rooms + self.entries
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rules, tombstones, rooms, entries } = self;
        write!(f, "{rooms} rooms, {entries} messages, {tombstones} tombstones, {rules} peer rules")
    }
}

impl Record {
    pub(super) fn header() -> Self {
        Self::Header { format: FORMAT.to_owned(), version: VERSION }
    }

    /// The record as a line of a file, with its end.
    pub(super) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("records are plain data with keys of text");
        line.push('\n');
        line
    }
}

/// Counts records and digests their lines.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Counts,
    room: Sha256,
    room_entries: u64,
    all: Sha256,
}

impl Tally {
    /// Takes note of a record; gives its line.
    pub fn note(&mut self, record: &Record) -> String {
        let line = record.line();
        match record {
            Record::Rule(_) => self.counts.rules += 1,
            Record::Tombstone(_) => self.counts.tombstones += 1,
            Record::Room(_) => {
                self.counts.rooms += 1;
                (self.room, self.room_entries) = (Sha256::new(), 0);
            }
            Record::Entry(_) => {
                self.counts.entries += 1;
                self.room_entries += 1;
            }
            _ => {}
        }
        self.room.update(&line);
        self.all.update(&line);
        line
    }

    /// How the room ends whose records were noted last.
    pub fn end_of_room(&self) -> Record {
        Record::EndOfRoom { entries: self.room_entries, sha256: hex(&self.room) }
    }

    /// How the sequence ends that was noted.
    pub fn trailer(&self) -> Record {
        Record::Trailer { counts: self.counts, sha256: hex(&self.all) }
    }
}

fn hex(hash: &Sha256) -> String {
    hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
