//! Which rooms are ours: leases taken on waking, renewed in the background, given back on hibernation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmuc_core::storage::{Lease, Renewal, RoomUid, Storage, StoreError, StoreErrorKind};
use tracing::{debug, error, warn};

use super::{lock, timers};

/// Leases that are renewed at a time.
const RENEWALS_MAX: usize = 1000;

/// The leases that this process holds.
pub(super) struct Leases {
    storage: Arc<dyn Storage>,
    node: String,
    ttl: Duration,
    held: Mutex<BTreeMap<RoomUid, Arc<Held>>>,
}

struct Held {
    lease: Mutex<Lease>,
    lost: AtomicBool,
}

/// The lease of one awake room; renewed as long as this lives.
pub(super) struct HeldLease {
    leases: Arc<Leases>,
    held: Arc<Held>,
}

impl Leases {
    pub fn new(storage: Arc<dyn Storage>, node: String, ttl: Duration) -> Arc<Self> {
        Arc::new(Self { storage, node, ttl, held: Mutex::default() })
    }

    /// Takes the lease of a room; `Conflict` while another node has it.
    pub async fn acquire(self: &Arc<Self>, room: RoomUid) -> Result<HeldLease, StoreError> {
        let lease = self.storage.acquire(room, &self.node, timers::now(), self.ttl_ms()).await?;
        let held = Arc::new(Held { lease: Mutex::new(lease), lost: AtomicBool::new(false) });
        lock(&self.held).insert(room, held.clone());
        Ok(HeldLease { leases: self.clone(), held })
    }

    /// Renews what is held, three times in the time to live, for ever.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            self.renew_all().await;
        }
    }

    async fn renew_all(&self) {
        let all: Vec<_> = lock(&self.held).values().cloned().collect();
        for held in all.chunks(RENEWALS_MAX) {
            let leases: Vec<Lease> = held.iter().map(|held| *lock(&held.lease)).collect();
            let renewals = self.storage.renew(&leases, timers::now(), self.ttl_ms()).await;
            for ((held, lease), renewal) in held.iter().zip(&leases).zip(renewals) {
                self.note(held, lease, renewal);
            }
        }
    }

    fn note(&self, held: &Arc<Held>, lease: &Lease, renewal: Result<Renewal, StoreError>) {
        match renewal {
            Ok(renewal) => *lock(&held.lease) = renewal.lease,
            Err(error) if error.kind == StoreErrorKind::Conflict => self.note_lost(lease, held),
            Err(_) if timers::now() >= lease.expires => self.note_lost(lease, held),
            Err(error) => {
                warn!(room = %lease.room, error = %super::chain(&error), "lease not renewed, trying again");
            }
        }
    }

    fn note_lost(&self, lease: &Lease, held: &Arc<Held>) {
        let is_current = lock(&self.held).get(&lease.room).is_some_and(|current| Arc::ptr_eq(current, held));
        if is_current && !held.lost.swap(true, Ordering::Relaxed) {
            error!(room = %lease.room, "LEASE LOST: another node may own this room now");
        }
    }

    fn ttl_ms(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

impl HeldLease {
    /// The lease as last renewed.
    pub fn current(&self) -> Lease {
        *lock(&self.held.lease)
    }

    /// Whether another node has taken the room, or may have.
    pub fn is_lost(&self) -> bool {
        self.held.lost.load(Ordering::Relaxed)
    }

    /// Gives the lease back.
    pub async fn release(self) {
        let lease = self.current();
        if let Err(error) = self.leases.storage.release(&lease).await {
            debug!(room = %lease.room, error = %super::chain(&error), "lease not released, it will expire");
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let room = self.current().room;
        let mut held = lock(&self.leases.held);
        if held.get(&room).is_some_and(|current| Arc::ptr_eq(current, &self.held)) {
            held.remove(&room);
        }
    }
}
