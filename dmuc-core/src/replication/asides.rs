//! What occupants of other instances want of one alone: of an occupant of ours, of those who moderate here, of somebody
//! whom we are to invite. Who they are and what they may do is ours to know.

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::nick::Nick;
use crate::ns;
use crate::replication::gate::Peer;
use crate::replication::shadow::{Heard, tree};
use crate::room::invite::Invitation;
use crate::room::occupants::Occupant;
use crate::stanza::{Condition, Kind, Payload, Stanza, StanzaError};

impl Instance {
    /// A message from another instance that is not for everybody.
    pub(crate) fn hear_aside(&mut self, peer: &Peer, stanza: &Stanza) {
        let user = stanza.child("x", ns::MUC_USER).and_then(|x| x.element().ok());
        let decline = user.as_ref().and_then(|x| x.get_child("decline", ns::MUC_USER));
        let to_room = stanza.to.as_ref().is_none_or(Address::is_bare);
        let done = match decline {
            Some(decline) => self.hear_decline(peer, stanza, decline),
            None if to_room => self.hear_voice_request(peer, stanza),
            None => self.hear_private(peer, stanza),
        };
        if let Err(refusal) = done {
            self.turn.refuse(stanza, refusal);
        }
    }

    /// A peer's occupant writes privately to one of ours.
    fn hear_private(&mut self, peer: &Peer, stanza: &Stanza) -> Heard {
        let (from, to) = (self.speaker(peer, stanza)?, self.addressee(stanza)?);
        self.may_whisper(&from)?;
        self.pass_private(&from, &to, stanza);
        Ok(())
    }

    /// A peer's occupant asks one of ours for something.
    pub(crate) fn hear_occupant_iq(&mut self, peer: &Peer, stanza: &Stanza) -> Heard {
        let (from, to) = (self.speaker(peer, stanza)?, self.addressee(stanza)?);
        self.pass_request(&from, &to, stanza)
    }

    /// The occupant of ours that a peer's stanza is for.
    fn addressee(&self, stanza: &Stanza) -> Result<Occupant, StanzaError> {
        let to = self.asked_occupant(stanza)?;
        if self.room().occupants.is_here(&to) { Ok(to) } else { Err(Condition::ItemNotFound.into()) }
    }

    /// A visitor at another instance asks for voice: those who moderate here are shown it too (XEP-0045 §8.6).
    fn hear_voice_request(&mut self, peer: &Peer, stanza: &Stanza) -> Heard {
        let asker = self.speaker(peer, stanza)?;
        if stanza.child("x", ns::DATA).is_none() {
            return Err(Condition::BadRequest.into());
        }
        self.admit_voice_request(&asker)?;
        self.ask_moderators(&asker);
        Ok(())
    }

    /// A peer's occupant invites somebody whom we answer for.
    pub(crate) fn hear_invitation(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        let inviter = self.speaker(peer, stanza)?;
        self.may_invite(&inviter)?;
        let x = tree(request)?;
        let invite = x.get_child("invite", ns::MUC_USER).ok_or(Condition::BadRequest)?;
        let id = stanza.id.as_deref().unwrap_or("");
        // What comes back is told to the room that asked, which knows for whom it did.
        let written = Stanza { kind: Kind::Message, ty: None, to: Some(self.jid.clone()), ..stanza.clone() };
        let invitation = Invitation::read(invite, &inviter.nick, Cause::of(&written), id)?;
        self.may_be_invited(&inviter, &invitation.to)?;
        if !self.policy.user_domains.iter().any(|domain| domain == invitation.to.domain()) {
            return Err(StanzaError::new(Condition::NotAllowed).because("We do not answer for them."));
        }
        self.turn.send(stanza.result());
        self.send_invitation(&invitation);
        Ok(())
    }

    /// Somebody whom one of our occupants had invited from there declines.
    fn hear_decline(&mut self, peer: &Peer, stanza: &Stanza, decline: &minidom::Element) -> Heard {
        self.only_instance(peer)?;
        let who =
            decline.attr("from").and_then(|jid| Address::parse(jid).ok()).ok_or(Condition::JidMalformed)?;
        self.only_vouched(peer, &who)?;
        let inviter = self.addressee(stanza)?;
        self.tell_decline(&inviter, who.bare_str(), decline, stanza);
        Ok(())
    }

    /// The instance that answers for somebody's domain, if another than we does and takes part.
    pub(crate) fn nearest_to(&self, user: &Address) -> Option<Address> {
        if self.policy.user_domains.iter().any(|domain| domain == user.domain()) {
            return None;
        }
        let mut able = self.told_instances().filter(|instance| !instance.core_only);
        able.find(|instance| instance.vouches_for(user.domain())).map(|instance| instance.jid.clone())
    }

    /// Where another instance is reached for one of its occupants; none if it takes no part, or knows nothing of it.
    pub(crate) fn address_elsewhere(&self, occupant: &Occupant) -> Option<Address> {
        let mut able = self.told_instances().filter(|instance| !instance.core_only);
        let home = able.find(|instance| instance.domain() == &*occupant.home)?;
        home.jid.with_resource(Nick::as_str(&occupant.claimed)).ok()
    }

    /// A message of one of our occupants to all the other rooms themselves.
    pub(crate) fn push_aside(&mut self, message: &Stanza) {
        let able = self.told_instances().filter(|instance| !instance.core_only);
        let rooms = able.map(|instance| instance.jid.clone()).collect();
        self.turn.fan_out(message, rooms);
    }
}
