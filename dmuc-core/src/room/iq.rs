//! Requests to the room and to occupants.

use minidom::Element;

use crate::instance::Instance;
use crate::ns;
use crate::service::last;
use crate::stanza::{Condition, El, Payload, Stanza, StanzaError};

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
        if !asks(&request) {
            return self.turn.refuse(stanza, Condition::BadRequest);
        }
        match (stanza.ty(), request.ns()) {
            ("get", ns::DISCO_INFO) => self.handle_disco_info(stanza, &request),
            ("get", ns::DISCO_ITEMS) => self.handle_disco_items(stanza, &request),
            (_, ns::COMMANDS) => self.handle_command(stanza),
            ("get", ns::PING) => self.turn.send(stanza.result()),
            ("get", ns::LAST) => self.handle_last(stanza),
            ("get", ns::VERSION) => self.turn.send(stanza.result().with(version())),
            ("get" | "set", ns::MUC_SUB) => self.handle_subscriptions(stanza, &request),
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

    /// Since when nobody has spoken (XEP-0012); told to those who may hear what is said.
    fn handle_last(&mut self, stanza: &Stanza) {
        let Some(from) = &stanza.from else { return };
        if !self.is_open() && !self.belongs(from) {
            return self.turn.refuse(stanza, Condition::Forbidden);
        }
        let spoken = self.room().history.newest().unwrap_or(self.room().head.created);
        self.turn.send(stanza.result().with(last(self.turn.now.since(spoken))));
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
}

/// Whether this is the one element of its namespace that asks for something.
pub(crate) fn asks(request: &Payload) -> bool {
    let name = match request.ns() {
        ns::DISCO_INFO | ns::DISCO_ITEMS | ns::VERSION | ns::MUC_ADMIN | ns::MUC_OWNER | ns::REGISTER => {
            "query"
        }
        ns::COMMANDS => "command",
        ns::PING => "ping",
        _ => return true,
    };
    request.name() == name
}

/// XEP-0092.
#[must_use]
pub(crate) fn version() -> Payload {
    El::new("query", ns::VERSION)
        .child(El::new("name", ns::VERSION).text("dmuc"))
        .child(El::new("version", ns::VERSION).text(env!("CARGO_PKG_VERSION")))
        .payload()
}
