//! Requests to the room and to occupants.

use minidom::Element;

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::room::occupants::Occupant;
use crate::stanza::{Condition, El, ErrorKind, Kind, Payload, Stanza, StanzaError};

impl Instance {
    /// Answers what is no proper request; true if the stanza needs nothing more (RFC 6120 §8.2.3).
    pub(crate) fn refuse_malformed_iq(&mut self, stanza: &Stanza) -> bool {
        match stanza.ty() {
            "get" | "set" if stanza.children.len() == 1 && stanza.id.is_some() => false,
            // Nobody asked for it.
            "result" | "error" => true,
            _ => {
                self.turn.refuse(stanza, Condition::BadRequest);
                true
            }
        }
    }

    pub(crate) fn handle_iq(&mut self, stanza: &Stanza) {
        if stanza.to.as_ref().is_some_and(|to| !to.is_bare()) {
            return self.handle_occupant_iq(stanza);
        }
        let Some(request) = stanza.children.first().cloned() else { return };
        match (stanza.ty(), request.ns()) {
            ("get", ns::DISCO_INFO) => self.handle_disco_info(stanza, &request),
            ("get", ns::DISCO_ITEMS) => self.handle_disco_items(stanza, &request),
            (_, ns::COMMANDS) => self.handle_command(stanza),
            ("get", ns::PING) => self.turn.send(stanza.result()),
            ("get", ns::VERSION) => self.turn.send(stanza.result().with(version())),
            ("get" | "set", ns::VCARD) => self.handle_vcard(stanza, &request),
            ("get" | "set", ns::MUC_ADMIN) => self.with_query(stanza, &request, Self::handle_admin),
            ("get" | "set", ns::MUC_OWNER) => self.with_query(stanza, &request, Self::handle_owner),
            ("get" | "set", ns::REGISTER) => self.with_query(stanza, &request, Self::handle_register),
            ("set", ns::MODERATE) => self.handle_moderate(stanza, &request),
            (_, ns::MAM) => self.handle_archive(stanza, &request),
            (_, ns::DMUC | ns::SYNC) => self.refuse_stranger(stanza),
            _ => self.turn.refuse(stanza, Condition::ServiceUnavailable),
        }
    }

    fn with_query(&mut self, stanza: &Stanza, query: &Payload, then: fn(&mut Self, &Stanza, &Element)) {
        match query.element() {
            Ok(element) => then(self, stanza, &element),
            Err(_) => self.turn.refuse(stanza, Condition::BadRequest),
        }
    }

    /// Distribution is between registered instances only.
    fn refuse_stranger(&mut self, stanza: &Stanza) {
        let error = if self.room().config.distributed || !self.is_source() {
            StanzaError::new(Condition::Forbidden).with(crate::replication::payload::condition("peer-denied"))
        } else {
            StanzaError::new(Condition::ServiceUnavailable).because("This room is not distributed.")
        };
        self.turn.refuse(stanza, error);
    }

    /// A request to an occupant: the self-ping is answered here (XEP-0410), the rest is passed on to one of its
    /// clients (XEP-0045 §17.4), whose answer finds its way back by the nick it was asked under.
    fn handle_occupant_iq(&mut self, stanza: &Stanza) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let Some(asker) = self.room().occupants.of_session(from).cloned() else {
            return self.turn.refuse(stanza, refusal_of_outsider(stanza));
        };
        let target = match self.read_nick(to).map(|nick| self.room().occupants.by_nick(&nick).cloned()) {
            Ok(Some(target)) => target,
            Ok(None) => return self.turn.refuse(stanza, Condition::ItemNotFound),
            Err(refusal) => return self.turn.refuse(stanza, refusal),
        };
        let itself = target.id() == asker.id();
        if itself && stanza.child("ping", ns::PING).is_some() {
            return self.turn.send(stanza.result());
        }
        if !self.room().occupants.is_here(&target) {
            return self.turn.refuse(stanza, Condition::ServiceUnavailable);
        }
        let Some(client) = answering(&target, stanza) else { return };
        let id = stanza.id.as_deref().unwrap_or("");
        let id = self.remember_relay(from, id);
        let passed = stanza.clone().with_from(&self.nick_jid(asker.nick.as_str())).with_to(&client);
        self.turn.send(passed.with_id(&id));
    }

    /// An answer to a request that was passed on: back to who asked, under the nick that was asked.
    pub(crate) fn handle_relayed_answer(&mut self, stanza: &Stanza) -> bool {
        let (Some(from), Some(id), Some(to)) = (&stanza.from, stanza.id.as_deref(), &stanza.to) else {
            return false;
        };
        if stanza.kind != Kind::Iq || stanza.is_request() || to.is_bare() {
            return false;
        }
        let Some((asker, original)) = self.room_mut().replication.take_relay(id) else { return false };
        let occupants = &self.room().occupants;
        let account = || occupants.local().find(|occupant| occupant.jid.as_ref() == Some(from));
        let Some(nick) = occupants.of_session(from).or_else(account).map(|occupant| occupant.nick.clone())
        else {
            return true;
        };
        let answer =
            stanza.clone().with_from(&self.nick_jid(nick.as_str())).with_to(&asker).with_id(&original);
        self.turn.send(answer);
        true
    }
}

/// A non-occupant may not look at occupants (XEP-0045 §6.6), nor is it in (XEP-0410).
fn refusal_of_outsider(stanza: &Stanza) -> StanzaError {
    let discovers = stanza.child_in(ns::DISCO_INFO).or_else(|| stanza.child_in(ns::DISCO_ITEMS)).is_some();
    if discovers {
        return Condition::BadRequest.into();
    }
    StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel)
}

/// Who answers for an occupant: the client that spoke last, or its account for what accounts keep.
fn answering(target: &Occupant, stanza: &Stanza) -> Option<Address> {
    let client = target.sessions.last().and_then(|session| session.jid.clone());
    if stanza.child_in(ns::VCARD).is_some() { target.jid.clone().or(client) } else { client }
}

/// XEP-0092.
#[must_use]
pub(crate) fn version() -> Payload {
    El::new("query", ns::VERSION)
        .child(El::new("name", ns::VERSION).text("dmuc"))
        .child(El::new("version", ns::VERSION).text(env!("CARGO_PKG_VERSION")))
        .payload()
}
