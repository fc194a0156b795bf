//! The store that forgets: everything in memory, for tests and for trying things out.

mod leases;
mod logs;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::leases::Leases;
use self::logs::Logs;
use super::{
    ArchiveQuery, Change, Directory, DirectoryPage, Entry, Found, Frontier, HistoryStore, Lease, Listed,
    LogEntry, Page, PeerPolicy, Recent, Renewal, Revision, Room, RoomCommit, RoomUid, StoreError,
    StoreErrorKind, Tombstone, card_field, card_is_public,
};
use crate::address::Address;
use crate::clock::Millis;
use crate::event::Position;
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
    leases: Leases,
    rules: BTreeMap<String, PeerRule>,
}

#[derive(Debug, Clone)]
struct Record {
    jid: Address,
    revision: Revision,
    parts: BTreeMap<String, String>,
}

fn conflict(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, operation)
}

impl State {
    fn commit(&mut self, commit: &RoomCommit) -> Result<Revision, StoreError> {
        let uid = commit.lease.room;
        if self.leases.is_taken_over(&commit.lease) {
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
        if card.is_some_and(|card| card_is_public(card)) {
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
        self.lock().leases.acquire(room, node, now, ttl_ms)
    }

    async fn renew(&self, leases: &[Lease], now: Millis, ttl_ms: u64) -> Vec<Result<Renewal, StoreError>> {
        let mut state = self.lock();
        leases.iter().map(|lease| state.leases.renew(lease, now, ttl_ms)).collect()
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.lock().leases.release(lease);
        Ok(())
    }

    async fn abandoned(&self, domain: &str, now: Millis, limit: u32) -> Result<Vec<Address>, StoreError> {
        let state = self.lock();
        let rooms = state.leases.abandoned(now).into_iter();
        let rooms = rooms.filter_map(|uid| Some(state.rooms.get(&uid)?.jid.clone()));
        Ok(rooms.filter(|jid| jid.domain() == domain).take(limit as usize).collect())
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
