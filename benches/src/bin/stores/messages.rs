//! Rooms that speak: messages of ordinary size.

use dmuc_core::clock::Hlc;
use dmuc_core::event::{ChainDigest, Event, EventId, Position};
use dmuc_core::nick::Nick;
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{Change, Lease, LogEntry, Revision, RoomCommit, RoomUid, Transfer};
use dmuc_core::{Address, Millis};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Failure;

pub const DOMAIN: &str = "rooms.bench.example";
/// When the first message was sent; the others follow, one a second.
pub const BEGINNING: Millis = Millis(1_700_000_000_000);
/// Leases must outlast the measurement.
const TTL_MS: u64 = 86_400_000;
const SPEAKERS: u64 = 50;

/// The nick and the occupant id of the speaker of a message.
pub fn speaker(s: u64) -> (Nick, String) {
    let n = s % SPEAKERS;
    (
        Nick::parse(&format!("speaker {n}")).expect("a nick"),
        format!("dd72603deec90a38ba552f7c68cbcc61bca2{n:04}"),
    )
}

pub fn when(s: u64) -> Millis {
    BEGINNING.plus(s * 1000)
}

/// Message `s` of a room.
pub fn message(room: RoomUid, s: u64) -> LogEntry {
    let (nick, oid) = speaker(s);
    let event = Event {
        pos: Position { o: DOMAIN.into(), i: 1, s },
        h: Hlc::at(when(s)),
        id: id(room, s),
        deps: Vec::new(),
        nick: Some(nick),
        oid: Some(oid),
        jid: None,
        stanza: Some("0b9b33c4-6e9e-4d36-9b13-70c9a4b6e6d2".to_owned()),
        lang: None,
        content: vec![Payload::text_element(
            "body",
            &format!("What is said as number {s}, of the usual length."),
        )],
    };
    LogEntry { digest: Some(ChainDigest(event.id.0)), event, withheld: false }
}

/// As random as those of a service, and the same each time.
pub fn id(room: RoomUid, s: u64) -> EventId {
    let hash = Sha256::new().chain_update(room.0.as_bytes()).chain_update(s.to_be_bytes()).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    EventId(id)
}

/// A room that exists, and what it has said so far.
#[derive(Clone)]
pub struct Room {
    pub lease: Lease,
    revision: Revision,
    said: u64,
}

impl Room {
    /// Makes rooms, with whatever else their first commit sets.
    pub async fn create(
        store: &dyn Transfer,
        name: &str,
        count: usize,
        parts: &[(&str, &str)],
    ) -> Result<Vec<Self>, Failure> {
        let (mut rooms, mut commits) = (Vec::new(), Vec::new());
        for n in 0..count {
            let room = RoomUid(Uuid::from_bytes(id(RoomUid(Uuid::nil()), hash(name) + n as u64).0));
            let lease = store.acquire(room, "bench", BEGINNING, TTL_MS).await?;
            let jid = Address::parse(&format!("{name}-{n:06}@{DOMAIN}"))?;
            let put = |(key, value): &(&str, &str)| Change::Put {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
            };
            let changes = [Change::Create { jid }].into_iter().chain(parts.iter().map(put)).collect();
            commits.push(RoomCommit { lease, expected: Revision(0), changes });
            rooms.push(Self { lease, revision: Revision(1), said: 0 });
        }
        for commits in commits.chunks(1000) {
            for made in store.commit(commits).await {
                made?;
            }
        }
        Ok(rooms)
    }

    /// The next message.
    pub fn next_message(&mut self) -> LogEntry {
        self.said += 1;
        message(self.lease.room, self.said)
    }

    /// The next message, as a commit.
    pub fn says(&mut self) -> RoomCommit {
        let changes = vec![Change::Append(Box::new(self.next_message()))];
        RoomCommit { lease: self.lease, expected: self.revision, changes }
    }

    pub fn note(&mut self, revision: Revision) {
        self.revision = revision;
    }
}

fn hash(name: &str) -> u64 {
    name.bytes().fold(0, |hash, byte| hash << 8 | u64::from(byte)) << 20
}
