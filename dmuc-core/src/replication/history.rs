//! The history that a new shadow asks for (XEP-0281 "Peerhost Requests Room History").

use minidom::Element;

use crate::address::Address;
use crate::clock::{Hlc, Millis};
use crate::event::Event;
use crate::instance::Instance;
use crate::io::Query;
use crate::nick::Nick;
use crate::ns;
use crate::questions::Question;
use crate::replication::Asked;
use crate::replication::gate::Peer;
use crate::replication::heard::said;
use crate::replication::payload::{Ev, room_element};
use crate::replication::shadow::{Heard, tree};
use crate::room::history::delay;
use crate::room::message::{Speaker, is_subject_change};
use crate::room::retraction::{Retraction, Tombstone, without_words};
use crate::stanza::{Condition, El, Kind, Payload, Stanza};
use crate::storage::{LogEntry, Recent};

/// Most messages in one answer.
const STANZAS_MAX: u32 = 1000;
/// How far back a plain XEP-0281 source is asked again for what it may have said already.
const OVERLAP_MS: u64 = 60_000;

impl Instance {
    /// Asks an instance for what was said before it began to push to us. A plain XEP-0281 source is asked only for
    /// what may be new: it numbers nothing.
    pub(crate) fn request_history(&mut self, of: &Address) {
        let max = self.policy.history_max.min(STANZAS_MAX).to_string();
        let newest = self.room().history.newest().filter(|_| self.room().head.core_only);
        let since = newest.map(|newest| Millis(newest.0.saturating_sub(OVERLAP_MS)).to_stamp());
        let wanted = El::new("history", ns::MUC).attr("maxstanzas", max).attr_opt("since", since);
        let room = room_element(self.jid.local().unwrap_or("")).child(wanted).payload();
        self.ask(of, "get", room, Asked::History);
    }

    /// A shadow asks; the request is wrapped in `<room/>` or bare.
    pub(crate) fn hear_history_request(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_instance(peer)?;
        let request = tree(request)?;
        let wanted =
            if request.name() == "history" { Some(&request) } else { request.get_child("history", ns::MUC) };
        let wanted = wanted.ok_or(Condition::BadRequest)?;
        let limits = self.peer_limits(wanted, &peer.domain)?;
        self.ask_store(Query::Recent(limits), Question::History(stanza.clone()));
        Ok(())
    }

    /// The four attributes of XEP-0045 §7.2.15.
    fn peer_limits(&self, wanted: &Element, domain: &str) -> Result<Recent, Condition> {
        let number = |name: &str| {
            wanted.attr(name).map(|n| n.parse::<u64>().map_err(|_| Condition::BadRequest)).transpose()
        };
        let since =
            wanted.attr("since").map(|s| Millis::from_stamp(s).ok_or(Condition::BadRequest)).transpose()?;
        let seconds =
            number("seconds")?.map(|s| Millis(self.turn.now.0.saturating_sub(s.saturating_mul(1000))));
        let stanzas = number("maxstanzas")?.unwrap_or(u64::from(STANZAS_MAX)).min(u64::from(STANZAS_MAX));
        // One answer is one stanza.
        let chars = number("maxchars")?.unwrap_or(u64::MAX).min(u64::from(self.bytes_max(domain)));
        let since = seconds.max(since).max(self.archive_horizon());
        Ok(Recent { stanzas: u32::try_from(stanzas).ok(), chars: Some(chars), since })
    }

    /// The newest of what fits into one stanza; older ones are for another question.
    pub(crate) fn tell_history(&mut self, request: &Stanza, entries: &[LogEntry]) {
        let asker = request.from.as_ref().and_then(|from| self.room().replication.instance(from.domain()));
        let plain = asker.is_some_and(|asker| asker.core_only);
        let mut left = self.list_bytes_max(asker.map_or("", |asker| asker.domain()));
        let shown = entries.iter().rev().filter(|entry| !(plain && entry.withheld));
        let newest = shown.map(|entry| self.past_element(&entry.event, plain)).take_while(|message| {
            let fits = message.bytes() <= left;
            left = left.saturating_sub(message.bytes());
            fits
        });
        let mut messages: Vec<El> = newest.collect();
        messages.reverse();
        let history = El::new("history", ns::MUC).children(messages);
        self.turn.send(request.result().with(history.payload()));
    }

    /// An event as XEP-0281 sends it: the message with its `<delay/>`, and where it stands in its log.
    fn past_element(&self, event: &Event, plain: bool) -> El {
        let from = event.nick.as_ref().map_or_else(|| self.jid.clone(), |nick| self.nick_jid(nick.as_str()));
        let message = El::new("message", ns::STANZA)
            .attr("from", from.as_str())
            .attr("type", "groupchat")
            .attr_opt("id", event.stanza.as_deref())
            .attr_opt("xml:lang", event.lang.as_deref());
        let message = event.content.iter().fold(message, El::payload_child);
        let message = message.payload_child(&delay(event.h.millis(), &self.jid));
        if plain {
            return message;
        }
        let message = message.payload_child(&Payload::of(&Ev::of(event, true)));
        match event.oid.as_deref() {
            Some(oid) => message.payload_child(&crate::instance::occupant_id_payload(oid)),
            None => message,
        }
    }

