//! Mediated invitations (XEP-0045 §7.8.2): sent by the instance that is nearest to the invited, where it will join.

use std::sync::Arc;

use minidom::Element;

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::nick::Nick;
use crate::ns;
use crate::replication::Asked;
use crate::room::admin::Order;
use crate::room::occupants::Occupant;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, El, ErrorKind, Kind, Payload, Stanza, StanzaError};

/// Most people invited by one message.
const INVITED_MAX: usize = 20;

/// An occupant's wish that somebody be invited.
#[derive(Debug, Clone)]
pub(crate) struct Invitation {
    pub to: Address,
    reason: Option<String>,
    /// Whether a one-to-one chat goes on in the room, and its thread (§7.9).
    goes_on: Option<Option<String>>,
    /// The inviter, as shown here.
    pub nick: Nick,
    /// The inviter's message, which is answered if there is something wrong.
    pub written: Cause,
    pub id: String,
}

impl Invitation {
    /// Reads an `<invite/>`.
    pub fn read(invite: &Element, nick: &Nick, written: Cause, id: &str) -> Result<Self, StanzaError> {
        let to = invite.attr("to").ok_or(Condition::BadRequest)?;
        let goes_on = invite.get_child("continue", ns::MUC_USER);
        Ok(Self {
            to: Address::parse(to).map_err(|_| Condition::JidMalformed)?,
            reason: invite.get_child("reason", ns::MUC_USER).map(Element::text),
            goes_on: goes_on.map(|goes_on| goes_on.attr("thread").map(str::to_owned)),
            nick: nick.clone(),
            written,
            id: id.to_owned(),
        })
    }

    /// As an `<invite/>` that names one of the two ends.
    fn element(&self, end: &str, who: &Address) -> El {
        let reason = self.reason.as_deref().map(|reason| El::new("reason", ns::MUC_USER).text(reason));
        let goes_on = self.goes_on.as_ref();
        let goes_on =
            goes_on.map(|thread| El::new("continue", ns::MUC_USER).attr_opt("thread", thread.as_ref()));
        El::new("invite", ns::MUC_USER).attr(end, who.as_str()).children(reason).children(goes_on)
    }

    /// As one instance asks another to send it.
    pub fn request(&self) -> Payload {
        El::new("x", ns::MUC_USER).child(self.element("to", &self.to)).payload()
    }
}

