//! The policy that all rooms share: the operator's configuration, the peer rules of the store over it, and how many
//! shadows each peer has here.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::policy::{PeerRule, PeerRules, ServicePolicy};
use dmuc_core::storage::{Storage, StoreError};
use serde::Deserialize;
use tokio::sync::watch;
use tracing::{info, warn};

/// Rooms that are listed at a time when shadows are counted.
const PAGE: u32 = 1000;

/// The current policy, for whoever reads it and whoever waits for the next.
pub(super) struct Board {
    configured: PeerRules,
    current: watch::Sender<Arc<ServicePolicy>>,
}

/// What of a room's `card` part matters here.
#[derive(Deserialize)]
struct Card {
    #[serde(default)]
    firsthost: Option<Address>,
}

/// The firsthost of a shadow, by its `card` part; `None` for a room that is at home here.
pub(super) fn firsthost(card: &str) -> Option<Address> {
    serde_json::from_str::<Card>(card).ok()?.firsthost
}

impl Board {
    /// Reads rules and shadows from the store.
    pub async fn read(mut policy: ServicePolicy, storage: &dyn Storage) -> Result<Self, StoreError> {
        let configured = policy.peers.clone();
        policy.peers = overlay(&configured, storage.rules().await?);
        policy.shadows_here = count_shadows(storage, policy.domain.as_str()).await?;
        Ok(Self { configured, current: watch::Sender::new(Arc::new(policy)) })
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

    /// A room here stopped being a shadow of one firsthost, or became one of another.
    pub fn recount(&self, before: Option<&Address>, after: Option<&Address>) {
        if before == after {
            return;
        }
        self.current.send_modify(|policy| {
            let shadows = &mut Arc::make_mut(policy).shadows_here;
            if let Some(count) = before.and_then(|host| shadows.get_mut(host.as_str())) {
                *count = count.saturating_sub(1);
            }
            after.into_iter().for_each(|host| *shadows.entry(host.as_str().to_owned()).or_default() += 1);
        });
    }
}

fn overlay(configured: &PeerRules, stored: Vec<PeerRule>) -> PeerRules {
    configured.iter().cloned().chain(stored).collect()
}

async fn count_shadows(storage: &dyn Storage, domain: &str) -> Result<BTreeMap<String, u32>, StoreError> {
    let mut shadows = BTreeMap::new();
    let mut after = None;
    loop {
        let page = storage.list(domain, after.as_ref(), PAGE).await?;
        for host in page.iter().filter_map(|room| firsthost(room.card.as_deref()?)) {
            *shadows.entry(host.as_str().to_owned()).or_default() += 1;
        }
        match page.last() {
            Some(last) if page.len() >= PAGE as usize => after = Some(last.jid.clone()),
            _ => return Ok(shadows),
        }
    }
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

    #[test]
    fn only_a_shadow_has_a_firsthost() {
        assert_eq!(super::firsthost(r#"{"name":"","public":true}"#), None);
        let shadow = super::firsthost(r#"{"name":"","firsthost":"chat.shakespeare.lit"}"#);
        assert_eq!(shadow.map(|host| host.to_string()).as_deref(), Some("chat.shakespeare.lit"));
    }
}
