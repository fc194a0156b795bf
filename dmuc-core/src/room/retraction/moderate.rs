//! A moderator takes somebody's message back (XEP-0425). The moderator's own instance says so in the name of the room;
//! the others see for themselves whether that occupant moderates.

use super::{Moderation, Retraction, single};
use crate::event::EventId;
use crate::instance::Instance;
use crate::io::Query;
use crate::ns;
use crate::questions::Question;
use crate::room::occupants::Occupant;
use crate::room::roles::Role;
use crate::stanza::{Condition, ErrorKind, Payload, Stanza, StanzaError};
use crate::storage::Page;

/// A moderator's request whose message is looked for.
#[derive(Debug)]
pub(crate) struct Moderating {
    pub request: Stanza,
    target: EventId,
    reason: Option<String>,
}

impl Instance {
    /// XEP-0425 §3.
    pub(crate) fn handle_moderate(&mut self, stanza: &Stanza, request: &Payload) {
        match self.read_moderate(stanza, request) {
            Ok(moderating) => {
                let query = Query::Page(single(moderating.target));
                self.ask_store(query, Question::Moderation(Box::new(moderating)));
            }
            Err(refusal) => self.turn.refuse(stanza, refusal),
        }
    }

    fn read_moderate(&self, stanza: &Stanza, request: &Payload) -> Result<Moderating, StanzaError> {
        self.moderator(stanza)?;
        let moderate = request.element().map_err(|_| Condition::BadRequest)?;
        let id = moderate.attr("id").filter(|_| moderate.name() == "moderate");
        let id = id.ok_or(Condition::BadRequest)?;
        // Nothing else that moderators may do to a message is known (XEP-0425 §1).
        if !moderate.has_child("retract", ns::RETRACT) {
            return Err(Condition::BadRequest.into());
        }
        Ok(Moderating {
            request: stanza.clone(),
            target: id.parse().map_err(|_| Condition::ItemNotFound)?,
            reason: moderate.get_child("reason", ns::MODERATE).map(minidom::Element::text),
        })
    }

    /// The occupant that asks, if it moderates; the type of the refusal is XEP-0425's (§3.2).
    fn moderator(&self, stanza: &Stanza) -> Result<&Occupant, StanzaError> {
        let occupant = stanza.from.as_ref().and_then(|from| self.room().occupants.of_session(from));
        occupant.filter(|occupant| occupant.role == Role::Moderator).ok_or_else(|| {
            StanzaError::of_kind(Condition::Forbidden, ErrorKind::Modify)
                .because("Only moderators may moderate the messages of others.")
        })
    }

    /// The store has looked for the message.
    pub(crate) fn moderate(&mut self, moderating: &Moderating, page: Option<&Page>) {
        let found = page.and_then(|page| page.entries.first()).map(|entry| &entry.event);
        let there = found.is_some_and(|event| event.nick.is_some() && !event.is_retracted());
        let moderation = self.moderator(&moderating.request).map(|moderator| Moderation {
            nick: moderator.nick.clone(),
            oid: moderator.oid.clone(),
            reason: moderating.reason.clone(),
        });
        match moderation {
            Err(refusal) => self.turn.refuse(&moderating.request, refusal),
            Ok(_) if !there => self.turn.refuse(&moderating.request, Condition::ItemNotFound),
            Ok(moderation) => {
                self.say_moderated(&Retraction { target: moderating.target, moderation: Some(moderation) });
                self.turn.send(moderating.request.result());
            }
        }
    }

    /// Tells everybody, here and elsewhere.
    fn say_moderated(&mut self, retraction: &Retraction) {
        let id = self.token(12);
        let content = vec![retraction.payload(&self.jid)];
        let mut event = self.mint_own(content);
        event.stanza = Some(id);
        self.push_event(&event, &self.here());
        self.record(event);
    }
}
