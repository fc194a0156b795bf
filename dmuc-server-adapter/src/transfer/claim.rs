//! Keeping a store still while it is read: the leases of all its rooms are held, so that no node can change them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmuc_core::Address;
use dmuc_core::storage::{Lease, Listed, StoreError, StoreErrorKind, Transfer};
use tokio::task::AbortHandle;

use super::error::{Role, TransferError};
use super::progress::{Phase, Progress};
use super::record::Counts;
use super::rooms::Rooms;
use crate::service::now;

/// The holder of the leases that are taken here.
pub(super) const NODE: &str = "dmucd store";
/// How long they last if this process dies.
pub(super) const TTL_MS: u64 = 60_000;
/// Leases renewed at a time.
const RENEWALS: usize = 1000;

/// The leases of all rooms of a store.
pub(super) struct Claim {
    held: Arc<Held>,
    renewing: AbortHandle,
    counts: Counts,
}

struct Held {
    store: Arc<dyn Transfer>,
    leases: Mutex<Vec<Lease>>,
    is_lost: AtomicBool,
}

impl Claim {
    /// Takes all leases, or none if a node holds one.
    pub async fn take(store: &Arc<dyn Transfer>, progress: &dyn Progress) -> Result<Self, TransferError> {
        progress.begin(Phase::Counting, None);
        let held = Held { store: store.clone(), leases: Mutex::default(), is_lost: AtomicBool::new(false) };
        let held = Arc::new(held);
        let renewing = tokio::spawn(held.clone().keep()).abort_handle();
        let mut claim = Self { held, renewing, counts: Counts::default() };
        match claim.take_all(progress).await {
            Ok(awake) if awake.is_empty() => Ok(claim),
            Ok(awake) => {
                claim.release().await;
                Err(TransferError::Awake(awake))
            }
            Err(error) => {
                claim.release().await;
                Err(TransferError::of(Role::Source)(error))
            }
        }
    }

    /// Gives the rooms that nodes hold.
    async fn take_all(&mut self, progress: &dyn Progress) -> Result<Vec<Address>, StoreError> {
        let store = &self.held.store;
        let (mut rooms, mut awake) = (Rooms::of(store).await?, Vec::new());
        while let Some(room) = rooms.next().await? {
            if !self.held.take(&room).await? {
                awake.push(room.jid);
            }
            self.counts.add_room(&store.frontier(room.uid).await?);
            progress.advance(1);
        }
        Ok(awake)
    }

    /// Rooms and entries, for progress to be measured by.
    pub fn steps(&self) -> u64 {
        self.counts.steps()
    }

    /// Whether nobody can have changed a room since the leases were taken.
    pub fn check(&self) -> Result<(), TransferError> {
        if self.held.is_lost.load(Ordering::Relaxed) { Err(TransferError::Used) } else { Ok(()) }
    }

    /// Gives the leases back.
    pub async fn release(self) {
        self.renewing.abort();
        for lease in self.held.leases() {
            // One that is not given back ends by itself.
            let _ = self.held.store.release(&lease).await;
        }
    }
}

impl Held {
    fn leases(&self) -> Vec<Lease> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn take(&self, room: &Listed) -> Result<bool, StoreError> {
        match self.store.acquire(room.uid, NODE, now(), TTL_MS).await {
            Ok(lease) => self.leases.lock().unwrap_or_else(PoisonError::into_inner).push(lease),
            Err(error) if error.kind == StoreErrorKind::Conflict => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Renews the leases, three times in their time to live, for ever.
    async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(TTL_MS / 3)).await;
            for leases in self.leases().chunks(RENEWALS) {
                let renewals = self.store.renew(leases, now(), TTL_MS).await;
                let is_taken = |error: &StoreError| error.kind == StoreErrorKind::Conflict;
                if renewals.iter().any(|renewal| renewal.as_ref().is_err_and(is_taken)) {
                    self.is_lost.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}