impl Instance {
    /// An occupant asks the room to invite somebody; all of them, or none.
    pub(crate) fn handle_invite(&mut self, stanza: &Stanza, x: &Element) {
        match self.read_invitations(stanza, x) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok((inviter, invitations)) => {
                invitations.into_iter().for_each(|invitation| self.invite(&inviter, invitation));
            }
        }
    }

    fn read_invitations(
        &mut self,
        stanza: &Stanza,
        x: &Element,
    ) -> Result<(Occupant, Vec<Invitation>), StanzaError> {
        let outside = || StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel);
        let from = stanza.from.as_ref().ok_or_else(outside)?;
        let inviter = self.room().occupants.of_session(from).cloned().ok_or_else(outside)?;
        self.may_invite(&inviter)?;
        let id = stanza.id.as_deref().map_or_else(|| self.token(9), str::to_owned);
        let invites = x.children().filter(|child| child.is("invite", ns::MUC_USER));
        let read = |invite| Invitation::read(invite, &inviter.nick, Cause::of(stanza), &id);
        let invitations: Vec<Invitation> = invites.map(read).collect::<Result<_, _>>()?;
        if invitations.len() > INVITED_MAX {
            return Err(StanzaError::new(Condition::PolicyViolation).because("Too many invitations at once."));
        }
        invitations.iter().try_for_each(|invitation| self.may_be_invited(&inviter, &invitation.to))?;
        Ok((inviter, invitations))
    }

    /// Whether an occupant may invite; checked where it is and again wherever it has somebody invited.
    pub(crate) fn may_invite(&self, inviter: &Occupant) -> Result<(), StanzaError> {
        let may = self.room().config.may_invite(self.affiliation_of(inviter));
        if may && inviter.role >= Role::Participant {
            return Ok(());
        }
        Err(StanzaError::new(Condition::Forbidden).because("You may not invite others to this room."))
    }

    /// Whether it makes sense to invite somebody.
    pub(crate) fn may_be_invited(&self, inviter: &Occupant, to: &Address) -> Result<(), StanzaError> {
        let bare = to.to_bare();
        if inviter.jid.as_ref() == Some(&bare) || to.bare_str() == self.jid.as_str() {
            return Err(StanzaError::new(Condition::NotAcceptable).because("They are here already."));
        }
        if self.affiliation(&bare) == Affiliation::Outcast {
            return Err(StanzaError::new(Condition::NotAllowed).because("They are banned from this room."));
        }
        Ok(())
    }

    /// In a members-only room whoever is invited becomes a member first, which the source makes so: no invitation leads
    /// to a closed door.
    fn invite(&mut self, inviter: &Occupant, invitation: Invitation) {
        let bare = invitation.to.to_bare();
        let needed = self.room().config.members_only && self.affiliation(&bare) == Affiliation::None;
        match inviter.jid.clone().filter(|_| needed && !self.room().head.core_only) {
            Some(inviter) if !self.is_source() => return self.propose_invitation(&inviter, invitation),
            Some(_) => {
                let invited = Order { affiliation: Some(Affiliation::Member), ..Order::about(bare) };
                self.mint_orders(None, &[invited]);
            }
            None => {}
        }
        self.invite_from_nearest(invitation);
    }

    /// Those whom an admin has let into a members-only room are invited there in the admin's name (XEP-0045 §9.5). What
    /// comes back of it is nobody's concern: the admin's request has been answered.
    pub(crate) fn invite_new_members(&mut self, admin: &Nick, members: Vec<Address>) {
        for to in members {
            let written = Cause::of(&Stanza::message("error"));
            let id = self.token(9);
            let invitation = Invitation { to, reason: None, goes_on: None, nick: admin.clone(), written, id };
            self.invite_from_nearest(invitation);
        }
    }

    /// Has the instance invite that answers for the invited; we do it ourselves if there is none, or it fails to.
    pub(crate) fn invite_from_nearest(&mut self, invitation: Invitation) {
        let Some(nearest) = self.nearest_to(&invitation.to) else { return self.send_invitation(&invitation) };
        let from = self.nick_jid(invitation.nick.as_str());
        let (request, written) = (invitation.request(), invitation.written.clone());
        let id = self.ask_as(&from, &nearest, "set", request, Asked::Inviting(Box::new(invitation)));
        self.expect_return(&nearest, Some(&id), written);
    }

    /// The room invites, in the inviter's name as it is shown here; the direct form (XEP-0249) is there for clients
    /// that know no other.
    pub(crate) fn send_invitation(&mut self, invitation: &Invitation) {
        let Invitation { to, reason, goes_on, id, .. } = invitation;
        let password = self.room().config.password.as_deref();
        let told = password.map(|password| El::new("password", ns::MUC_USER).text(password));
        let invite = invitation.element("from", &self.nick_jid(invitation.nick.as_str()));
        let x = El::new("x", ns::MUC_USER).child(invite).children(told);
        let direct = El::new("x", ns::CONFERENCE)
            .attr("jid", self.jid.as_str())
            .attr_opt("password", password)
            .attr_opt("reason", reason.as_ref())
            .attr_opt("continue", goes_on.as_ref().map(|_| "true"))
            .attr_opt("thread", goes_on.as_ref().and_then(Option::as_ref));
        let message = Stanza::new(Kind::Message).with_from(&self.jid).with_to(to).with_id(id);
        self.turn.send(message.with(x.payload()).with(direct.payload()));
        self.expect_return(to, Some(id), invitation.written.clone());
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
        self.tell_decline(&inviter, from.bare_str(), decline, stanza);
    }

    /// Tells an inviter, here or through its instance, who does not come.
    pub(crate) fn tell_decline(&mut self, inviter: &Occupant, who: &str, decline: &Element, stanza: &Stanza) {
        let reason = decline.get_child("reason", ns::MUC_USER).map(Element::text);
        let told = El::new("decline", ns::MUC_USER)
            .attr("from", who)
            .children(reason.map(|reason| El::new("reason", ns::MUC_USER).text(&reason)));
        let mut message = Stanza::new(Kind::Message).with_from(&self.jid);
        message.id.clone_from(&stanza.id);
        let to: Arc<[Address]> = if self.room().occupants.is_here(inviter) {
            inviter.sessions.iter().filter_map(|session| session.jid.clone()).collect()
        } else {
            self.address_elsewhere(inviter).into_iter().collect()
        };
        self.turn.fan_out(&message.with(El::new("x", ns::MUC_USER).child(told).payload()), to);
    }

    /// The occupant that a decline is for, by its address in the room or its real one.
    fn inviter(&self, to: &Address) -> Option<Occupant> {
        let occupants = &self.room().occupants;
        if to.bare_str() == self.jid.as_str() {
            let nick = Nick::parse(to.resource()?).ok()?;
            return occupants.by_nick(&nick).cloned();
        }
        let bare = to.to_bare();
        occupants.matching(&bare).first().and_then(|id| occupants.get(id)).cloned()
    }
}