    /// The source has answered: what is new goes into the log, and to whoever is here already.
    pub(crate) fn history_answered(&mut self, from: &Address, stanza: &Stanza, ok: bool) {
        let history =
            stanza.children.iter().find(|child| child.name() == "history" || child.name() == "room");
        let Some(history) = history.filter(|_| ok).and_then(|history| history.element().ok()) else { return };
        let inner = history.get_child("history", ns::MUC).unwrap_or(&history);
        let messages = inner.children().filter(|child| child.name() == "message").take(STANZAS_MAX as usize);
        let messages: Vec<Stanza> = messages.filter_map(read_message).collect();
        // Compared with what was held before: the same twice in one answer was said twice.
        let news: Vec<&Stanza> = messages.iter().filter(|message| !self.is_known_plain(message)).collect();
        news.into_iter().for_each(|message| self.take_past(from, message));
    }

    /// Whether a message without a position is held: said by the same nick, at about the same time, in the same words.
    fn is_known_plain(&self, message: &Stanza) -> bool {
        let positioned = message.child("ev", ns::SYNC).is_some();
        let nick = message.from.as_ref().and_then(Address::resource);
        let text = message.child("body", ns::STANZA).map(Payload::text).unwrap_or_default();
        let (Some(nick), Some(stamp), false) = (nick, stamp_of(message), positioned) else { return false };
        self.room().history.has_like(nick, &text, stamp, OVERLAP_MS)
    }

    fn take_past(&mut self, teller: &Address, message: &Stanza) {
        let ev = message.child("ev", ns::SYNC).and_then(Payload::typed::<Ev>);
        let nick = message.from.as_ref().and_then(Address::resource).and_then(|nick| Nick::parse(nick).ok());
        match (ev, nick) {
            (Some(ev), nick) => self.take_past_event(teller, message, &ev, nick),
            (None, Some(nick)) if self.room().head.core_only => {
                let content = self.past_content(teller, message);
                self.adopt_past(past_speaker(message, nick), message, content, stamp_of(message));
            }
            _ => {}
        }
    }

    fn take_past_event(&mut self, teller: &Address, message: &Stanza, ev: &Ev, nick: Option<Nick>) {
        let pos = ev.position(teller.domain());
        let new = self.room().log.is_new(&pos) && !self.room().history.holds(&ev.id);
        if !new || !self.may_tell(teller, &pos) {
            return;
        }
        let event = match nick.map(|nick| past_speaker(message, nick)) {
            Some(Speaker { nick, oid, .. }) => Event {
                nick: Some(nick),
                oid: Some(oid).filter(|oid| !oid.is_empty()),
                ..ev.event(pos, message, self.past_content(teller, message))
            },
            None if self.may_tell_of_moderation(teller, message) => {
                let retract = message.children.iter().filter(|child| child.is("retract", ns::RETRACT));
                ev.event(pos, message, retract.take(1).cloned().collect())
            }
            None => return,
        };
        self.record(event);
    }

    /// What a message of the past says. The stamp is the room's, whoever it names: it is not the speaker's to forge.
    fn past_content(&self, teller: &Address, message: &Stanza) -> Vec<Payload> {
        let room = message.from.as_ref().map_or_else(|| teller.clone(), Address::to_bare);
        let said: Vec<Payload> =
            said(message, &room).into_iter().filter(|child| child.ns() != ns::DELAY).collect();
        match Tombstone::read(&message.children) {
            Some(tombstone) => without_words(&said, tombstone.payload(&self.jid)),
            None => said,
        }
    }

    /// The source is believed; of the others those who moderate are asked for.
    fn may_tell_of_moderation(&self, teller: &Address, message: &Stanza) -> bool {
        let moderation = Retraction::read(&message.children).and_then(|retraction| retraction.moderation);
        let is_source = self.room().head.source.as_ref() == Some(teller);
        moderation.is_some_and(|by| is_source || self.check_moderator(teller.domain(), &by).is_ok())
    }

    /// An instance tells of its own past, the source of everybody's but ours.
    fn may_tell(&self, teller: &Address, pos: &crate::event::Position) -> bool {
        let of_all = self.room().head.source.as_ref() == Some(teller);
        (of_all || *pos.o == *teller.domain()) && *pos.o != *self.policy.domain.as_str() && pos.s > 0
    }

    /// A plain XEP-0281 source's past, which has no positions: it goes into our log under its stamp.
    fn adopt_past(
        &mut self,
        speaker: Speaker,
        message: &Stanza,
        content: Vec<Payload>,
        stamp: Option<Millis>,
    ) {
        let mut event = self.mint(speaker, message, content);
        if let Some(stamp) = stamp.filter(|stamp| *stamp < self.turn.now) {
            event.h = Hlc::at(stamp);
        }
        let subject = is_subject_change(&event.content);
        if !subject || self.room().subject.id.is_none() {
            self.record(event);
        }
    }
}

fn stamp_of(message: &Stanza) -> Option<Millis> {
    message.child("delay", ns::DELAY)?.attr("stamp").and_then(|stamp| Millis::from_stamp(&stamp))
}

fn past_speaker(message: &Stanza, nick: Nick) -> Speaker {
    let oid = message.child("occupant-id", ns::OCCUPANT_ID).and_then(|oid| oid.attr("id"));
    Speaker { nick, oid: oid.unwrap_or_default(), jid: None }
}

/// A message that stands inside another stanza.
fn read_message(element: &Element) -> Option<Stanza> {
    let mut message = Stanza::new(Kind::Message);
    message.from = Some(Address::parse(element.attr("from")?).ok()?);
    message.id = element.attr("id").map(Into::into);
    message.lang = element.attr_ns(ns::XML, "lang").map(Into::into);
    message.children =
        element.children().filter_map(|child| Payload::parse_xml(&String::from(child)).ok()).collect();
    Some(message)
}
