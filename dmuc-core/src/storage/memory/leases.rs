//! Leases in memory.

use std::collections::BTreeMap;

use super::conflict;
use crate::clock::Millis;
use crate::storage::{Lease, Renewal, RoomUid, StoreError};

#[derive(Debug, Clone, Default)]
pub(super) struct Leases(BTreeMap<RoomUid, Held>);

#[derive(Debug, Clone)]
struct Held {
    holder: String,
    lease: Lease,
    released: bool,
    wanted: bool,
}

impl Leases {
    pub fn acquire(
        &mut self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        let held = self.0.get_mut(&room);
        let fence = held.as_ref().map_or(1, |held| held.lease.fence + u64::from(held.holder != node));
        let foreign = held.filter(|held| held.holder != node && !held.released && held.lease.expires > now);
        if let Some(held) = foreign {
            held.wanted = true;
            return Err(conflict("acquire: another node holds the lease"));
        }
        let lease = Lease { room, fence, expires: now.plus(ttl_ms) };
        self.0.insert(room, Held { holder: node.to_owned(), lease, released: false, wanted: false });
        Ok(lease)
    }

    pub fn renew(&mut self, lease: &Lease, now: Millis, ttl_ms: u64) -> Result<Renewal, StoreError> {
        let held = self.held(lease).filter(|held| !held.released);
        let held = held.ok_or_else(|| conflict("renew: the lease was taken over"))?;
        held.lease.expires = now.plus(ttl_ms);
        Ok(Renewal { lease: held.lease, wanted: held.wanted })
    }

    pub fn release(&mut self, lease: &Lease) {
        self.held(lease).into_iter().for_each(|held| held.released = true);
    }

    fn held(&mut self, lease: &Lease) -> Option<&mut Held> {
        self.0.get_mut(&lease.room).filter(|held| held.lease.fence == lease.fence)
    }

    pub fn is_taken_over(&self, lease: &Lease) -> bool {
        self.0.get(&lease.room).is_some_and(|held| held.lease.fence > lease.fence)
    }

    /// Rooms of which the lease has expired, in that order.
    pub fn abandoned(&self, now: Millis) -> Vec<RoomUid> {
        let mut expired: Vec<&Held> =
            self.0.values().filter(|held| !held.released && held.lease.expires <= now).collect();
        expired.sort_by_key(|held| held.lease.expires);
        expired.into_iter().map(|held| held.lease.room).collect()
    }
}
