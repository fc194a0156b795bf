//! Which of a balanced domain's connections are whose: each has a place, and each place a lease in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmuc_core::storage::{Lease, RoomUid, Storage, StoreErrorKind};
use dmuc_core::{Address, Millis};
use sha2::{Digest, Sha256};
use tracing::{info, warn};
use uuid::Uuid;

/// The places that this process has.
///
/// One is its own. For those before it in the ring that nobody has it stands in, so that of all processes exactly one
/// looks after each empty place; it makes way when another process comes.
pub(super) struct Places {
    storage: Arc<dyn Storage>,
    holder: String,
    ttl_ms: u64,
    ring: Vec<RoomUid>,
    own: Option<usize>,
    held: BTreeMap<usize, Lease>,
}

impl Places {
    /// None of the `count` places of a domain yet.
    pub fn new(storage: Arc<dyn Storage>, domain: &Address, count: usize, node: &str, ttl_ms: u64) -> Self {
        let holder = format!("{node}/{}", Uuid::new_v4().simple());
        let ring = (0..count.max(1)).map(|place| name(domain, place)).collect();
        Self { storage, holder, ttl_ms, ring, own: None, held: BTreeMap::new() }
    }

    /// The place of its own.
    pub fn own(&self) -> Option<usize> {
        self.own
    }

    /// Those that it stands in for.
    pub fn others(&self) -> impl Iterator<Item = usize> + '_ {
        self.held.keys().copied().filter(|place| Some(*place) != self.own)
    }

    /// Renews what is held and takes what is due; gives the places that another process is to have.
    pub async fn turn(&mut self, now: Millis) -> Vec<usize> {
        let wanted = self.renew(now).await;
        match self.own {
            Some(own) => self.stand_in(own, now).await,
            None => self.settle(now).await,
        }
        wanted
    }

    async fn renew(&mut self, now: Millis) -> Vec<usize> {
        let (places, leases): (Vec<_>, Vec<_>) =
            self.held.iter().map(|(place, lease)| (*place, *lease)).unzip();
        let renewals = self.storage.renew(&leases, now, self.ttl_ms).await;
        let mut wanted = Vec::new();
        for (place, renewal) in places.into_iter().zip(renewals) {
            match renewal {
                Ok(renewal) => {
                    self.held.insert(place, renewal.lease);
                    wanted.extend((renewal.wanted && Some(place) != self.own).then_some(place));
                }
                Err(error) if error.kind == StoreErrorKind::Conflict => self.lose(place),
                Err(error) => warn!(place, %error, "the place of a connection not renewed, trying again"),
            }
        }
        wanted
    }

    fn lose(&mut self, place: usize) {
        self.held.remove(&place);
        if self.own == Some(place) {
            warn!(place, "another process stands in for this one");
            self.own = None;
        }
    }

    /// Looks for a place of its own. Whoever stands in for a missing process learns of it.
    async fn settle(&mut self, now: Millis) {
        for place in 0..self.ring.len() {
            if self.held.contains_key(&place) || self.take(place, now).await {
                self.own = Some(place);
                return info!(place, "this process has a place among the connections");
            }
        }
    }

    async fn stand_in(&mut self, own: usize, now: Millis) {
        let count = self.ring.len();
        let before = (1..count).map(|steps| (own + count - steps) % count);
        let Some(place) = before.into_iter().find(|place| !self.held.contains_key(place)) else { return };
        if self.take(place, now).await {
            info!(place, "standing in for a process that is missing");
        }
    }

    async fn take(&mut self, place: usize, now: Millis) -> bool {
        match self.storage.acquire(self.ring[place], &self.holder, now, self.ttl_ms).await {
            Ok(lease) => drop(self.held.insert(place, lease)),
            Err(error) if error.kind == StoreErrorKind::Conflict => return false,
            Err(error) => {
                warn!(place, %error, "a place among the connections not taken, trying again");
                return false;
            }
        }
        true
    }

    /// Gives a place back, once its connection is closed.
    pub async fn release(&mut self, place: usize) {
        let Some(lease) = self.held.remove(&place) else { return };
        self.own = self.own.filter(|own| *own != place);
        if let Err(error) = self.storage.release(&lease).await {
            warn!(place, %error, "a place among the connections not given back, it will expire");
        }
    }
}

/// The lease of a place is kept under a name that every process finds, and no room has.
fn name(domain: &Address, place: usize) -> RoomUid {
    let digest = Sha256::digest(format!("{domain} connection {place}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    RoomUid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dmuc_core::storage::MemoryStore;
    use dmuc_core::{Address, Millis};

    use super::Places;

    const TTL_MS: u64 = 5_000;

    fn nodes<const NODES: usize>(count: usize) -> [Places; NODES] {
        let store = MemoryStore::new();
        let domain = Address::parse("chat.shakespeare.lit").expect("valid");
        [(); NODES].map(|()| Places::new(Arc::new(store.clone()), &domain, count, "node", TTL_MS))
    }

    /// A turn in which connections that others are to have are closed at once.
    async fn turn(node: &mut Places, now: u64) {
        for place in node.turn(Millis(now)).await {
            node.release(place).await;
        }
    }

    fn has(node: &Places) -> (Option<usize>, Vec<usize>) {
        (node.own(), node.others().collect())
    }

    #[tokio::test]
    async fn one_process_has_all_and_makes_way() {
        let [mut first, mut second] = nodes(2);
        for now in [0, 1_000] {
            turn(&mut first, now).await;
        }
        assert_eq!(has(&first), (Some(0), vec![1]));
        turn(&mut second, 2_000).await;
        assert_eq!(has(&second), (None, vec![]), "nothing is free yet");
        turn(&mut first, 2_500).await;
        turn(&mut second, 3_000).await;
        for now in (4_000..20_000).step_by(1_000) {
            turn(&mut first, now).await;
            turn(&mut second, now).await;
            assert_eq!((has(&first), has(&second)), ((Some(0), vec![]), (Some(1), vec![])));
        }
    }

    #[tokio::test]
    async fn one_process_looks_after_each_empty_place() {
        let [mut a, mut b, mut c] = nodes(4);
        for now in (0..10_000).step_by(1_000) {
            for node in [&mut a, &mut b, &mut c] {
                turn(node, now).await;
            }
        }
        assert_eq!((has(&a), has(&b)), ((Some(0), vec![3]), (Some(1), vec![])));
        assert_eq!(has(&c), (Some(2), vec![]));
        // The second is gone.
        for now in (10_000..20_000).step_by(1_000) {
            turn(&mut a, now).await;
            turn(&mut c, now).await;
        }
        assert_eq!((has(&a), has(&c)), ((Some(0), vec![3]), (Some(2), vec![1])));
    }

    #[tokio::test]
    async fn with_one_place_the_others_stand_by() {
        let [mut first, mut second] = nodes(1);
        for now in (0..10_000).step_by(1_000) {
            turn(&mut first, now).await;
            turn(&mut second, now).await;
        }
        assert_eq!((has(&first), has(&second)), ((Some(0), vec![]), (None, vec![])));
        for now in (10_000..16_000).step_by(1_000) {
            turn(&mut second, now).await;
        }
        assert_eq!(has(&second), (Some(0), vec![]));
        turn(&mut first, 16_000).await;
        assert_eq!(has(&first), (None, vec![]), "whoever was asleep learns of it");
    }
}
