//! The store that forgets: everything in memory, for tests and for trying things out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    ArchiveQuery, Change, Directory, DirectoryPage, Entry, Found, Frontier, HistoryStore, Lease, Listed,
    LogEntry, Page, PeerPolicy, Recent, Revision, Room, RoomCommit, RoomUid, StoreError, StoreErrorKind,
    Tombstone, card_field,
};
use crate::address::Address;
use crate::clock::Millis;
use crate::event::{EventId, Position};
use crate::policy::PeerRule;

/// A store in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    addresses: BTreeMap<Address, RoomUid>,
    /// Those whose card says that they are public.
    public: BTreeSet<Address>,
    rooms: BTreeMap<RoomUid, Record>,
    logs: BTreeMap<RoomUid, Logs>,
    tombstones: BTreeMap<Address, Tombstone>,
    leases: BTreeMap<RoomUid, Held>,
    rules: BTreeMap<String, PeerRule>,
}

#[derive(Debug, Clone)]
struct Record {
    jid: Address,
    revision: Revision,
    parts: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct Held {
    holder: String,
    lease: Lease,
    released: bool,
}

/// The logs of one room: entries in order of arrival, and where each position is.
#[derive(Debug, Clone, Default)]
struct Logs {
    arrived: BTreeMap<u64, LogEntry>,
    next: u64,
    positions: BTreeMap<Position, u64>,
    ids: BTreeMap<EventId, Position>,
    /// The last frontier of logs of which every entry has expired.
    ended: BTreeMap<(Arc<str>, u32), Frontier>,
}

fn conflict(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, operation)
}

impl Logs {
    /// An event id names one position, among those held and those to come.
    fn check<'a>(&self, entries: impl Iterator<Item = &'a LogEntry>) -> Result<(), StoreError> {
        let mut coming: BTreeMap<EventId, &Position> = BTreeMap::new();
        for LogEntry { event, .. } in entries {
            let held = self.ids.get(&event.id).or_else(|| coming.get(&event.id).copied());
            if held.is_some_and(|pos| *pos != event.pos) {
                return Err(conflict("append: the event id is held at another position"));
            }
            if !self.positions.contains_key(&event.pos) {
                coming.insert(event.id, &event.pos);
            }
        }
        Ok(())
    }

    fn append(&mut self, entry: &LogEntry) {
        if self.positions.contains_key(&entry.event.pos) {
            return;
        }
        self.next += 1;
        self.positions.insert(entry.event.pos.clone(), self.next);
        self.ids.insert(entry.event.id, entry.event.pos.clone());
        self.arrived.insert(self.next, entry.clone());
    }

    fn at(&mut self, pos: &Position) -> Option<&mut LogEntry> {
        let arrival = self.positions.get(pos)?;
        self.arrived.get_mut(arrival)
    }

    fn arrival_of(&self, id: EventId) -> Option<u64> {
        self.positions.get(self.ids.get(&id)?).copied()
    }

    fn frontier(&self) -> Vec<Frontier> {
        let mut frontier = self.ended.clone();
        frontier.extend(self.held().into_iter().map(|log| ((log.pos.o.clone(), log.pos.i), log)));
        frontier.into_values().collect()
    }

    fn held(&self) -> Vec<Frontier> {
        let mut frontier: Vec<Frontier> = Vec::new();
        for (pos, arrival) in &self.positions {
            let digest = self.arrived.get(arrival).and_then(|entry| entry.digest);
            match frontier.last_mut().filter(|last| last.pos.o == pos.o && last.pos.i == pos.i) {
                Some(last) if last.pos.s + 1 == pos.s => {
                    *last = Frontier { pos: pos.clone(), digest, low: last.low }
                }
                Some(_) => {}
                None => frontier.push(Frontier { pos: pos.clone(), digest, low: pos.s }),
            }
        }
        frontier
    }

    /// Drops what is stamped before `before`; a log that ends so keeps its place.
    fn expire(&mut self, before: Millis) -> u64 {
        let logs = self.frontier();
        let old = |entry: &LogEntry| entry.event.h.millis() < before;
        let dropped: Vec<LogEntry> =
            self.arrived.extract_if(.., |_, entry| old(entry)).map(|(_, e)| e).collect();
        for entry in &dropped {
            self.positions.remove(&entry.event.pos);
            self.ids.remove(&entry.event.id);
        }
        self.ended = logs
            .into_iter()
            .map(|log| ((log.pos.o.clone(), log.pos.i), Frontier { low: log.pos.s + 1, ..log }))
            .collect();
        dropped.len() as u64
    }

    fn canonical(&self) -> Vec<&LogEntry> {
        let mut shown: Vec<&LogEntry> = self.arrived.values().filter(|entry| !entry.withheld).collect();
        shown.sort_by(|a, b| a.event.order().cmp(&b.event.order()));
        shown
    }

    fn page(&self, query: &ArchiveQuery) -> Option<Page> {
        let selected = self.selected(query)?;
        let after = self.bound(query.after, 0)?;
        let before = self.bound(query.before, u64::MAX)?;
        let skipped = usize::try_from(query.index.unwrap_or(0)).unwrap_or(usize::MAX);
        let from = selected.partition_point(|(n, _)| *n <= after).max(skipped).min(selected.len());
        let to = selected.partition_point(|(n, _)| *n < before).max(from);
        let size = (to - from).min(query.max as usize);
        let (first, complete) =
            if query.last { (to - size, to - size == from) } else { (from, from + size == to) };
        Some(Page {
            entries: selected[first..first + size].iter().map(|(_, entry)| (*entry).clone()).collect(),
            complete,
            count: selected.len() as u64,
            index: first as u64,
        })
    }

    /// Where a bound stands in the order of arrival; `absent` if there is none, nothing if it is not held.
    fn bound(&self, id: Option<EventId>, absent: u64) -> Option<u64> {
        id.map_or(Some(absent), |id| self.arrival_of(id))
    }

    /// What the filters select, in order of arrival; nothing if one names an entry that is not held.
    fn selected(&self, query: &ArchiveQuery) -> Option<Vec<(u64, &LogEntry)>> {
        let after = self.bound(query.after_id, 0)?;
        let before = self.bound(query.before_id, u64::MAX)?;
        if query.ids.iter().flatten().any(|id| self.arrival_of(*id).is_none()) {
            return None;
        }
        let selects = |arrival: u64, LogEntry { event, withheld, .. }: &LogEntry| {
            let at = event.h.millis();
            !withheld
                && (after < arrival && arrival < before)
                && query.start.is_none_or(|start| at >= start)
                && query.end.is_none_or(|end| at <= end)
                && (query.oid.is_none() || query.oid == event.oid)
                && (query.nick.is_none() || query.nick == event.nick)
                && query.ids.as_ref().is_none_or(|ids| ids.contains(&event.id))
        };
        let entries = self.arrived.iter().map(|(arrival, entry)| (*arrival, entry));
        Some(entries.filter(|(arrival, entry)| selects(*arrival, entry)).collect())
    }
}

