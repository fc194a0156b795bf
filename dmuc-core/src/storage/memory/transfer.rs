//! A store in memory read and written as a whole.

use std::collections::BTreeSet;
use std::ops::Bound;

use async_trait::async_trait;

use super::MemoryStore;
use crate::address::Address;
use crate::storage::{Frontier, LogEntry, RoomUid, StoreError, Tombstone, Transfer};

#[async_trait]
impl Transfer for MemoryStore {
    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        let state = self.lock();
        let jids = state.addresses.keys().chain(state.tombstones.keys());
        let domains: BTreeSet<String> = jids.map(|jid| jid.domain().to_owned()).collect();
        Ok(domains.into_iter().collect())
    }

    async fn tombstones(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, StoreError> {
        let state = self.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let stones = state.tombstones.range::<Address, _>((from, Bound::Unbounded)).map(|(_, stone)| stone);
        Ok(stones.filter(|stone| stone.jid.domain() == domain).take(limit as usize).cloned().collect())
    }

    async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        self.lock().tombstones.insert(tombstone.jid.clone(), tombstone.clone());
        Ok(())
    }

    async fn arrivals(
        &self,
        room: RoomUid,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LogEntry)>, StoreError> {
        let state = self.lock();
        let Some(logs) = state.logs.get(&room) else { return Ok(Vec::new()) };
        let arrived = logs.arrived.range((Bound::Excluded(after), Bound::Unbounded));
        Ok(arrived.take(limit as usize).map(|(place, entry)| (*place, entry.clone())).collect())
    }

    async fn put_places(&self, room: RoomUid, ended: &[Frontier]) -> Result<(), StoreError> {
        let mut state = self.lock();
        let logs = state.logs.entry(room).or_default();
        for log in ended {
            logs.ended.insert((log.pos.o.clone(), log.pos.i), log.clone());
        }
        Ok(())
    }
}
