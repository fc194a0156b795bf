//! Reading a store from beginning to end, by pages.

use std::collections::VecDeque;
use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::storage::{Entry, Listed, RoomUid, StoreError, Transfer};

use super::error::{Role, TransferError};
use super::record::{Record, RoomRecord, Tally};
use super::rooms::{LISTED, Rooms};
use crate::service::now;

/// Entries read at a time: some megabytes if they are as large as the wire lets them be, far less as a rule.
pub(super) const ENTRIES: u32 = 250;

/// Gives records, in their order.
pub(super) trait Source: Send {
    /// The next record; none after the trailer.
    fn next(&mut self) -> impl Future<Output = Result<Option<Record>, TransferError>> + Send;

    /// Passes over what is left of the room that has begun, its end included.
    fn pass(&mut self) -> impl Future<Output = Result<(), TransferError>> + Send {
        async {
            while let Some(record) = self.next().await? {
                if matches!(record, Record::EndOfRoom { .. }) {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// A store as a source.
pub(super) struct StoreSource {
    store: Arc<dyn Transfer>,
    role: Role,
    stage: Stage,
    ready: VecDeque<Record>,
    tally: Tally,
}

/// What is read next.
enum Stage {
    Rules,
    /// Tombstones of the first domain that is left, after an address.
    Tombstones(VecDeque<String>, Option<Address>),
    NextRoom(Rooms),
    /// Entries of a room after a place.
    Entries(Rooms, RoomUid, u64),
    End,
}

impl Source for StoreSource {
    async fn next(&mut self) -> Result<Option<Record>, TransferError> {
        while self.ready.is_empty() && !matches!(self.stage, Stage::End) {
            self.read().await.map_err(TransferError::of(self.role))?;
        }
        Ok(self.ready.pop_front())
    }

    async fn pass(&mut self) -> Result<(), TransferError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::End) {
            Stage::Entries(rooms, ..) => Stage::NextRoom(rooms),
            other => other,
        };
        self.ready.clear();
        Ok(())
    }
}

impl StoreSource {
    pub fn new(store: &Arc<dyn Transfer>, role: Role) -> Self {
        let mut source = Self {
            store: store.clone(),
            role,
            stage: Stage::Rules,
            ready: VecDeque::new(),
            tally: Tally::default(),
        };
        source.give(Record::header());
        source
    }

    fn give(&mut self, record: Record) {
        self.tally.note(&record);
        self.ready.push_back(record);
    }

    /// Reads whatever comes next, which may be nothing.
    async fn read(&mut self) -> Result<(), StoreError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::End) {
            Stage::Rules => self.read_rules().await?,
            Stage::Tombstones(domains, after) => self.read_tombstones(domains, after).await?,
            Stage::NextRoom(mut rooms) => match rooms.next().await? {
                Some(listed) => self.read_room(rooms, listed).await?,
                None => self.end(),
            },
            Stage::Entries(rooms, uid, place) => self.read_entries(rooms, uid, place).await?,
            Stage::End => Stage::End,
        };
        Ok(())
    }

    async fn read_rules(&mut self) -> Result<Stage, StoreError> {
        self.store.rules().await?.into_iter().for_each(|rule| self.give(Record::Rule(rule)));
        Ok(Stage::Tombstones(self.store.domains().await?.into(), None))
    }

    async fn read_tombstones(
        &mut self,
        mut domains: VecDeque<String>,
        after: Option<Address>,
    ) -> Result<Stage, StoreError> {
        let Some(domain) = domains.front() else {
            return Ok(Stage::NextRoom(Rooms::of(&self.store).await?));
        };
        let stones = self.store.tombstones(domain, after.as_ref(), LISTED).await?;
        let last = stones.last().map(|stone| stone.jid.clone());
        if last.is_none() {
            domains.pop_front();
        }
        stones.into_iter().for_each(|stone| self.give(Record::Tombstone(stone)));
        Ok(Stage::Tombstones(domains, last))
    }

    /// Begins a room; one that has been destroyed since it was listed is none.
    async fn read_room(&mut self, rooms: Rooms, listed: Listed) -> Result<Stage, StoreError> {
        let Entry::Room(found) = self.store.load(&listed.jid, now()).await? else {
            return Ok(Stage::NextRoom(rooms));
        };
        self.give(Record::Room(RoomRecord { jid: listed.jid, uid: found.uid, parts: found.parts }));
        Ok(Stage::Entries(rooms, found.uid, 0))
    }

    async fn read_entries(&mut self, rooms: Rooms, uid: RoomUid, place: u64) -> Result<Stage, StoreError> {
        let arrivals = self.store.arrivals(uid, place, ENTRIES).await?;
        let last = arrivals.last().map(|(place, _)| *place);
        arrivals.into_iter().for_each(|(_, entry)| self.give(Record::Entry(Box::new(entry))));
        if let Some(place) = last {
            return Ok(Stage::Entries(rooms, uid, place));
        }
        self.store.frontier(uid).await?.into_iter().for_each(|log| self.give(Record::Log(log)));
        let end = self.tally.end_of_room();
        self.give(end);
        Ok(Stage::NextRoom(rooms))
    }

    fn end(&mut self) -> Stage {
        let trailer = self.tally.trailer();
        self.give(trailer);
        Stage::End
    }
}
