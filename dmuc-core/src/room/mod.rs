//! One room instance as XEP-0045 sees it: what users ask of it, one use case a file.

pub mod affiliations;
pub mod config;
pub mod occupants;
pub mod roles;

mod absent;
pub(crate) mod activity;
pub(crate) mod admin;
pub(crate) mod archive;
mod commands;
pub(crate) mod consequences;
pub(crate) mod create;
mod disco;
mod forms;
pub(crate) mod hats;
pub(crate) mod history;
pub(crate) mod invite;
pub(crate) mod iq;
pub(crate) mod join;
pub(crate) mod lasting;
mod leave;
pub(crate) mod message;
mod nick_change;
pub(crate) mod occupant_iq;
mod operator;
pub(crate) mod owner;
pub(crate) mod pace;
pub(crate) mod presence;
mod private;
pub(crate) mod register;
mod register_approval;
pub(crate) mod retraction;
pub(crate) mod returns;
mod size;
pub(crate) mod strip;
pub(crate) mod subscribers;
pub(crate) mod vcard;
mod versions;
pub(crate) mod voice;

use crate::instance::Instance;
use crate::ns;
use crate::room::create::is_muc_join;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, El, Kind, Stanza, StanzaError};

impl Instance {
    /// Whatever does not come from a peer.
    pub(crate) fn handle_user(&mut self, stanza: &Stanza) {
        let malformed = stanza.to.as_ref().is_none_or(|to| to.bare_str() != self.jid.as_str());
        if malformed || (stanza.kind == Kind::Iq && self.refuse_malformed_iq(stanza)) {
            return;
        }
        if self.refuse_bulk(stanza) {
            return;
        }
        if self.room.is_none() {
            return self.handle_vacant(stanza);
        }
        if self.refuse_haste(stanza) {
            return;
        }
        if stanza.kind != Kind::Presence && self.is_locked_to(stanza) {
            return self.turn.refuse(stanza, Condition::ItemNotFound);
        }
        match stanza.kind {
            Kind::Presence => self.handle_presence(stanza),
            Kind::Message => self.handle_message(stanza),
            Kind::Iq => self.handle_iq(stanza),
        }
    }

    /// Until it is configured the room does not exist, but for its owner (XEP-0045 §10.1.1, §17.2). To those who speak
    /// as instances without being one it says just that.
    fn is_locked_to(&self, stanza: &Stanza) -> bool {
        let as_instance = stanza.children.iter().any(|child| matches!(child.ns(), ns::DMUC | ns::SYNC));
        if stanza.kind == Kind::Iq && as_instance {
            return false;
        }
        let owner = stanza.from.as_ref().is_some_and(|from| self.affiliation(from) == Affiliation::Owner);
        self.room().head.locked && !owner
    }

    fn handle_presence(&mut self, stanza: &Stanza) {
        match stanza.ty() {
            "" => self.handle_available(stanza),
            "unavailable" => self.handle_leave(stanza),
            "error" => self.handle_bounce(stanza),
            "probe" => self.handle_probe(stanza),
            _ => self.turn.refuse(stanza, Condition::BadRequest),
        }
    }

    fn handle_available(&mut self, stanza: &Stanza) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let Some(occupant) = self.room().occupants.of_session(from) else {
            return self.handle_arrival(stanza);
        };
        let (id, same) = (occupant.id(), self.read_nick(to).is_ok_and(|nick| nick == occupant.nick));
        match is_muc_join(stanza) {
            true if to.is_bare() => self.refuse_entry(stanza, &Condition::JidMalformed.into()),
            true if same => self.handle_join(stanza, false),
            // The room itself will do, for a client that has but one nick here.
            false if same || to.is_bare() => self.handle_presence_update(&id, stanza),
            _ => self.handle_nick_change(&id, stanza),
        }
    }

    /// Presence of somebody who is not in: a wish to enter, or a client that wrongly believes it is in.
    fn handle_arrival(&mut self, stanza: &Stanza) {
        if self.is_arrival(stanza) {
            self.handle_join(stanza, false);
        } else {
            self.tell_that_it_is_out(stanza);
        }
    }

    /// The groupchat 1.0 way of joining cannot be told from a client that has lost track, which must learn so
    /// (XEP-0045 §7.2.17).
    pub(crate) fn tell_that_it_is_out(&mut self, stanza: &Stanza) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let item = El::new("item", ns::MUC_USER).attr("affiliation", "none").attr("role", "none");
        let reason = El::new("reason", ns::MUC_USER).text("You are not in the room.");
        let statuses = ["110", "307", "333"].map(|code| El::new("status", ns::MUC_USER).attr("code", code));
        let x = El::new("x", ns::MUC_USER).child(item.child(reason)).children(statuses);
        let answer = Stanza::presence().with_type("unavailable").with_from(to).with_to(from);
        self.turn.send(answer.with(x.payload()));
    }

    fn handle_message(&mut self, stanza: &Stanza) {
        let to_occupant = stanza.to.as_ref().is_some_and(|to| !to.is_bare());
        match (stanza.ty(), to_occupant) {
            ("error", _) if self.return_to_writer(stanza) => self.handle_unwelcome(stanza),
            ("error", _) => self.handle_bounce(stanza),
            ("groupchat", _) => self.handle_groupchat(stanza),
            ("chat" | "normal" | "", true) => self.handle_private(stanza),
            ("normal" | "", false) => self.handle_room_message(stanza),
            _ => self.turn.refuse(stanza, Condition::BadRequest),
        }
    }

    /// What is addressed to the room itself but is no groupchat: invitations and requests of voice.
    fn handle_room_message(&mut self, stanza: &Stanza) {
        if self.handle_form(stanza) {
            return;
        }
        let asked = stanza.child("x", ns::MUC_USER).and_then(|x| x.element().ok());
        match asked {
            Some(x) if x.has_child("invite", ns::MUC_USER) => self.handle_invite(stanza, &x),
            Some(x) if x.has_child("decline", ns::MUC_USER) => self.handle_decline(stanza, &x),
            _ => self.turn.refuse(
                stanza,
                StanzaError::new(Condition::BadRequest).because("Not a request that rooms know."),
            ),
        }
    }
}
