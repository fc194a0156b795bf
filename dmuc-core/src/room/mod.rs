//! One room instance as XEP-0045 sees it: what users ask of it, one use case a file.

pub mod affiliations;
pub mod config;
pub mod occupants;
pub mod roles;

pub(crate) mod admin;
pub(crate) mod consequences;
pub(crate) mod create;
mod disco;
pub(crate) mod history;
mod invite;
pub(crate) mod iq;
mod join;
mod leave;
pub(crate) mod message;
mod nick_change;
pub(crate) mod owner;
pub(crate) mod presence;
mod private;
pub(crate) mod strip;

use crate::instance::Instance;
use crate::room::create::is_muc_join;
use crate::room::presence::Notice;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};

impl Instance {
    /// Whatever does not come from a peer.
    pub(crate) fn handle_user(&mut self, stanza: &Stanza) {
        let malformed = stanza.to.as_ref().is_none_or(|to| to.bare_str() != self.jid.as_str());
        if malformed || (stanza.kind == Kind::Iq && self.refuse_malformed_iq(stanza)) {
            return;
        }
        if self.room.is_none() {
            return self.handle_vacant(stanza);
        }
        match stanza.kind {
            Kind::Presence => self.handle_presence(stanza),
            Kind::Message => self.handle_message(stanza),
            Kind::Iq => self.handle_iq(stanza),
        }
    }

    fn handle_presence(&mut self, stanza: &Stanza) {
        match stanza.ty() {
            "" => self.handle_available(stanza),
            "unavailable" => self.handle_leave(stanza),
            "error" => self.handle_bounce(stanza),
            "probe" => {}
            _ => self.turn.refuse(stanza, Condition::BadRequest),
        }
    }

    fn handle_available(&mut self, stanza: &Stanza) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let Some(occupant) = self.room().occupants.of_session(from) else {
            return self.handle_arrival(stanza);
        };
        let (id, same) = (occupant.id(), to.resource() == Some(occupant.nick.as_str()));
        match (to.is_bare(), same) {
            (true, _) => self.turn.refuse(stanza, Condition::JidMalformed),
            (_, true) if is_muc_join(stanza) => self.handle_join(stanza, false),
            (_, true) => self.handle_presence_update(&id, stanza),
            (_, false) => self.handle_nick_change(&id, stanza),
        }
    }

    /// Presence of somebody who is not in: a wish to enter, or a client that wrongly believes it is in, which is told
    /// that it is not (XEP-0045 §7.1, §7.6).
    fn handle_arrival(&mut self, stanza: &Stanza) {
        if is_muc_join(stanza) || stanza.to.as_ref().is_some_and(crate::Address::is_bare) {
            return self.handle_join(stanza, false);
        }
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let lost = Notice { gone: true, ..Notice::codes(&[110, 307, 333]) };
        let x = crate::stanza::El::new("x", crate::ns::MUC_USER)
            .child(
                crate::stanza::El::new("item", crate::ns::MUC_USER)
                    .attr("affiliation", "none")
                    .attr("role", "none"),
            )
            .children(lost.codes.iter().map(|code| {
                crate::stanza::El::new("status", crate::ns::MUC_USER).attr("code", code.to_string())
            }));
        let answer =
            Stanza::presence().with_type("unavailable").with_from(to).with_to(from).with(x.payload());
        self.turn.send(answer);
    }

    fn handle_message(&mut self, stanza: &Stanza) {
        let to_occupant = stanza.to.as_ref().is_some_and(|to| !to.is_bare());
        match (stanza.ty(), to_occupant) {
            ("error", _) => self.handle_bounce(stanza),
            ("groupchat", _) => self.handle_groupchat(stanza),
            ("chat" | "normal" | "", true) => self.handle_private(stanza),
            ("normal" | "", false) => self.handle_room_message(stanza),
            _ => self.turn.refuse(stanza, Condition::BadRequest),
        }
    }

    /// What is addressed to the room itself but is no groupchat: invitations.
    fn handle_room_message(&mut self, stanza: &Stanza) {
        let asked = stanza.child("x", crate::ns::MUC_USER).and_then(|x| x.element().ok());
        match asked {
            Some(x) if x.has_child("invite", crate::ns::MUC_USER) => self.handle_invite(stanza, &x),
            Some(x) if x.has_child("decline", crate::ns::MUC_USER) => self.handle_decline(stanza, &x),
            _ => self.turn.refuse(
                stanza,
                StanzaError::new(Condition::BadRequest).because("Not a request that rooms know."),
            ),
        }
    }
}
