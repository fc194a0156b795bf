//! Writing records into a store: logs first, the room last, the rooms of a batch together.

use std::collections::VecDeque;
use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{
    Change, Entry, Frontier, Lease, LogEntry, Revision, RoomCommit, RoomUid, StoreError, StoreErrorKind,
    Tombstone, Transfer,
};

use super::claim::{NODE, TTL_MS};
use super::compare::Key;
use super::error::{Role, TransferError};
use super::record::{Record, RoomRecord};
use super::source::ENTRIES;
use crate::service::now;

/// What is written at a time, in bytes of content; small things count with what they cost besides.
const BATCH_BYTES: usize = 1 << 20;
const OVERHEAD_BYTES: usize = 512;

/// What a sink wants of a room that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    All,
    /// Nothing: it is there.
    Nothing,
}

/// A store as the place where records go. Nothing that is there is changed.
pub(super) struct StoreSink {
    store: Arc<dyn Transfer>,
    room: Option<Writing>,
    /// Rooms that wait to be made together, and their size.
    batch: Vec<(RoomRecord, Vec<LogEntry>)>,
    batch_bytes: usize,
}

/// The room that is being written.
struct Writing {
    record: RoomRecord,
    held: Held,
    entries: Vec<LogEntry>,
    bytes: usize,
    ended: Vec<Frontier>,
}

/// What an interrupted run has left of a room's logs, in order of arrival.
struct Held {
    uid: RoomUid,
    page: VecDeque<LogEntry>,
    place: u64,
    is_complete: bool,
}

impl StoreSink {
    pub fn new(store: &Arc<dyn Transfer>) -> Self {
        Self { store: store.clone(), room: None, batch: Vec::new(), batch_bytes: 0 }
    }

    /// Takes a record; it may become durable later, but not after [`finish`](Self::finish).
    pub async fn put(&mut self, record: Record) -> Result<Wanted, TransferError> {
        match record {
            Record::Rule(rule) => self.put_rule(&rule).await?,
            Record::Tombstone(tombstone) => self.put_tombstone(&tombstone).await?,
            Record::Room(room) => return self.begin(room).await,
            Record::Entry(entry) => self.put_entry(*entry).await?,
            Record::Log(log) => self.note_log(log),
            Record::EndOfRoom { .. } => self.end().await?,
            Record::Header { .. } | Record::Trailer { .. } => {}
        }
        Ok(Wanted::All)
    }

    /// Makes everything durable.
    pub async fn finish(mut self) -> Result<(), TransferError> {
        self.flush().await
    }

    async fn put_rule(&self, rule: &PeerRule) -> Result<(), TransferError> {
        self.store.set_rule(rule).await.map_err(failed)
    }

    async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<(), TransferError> {
        match self.store.load(&tombstone.jid, now()).await.map_err(failed)? {
            Entry::Room(_) => Err(TransferError::InTheWay(Key::tombstone(tombstone))),
            _ => self.store.put_tombstone(tombstone).await.map_err(failed),
        }
    }

    async fn begin(&mut self, record: RoomRecord) -> Result<Wanted, TransferError> {
        match self.store.load(&record.jid, now()).await.map_err(failed)? {
            Entry::Room(found) if found.uid == record.uid => Ok(Wanted::Nothing),
            Entry::Vacant => {
                self.room = Some(Writing::new(record));
                Ok(Wanted::All)
            }
            _ => Err(TransferError::InTheWay(Key::room(&record.jid))),
        }
    }

    async fn put_entry(&mut self, entry: LogEntry) -> Result<(), TransferError> {
        let Some(room) = &mut self.room else { return Ok(()) };
        match room.held.next(&*self.store).await.map_err(failed)? {
            Some(held) if held == entry => return Ok(()),
            Some(_) => return Err(room.in_the_way()),
            None => room.push(entry),
        }
        if room.bytes > BATCH_BYTES {
            room.bytes = 0;
            let entries = std::mem::take(&mut room.entries);
            self.store.append(room.record.uid, &entries).await.map_err(failed)?;
        }
        Ok(())
    }

    fn note_log(&mut self, log: Frontier) {
        if let Some(room) = self.room.as_mut().filter(|_| log.low > log.pos.s) {
            room.ended.push(log);
        }
    }

    async fn end(&mut self) -> Result<(), TransferError> {
        let Some(mut room) = self.room.take() else { return Ok(()) };
        if room.held.next(&*self.store).await.map_err(failed)?.is_some() {
            return Err(room.in_the_way());
        }
        if !room.ended.is_empty() {
            self.store.put_places(room.record.uid, &room.ended).await.map_err(failed)?;
        }
        self.batch_bytes += room.bytes + room.record.bytes();
        self.batch.push((room.record, room.entries));
        if self.batch_bytes > BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Makes the rooms that wait.
    async fn flush(&mut self) -> Result<(), TransferError> {
        self.batch_bytes = 0;
        let (mut jids, mut commits) = (Vec::new(), Vec::new());
        for (record, entries) in std::mem::take(&mut self.batch) {
            let lease = self.store.acquire(record.uid, NODE, now(), TTL_MS).await.map_err(failed)?;
            jids.push(record.jid.clone());
            commits.push(creation(lease, record, entries));
        }
        for (jid, made) in jids.iter().zip(self.store.commit(&commits).await) {
            made.map_err(|error| refused(jid, error))?;
        }
        for commit in &commits {
            self.store.release(&commit.lease).await.map_err(failed)?;
        }
        Ok(())
    }
}

impl Writing {
    fn new(record: RoomRecord) -> Self {
        let held = Held { uid: record.uid, page: VecDeque::new(), place: 0, is_complete: false };
        Self { record, held, entries: Vec::new(), bytes: 0, ended: Vec::new() }
    }

    fn push(&mut self, entry: LogEntry) {
        self.bytes += OVERHEAD_BYTES + entry.event.bytes();
        self.entries.push(entry);
    }

    fn in_the_way(&self) -> TransferError {
        TransferError::InTheWay(Key::room(&self.record.jid))
    }
}

impl Held {
    async fn next(&mut self, store: &dyn Transfer) -> Result<Option<LogEntry>, StoreError> {
        if self.page.is_empty() && !self.is_complete {
            let arrivals = store.arrivals(self.uid, self.place, ENTRIES).await?;
            self.is_complete = arrivals.is_empty();
            self.place = arrivals.last().map_or(self.place, |(place, _)| *place);
            self.page = arrivals.into_iter().map(|(_, entry)| entry).collect();
        }
        Ok(self.page.pop_front())
    }
}

impl RoomRecord {
    fn bytes(&self) -> usize {
        self.parts.iter().map(|(key, value)| OVERHEAD_BYTES + key.len() + value.len()).sum()
    }
}

/// A room with its parts, and with those entries that have not been appended yet.
fn creation(lease: Lease, record: RoomRecord, entries: Vec<LogEntry>) -> RoomCommit {
    let mut changes = vec![Change::Create { jid: record.jid }];
    changes.extend(record.parts.into_iter().map(|(key, value)| Change::Put { key, value }));
    changes.extend(entries.into_iter().map(|entry| Change::Append(Box::new(entry))));
    RoomCommit { lease, expected: Revision(0), changes }
}

fn failed(error: StoreError) -> TransferError {
    TransferError::of(Role::Target)(error)
}

fn refused(jid: &Address, error: StoreError) -> TransferError {
    match error.kind {
        StoreErrorKind::Conflict => TransferError::InTheWay(Key::room(jid)),
        _ => failed(error),
    }
}