impl State {
    fn commit(&mut self, commit: &RoomCommit) -> Result<Revision, StoreError> {
        let uid = commit.lease.room;
        if self.leases.get(&uid).is_some_and(|held| held.lease.fence > commit.lease.fence) {
            return Err(conflict("commit: the lease was taken over"));
        }
        let revision = self.rooms.get(&uid).map(|room| room.revision).unwrap_or_default();
        if revision != commit.expected {
            return Err(conflict("commit: another revision"));
        }
        self.check(commit)?;
        commit.changes.iter().for_each(|change| self.apply(uid, change));
        let next = Revision(commit.expected.0 + 1);
        if let Some(room) = self.rooms.get_mut(&uid) {
            room.revision = next;
        }
        Ok(next)
    }

    /// Finds whatever would refuse one of the changes, before any of them is made.
    fn check(&self, commit: &RoomCommit) -> Result<(), StoreError> {
        let mut exists = self.rooms.contains_key(&commit.lease.room);
        for change in &commit.changes {
            match change {
                Change::Create { jid } if exists || self.addresses.contains_key(jid) => {
                    return Err(conflict("create: there is a room already"));
                }
                Change::Create { jid } if self.is_blocked(jid, commit.lease.expires) => {
                    return Err(conflict("create: a tombstone blocks the address"));
                }
                Change::Create { .. } => exists = true,
                _ if !exists => return Err(conflict("commit: no such room")),
                _ => {}
            }
        }
        let appended = commit.changes.iter().filter_map(|change| match change {
            Change::Append(entry) => Some(entry.as_ref()),
            _ => None,
        });
        match self.logs.get(&commit.lease.room) {
            Some(logs) => logs.check(appended),
            None => Logs::default().check(appended),
        }
    }

    fn is_blocked(&self, jid: &Address, at: Millis) -> bool {
        self.tombstones.get(jid).is_some_and(|stone| stone.blocks_until > at)
    }

