//! The peer gate: who speaks as an instance, and what it may say. Default deny.

use std::sync::Arc;

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::replication::approval::is_accept;
use crate::replication::payload::{condition, retry_after};
use crate::replication::source::error_condition;
use crate::replication::{Asked, Standing};
use crate::room::occupants::Occupant;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, ErrorKind, Kind, Stanza, StanzaError};

/// Who a stanza of replication comes from.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Service domain.
    pub domain: Arc<str>,
    /// The instance's room JID; none if the service as a whole speaks.
    pub room: Option<Address>,
    /// It is the source (or the source's service).
    pub is_source: bool,
    pub core_only: bool,
    /// It is an instance that could not hold what protects the room.
    pub suspended: bool,
}

impl Instance {
    /// The peer that a stanza comes from; none if it comes from a user, whatever it claims.
    pub(crate) fn sender(&self, from: &Address, stanza: &Stanza) -> Option<Peer> {
        if from.local().is_none() {
            return self.service_sender(from, stanza);
        }
        let room = self.room.as_ref()?;
        if let Some(instance) =
            room.replication.instance(from.domain()).filter(|i| i.jid.as_str() == from.bare_str())
        {
            return Some(Peer {
                domain: from.domain().into(),
                room: Some(instance.jid.clone()),
                is_source: room.head.source.as_ref() == Some(&instance.jid),
                core_only: instance.core_only,
                suspended: instance.standing == Standing::Suspended,
            });
        }
        self.unbound_source(from, stanza)
    }

    /// The service of a peer asks for or about a shadow.
    fn service_sender(&self, from: &Address, stanza: &Stanza) -> Option<Peer> {
        let concerns_us =
            stanza.kind == Kind::Iq && (stanza.child_in(ns::DMUC).is_some() || is_accept(stanza));
        let is_source = self.room.as_ref().is_some_and(|room| room.head.firsthost == *from);
        let domain = from.domain().into();
        let peer = Peer { domain, room: None, is_source, core_only: false, suspended: false };
        concerns_us.then_some(peer)
    }

    /// A plain XEP-0281 firsthost does not name its source: the first `<config/>` from its domain does.
    fn unbound_source(&self, from: &Address, stanza: &Stanza) -> Option<Peer> {
        let head = &self.room.as_ref()?.head;
        let configures = stanza.ty() == "set" && stanza.child("config", ns::DMUC).is_some();
        let unbound = head.source.is_none() && head.firsthost.domain() == from.domain();
        (unbound && configures).then(|| Peer {
            domain: from.domain().into(),
            room: Some(from.to_bare()),
            is_source: true,
            core_only: true,
            suspended: false,
        })
    }

    /// What a peer says.
    pub(crate) fn handle_peer(&mut self, peer: &Peer, stanza: &Stanza) {
        if let Some(named) =
            stanza.to.as_ref().filter(|to| to.local().is_some() && to.bare_str() != self.jid.as_str())
        {
            return self
                .turn
                .other(crate::Action::Report { peer: named.domain().to_owned(), what: "misrouted" });
        }
        if peer.suspended || !self.is_allowed(&peer.domain) {
            self.report(peer, "spoke although it may not");
            return self.turn.refuse(stanza, peer_denied());
        }
        if let Some(seconds) = self.haste_of(&peer.domain, stanza) {
            self.report(peer, "sends too much");
            let refusal = StanzaError::of_kind(Condition::PolicyViolation, ErrorKind::Wait);
            return self.turn.refuse(stanza, refusal.with(retry_after(seconds)));
        }
        match stanza.kind {
            Kind::Iq => self.handle_peer_iq(peer, stanza),
            _ if stanza.is_error() => self.handle_peer_error(peer, stanza),
            Kind::Presence => self.hear_presence(peer, stanza),
            Kind::Message if stanza.ty() == "groupchat" => self.hear_message(peer, stanza),
            Kind::Message => self.hear_aside(peer, stanza),
        }
    }

    fn handle_peer_iq(&mut self, peer: &Peer, stanza: &Stanza) {
        if !stanza.is_request() || self.refuse_malformed_iq(stanza) {
            return;
        }
        let Some(request) = stanza.children.first().cloned() else { return };
        let to_occupant = stanza.to.as_ref().is_some_and(|to| !to.is_bare());
        let done = match (request.ns(), request.name(), stanza.ty()) {
            _ if to_occupant && peer.room.is_some() => self.hear_occupant_iq(peer, stanza),
            (ns::MUC_USER, "x", "set") => self.hear_invitation(peer, stanza, &request),
            (ns::DMUC, "replicate", "set") => self.hear_replicate(peer, stanza, &request),
            (ns::DMUC, "peerhost", "set") => self.hear_peerhost(peer, stanza, &request),
            (ns::DMUC, "config", "set") => self.hear_config(peer, stanza, &request),
            (ns::DMUC, "roster", "set") => self.hear_roster(peer, stanza, &request),
            (ns::SYNC, "affiliations", "set") => self.hear_affiliations(peer, stanza, &request),
            (ns::SYNC, "vcard", "set") => self.hear_vcard(peer, stanza, &request),
            (ns::SYNC, "instances", "set") => self.hear_instances(peer, stanza, &request),
            (ns::SYNC, "occupants", "set") => self.hear_occupants(peer, stanza, &request),
            (ns::SYNC, "tombstone", "set") => self.hear_tombstone(peer, stanza, &request),
            (ns::SYNC, "accept", "set") => self.hear_accept(peer, stanza, &request),
            (ns::SYNC, "propose", "set") => self.hear_proposal(peer, stanza, &request),
            (ns::DMUC, "room", "get") | (ns::MUC, "history", "get") => {
                self.hear_history_request(peer, stanza, &request)
            }
            (ns::MUC_ADMIN, "query", "set") => self.hear_kick(peer, stanza, &request),
            (ns::DISCO_INFO | ns::DISCO_ITEMS | ns::PING | ns::VERSION, ..) if self.room.is_some() => {
                self.handle_iq(stanza);
                Ok(())
            }
            _ => Err(Condition::ServiceUnavailable.into()),
        };
        if let Err(refusal) = done {
            self.report(peer, "refused a request");
            self.turn.refuse(stanza, refusal);
        }
    }

