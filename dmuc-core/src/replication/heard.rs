//! Messages of occupants of other instances.

use crate::address::Address;
use crate::event::Event;
use crate::instance::{Instance, occupant_id_payload};
use crate::nick::Nick;
use crate::ns;
use crate::replication::gate::Peer;
use crate::replication::payload::{Ev, condition};
use crate::replication::shadow::Heard;
use crate::room::lasting::lasts;
use crate::room::message::{Speaker, is_subject_change};
use crate::room::occupants::Occupant;
use crate::room::retraction::{Moderation, Retraction};
use crate::room::roles::{Affiliation, Role};
use crate::room::strip;
use crate::stanza::{Condition, ErrorKind, Payload, Stanza, StanzaError};
use crate::storage::LogEntry;

impl Instance {
    /// A peer's occupant says something to everyone.
    pub(crate) fn hear_message(&mut self, peer: &Peer, stanza: &Stanza) {
        if let Err(refusal) = self.try_hear_message(peer, stanza) {
            self.report(peer, "refused a message");
            self.turn.refuse(stanza, refusal);
        }
    }

    fn try_hear_message(&mut self, peer: &Peer, stanza: &Stanza) -> Heard {
        self.only_instance(peer)?;
        let ev = read_ev(peer, stanza)?;
        if ev.as_ref().is_some_and(|ev| !self.room().log.is_new(&ev.position(&peer.domain))) {
            return Ok(());
        }
        if stanza.from.as_ref().is_some_and(Address::is_bare) {
            return self.hear_room(peer, stanza, ev.as_ref());
        }
        let speaker = self.occupant_of(peer, stanza)?;
        let room = peer.room.clone().ok_or(Condition::Forbidden)?;
        let content = said(stanza, &room);
        let may = self.may_be_heard(&speaker, &content);
        match ev {
            Some(ev) => {
                let event = self.said_by(peer, stanza, &ev, &speaker, content)?;
                match may {
                    Ok(()) => self.show_event(event, &speaker.nick),
                    Err(_) => self.withhold(event),
                }
                return may;
            }
            None if may.is_err() => return may,
            None if !lasts(&content) => self.relay_in_passing(stanza, &speaker, content),
            None if peer.core_only => self.adopt(&speaker, stanza, content),
            None => return Err(unpositioned()),
        }
        Ok(())
    }

    /// A peer speaks in the name of the room: the source says which subject it has, or an occupant has moderated, if it
    /// may by our lists (XEP-0425).
    fn hear_room(&mut self, peer: &Peer, stanza: &Stanza, ev: Option<&Ev>) -> Heard {
        let room = peer.room.as_ref().ok_or(Condition::Forbidden)?;
        let content = if is_subject_change(&stanza.children) {
            self.only_source(peer)?;
            said(stanza, room)
        } else {
            let retraction = Retraction::read(&stanza.children);
            let moderation = retraction.as_ref().and_then(|retraction| retraction.moderation.as_ref());
            self.check_moderator(&peer.domain, moderation.ok_or_else(unknown_occupant)?)?;
            stanza.children.iter().filter(|child| child.is("retract", ns::RETRACT)).take(1).cloned().collect()
        };
        let ev = ev.ok_or_else(unpositioned)?;
        let event = self.event_of(peer, stanza, ev, content)?;
        self.record(event);
        Ok(())
    }

    /// Stops unless that occupant of a peer moderates, as far as we know.
    pub(crate) fn check_moderator(&self, home: &str, moderation: &Moderation) -> Heard {
        let occupant = self.room().occupants.remote(home, &moderation.nick);
        let occupant = occupant.filter(|occupant| occupant.oid == moderation.oid);
        if occupant.ok_or_else(unknown_occupant)?.role < Role::Moderator {
            return Err(Condition::Forbidden.into());
        }
        Ok(())
    }

    /// The occupant that a peer speaks for, if it is not banned here.
    pub(crate) fn speaker(&self, peer: &Peer, stanza: &Stanza) -> Result<Occupant, StanzaError> {
        let occupant = self.occupant_of(peer, stanza)?;
        self.must_not_be_banned(&occupant)?;
        Ok(occupant)
    }

    /// The occupant that a peer speaks for: one of its own.
    fn occupant_of(&self, peer: &Peer, stanza: &Stanza) -> Result<Occupant, StanzaError> {
        self.only_instance(peer)?;
        let nick =
            stanza.from.as_ref().and_then(|from| from.resource()).and_then(|nick| Nick::parse(nick).ok());
        let occupant = nick.and_then(|nick| self.room().occupants.remote(&peer.domain, &nick));
        occupant.cloned().ok_or_else(unknown_occupant)
    }

