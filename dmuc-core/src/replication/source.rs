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

/// How long a peerhost that cannot do it is not asked again.
const UNSUPPORTED_MS: u64 = 86_400_000;

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
        let known = room.replication.placements.get(domain).is_some_and(|placement| match placement {
            Placement::Unsupported { until } => *until > self.turn.now,
            _ => true,
        });
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
        let passing = error_condition(stanza).is_some_and(|condition| PASSING.contains(&condition.as_str()));
        if passing {
            return self.placement_failed(peer.domain(), stanza, tries);
        }
        let info: Option<DiscoInfoResult> = stanza.child("query", ns::DISCO_INFO).and_then(Payload::typed);
        let has = |feature: &str| info.as_ref().is_some_and(|info| info.features.contains(feature));
        if ok && !has(ns::DMUC) {
            return self.unsupported(peer.domain());
        }
        let id = match self.policy.shadow_name {
            ShadowName::Readable => self.jid.local().unwrap_or("").to_owned(),
            ShadowName::Uid => self.room().head.uid.to_string(),
        };
        self.replicate(peer, id, tries, ok && !has(ns::SYNC));
    }

    /// What a peerhost cannot do is remembered for a day.
    fn unsupported(&mut self, domain: &str) {
        let until = self.turn.now.plus(UNSUPPORTED_MS);
        self.set_placement(domain, Placement::Unsupported { until });
    }

    pub(crate) fn placement(&self, domain: &str) -> Option<Placement> {
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
            Some(terms) if !self.are_ours(&terms) => {
                let why = "it accepted another room".to_owned();
                self.set_placement(peer.domain(), Placement::Refused { why });
            }
            Some(terms) if terms.pending => self.set_placement(peer.domain(), Placement::Pending { id }),
            accepted => self.bring(peer, &id, core_only || accepted.is_none()),
        }
    }

    /// A new shadow: it becomes an instance, and gets all there is, in order.
    pub(crate) fn bring(&mut self, peer: &Address, id: &str, core_only: bool) {
        let Ok(jid) = Address::room(id, peer.domain()) else { return };
        let vouch = self.policy.peers.get(peer.domain()).map(|rule| rule.vouched()).unwrap_or_default();
        let rank =
            u32::try_from(self.room().replication.instances.len()).unwrap_or(u32::MAX).saturating_add(1);
        let rank = self.room().replication.instance(peer.domain()).map_or(rank, |known| known.rank);
        let (standing, introduced) = (Standing::Active, false);
        let instance = InstanceInfo { jid, rank, vouch, standing, core_only, introduced };
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
            self.send_vcard(&instance);
        }
        self.send_roster(&instance);
        if core_only {
            self.set_placement(peer.domain(), Placement::Placed);
        } else {
            self.send_occupants(&instance.jid, &Asked::Occupants);
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
    pub(crate) fn placed(&mut self, from: &Address) {
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

    /// A shadow has answered our configuration. One that cannot hold what protects the room gets nothing more until it
    /// can; one that has lost the room gets it anew.
    pub(crate) fn config_answered(&mut self, from: &Address, refusal: Option<&str>) {
        let Some(instance) = self.room().replication.instance(from.domain()).cloned() else { return };
        let suspended = instance.standing == Standing::Suspended;
        match refusal {
            None if suspended => {
                let id = instance.jid.local().unwrap_or("").to_owned();
                self.bring(&instance.jid.to_domain(), &id, instance.core_only);
            }
            Some("not-acceptable") if !suspended => self.suspend(&instance),
            Some("item-not-found") => self.retry_placement(from.domain(), 0, 0),
            Some(_) if self.placement(from.domain()) == Some(Placement::Bringing) => {
                self.retry_placement(from.domain(), 0, 0);
            }
            _ => {}
        }
    }

    /// The others are told, so that they keep the room from it too.
    fn suspend(&mut self, instance: &InstanceInfo) {
        if let Some(instance) = self.room_mut().replication.instance_mut(instance.domain()) {
            instance.standing = Standing::Suspended;
        }
        self.room_mut().head.ins += 1;
        self.save_head();
        self.save_instances();
        let why = "it cannot hold the room's protection".to_owned();
        self.set_placement(instance.domain(), Placement::Refused { why });
        self.push_instances(&instance.jid);
    }

    /// A shadow that lacks earlier changes gets what it lacks.
    pub(crate) fn affiliations_answered(&mut self, from: &Address, stanza: &Stanza, ok: bool) {
        let Some(instance) = self.room().replication.instance(from.domain()).cloned() else { return };
        if ok || !self.is_source() {
            return;
        }
        let error = stanza.child("error", ns::STANZA).and_then(|error| error.element().ok());
        let stale = error.as_ref().and_then(|error| error.get_child("stale", ns::SYNC));
        let known: Option<u64> = stale.and_then(|stale| stale.attr("n")).and_then(|n| n.parse().ok());
        match (known, error_condition(stanza).as_deref()) {
            (Some(known), _) if known < self.room().head.aff => {
                self.send_affiliations(&instance, Some(known));
            }
            (_, Some("item-not-found")) => self.retry_placement(from.domain(), 0, 0),
            _ => {}
        }
    }

    fn placement_failed(&mut self, domain: &str, stanza: &Stanza, tries: u32) {
        let condition = error_condition(stanza).unwrap_or_default();
        match condition.as_str() {
            passing if PASSING.contains(&passing) => {
                self.retry_placement(domain, tries, retry_after(stanza).unwrap_or(0));
            }
            "service-unavailable" | "feature-not-implemented" => self.unsupported(domain),
            _ => self.set_placement(domain, Placement::Refused { why: condition }),
        }
    }
}

/// In how many seconds a peer wants to be asked again.
fn retry_after(stanza: &Stanza) -> Option<u64> {
    let error = stanza.child("error", ns::STANZA)?.element().ok()?;
    error.get_child("retry", ns::SYNC)?.attr("after")?.parse().ok()
}

/// The name of the condition in an error stanza.
pub(crate) fn error_condition(stanza: &Stanza) -> Option<String> {
    let error = stanza.child("error", ns::STANZA)?.element().ok()?;
    let condition = error.children().find(|child| child.ns() == ns::ERRORS && child.name() != "text")?;
    Some(condition.name().to_owned())
}