    /// An answer to something that we asked; true if the stanza needs nothing more.
    pub(crate) fn handle_awaited(&mut self, stanza: &Stanza) -> bool {
        if stanza.kind != Kind::Iq || stanza.is_request() || self.room.is_none() {
            return false;
        }
        let (Some(from), Some(id)) = (&stanza.from, stanza.id.as_deref()) else { return true };
        let Some(asked) = self.room_mut().replication.take_awaited(id, from) else {
            return self.handle_relayed_answer(stanza) || self.room().occupants.of_session(from).is_none();
        };
        self.answered(asked, from, stanza, stanza.ty() == "result");
        true
    }

    /// What follows from an answer, or from its failing to come (an error in its place).
    pub(crate) fn answered(&mut self, asked: Asked, from: &Address, stanza: &Stanza, ok: bool) {
        let condition = error_condition(stanza).filter(|_| !ok);
        match asked {
            Asked::Capabilities => self.capabilities_known(from, stanza, ok),
            Asked::Replicate => self.replicate_answered(from, stanza, ok),
            Asked::Config => self.config_answered(from, condition.as_deref()),
            Asked::Affiliations => self.affiliations_answered(from, stanza, ok),
            Asked::Occupants => self.occupants_answered(from, condition.as_deref()),
            Asked::Told => {}
            Asked::History => self.history_answered(from, stanza, ok),
            Asked::ForUser(cause) => self.answer_user(cause, stanza, ok),
            Asked::Admission(invitation) if ok => self.invite_from_nearest(*invitation),
            Asked::Admission(invitation) => self.answer_user(Some(invitation.written), stanza, ok),
            Asked::Inviting(_) if ok => {}
            Asked::Inviting(invitation) => self.send_invitation(&invitation),
        }
    }

    /// Whether the operator lets us have anything to do with a peer.
    pub(crate) fn is_allowed(&self, domain: &str) -> bool {
        self.policy.peers.get(domain).is_some_and(|rule| rule.host || rule.place)
    }

    /// Stops unless the peer is the room's source.
    pub(crate) fn only_source(&self, peer: &Peer) -> Result<(), StanzaError> {
        if peer.is_source {
            return Ok(());
        }
        Err(StanzaError::new(Condition::Forbidden).with(condition("not-source")))
    }

    /// Stops unless an instance of this room speaks.
    pub(crate) fn only_instance(&self, peer: &Peer) -> Result<Address, StanzaError> {
        match &peer.room {
            Some(room) if self.room.is_some() => Ok(room.clone()),
            _ => Err(peer_denied()),
        }
    }

    /// Stops if a peer speaks for a user that another instance, or we, answer for (protocol "Vouching").
    pub(crate) fn only_vouched(&self, peer: &Peer, user: &Address) -> Result<(), StanzaError> {
        let room = self.room();
        let ours = self.policy.user_domains.iter().any(|domain| domain == user.domain());
        let others = || {
            let vouching =
                room.replication.instances.iter().filter(|instance| instance.vouches_for(user.domain()));
            let mut domains = vouching.map(|instance| instance.domain());
            let first = domains.next();
            first.is_some_and(|domain| domain != &*peer.domain && domains.all(|other| other != &*peer.domain))
        };
        if ours || others() {
            return Err(StanzaError::of_kind(Condition::Forbidden, ErrorKind::Auth)
                .with(condition("not-authoritative")));
        }
        Ok(())
    }

    /// Whether a peer answers for a user's domain, rather than only telling of somebody.
    pub(crate) fn is_vouched(&self, home: &str, user: &Address) -> bool {
        let instance = self.room().replication.instance(home);
        instance.is_some_and(|instance| instance.vouches_for(user.domain()))
    }

    /// Whether who an occupant is rests on the word of an instance that does not answer for its domain. The source is
    /// believed: it decides who may do what anyway.
    pub(crate) fn is_hearsay(&self, occupant: &Occupant) -> bool {
        let Some(jid) = occupant.jid.as_ref() else { return false };
        let at_source = *occupant.home == *self.room().head.firsthost.as_str();
        let here = self.room().occupants.is_here(occupant);
        !at_source && if here { self.is_stranger(jid) } else { !self.is_vouched(&occupant.home, jid) }
    }

    /// Whether a user's word, told by us, is hearsay to the other instances: we are a shadow, and do not answer for its
    /// domain.
    fn is_stranger(&self, user: &Address) -> bool {
        let ours = self.policy.user_domains.iter().any(|domain| domain == user.domain());
        !ours && !self.is_source()
    }

    /// The affiliation by which a user may act here: no more than the other instances will believe, or they would refuse
    /// what we let it do.
    pub(crate) fn affiliation_here(&self, user: &Address) -> Affiliation {
        let listed = self.affiliation(user);
        if self.is_stranger(user) { listed.min(Affiliation::Member) } else { listed }
    }

    pub(crate) fn report(&mut self, peer: &Peer, what: &'static str) {
        self.turn.other(crate::Action::Report { peer: peer.domain.to_string(), what });
    }
}

pub(crate) fn peer_denied() -> StanzaError {
    StanzaError::new(Condition::Forbidden).with(condition("peer-denied"))
}
