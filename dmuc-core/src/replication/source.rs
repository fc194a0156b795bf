//! Placing shadows, with us as the source (XEP-0281 "Replicating a Room").

use xmpp_parsers::disco::DiscoInfoResult;

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::policy::{Decision, Direction, Replicate, ShadowName};
use crate::record::part;
use crate::replication::payload::{Terms, room_element};
use crate::replication::{Asked, InstanceInfo, Placement, Standing};
use crate::stanza::{El, Payload, Stanza};

/// Conditions of a refused `<replicate/>` that time may change.
const PASSING: [&str; 4] =
    ["resource-constraint", "remote-server-timeout", "remote-server-not-found", "recipient-unavailable"];

/// How long a peer's capabilities are believed.
const DAY_MS: u64 = 86_400_000;
/// How often a peer is asked whether its operator has approved.
const PENDING_MS: u64 = 600_000;

impl Instance {
    /// Asks every peerhost for a shadow, where policy says at once.
    pub(crate) fn place_at_once(&mut self) {
        if self.policy.replicate == Replicate::AtOnce {
            let peers: Vec<String> = self.policy.peers.iter().map(|rule| rule.domain.clone()).collect();
            peers.iter().for_each(|domain| self.place(domain));
        }
    }

    /// Asks the peerhost of somebody's domain for a shadow, where policy says so.
    pub(crate) fn place_for_first_user(&mut self, user: &Address) {
        let theirs = |domains: Vec<String>| domains.iter().any(|domain| domain == user.domain());
        let rule = self.policy.peers.iter().find(|rule| rule.place && theirs(rule.vouched()));
        if let Some(domain) = rule.map(|rule| rule.domain.clone()) {
            self.place(&domain);
        }
    }

    /// Asks one peerhost for a shadow, unless that is done or under way.
    pub(crate) fn place(&mut self, domain: &str) {
        let room = self.room();
        let wanted = self.is_source() && room.config.distributed && !room.head.locked;
        let known = room.replication.placements.contains_key(domain);
        let allowed = self.policy.peers.decide(domain, Direction::PlaceShadow, 0) == Decision::Allow;
        if wanted && allowed && !known && domain != self.policy.domain.as_str() {
            self.ask_capabilities(domain, 0);
        }
    }

    pub(crate) fn ask_capabilities(&mut self, domain: &str, tries: u32) {
        let Ok(peer) = Address::parse(domain) else { return };
        self.set_placement(domain, Placement::Asking { tries });
        let query = El::new("query", ns::DISCO_INFO).payload();
        self.ask_as(&self.policy.domain.clone(), &peer, "get", query, Asked::Capabilities);
    }

    pub(crate) fn set_placement(&mut self, domain: &str, placement: Placement) {
        self.turn.put(&part::placement(domain), &placement);
        self.room_mut().replication.placements.insert(domain.to_owned(), placement);
    }

    /// A peerhost has said what it can do; one that answers with an error is asked to replicate all the same unless it
    /// could not be reached.
    pub(crate) fn capabilities_known(&mut self, peer: &Address, stanza: &Stanza, ok: bool) {
        let Some(Placement::Asking { tries }) = self.placement(peer.domain()) else { return };
        if !ok {
            return self.placement_failed(peer.domain(), stanza, tries);
        }
        let info: Option<DiscoInfoResult> = stanza.child("query", ns::DISCO_INFO).and_then(Payload::typed);
        let has = |feature: &str| info.as_ref().is_some_and(|info| info.features.contains(feature));
        if !has(ns::DMUC) {
            // It may learn: asked again after a day.
            return self.wait_for_placement(peer.domain(), DAY_MS, 0);
        }
        let id = match self.policy.shadow_name {
            ShadowName::Readable => self.jid.local().unwrap_or("").to_owned(),
            ShadowName::Uid => self.room().head.uid.to_string(),
        };
        self.replicate(peer, id, tries, !has(ns::SYNC));
    }

    fn placement(&self, domain: &str) -> Option<Placement> {
        self.room().replication.placements.get(domain).cloned()
    }

    fn replicate(&mut self, peer: &Address, id: String, tries: u32, core_only: bool) {
        let mut replicate = El::new("replicate", ns::DMUC).child(room_element(&id));
        if !core_only {
            replicate = replicate.child(self.terms(false).element("offer", self.bytes_max(peer.domain())));
        }
        self.set_placement(peer.domain(), Placement::Replicating { id, tries, core_only });
        self.ask_as(&self.policy.domain.clone(), peer, "set", replicate.payload(), Asked::Replicate);
    }

    /// What we offer or accept.
    pub(crate) fn terms(&self, pending: bool) -> Terms {
        let head = &self.room().head;
        Terms {
            uid: head.uid.to_string(),
            source: head.source.as_ref().map_or_else(String::new, |source| source.as_str().to_owned()),
            term: head.term,
            pending,
        }
    }

    pub(crate) fn bytes_max(&self, domain: &str) -> u32 {
        self.policy.peers.get(domain).map_or(65_536, |rule| rule.bytes_max)
    }

