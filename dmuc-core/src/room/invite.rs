//! Mediated invitations (XEP-0045 §7.8.2).

use std::sync::Arc;

use minidom::Element;

use crate::address::Address;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::ns;
use crate::room::admin::Order;
use crate::room::occupants::Occupant;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, El, ErrorKind, Kind, Stanza, StanzaError};

impl Instance {
    /// An occupant asks the room to invite somebody.
    pub(crate) fn handle_invite(&mut self, stanza: &Stanza, x: &Element) {
        let invited = x.children().filter(|child| child.is("invite", ns::MUC_USER));
        let wishes: Result<Vec<_>, StanzaError> = invited.map(read_wish).collect();
        let wishes = wishes.and_then(|wishes| match wishes.len() {
            0..=INVITED_MAX => Ok(wishes),
            _ => Err(StanzaError::new(Condition::PolicyViolation).because("Too many invitations at once.")),
        });
        match wishes.and_then(|wishes| Ok((self.admit_invite(stanza)?, wishes))) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok((inviter, wishes)) => {
                let id = stanza.id.as_deref().map_or_else(|| self.token(9), str::to_owned);
                wishes.iter().for_each(|(to, wish)| self.invite(&inviter, to, wish, &id));
            }
        }
    }

    fn admit_invite(&self, stanza: &Stanza) -> Result<Occupant, StanzaError> {
        let outside = || StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel);
        let from = stanza.from.as_ref().ok_or_else(outside)?;
        let inviter = self.room().occupants.of_session(from).ok_or_else(outside)?;
        let may = self.room().config.may_invite(self.affiliation_of(inviter));
        if !may || inviter.role < Role::Participant {
            return Err(
                StanzaError::new(Condition::Forbidden).because("You may not invite others to this room.")
            );
        }
        Ok(inviter.clone())
    }

    /// The room invites, in the inviter's name as it is shown here; the direct form (XEP-0249) is there for clients
    /// that know no other.
    fn invite(&mut self, inviter: &Occupant, to: &Address, wish: &Element, id: &str) {
        self.let_in(inviter, to);
        let nick = self.nick_jid(inviter.nick.as_str());
        let reason = wish.get_child("reason", ns::MUC_USER).map(Element::text);
        let goes_on = wish.get_child("continue", ns::MUC_USER);
        let thread = goes_on.and_then(|goes_on| goes_on.attr("thread"));
        let text = |name, text: &str| El::new(name, ns::MUC_USER).text(text);
        let invite = El::new("invite", ns::MUC_USER)
            .attr("from", nick.as_str())
            .children(reason.as_deref().map(|reason| text("reason", reason)))
            .children(goes_on.map(|_| El::new("continue", ns::MUC_USER).attr_opt("thread", thread)));
        let password = self.room().config.password.as_deref();
        let x = El::new("x", ns::MUC_USER)
            .child(invite)
            .children(password.map(|password| text("password", password)));
        let direct = El::new("x", ns::CONFERENCE)
            .attr("jid", self.jid.as_str())
            .attr_opt("password", password)
            .attr_opt("reason", reason)
            .attr_opt("continue", goes_on.map(|_| "true"))
            .attr_opt("thread", thread);
        let message = Stanza::new(Kind::Message).with_from(&self.jid).with_to(to).with_id(id);
        self.turn.send(message.with(x.payload()).with(direct.payload()));
    }

    /// In a members-only room whoever is invited becomes a member (XEP-0045 §7.8.2), which the source makes so.
    fn let_in(&mut self, inviter: &Occupant, to: &Address) {
        let bare = to.to_bare();
        let needed = self.room().config.members_only && self.affiliation(&bare) == Affiliation::None;
        let Some(jid) = inviter.jid.clone().filter(|_| needed) else { return };
        if self.is_source() {
            let invited = Order { affiliation: Some(Affiliation::Member), ..Order::about(bare) };
            self.mint_orders(None, &[invited]);
        } else {
            self.propose_invitation(&jid, &bare);
        }
    }

    /// Somebody who was invited declines; the inviter is told (XEP-0045 §7.8.2). Nothing is answered, so that nobody
    /// outside learns who is in.
    pub(crate) fn handle_decline(&mut self, stanza: &Stanza, x: &Element) {
        let Some(from) = stanza.from.as_ref().filter(|from| self.affiliation(from) > Affiliation::Outcast)
        else {
            return;
        };
        let Some(decline) = x.get_child("decline", ns::MUC_USER) else { return };
        let inviter = decline.attr("to").and_then(|to| Address::parse(to).ok());
        let Some(inviter) = inviter.and_then(|to| self.inviter(&to)) else { return };
        let reason = decline.get_child("reason", ns::MUC_USER).map(Element::text);
        let told = El::new("decline", ns::MUC_USER)
            .attr("from", from.bare_str())
            .children(reason.map(|reason| El::new("reason", ns::MUC_USER).text(&reason)));
        let mut message = Stanza::new(Kind::Message).with_from(&self.jid);
        message.id.clone_from(&stanza.id);
        let clients: Arc<[Address]> =
            inviter.sessions.iter().filter_map(|session| session.jid.clone()).collect();
        self.turn.fan_out(&message.with(El::new("x", ns::MUC_USER).child(told).payload()), clients);
    }

    /// The occupant here that a decline is for, by its address in the room or its real one.
    fn inviter(&self, to: &Address) -> Option<Occupant> {
        let occupants = &self.room().occupants;
        let found = if to.bare_str() == self.jid.as_str() {
            let nick = Nick::parse(to.resource()?).ok()?;
            occupants.by_nick(&nick).filter(|occupant| occupants.is_here(occupant))
        } else {
            let bare = to.to_bare();
            occupants.local().find(|occupant| occupant.jid.as_ref() == Some(&bare))
        };
        found.cloned()
    }
}

/// Most people invited by one message.
const INVITED_MAX: usize = 20;

fn read_wish(invite: &Element) -> Result<(Address, Element), StanzaError> {
    let to = invite.attr("to").ok_or(Condition::BadRequest)?;
    let to = Address::parse(to).map_err(|_| Condition::JidMalformed)?;
    Ok((to, invite.clone()))
}
