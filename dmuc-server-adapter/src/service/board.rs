//! The policy that all rooms share: the operator's configuration, the peer rules of the store over it, and how many
//! rooms there are: of each peer, of each user, and in all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dmuc_core::Address;
use dmuc_core::policy::{Census, PeerRule, PeerRules, ServicePolicy};
use dmuc_core::record::Card;
use dmuc_core::storage::{Storage, StoreError};
use tokio::sync::watch;
use tracing::{info, warn};

use super::lock;

/// The current policy, for whoever reads it and whoever waits for the next.
pub(super) struct Board {
    configured: PeerRules,
    current: watch::Sender<Arc<ServicePolicy>>,
    /// Not in the policy, of which every room has a copy: there may be as many creators as rooms.
    rooms: Mutex<Rooms>,
}

/// Rooms by who created them; those of nobody here are counted under the empty text.
#[derive(Default)]
struct Rooms {
    all: u32,
    by_creator: BTreeMap<String, u32>,
}

impl Rooms {
    async fn count(policy: &ServicePolicy, storage: &dyn Storage) -> Result<Self, StoreError> {
        let by_creator = storage.tally(policy.domain.as_str(), "creator").await?;
        Ok(Self { all: by_creator.values().sum(), by_creator })
    }
}

async fn count_shadows(
    policy: &ServicePolicy,
    storage: &dyn Storage,
) -> Result<BTreeMap<String, u32>, StoreError> {
    let mut shadows = storage.tally(policy.domain.as_str(), "firsthost").await?;
    shadows.remove("");
    Ok(shadows)
}

impl Board {
    /// Reads the rules and counts the rooms in the store.
    pub async fn read(mut policy: ServicePolicy, storage: &dyn Storage) -> Result<Self, StoreError> {
        let configured = policy.peers.clone();
        policy.peers = overlay(&configured, storage.rules().await?);
        policy.shadows_here = count_shadows(&policy, storage).await?;
        let rooms = Rooms::count(&policy, storage).await?;
        let current = watch::Sender::new(Arc::new(policy));
        Ok(Self { configured, current, rooms: Mutex::new(rooms) })
    }

    /// What there is when `creator` wants a new room.
    pub fn census(&self, creator: &Address) -> Census {
        let rooms = lock(&self.rooms);
        let created = rooms.by_creator.get(creator.bare_str()).copied().unwrap_or(0);
        Census { rooms: rooms.all, created }
    }

    /// The policy as it is now.
    pub fn now(&self) -> Arc<ServicePolicy> {
        self.current.borrow().clone()
    }

    /// The policy as it is now, and whether it has changed later.
    pub fn follow(&self) -> watch::Receiver<Arc<ServicePolicy>> {
        self.current.subscribe()
    }

    /// Reads the rules again and publishes them if they differ.
    pub async fn refresh(&self, storage: &dyn Storage) {
        match storage.rules().await {
            Ok(rules) => self.publish(overlay(&self.configured, rules)),
            Err(error) => {
                warn!(error = %super::chain(&error), "peer rules not read, the last ones stay in force");
            }
        }
    }

    /// Counts the rooms in the store anew: other nodes make and end rooms, too.
    pub async fn count(&self, storage: &dyn Storage) {
        let policy = self.now();
        let counted = tokio::try_join!(count_shadows(&policy, storage), Rooms::count(&policy, storage));
        match counted {
            Ok((shadows, rooms)) => {
                self.current.send_modify(|policy| Arc::make_mut(policy).shadows_here = shadows);
                *lock(&self.rooms) = rooms;
            }
            Err(error) => warn!(error = %super::chain(&error), "rooms not counted"),
        }
    }

    fn publish(&self, peers: PeerRules) {
        let changed = self.current.send_if_modified(|policy| {
            let changed = policy.peers != peers;
            if changed {
                Arc::make_mut(policy).peers = peers;
            }
            changed
        });
        if changed {
            info!("peer rules changed");
        }
    }

    /// A room came, went, or changed its card.
    pub fn recount(&self, before: Option<&Card>, after: Option<&Card>) {
        self.recount_shadows(firsthost(before), firsthost(after));
        let mut rooms = lock(&self.rooms);
        if let Some(card) = before {
            rooms.all = rooms.all.saturating_sub(1);
            less_one(&mut rooms.by_creator, creator(card));
        }
        if let Some(card) = after {
            rooms.all = rooms.all.saturating_add(1);
            *rooms.by_creator.entry(creator(card).to_owned()).or_default() += 1;
        }
    }

    fn recount_shadows(&self, before: Option<&Address>, after: Option<&Address>) {
        if before == after {
            return;
        }
        self.current.send_modify(|policy| {
            let shadows = &mut Arc::make_mut(policy).shadows_here;
            before.into_iter().for_each(|host| less_one(shadows, host.as_str()));
            after.into_iter().for_each(|host| *shadows.entry(host.as_str().to_owned()).or_default() += 1);
        });
    }
}

fn firsthost(card: Option<&Card>) -> Option<&Address> {
    card?.firsthost.as_ref()
}

fn creator(card: &Card) -> &str {
    card.creator.as_ref().map_or("", Address::as_str)
}

/// One less under a key, which is forgotten with its last.
fn less_one(counts: &mut BTreeMap<String, u32>, key: &str) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(key)),
    }
}

fn overlay(configured: &PeerRules, stored: Vec<PeerRule>) -> PeerRules {
    configured.iter().cloned().chain(stored).collect()
}

#[cfg(test)]
mod tests {
    use dmuc_core::policy::{Decision, Direction, PeerRule, PeerRules};

    #[test]
    fn the_store_overrules_the_file() {
        let configured: PeerRules =
            [PeerRule::allow("rooms.macbeth.lit"), PeerRule::allow("a.example")].into_iter().collect();
        let denied = PeerRule { domain: "rooms.macbeth.lit".into(), ..PeerRule::default() };
        let rules = super::overlay(&configured, vec![denied]);
        assert_eq!(rules.decide("rooms.macbeth.lit", Direction::PlaceShadow, 0), Decision::Deny);
        assert_eq!(rules.decide("a.example", Direction::PlaceShadow, 0), Decision::Allow);
    }
}