    /// A peerhost has answered `<replicate/>`.
    pub(crate) fn replicate_answered(&mut self, peer: &Address, stanza: &Stanza, ok: bool) {
        let Some(Placement::Replicating { id, tries, core_only }) = self.placement(peer.domain()) else {
            return;
        };
        if !ok {
            let own_name_free = id == self.room().head.uid.to_string();
            return match error_condition(stanza).as_deref() {
                Some("conflict" | "jid-malformed") if !own_name_free => {
                    let uid = self.room().head.uid.to_string();
                    self.replicate(peer, uid, tries, core_only);
                }
                _ => self.placement_failed(peer.domain(), stanza, tries),
            };
        }
        let accept = stanza.child("accept", ns::SYNC).and_then(|accept| accept.element().ok());
        let accepted = accept.as_ref().and_then(Terms::read);
        match accepted {
            Some(terms) if terms.pending => self.wait_for_placement(peer.domain(), PENDING_MS, 0),
            accepted => self.bring(peer, &id, core_only || accepted.is_none()),
        }
    }

    /// A new shadow: it becomes an instance, and gets all there is, in order.
    fn bring(&mut self, peer: &Address, id: &str, core_only: bool) {
        let Ok(jid) = Address::room(id, peer.domain()) else { return };
        let vouch = self.policy.peers.get(peer.domain()).map(|rule| rule.vouched()).unwrap_or_default();
        let rank =
            u32::try_from(self.room().replication.instances.len()).unwrap_or(u32::MAX).saturating_add(1);
        let instance = InstanceInfo { jid, rank, vouch, standing: Standing::Active, core_only };
        self.add_instance(instance.clone());
        self.room_mut().head.ins += 1;
        self.save_head();
        self.set_placement(peer.domain(), Placement::Bringing);
        if !core_only {
            let instances = self.instances_element().payload();
            self.ask(&instance.jid, "set", instances, Asked::Told);
        }
        self.send_config(&instance);
        if !core_only {
            self.send_affiliations(&instance, None);
        }
        self.send_roster(&instance);
        if core_only {
            self.set_placement(peer.domain(), Placement::Placed);
        } else {
            self.send_occupants(&instance.jid, Asked::Occupants);
        }
    }

    pub(crate) fn add_instance(&mut self, instance: InstanceInfo) {
        let instances = &mut self.room_mut().replication.instances;
        instances.retain(|known| known.domain() != instance.domain());
        instances.push(instance);
        self.save_instances();
    }

    pub(crate) fn save_instances(&mut self) {
        let instances = &self.room.as_ref().expect("only a room has instances").replication.instances;
        self.turn.put(part::INSTANCES, instances);
    }

    /// A shadow has taken our occupants in: it is complete, and the others hear of it.
    pub(crate) fn occupants_answered(&mut self, from: &Address, ok: bool) {
        if !ok || self.placement(from.domain()) != Some(Placement::Bringing) {
            return;
        }
        self.set_placement(from.domain(), Placement::Placed);
        let element = El::new("peerhost", ns::DMUC);
        let instances = self.instances_element();
        let others: Vec<InstanceInfo> =
            self.shadows().into_iter().filter(|i| i.jid != *from && !i.core_only).collect();
        for other in others {
            let id = other.jid.local().unwrap_or("");
            let announced = element.clone().child(room_element(id)).child(instances.clone()).payload();
            self.ask_as(&self.policy.domain.clone(), &other.jid.to_domain(), "set", announced, Asked::Told);
        }
    }

    /// A shadow has answered our configuration: one that cannot hold what protects the room gets nothing more.
    pub(crate) fn config_answered(&mut self, from: &Address, stanza: &Stanza, ok: bool) {
        if ok || error_condition(stanza).as_deref() != Some("not-acceptable") {
            return;
        }
        let instances = &mut self.room_mut().replication.instances;
        instances.iter_mut().filter(|i| i.jid == *from).for_each(|i| i.standing = Standing::Suspended);
        self.save_instances();
        self.set_placement(
            from.domain(),
            Placement::Refused { why: "it cannot hold the room's protection".to_owned() },
        );
    }

    fn placement_failed(&mut self, domain: &str, stanza: &Stanza, tries: u32) {
        let condition = error_condition(stanza).unwrap_or_default();
        if PASSING.contains(&condition.as_str()) {
            self.retry_placement(domain, tries);
        } else if condition == "service-unavailable" || condition == "feature-not-implemented" {
            self.wait_for_placement(domain, DAY_MS, 0);
        } else {
            self.set_placement(domain, Placement::Refused { why: condition });
        }
    }
}

/// The name of the condition in an error stanza.
pub(crate) fn error_condition(stanza: &Stanza) -> Option<String> {
    let error = stanza.child("error", ns::STANZA)?.element().ok()?;
    let condition = error.children().find(|child| child.ns() == ns::ERRORS && child.name() != "text")?;
    Some(condition.name().to_owned())
}
