//! Rooms in which something is said, and what was acknowledged of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot use its store has failed")]

use std::time::{Duration, Instant};

use dmuc_core::clock::Hlc;
use dmuc_core::event::{Event, EventId, Position};
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{
    ArchiveQuery, Change, Entry, Lease, LogEntry, Revision, RoomCommit, RoomUid, Storage, StoreError,
    StoreErrorKind,
};
use dmuc_core::{Address, Millis};
use tokio::time::sleep;
use uuid::Uuid;

const ORIGIN: &str = "chat.shakespeare.lit";
const NOW: Millis = Millis(1_787_307_242_000);

/// Rooms that all speak at once.
#[derive(Debug)]
pub struct Speakers(Vec<Speaker>);

#[derive(Debug)]
struct Speaker {
    jid: Address,
    lease: Lease,
    revision: Revision,
    /// The last number that the store has told us it keeps.
    acknowledged: u64,
}

impl Speakers {
    /// New rooms of a store.
    ///
    /// # Panics
    /// When they cannot be created.
    pub async fn create(store: &impl Storage, rooms: u128) -> Self {
        let mut speakers = Vec::new();
        for n in 1..=rooms {
            let lease = store.acquire(RoomUid(Uuid::from_u128(n)), "node", NOW, 3_600_000).await.unwrap();
            let jid = Address::parse(&format!("room-{n}@{ORIGIN}")).unwrap();
            let create = RoomCommit {
                lease,
                expected: Revision(0),
                changes: vec![Change::Create { jid: jid.clone() }],
            };
            let revision = store.commit(&[create]).await.remove(0).unwrap();
            speakers.push(Speaker { jid, lease, revision, acknowledged: 0 });
        }
        Self(speakers)
    }

    /// How many messages were acknowledged in all.
    #[must_use]
    pub fn said(&self) -> u64 {
        self.0.iter().map(|speaker| speaker.acknowledged).sum()
    }

    /// One commit of so many messages in each room; the first error, after which the rooms must be loaded again.
    pub async fn say(&mut self, store: &impl Storage, messages: u64) -> Option<StoreError> {
        self.say_texts(store, messages, |n| format!("message {n}")).await
    }

    /// A long message in each room, which does not become shorter by compression.
    pub async fn say_much(&mut self, store: &impl Storage) -> Option<StoreError> {
        let text = |n: u64| {
            let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                format!("{state:016x}")
            };
            (0..20_000).map(|_| next()).collect()
        };
        self.say_texts(store, 1, text).await
    }

    async fn say_texts(
        &mut self,
        store: &impl Storage,
        messages: u64,
        text: impl Fn(u64) -> String,
    ) -> Option<StoreError> {
        let slice: Vec<_> = self.0.iter().map(|speaker| speaker.commit(messages, &text)).collect();
        let mut first = None;
        for (speaker, result) in self.0.iter_mut().zip(store.commit(&slice).await) {
            match result {
                Ok(revision) => {
                    speaker.revision = revision;
                    speaker.acknowledged += messages;
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        first
    }

    /// Says something, after loading the rooms again as often as it takes.
    ///
    /// # Panics
    /// When it takes longer than `patience`, or something acknowledged is lost.
    pub async fn say_in_time(&mut self, store: &impl Storage, patience: Duration) {
        let since = Instant::now();
        while let Some(error) = self.say(store, 1).await {
            assert!(since.elapsed() < patience, "the store has not recovered: {error:?}");
            // What was given up may have been carried out later.
            assert!(
                matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::Conflict),
                "{error:?}"
            );
            self.reload(store, patience).await;
        }
    }

    /// Loads the rooms again, as their owners do after an error: they must have all that was acknowledged.
    ///
    /// # Panics
    /// When they have not, or it takes longer than `patience`.
    pub async fn reload(&mut self, store: &impl Storage, patience: Duration) {
        let since = Instant::now();
        for speaker in &mut self.0 {
            loop {
                match speaker.reload(store).await {
                    Ok(()) => break,
                    Err(error) => {
                        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
                        assert!(since.elapsed() < patience, "the store has not recovered: {error:?}");
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
    }

    /// Every message is there once, in order, and no other.
    ///
    /// # Panics
    /// When it is not so.
    pub async fn check(&self, store: &impl Storage) {
        for Speaker { jid, lease, acknowledged, .. } in &self.0 {
            let from = Position { o: ORIGIN.into(), i: 1, s: 1 };
            let entries = store.range(lease.room, &from, u64::MAX, u32::MAX).await.unwrap();
            let numbers: Vec<u64> = entries.iter().map(|entry| entry.event.pos.s).collect();
            assert_eq!(numbers, (1..=*acknowledged).collect::<Vec<_>>(), "{jid}");
            let page = store.page(lease.room, &ArchiveQuery::default()).await.unwrap().unwrap();
            assert_eq!(page.count, *acknowledged, "{jid}");
        }
    }
}

impl Speaker {
    fn commit(&self, messages: u64, text: impl Fn(u64) -> String) -> RoomCommit {
        let numbers = self.acknowledged + 1..=self.acknowledged + messages;
        let mut changes: Vec<_> = numbers.clone().map(|n| self.message(n, &text(n))).collect();
        changes.push(Change::Put { key: "said".to_owned(), value: numbers.end().to_string() });
        RoomCommit { lease: self.lease, expected: self.revision, changes }
    }

    fn message(&self, n: u64, text: &str) -> Change {
        let mut id = self.lease.room.0.into_bytes();
        id[..8].copy_from_slice(&n.to_be_bytes());
        let event = Event {
            pos: Position { o: ORIGIN.into(), i: 1, s: n },
            h: Hlc::at(NOW.plus(n)),
            id: EventId(id),
            deps: Vec::new(),
            nick: None,
            oid: None,
            jid: None,
            stanza: None,
            lang: None,
            content: vec![Payload::text_element("body", text)],
        };
        Change::Append(Box::new(LogEntry { event, digest: None, withheld: false }))
    }

    async fn reload(&mut self, store: &impl Storage) -> Result<(), StoreError> {
        // A commit that was given up may be on its way still; the lease, taken again, does not stop it, the revision does.
        let Entry::Room(found) = store.load(&self.jid, NOW).await? else { panic!("{} is gone", self.jid) };
        let top = store.frontier(self.lease.room).await?.first().map_or(0, |log| log.pos.s);
        let said = found.parts.get("said").map_or(0, |said| said.parse().unwrap());
        if said == top {
            assert!(top >= self.acknowledged, "{}: {} acknowledged, {top} kept", self.jid, self.acknowledged);
            (self.revision, self.acknowledged) = (found.revision, top);
            return Ok(());
        }
        // Something was committed between the two questions.
        Err(StoreError::new(StoreErrorKind::Unavailable, "read a moving room"))
    }
}