    fn apply(&mut self, uid: RoomUid, change: &Change) {
        match change {
            Change::Create { jid } => self.create(uid, jid),
            Change::Put { key, value } => {
                self.rooms.entry(uid).and_modify(|room| drop(room.parts.insert(key.clone(), value.clone())));
                self.note_card(uid, key, Some(value));
            }
            Change::Delete { key } => {
                self.rooms.entry(uid).and_modify(|room| drop(room.parts.remove(key)));
                self.note_card(uid, key, None);
            }
            Change::Append(entry) => self.logs.entry(uid).or_default().append(entry),
            Change::Redact { id, content } => {
                let logs = self.logs.entry(uid).or_default();
                if let Some(entry) = logs.ids.get(id).cloned().and_then(|pos| logs.at(&pos)) {
                    entry.event.content.clone_from(content);
                }
            }
            Change::Withhold { pos, withheld } => {
                if let Some(entry) = self.logs.entry(uid).or_default().at(pos) {
                    entry.withheld = *withheld;
                }
            }
            Change::Destroy(tombstone) => self.destroy(uid, tombstone.as_ref()),
        }
    }

    fn create(&mut self, uid: RoomUid, jid: &Address) {
        self.tombstones.remove(jid);
        self.addresses.insert(jid.clone(), uid);
        let record = Record { jid: jid.clone(), revision: Revision(0), parts: BTreeMap::new() };
        self.rooms.insert(uid, record);
    }

    fn note_card(&mut self, uid: RoomUid, key: &str, card: Option<&String>) {
        let Some(room) = self.rooms.get(&uid).filter(|_| key == "card") else { return };
        let card = card.and_then(|card| serde_json::from_str::<serde_json::Value>(card).ok());
        if card.is_some_and(|card| card["public"] == true) {
            self.public.insert(room.jid.clone());
        } else {
            self.public.remove(&room.jid);
        }
    }

    fn listed(&self, jid: &Address) -> Option<Listed> {
        let uid = *self.addresses.get(jid)?;
        Some(Listed { jid: jid.clone(), uid, card: self.rooms.get(&uid)?.parts.get("card").cloned() })
    }

    fn directory(&self, domain: &str, wanted: &Directory) -> Option<DirectoryPage> {
        let mut bounds = [&wanted.after, &wanted.before].into_iter().flatten();
        if bounds.any(|bound| bound.domain() != domain || !self.public.contains(bound)) {
            return None;
        }
        let all: Vec<&Address> = self.public.iter().filter(|jid| jid.domain() == domain).collect();
        let skipped = usize::try_from(wanted.index.unwrap_or(0)).unwrap_or(usize::MAX).min(all.len());
        let from = wanted.after.as_ref().map_or(skipped, |after| all.partition_point(|jid| *jid <= after));
        let to = wanted.before.as_ref().map_or(all.len(), |before| all.partition_point(|jid| *jid < before));
        let to = to.max(from);
        let size = (to - from).min(wanted.max as usize);
        let first = if wanted.last { to - size } else { from };
        let rooms: Vec<Listed> = all[first..first + size].iter().filter_map(|jid| self.listed(jid)).collect();
        let index = if rooms.is_empty() { 0 } else { first as u64 };
        Some(DirectoryPage { rooms, count: all.len() as u64, index })
    }

