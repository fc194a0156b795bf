//! Rooms and events to try a store with.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use uuid::Uuid;

use crate::address::Address;
use crate::clock::{Hlc, Millis};
use crate::event::{ChainDigest, Event, EventId, Position};
use crate::nick::Nick;
use crate::stanza::Payload;
use crate::storage::{
    ArchiveQuery, Change, Entry, Found, Lease, LogEntry, Page, Revision, RoomCommit, RoomUid, Storage,
    StoreError, StoreErrorKind, Tombstone,
};

/// When the cases take place.
pub const NOW: Millis = Millis(1_787_307_242_000);
pub const DOMAIN: &str = "chat.shakespeare.lit";
/// How long leases last that a case does not care about.
const TTL_MS: u64 = 30_000;

pub fn address(text: &str) -> Address {
    Address::parse(text).expect("the suite's addresses are valid")
}

pub fn room_address(local: &str) -> Address {
    address(&format!("{local}@{DOMAIN}"))
}

pub fn uid(n: u128) -> RoomUid {
    RoomUid(Uuid::from_u128(n))
}

pub fn position(origin: &str, s: u64) -> Position {
    Position { o: origin.into(), i: 1, s }
}

/// An id that no other position of the case has.
pub fn id_at(pos: &Position) -> EventId {
    let event = blank(pos.clone(), EventId::default());
    EventId(event.chain(ChainDigest::default()).0)
}

fn blank(pos: Position, id: EventId) -> Event {
    Event {
        pos,
        h: Hlc::default(),
        id,
        deps: Vec::new(),
        nick: None,
        oid: None,
        jid: None,
        stanza: None,
        lang: None,
        content: Vec::new(),
    }
}

/// The event number `s` of `origin`, `s` seconds after [`NOW`]; its body tells its position.
pub fn entry(origin: &str, s: u64) -> LogEntry {
    said(origin, s, &format!("{origin} {s}"))
}

pub fn said(origin: &str, s: u64, text: &str) -> LogEntry {
    let pos = position(origin, s);
    let mut event = blank(pos.clone(), id_at(&pos));
    event.h = Hlc::at(NOW.plus(s.saturating_mul(1000)));
    event.content = vec![Payload::text_element("body", text)];
    LogEntry { event, digest: None, withheld: false }
}

pub fn at(entry: LogEntry, when: Millis) -> LogEntry {
    LogEntry { event: Event { h: Hlc::at(when), ..entry.event }, ..entry }
}

/// Said by `speaker`, a nick, under an id made of it.
pub fn by(entry: LogEntry, speaker: &str) -> LogEntry {
    let nick = Some(Nick::parse(speaker).expect("a nick"));
    LogEntry { event: Event { nick, oid: Some(format!("id of {speaker}")), ..entry.event }, ..entry }
}

pub fn run(origin: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<LogEntry> {
    numbers.into_iter().map(|s| entry(origin, s)).collect()
}

pub fn numbers(entries: &[LogEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.event.pos.s).collect()
}

pub fn put(key: &str, value: &str) -> Change {
    Change::Put { key: key.to_owned(), value: value.to_owned() }
}

pub fn append(entry: &LogEntry) -> Change {
    Change::Append(Box::new(entry.clone()))
}

pub fn tombstone(jid: &Address, room: RoomUid, blocks_until: Millis) -> Tombstone {
    Tombstone {
        uid: room,
        jid: jid.clone(),
        at: NOW,
        alternate: Some(address("heath@rooms.macbeth.lit")),
        reason: Some("Hecate's \"orders\"; that's it -- 🜏".to_owned()),
        blocks_until,
    }
}

pub fn first(max: u32) -> ArchiveQuery {
    ArchiveQuery { max, ..ArchiveQuery::default() }
}

pub fn last(max: u32) -> ArchiveQuery {
    ArchiveQuery { last: true, ..first(max) }
}

#[track_caller]
pub fn assert_conflict<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    match result {
        Err(error) if error.kind == StoreErrorKind::Conflict => {}
        other => panic!("expected a conflict, got {other:?}"),
    }
}

pub async fn load(store: &impl Storage, jid: &Address, now: Millis) -> Entry {
    store.load(jid, now).await.expect("the store can be read")
}

pub async fn found(store: &impl Storage, jid: &Address) -> Found {
    match load(store, jid, NOW).await {
        Entry::Room(found) => found,
        other => panic!("expected a room at {jid}, got {other:?}"),
    }
}

pub async fn take(store: &impl Storage, room: RoomUid, node: &str) -> Lease {
    store.acquire(room, node, NOW, TTL_MS).await.expect("the lease is free")
}

/// A room that exists, and the right to write it.
pub struct Live<'a, S> {
    pub store: &'a S,
    pub uid: RoomUid,
    pub jid: Address,
    pub lease: Lease,
    pub revision: Revision,
}

impl<'a, S: Storage> Live<'a, S> {
    /// A new room `n`, named after its number.
    pub async fn new(store: &'a S, n: u128) -> Self {
        Self::at(store, room_address(&format!("room-{n:04}")), uid(n)).await
    }

    pub async fn at(store: &'a S, jid: Address, uid: RoomUid) -> Self {
        let lease = take(store, uid, "node-a").await;
        let mut room = Self { store, uid, jid: jid.clone(), lease, revision: Revision(0) };
        room.must(vec![Change::Create { jid }]).await;
        room
    }

    pub async fn with(store: &'a S, n: u128, entries: &[LogEntry]) -> Self {
        let mut room = Self::new(store, n).await;
        room.append(entries).await;
        room
    }

    pub fn commit(&self, changes: Vec<Change>) -> RoomCommit {
        RoomCommit { lease: self.lease, expected: self.revision, changes }
    }

    pub async fn try_commit(&mut self, changes: Vec<Change>) -> Result<Revision, StoreError> {
        let result = one(self.store, self.commit(changes)).await;
        self.revision = result.as_ref().copied().unwrap_or(self.revision);
        result
    }

    pub async fn must(&mut self, changes: Vec<Change>) {
        let expected = self.revision.0 + 1;
        let revision = self.try_commit(changes).await.expect("the commit is in order");
        assert_eq!(revision, Revision(expected), "a commit raises the revision by one");
    }

    pub async fn append(&mut self, entries: &[LogEntry]) {
        self.must(entries.iter().map(append).collect()).await;
    }

    pub async fn page(&self, query: &ArchiveQuery) -> Page {
        let page = self.store.page(self.uid, query).await.expect("the archive can be read");
        page.expect("the references of the query are held")
    }

    pub async fn all(&self) -> Vec<LogEntry> {
        self.page(&first(10_000)).await.entries
    }

    /// `(origin, low, top)` of each log.
    pub async fn frontier(&self) -> Vec<(String, u64, u64)> {
        let frontier = self.store.frontier(self.uid).await.expect("the frontier can be read");
        frontier.iter().map(|log| (log.pos.o.to_string(), log.low, log.pos.s)).collect()
    }
}

pub async fn one(store: &impl Storage, commit: RoomCommit) -> Result<Revision, StoreError> {
    let mut results = store.commit(&[commit]).await;
    assert_eq!(results.len(), 1, "one result for each commit");
    results.pop().expect("there is one")
}

/// Drives futures side by side, without a runtime.
pub async fn together<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<Pin<Box<_>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in pending.iter_mut().zip(&mut done).filter(|(_, slot)| slot.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
