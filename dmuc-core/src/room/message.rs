//! Messages to everyone (XEP-0045 §7.4) and the subject (§8.1).

use crate::event::{Event, EventId};
use crate::instance::{Instance, occupant_id_payload};
use crate::nick::Nick;
use crate::ns;
use crate::record::{Subject, part};
use crate::room::history::{Said, as_message, delay, stanza_id};
use crate::room::lasting::lasts;
use crate::room::occupants::Occupant;
use crate::stanza::{Condition, Payload, Stanza, StanzaError};
use crate::storage::Change;

/// Who speaks, as far as a log entry tells.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub nick: Nick,
    pub oid: String,
    pub jid: Option<crate::Address>,
}

impl From<&Occupant> for Speaker {
    fn from(occupant: &Occupant) -> Self {
        Self { nick: occupant.nick.clone(), oid: occupant.oid.clone(), jid: occupant.jid.clone() }
    }
}

/// Whether a message sets the subject: it has one, and nothing to say besides (XEP-0045 §8.1).
pub(crate) fn is_subject_change(content: &[Payload]) -> bool {
    let has = |name| content.iter().any(|child: &Payload| child.is(name, ns::STANZA));
    has("subject") && !has("body") && !has("thread")
}

impl Instance {
    /// A user's message to everyone.
    pub(crate) fn handle_groupchat(&mut self, stanza: &Stanza) {
        match self.admit_message(stanza) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok(speaker) => self.say(speaker, stanza),
        }
    }

    fn admit_message(&self, stanza: &Stanza) -> Result<Speaker, StanzaError> {
        let to = stanza.to.as_ref().ok_or(Condition::BadRequest)?;
        if !to.is_bare() {
            return Err(Condition::BadRequest.into());
        }
        let from = stanza.from.as_ref().ok_or(Condition::BadRequest)?;
        let occupant = self.room().occupants.of_session(from).ok_or_else(|| {
            StanzaError::of_kind(Condition::NotAcceptable, crate::stanza::ErrorKind::Cancel)
                .because("Only occupants may send messages to this room.")
        })?;
        self.may_say(occupant, &stanza.children)?;
        self.may_retract(occupant, &stanza.children)?;
        self.fits_everywhere(&stanza.children)?;
        Ok(occupant.into())
    }

    /// Whether every instance can take this, on the wire and, wrapped, in the history.
    fn fits_everywhere(&self, content: &[Payload]) -> Result<(), StanzaError> {
        let too = |what| Err(StanzaError::new(Condition::PolicyViolation).because(what));
        if content.iter().any(|child| child.depth() > DEPTH_MAX) {
            return too("The message is nested too deeply.");
        }
        let bytes: usize = content.iter().map(|child| child.as_xml().len()).sum();
        let peers = self.room().replication.active();
        match peers.map(|peer| self.list_bytes_max(peer.domain())).min() {
            Some(max) if bytes > max => too("The message is too large for the other sites of this room."),
            _ => Ok(()),
        }
    }

    /// Whether an occupant may say this; checked where it speaks and again wherever it is heard.
    pub(crate) fn may_say(&self, occupant: &Occupant, content: &[Payload]) -> Result<(), StanzaError> {
        if is_subject_change(content) {
            let may = self.room().config.may_change_subject(occupant.role);
            return if may { Ok(()) } else { Err(Condition::Forbidden.into()) };
        }
        if !occupant.role.has_voice() {
            return Err(StanzaError::new(Condition::Forbidden).because("You have no voice in this room."));
        }
        Ok(())
    }

    fn say(&mut self, speaker: Speaker, stanza: &Stanza) {
        let content = self.said_by_user(stanza);
        if !lasts(&content) {
            return self.say_in_passing(&speaker, stanza, content);
        }
        match self.said_already(&speaker, stanza, &content) {
            // Sent again by a client, or a server, that does not know whether it was heard.
            Some(event) => {
                let message = as_message(event, &self.jid);
                self.turn.send(Stanza { to: stanza.from.clone(), ..message });
            }
            None => self.publish(speaker, stanza, content),
        }
    }

    fn said_already(&self, speaker: &Speaker, stanza: &Stanza, content: &[Payload]) -> Option<&Event> {
        let from = stanza.from.as_ref()?;
        let since = self.room().occupants.of_session(from)?.claim;
        let said = Said { oid: &speaker.oid, id: stanza.id.as_deref(), since, content };
        self.room().history.said(&said, self.turn.now, RETRY_MS)
    }

    /// Delivers what is not worth keeping, here and at the peers.
    fn say_in_passing(&mut self, speaker: &Speaker, stanza: &Stanza, content: Vec<Payload>) {
        let mut message =
            Stanza::message("groupchat").with_from(&self.nick_jid(speaker.nick.as_str())).with_all(content);
        message.id.clone_from(&stanza.id);
        message.lang.clone_from(&stanza.lang);
        self.push_message(&message, &speaker.nick);
        self.tell_all_here(&message.with(occupant_id_payload(&speaker.oid)));
    }

    /// Writes an own event, shows it here and pushes it to the peers, once it is durable.
    pub(crate) fn publish(&mut self, speaker: Speaker, stanza: &Stanza, content: Vec<Payload>) {
        let event = self.mint(speaker, stanza, content);
        self.push_event(&event, &self.here());
        self.record(event);
    }

    pub(crate) fn mint(&mut self, speaker: Speaker, stanza: &Stanza, content: Vec<Payload>) -> Event {
        Event {
            nick: Some(speaker.nick),
            oid: Some(speaker.oid),
            jid: speaker.jid,
            stanza: stanza.id.as_deref().map(str::to_owned),
            lang: stanza.lang.as_deref().map(str::to_owned),
            ..self.mint_own(content)
        }
    }

    /// An event that the room itself says.
    pub(crate) fn mint_own(&mut self, content: Vec<Payload>) -> Event {
        let id = EventId::random(&mut self.rng);
        let now = self.turn.now;
        let (pos, h, reserve, deps) = self.room_mut().log.mint(now);
        if let Some(limit) = reserve {
            self.turn.put(part::CLOCK, &limit);
        }
        Event { pos, h, id, deps, nick: None, oid: None, jid: None, stanza: None, lang: None, content }
    }

    /// Puts an event into the log and shows it here; a late one is marked with when it was said.
    pub(crate) fn record(&mut self, event: Event) {
        let shown = event.nick.clone();
        self.record_of(event, shown.as_ref());
    }

    /// The same, of a speaker who is shown here under another nick than it claims.
    pub(crate) fn record_of(&mut self, event: Event, shown: Option<&Nick>) {
        let entry = self.room_mut().log.entry(event.clone());
        self.turn.append(entry);
        self.note_subject(&event);
        let event = self.as_outstanding(event);
        self.note_activity(&event);
        let mut message = as_message(&event, &self.jid);
        message.from = Some(shown.map_or_else(|| self.jid.clone(), |nick| self.nick_jid(nick.as_str())));
        if self.turn.now.since(event.h.millis()) > LATE_MS {
            message = message.with(delay(event.h.millis(), &self.jid));
        }
        self.tell_all_here(&message);
        self.notify_of_event(&event, &message);
        self.note_retraction(&event);
        let surplus = self.room_mut().history.insert(event);
        if !self.room().config.archiving {
            surplus.iter().for_each(|event| self.forget_words(event));
        }
    }

    /// Without an archive the log is kept only for the sake of its positions.
    fn forget_words(&mut self, event: &Event) {
        self.turn.change(Change::Redact { id: event.id, content: Vec::new() });
        self.turn.change(Change::Withhold { pos: event.pos.clone(), withheld: true });
    }

    /// The newest subject in canonical order is the room's.
    fn note_subject(&mut self, event: &Event) {
        if !is_subject_change(&event.content) || event.h <= self.room().subject.h {
            return;
        }
        let text = event.child("subject", ns::STANZA).map(Payload::text).unwrap_or_default();
        let subject = Subject {
            text,
            nick: event.nick.as_ref().map(|nick| nick.as_str().to_owned()),
            h: event.h,
            id: Some(event.id),
            oid: event.oid.clone(),
        };
        self.turn.put(part::SUBJECT, &subject);
        self.room_mut().subject = subject;
    }

    /// The subject as sent to those who have just come in: always, empty if there is none (XEP-0045 §7.2.15).
    pub(crate) fn subject_message(&self) -> Stanza {
        let subject = &self.room().subject;
        let from = subject.nick.as_deref().map_or_else(|| self.jid.clone(), |nick| self.nick_jid(nick));
        let message = Stanza::message("groupchat")
            .with_from(&from)
            .with(Payload::text_element("subject", &subject.text));
        match subject.id {
            Some(id) => message
                .with(delay(subject.h.millis(), &self.jid))
                .with(stanza_id(id, &self.jid))
                .with_opt(subject.oid.as_deref().map(occupant_id_payload)),
            None => message,
        }
    }
}

/// For how long the same message of the same occupant is the same.
const RETRY_MS: u64 = 600_000;

/// An event older than this when it arrives is shown with its time.
const LATE_MS: u64 = 10_000;

/// Content nested deeper than this is refused: wrapped as history it still has to pass the limits of every reader.
const DEPTH_MAX: usize = 32;