    fn must_not_be_banned(&self, occupant: &Occupant) -> Heard {
        match self.affiliation_of(occupant) {
            Affiliation::Outcast => Err(Condition::Forbidden.into()),
            _ => Ok(()),
        }
    }

    /// Whether what a peer's occupant says is to be heard here.
    fn may_be_heard(&self, speaker: &Occupant, content: &[Payload]) -> Heard {
        self.must_not_be_banned(speaker)?;
        self.may_say(speaker, content)
    }

    /// What a peer's occupant says, as it is claimed, which is what the origin's digest covers.
    fn said_by(
        &mut self,
        peer: &Peer,
        stanza: &Stanza,
        ev: &Ev,
        speaker: &Occupant,
        content: Vec<Payload>,
    ) -> Result<Event, StanzaError> {
        Ok(Event {
            nick: Some(speaker.claimed.clone()),
            oid: Some(speaker.oid.clone()),
            jid: speaker.jid.clone(),
            ..self.event_of(peer, stanza, ev, content)?
        })
    }

    fn show_event(&mut self, event: Event, shown: &Nick) {
        self.relay_event(&event, shown);
        self.record_of(event, Some(shown));
    }

    /// Keeps the place of what its speaker had no right to say any more, and shows it to nobody. Where it was said the
    /// right was still there: if it was a subject, the source says what the subject is.
    fn withhold(&mut self, event: Event) {
        let outdone = is_subject_change(&event.content) && event.h > self.room().subject.h;
        let entry = self.room_mut().log.entry(event);
        self.turn.append(LogEntry { withheld: true, ..entry });
        if outdone && self.is_source() {
            let subject = Payload::text_element("subject", &self.room().subject.text);
            let event = self.mint_own(vec![subject]);
            self.push_event(&event, &self.here());
            self.record(event);
        }
    }

    /// A peer's event that nobody has said yet.
    fn event_of(
        &mut self,
        peer: &Peer,
        stanza: &Stanza,
        ev: &Ev,
        content: Vec<Payload>,
    ) -> Result<Event, StanzaError> {
        if self.room().history.holds(&ev.id) {
            return Err(StanzaError::new(Condition::Conflict).because("That id names another event."));
        }
        let now = self.turn.now;
        self.room_mut().log.observe(ev.h, now);
        Ok(ev.event(ev.position(&peer.domain), stanza, content))
    }

    /// Shows here what is not worth keeping.
    fn relay_in_passing(&mut self, stanza: &Stanza, speaker: &Occupant, content: Vec<Payload>) {
        let mut message = Stanza::message("groupchat")
            .with_from(&self.nick_jid(speaker.nick.as_str()))
            .with_all(content.into_iter().filter(|child| !strip::is_reserved(child, &self.jid)))
            .with(occupant_id_payload(&speaker.oid));
        message.id.clone_from(&stanza.id);
        message.lang.clone_from(&stanza.lang);
        self.tell_all_here(&message);
    }

    /// A plain XEP-0281 peer keeps no log: its messages go into ours. The source passes them on to the others; a shadow
    /// keeps them to itself, since its source has told everyone.
    fn adopt(&mut self, speaker: &Occupant, stanza: &Stanza, content: Vec<Payload>) {
        let event = self.mint(Speaker::from(speaker), stanza, content);
        if self.is_source() {
            self.push_event(&event, &speaker.home);
        }
        self.record(event);
    }
}

fn unknown_occupant() -> StanzaError {
    StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Modify).with(condition("unknown-occupant"))
}

fn unpositioned() -> StanzaError {
    StanzaError::new(Condition::BadRequest).because("What lasts needs its position.")
}

/// Where a message stands in its sender's log. Events come from their origin; others' are asked for.
fn read_ev(peer: &Peer, stanza: &Stanza) -> Result<Option<Ev>, StanzaError> {
    let Some(ev) = stanza.child("ev", ns::SYNC) else { return Ok(None) };
    let ev: Ev = ev.typed().filter(|ev: &Ev| ev.s > 0).ok_or(Condition::BadRequest)?;
    if ev.o.as_deref().is_some_and(|o| o != &*peer.domain) {
        return Err(StanzaError::of_kind(Condition::NotAllowed, ErrorKind::Cancel)
            .with(condition("not-authoritative"))
            .because("Events come from their origin, or are asked for."));
    }
    if ev.deps.len() > DEPS_MAX {
        return Err(Condition::PolicyViolation.into());
    }
    Ok(Some(ev))
}

/// Most `<dep/>` of one event: one for every other instance of the largest room.
const DEPS_MAX: usize = 64;

/// What a peer's message says, without what instances add.
pub(crate) fn said(stanza: &Stanza, room: &crate::Address) -> Vec<Payload> {
    stanza.children.iter().filter(|child| !strip::is_forged(child, room)).cloned().collect()
}