    fn destroy(&mut self, uid: RoomUid, tombstone: Option<&Tombstone>) {
        if let Some(room) = self.rooms.remove(&uid) {
            self.addresses.remove(&room.jid);
            self.public.remove(&room.jid);
        }
        self.logs.remove(&uid);
        if let Some(tombstone) = tombstone {
            self.tombstones.insert(tombstone.jid.clone(), tombstone.clone());
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Room for MemoryStore {
    async fn load(&self, jid: &Address, now: Millis) -> Result<Entry, StoreError> {
        let state = self.lock();
        if let Some(uid) = state.addresses.get(jid) {
            let Record { revision, parts, .. } = state.rooms[uid].clone();
            return Ok(Entry::Room(Found { uid: *uid, revision, parts }));
        }
        let blocking = state.tombstones.get(jid).filter(|stone| stone.blocks_until > now);
        Ok(blocking.cloned().map_or(Entry::Vacant, Entry::Tombstone))
    }

    async fn commit(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>> {
        let mut state = self.lock();
        commits.iter().map(|commit| state.commit(commit)).collect()
    }

    async fn acquire(
        &self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        let mut state = self.lock();
        let held = state.leases.get(&room);
        if held.is_some_and(|held| held.holder != node && !held.released && held.lease.expires > now) {
            return Err(conflict("acquire: another node holds the lease"));
        }
        let fence = held.map_or(1, |held| held.lease.fence + u64::from(held.holder != node));
        let lease = Lease { room, fence, expires: now.plus(ttl_ms) };
        state.leases.insert(room, Held { holder: node.to_owned(), lease, released: false });
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, now: Millis, ttl_ms: u64) -> Result<Lease, StoreError> {
        let mut state = self.lock();
        match state
            .leases
            .get_mut(&lease.room)
            .filter(|held| held.lease.fence == lease.fence && !held.released)
        {
            Some(held) => {
                held.lease.expires = now.plus(ttl_ms);
                Ok(held.lease)
            }
            None => Err(conflict("renew: the lease was taken over")),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.lock();
        if let Some(held) = state.leases.get_mut(&lease.room).filter(|held| held.lease.fence == lease.fence) {
            held.released = true;
        }
        Ok(())
    }

    async fn list(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let state = self.lock();
        let listed = state.addresses.iter().filter(|(jid, _)| jid.domain() == domain);
        let listed = listed.filter(|(jid, _)| after.is_none_or(|after| *jid > after)).take(limit as usize);
        Ok(listed.filter_map(|(jid, _)| state.listed(jid)).collect())
    }

    async fn directory(&self, domain: &str, wanted: &Directory) -> Result<Option<DirectoryPage>, StoreError> {
        Ok(self.lock().directory(domain, wanted))
    }

    async fn tally(&self, domain: &str, field: &str) -> Result<BTreeMap<String, u32>, StoreError> {
        let state = self.lock();
        let rooms = state.rooms.values().filter(|room| room.jid.domain() == domain);
        let mut counts = BTreeMap::new();
        for card in rooms.filter_map(|room| room.parts.get("card")) {
            *counts.entry(card_field(card, field)).or_default() += 1;
        }
        Ok(counts)
    }

    async fn holding(
        &self,
        domain: &str,
        key: &str,
        limit: u32,
    ) -> Result<Vec<(Address, String)>, StoreError> {
        let state = self.lock();
        let rooms = state.addresses.iter().filter(|(jid, _)| jid.domain() == domain);
        let part = |uid: &RoomUid| state.rooms.get(uid)?.parts.get(key).cloned();
        let holding = rooms.filter_map(|(jid, uid)| Some((jid.clone(), part(uid)?)));
        Ok(holding.take(limit as usize).collect())
    }
}

#[async_trait]
impl HistoryStore for MemoryStore {
    async fn append(&self, room: RoomUid, entries: &[LogEntry]) -> Result<(), StoreError> {
        let mut state = self.lock();
        let logs = state.logs.entry(room).or_default();
        logs.check(entries.iter())?;
        entries.iter().for_each(|entry| logs.append(entry));
        Ok(())
    }

    async fn frontier(&self, room: RoomUid) -> Result<Vec<Frontier>, StoreError> {
        Ok(self.lock().logs.get(&room).map(Logs::frontier).unwrap_or_default())
    }

    async fn range(
        &self,
        room: RoomUid,
        from: &Position,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let state = self.lock();
        let Some(logs) = state.logs.get(&room) else { return Ok(Vec::new()) };
        let last = Position { s: to, ..from.clone() };
        if to < from.s {
            return Ok(Vec::new());
        }
        let arrivals =
            logs.positions.range(from.clone()..=last).take(limit as usize).map(|(_, arrival)| arrival);
        Ok(arrivals.filter_map(|arrival| logs.arrived.get(arrival).cloned()).collect())
    }

    async fn recent(&self, room: RoomUid, limits: Recent) -> Result<Vec<LogEntry>, StoreError> {
        let state = self.lock();
        let Some(logs) = state.logs.get(&room) else { return Ok(Vec::new()) };
        let mut chars = 0_u64;
        let mut newest: Vec<LogEntry> = logs
            .canonical()
            .into_iter()
            .rev()
            .take(limits.stanzas.map_or(usize::MAX, |n| n as usize))
            .take_while(|entry| limits.since.is_none_or(|since| entry.event.h.millis() >= since))
            .take_while(|entry| {
                chars += entry.event.bytes() as u64;
                limits.chars.is_none_or(|max| chars <= max)
            })
            .cloned()
            .collect();
        newest.reverse();
        Ok(newest)
    }

    async fn page(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Option<Page>, StoreError> {
        Ok(self.lock().logs.entry(room).or_default().page(query))
    }

    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let Some(logs) = state.logs.get_mut(&room) else { return Ok(0) };
        Ok(logs.expire(before))
    }
}

#[async_trait]
impl PeerPolicy for MemoryStore {
    async fn rules(&self) -> Result<Vec<PeerRule>, StoreError> {
        Ok(self.lock().rules.values().cloned().collect())
    }

    async fn set_rule(&self, rule: &PeerRule) -> Result<(), StoreError> {
        self.lock().rules.insert(rule.domain.clone(), rule.clone());
        Ok(())
    }

    async fn drop_rule(&self, domain: &str) -> Result<(), StoreError> {
        self.lock().rules.remove(domain);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::MemoryStore;
    use crate::storage::conformance::Builder;

    #[derive(Default)]
    struct Memory;

    #[async_trait]
    impl Builder for Memory {
        type Store = MemoryStore;
        type Guard = ();

        async fn build(&self) -> (MemoryStore, ()) {
            (MemoryStore::new(), ())
        }
    }

    crate::suite!(Memory);
}
