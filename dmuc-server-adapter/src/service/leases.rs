//! Which rooms are ours: leases taken on waking, renewed in the background, given back when rooms leave memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmuc_core::storage::{Lease, Renewal, RoomUid, Storage, StoreError, StoreErrorKind};
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;
use tracing::{debug, error, warn};
use uuid::Uuid;

use super::{lock, timers};

/// Leases that are renewed at a time.
const RENEWALS_MAX: usize = 1000;

/// The leases that this process holds.
pub(super) struct Leases {
    storage: Arc<dyn Storage>,
    /// The name of this node and of this life of it: what a former life wrote late is fenced off, and two processes
    /// that were given one name are two holders all the same.
    holder: String,
    ttl: Duration,
    held: Mutex<BTreeMap<RoomUid, Arc<Held>>>,
    /// Written by renewals, so that none is on its way while a lease is made to expire.
    renewing: RwLock<()>,
}

struct Held {
    lease: Mutex<Lease>,
    taken: Instant,
    claim: watch::Sender<Claim>,
}

/// Whose a room is, as far as its holder has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Ours,
    /// Stanzas for it arrive at another node.
    Wanted,
    /// Another node has taken it, or may have.
    Lost,
}

/// The lease of one awake room; renewed as long as this lives.
pub(super) struct HeldLease {
    leases: Arc<Leases>,
    held: Arc<Held>,
    claim: watch::Receiver<Claim>,
}

impl Leases {
    pub fn new(storage: Arc<dyn Storage>, node: &str, ttl: Duration) -> Arc<Self> {
        let holder = format!("{node}/{}", Uuid::new_v4().simple());
        Arc::new(Self { storage, holder, ttl, held: Mutex::default(), renewing: RwLock::default() })
    }

    /// Takes the lease of a room; `Conflict` while another node has it, which learns that it is wanted here.
    pub async fn acquire(self: &Arc<Self>, room: RoomUid) -> Result<HeldLease, StoreError> {
        let lease = self.storage.acquire(room, &self.holder, timers::now(), millis(self.ttl)).await?;
        let (claim, follow) = watch::channel(Claim::Ours);
        let held = Arc::new(Held { lease: Mutex::new(lease), taken: Instant::now(), claim });
        lock(&self.held).insert(room, held.clone());
        Ok(HeldLease { leases: self.clone(), held, claim: follow })
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
            let _turn = self.renewing.write().await;
            let held: Vec<_> = held.iter().filter(|held| self.is_current(held)).collect();
            let leases: Vec<Lease> = held.iter().map(|held| *lock(&held.lease)).collect();
            let renewals = self.storage.renew(&leases, timers::now(), millis(self.ttl)).await;
            for ((held, lease), renewal) in held.iter().zip(&leases).zip(renewals) {
                self.note(held, lease, renewal);
            }
        }
    }

    fn note(&self, held: &Arc<Held>, lease: &Lease, renewal: Result<Renewal, StoreError>) {
        match renewal {
            Ok(renewal) => {
                *lock(&held.lease) = renewal.lease;
                // A room that has just come stays for a while, lest two nodes pass it to and fro.
                if renewal.wanted && held.taken.elapsed() > self.ttl / 3 {
                    held.claim.send_if_modified(|claim| replace(claim, Claim::Ours, Claim::Wanted));
                }
            }
            Err(error) if error.kind == StoreErrorKind::Conflict => self.note_lost(lease, held),
            Err(error) => {
                warn!(room = %lease.room, error = %super::chain(&error), "lease not renewed, trying again");
            }
        }
    }

    fn note_lost(&self, lease: &Lease, held: &Arc<Held>) {
        if self.is_current(held) && held.claim.send_replace(Claim::Lost) != Claim::Lost {
            error!(room = %lease.room, "LEASE LOST: another node has taken this room");
        }
    }

    fn is_current(&self, held: &Arc<Held>) -> bool {
        let room = lock(&held.lease).room;
        lock(&self.held).get(&room).is_some_and(|current| Arc::ptr_eq(current, held))
    }
}

fn replace(claim: &mut Claim, from: Claim, to: Claim) -> bool {
    let changes = *claim == from;
    if changes {
        *claim = to;
    }
    changes
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl HeldLease {
    /// The lease as last renewed.
    pub fn current(&self) -> Lease {
        *lock(&self.held.lease)
    }

    /// Whether the room may be served. A tenth of the time to live before the lease ends it may not any more: clocks
    /// differ, and this process may not have run for a while.
    pub fn is_ours(&self) -> bool {
        let safe = timers::now().plus(millis(self.leases.ttl / 10));
        *self.held.claim.borrow() != Claim::Lost && safe < self.current().expires
    }

    /// Whether the host sends the room's stanzas to another node.
    pub fn is_wanted(&self) -> bool {
        *self.held.claim.borrow() == Claim::Wanted
    }

    /// Waits until the room is wanted elsewhere or lost; each is told once.
    pub async fn contested(&mut self) {
        if self.claim.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Gives the lease back: the room sleeps until a stanza comes, wherever it does.
    pub async fn release(self) {
        let lease = self.current();
        if let Err(error) = self.leases.storage.release(&lease).await {
            debug!(room = %lease.room, error = %super::chain(&error), "lease not released, it will expire");
        }
    }

    /// Lets the lease expire at once: some node takes the room over soon, even if no stanza comes.
    pub async fn abandon(self) {
        let lease = self.current();
        let leases = self.leases.clone();
        let _no_renewal = leases.renewing.read().await;
        drop(self);
        for failed in
            leases.storage.renew(&[lease], timers::now(), 0).await.into_iter().filter_map(Result::err)
        {
            debug!(room = %lease.room, error = %super::chain(&failed), "lease not ended, it will expire");
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
