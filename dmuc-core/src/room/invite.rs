//! Mediated invitations (XEP-0045 §7.8.2).

use minidom::Element;

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::room::admin::{Actor, Order};
use crate::room::occupants::Occupant;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, El, ErrorKind, Stanza, StanzaError};

impl Instance {
    /// An occupant asks the room to invite somebody.
    pub(crate) fn handle_invite(&mut self, stanza: &Stanza, x: &Element) {
        let invited = x.children().filter(|child| child.is("invite", ns::MUC_USER));
        let wishes: Result<Vec<_>, StanzaError> = invited.map(read_wish).collect();
        match wishes.and_then(|wishes| Ok((self.admit_invite(stanza)?, wishes))) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok((inviter, wishes)) => {
                wishes.iter().for_each(|(to, invite)| self.invite(&inviter, to, invite));
            }
        }
    }

    fn admit_invite(&self, stanza: &Stanza) -> Result<Occupant, StanzaError> {
        let outside = || StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel);
        let from = stanza.from.as_ref().ok_or_else(outside)?;
        let inviter = self.room().occupants.of_session(from).ok_or_else(outside)?;
        let config = &self.room().config;
        let affiliation = self.affiliation_of(inviter);
        let restricted = config.members_only && !config.allow_invites;
        if inviter.role < Role::Participant || (restricted && affiliation < Affiliation::Admin) {
            return Err(
                StanzaError::new(Condition::Forbidden).because("You may not invite others to this room.")
            );
        }
        Ok(inviter.clone())
    }

    fn invite(&mut self, inviter: &Occupant, to: &Address, wish: &Element) {
        self.let_in(inviter, to);
        let mut invite =
            El::new("invite", ns::MUC_USER).attr("from", self.nick_jid(inviter.nick.as_str()).as_str());
        if let Some(reason) = wish.get_child("reason", ns::MUC_USER) {
            invite = invite.child(El::new("reason", ns::MUC_USER).text(&reason.text()));
        }
        if let Some(thread) = wish.get_child("continue", ns::MUC_USER) {
            invite =
                invite.child(El::new("continue", ns::MUC_USER).attr_opt("thread", thread.attr("thread")));
        }
        let mut x = El::new("x", ns::MUC_USER).child(invite);
        let mut direct = El::new("x", ns::CONFERENCE).attr("jid", self.jid.as_str());
        if let Some(password) = self.room().config.password.clone() {
            x = x.child(El::new("password", ns::MUC_USER).text(&password));
            direct = direct.attr("password", &*password);
        }
        let id = self.token(9);
        let message = Stanza::new(crate::stanza::Kind::Message)
            .with_from(&self.jid)
            .with_to(to)
            .with_id(&id)
            .with(x.payload())
            .with(direct.payload());
        self.turn.send(message);
    }

    /// In a members-only room whoever is invited becomes a member (XEP-0045 §7.8.2).
    fn let_in(&mut self, inviter: &Occupant, to: &Address) {
        let bare = to.to_bare();
        let needed = self.room().config.members_only && self.affiliation(&bare) == Affiliation::None;
        let Some(jid) = inviter.jid.clone().filter(|_| needed) else { return };
        let actor = Actor {
            nick: Some(inviter.nick.clone()),
            jid,
            affiliation: Affiliation::Admin,
            role: Role::Moderator,
        };
        let order = Order { affiliation: Some(Affiliation::Member), ..Order::about(bare) };
        self.carry_out_or_propose(&actor, vec![order], None);
    }

    /// Somebody who was invited declines; the inviter is told (XEP-0045 §7.8.2).
    pub(crate) fn handle_decline(&mut self, stanza: &Stanza, x: &Element) {
        let Some(from) = &stanza.from else { return };
        let Some(decline) = x.get_child("decline", ns::MUC_USER) else { return };
        let inviter = decline.attr("to").and_then(|to| Address::parse(to).ok());
        let nick =
            inviter.as_ref().filter(|to| to.bare_str() == self.jid.as_str()).and_then(Address::resource);
        let occupant = nick
            .and_then(|nick| crate::nick::Nick::parse(nick).ok())
            .and_then(|nick| self.room().occupants.by_nick(&nick));
        let Some(client) = occupant.and_then(|o| o.sessions.last()).and_then(|session| session.jid.clone())
        else {
            return self.turn.refuse(stanza, Condition::ItemNotFound);
        };
        let mut told = El::new("decline", ns::MUC_USER).attr("from", from.bare_str());
        if let Some(reason) = decline.get_child("reason", ns::MUC_USER) {
            told = told.child(El::new("reason", ns::MUC_USER).text(&reason.text()));
        }
        let x = El::new("x", ns::MUC_USER).child(told).payload();
        let message = Stanza::new(crate::stanza::Kind::Message).with_from(&self.jid).with_to(&client).with(x);
        self.turn.send(message);
    }
}

fn read_wish(invite: &Element) -> Result<(Address, Element), StanzaError> {
    let to = invite.attr("to").ok_or(Condition::BadRequest)?;
    let to = Address::parse(to).map_err(|_| Condition::JidMalformed)?;
    Ok((to, invite.clone()))
}
