//! The history that a new shadow asks for (XEP-0281 "Peerhost Requests Room History").

use minidom::Element;

use crate::address::Address;
use crate::clock::{Hlc, Millis};
use crate::event::Event;
use crate::instance::Instance;
use crate::io::{Query, QueryId};
use crate::nick::Nick;
use crate::ns;
use crate::replication::Asked;
use crate::replication::gate::Peer;
use crate::replication::heard::said;
use crate::replication::payload::{Ev, room_element};
use crate::replication::shadow::{Heard, tree};
use crate::room::history::delay;
use crate::room::message::Speaker;
use crate::stanza::{Condition, El, Kind, Payload, Stanza};
use crate::storage::{LogEntry, Recent, StoreErrorKind};
use crate::{Action, room::message::is_subject_change};

/// Most messages in one answer.
const STANZAS_MAX: u32 = 1000;

impl Instance {
    /// Asks the source for what was said before we came.
    pub(crate) fn request_history(&mut self) {
        let Some(source) = self.room().head.source.clone().filter(|_| !self.is_source()) else { return };
        let max = self.policy.history_max.min(STANZAS_MAX).to_string();
        let wanted = El::new("history", ns::MUC).attr("maxstanzas", max);
        let room = room_element(self.jid.local().unwrap_or("")).child(wanted).payload();
        self.ask(&source, "get", room, Asked::History);
    }

    /// A shadow asks; the request is wrapped in `<room/>` or bare.
    pub(crate) fn hear_history_request(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_instance(peer)?;
        let request = tree(request)?;
        let wanted =
            if request.name() == "history" { Some(&request) } else { request.get_child("history", ns::MUC) };
        let wanted = wanted.ok_or(Condition::BadRequest)?;
        let limits = self.peer_limits(wanted)?;
        let id = QueryId(self.room_mut().replication.number());
        self.room_mut().replication.answering.insert(id, stanza.clone());
        self.turn.other(Action::Ask { id, query: Query::Recent(limits) });
        Ok(())
    }

    /// The four attributes of XEP-0045 §7.2.15.
    fn peer_limits(&self, wanted: &Element) -> Result<Recent, Condition> {
        let number = |name: &str| {
            wanted.attr(name).map(|n| n.parse::<u64>().map_err(|_| Condition::BadRequest)).transpose()
        };
        let since =
            wanted.attr("since").map(|s| Millis::from_stamp(s).ok_or(Condition::BadRequest)).transpose()?;
        let seconds =
            number("seconds")?.map(|s| Millis(self.turn.now.0.saturating_sub(s.saturating_mul(1000))));
        let stanzas = number("maxstanzas")?.unwrap_or(u64::from(STANZAS_MAX)).min(u64::from(STANZAS_MAX));
        Ok(Recent {
            stanzas: u32::try_from(stanzas).ok(),
            chars: number("maxchars")?,
            since: seconds.max(since),
        })
    }

    /// The store has answered.
    pub(crate) fn handle_answer(&mut self, id: QueryId, result: Result<Vec<LogEntry>, StoreErrorKind>) {
        if self.room.is_none() {
            return;
        }
        let Some(request) = self.room_mut().replication.answering.remove(&id) else { return };
        match result {
            Err(_) => self.turn.refuse(&request, Condition::ResourceConstraint),
            Ok(entries) => {
                let messages = entries.iter().map(|entry| self.past_element(&entry.event));
                let history =
                    messages.fold(El::new("history", ns::MUC), |history, message| history.child(message));
                self.turn.send(request.result().with(history.payload()));
            }
        }
    }

    /// An event as XEP-0281 sends it: the message with its `<delay/>`, and where it stands in its log.
    fn past_element(&self, event: &Event) -> El {
        let from = event.nick.as_ref().map_or_else(|| self.jid.clone(), |nick| self.nick_jid(nick.as_str()));
        let message = El::new("message", ns::STANZA)
            .attr("from", from.as_str())
            .attr("type", "groupchat")
            .attr_opt("id", event.stanza.as_deref())
            .attr_opt("xml:lang", event.lang.as_deref());
        let message = event.content.iter().fold(message, El::payload_child);
        message
            .payload_child(&Payload::of(&Ev::of(event, true)))
            .payload_child(&delay(event.h.millis(), &self.jid))
            .payload_child(&crate::instance::occupant_id_payload(event.oid.as_deref().unwrap_or("")))
    }

    /// The source has answered: what is new goes into the log, and to whoever is here already.
    pub(crate) fn history_answered(&mut self, from: &Address, stanza: &Stanza, ok: bool) {
        let history =
            stanza.children.iter().find(|child| child.name() == "history" || child.name() == "room");
        let Some(history) = history.filter(|_| ok).and_then(|history| history.element().ok()) else { return };
        let inner = history.get_child("history", ns::MUC).unwrap_or(&history);
        let messages = inner.children().filter(|child| child.name() == "message");
        let messages: Vec<Stanza> = messages.filter_map(read_message).collect();
        messages.iter().for_each(|message| self.take_past(from, message));
    }

    fn take_past(&mut self, source: &Address, message: &Stanza) {
        let room = message.from.as_ref().map_or_else(|| source.clone(), Address::to_bare);
        let nick = message.from.as_ref().and_then(Address::resource).and_then(|nick| Nick::parse(nick).ok());
        let Some(nick) = nick else { return };
        let oid = message.child("occupant-id", ns::OCCUPANT_ID).and_then(|oid| oid.attr("id"));
        let speaker = Speaker { nick, oid: oid.unwrap_or_default(), jid: None };
        let stamp = message
            .child("delay", ns::DELAY)
            .and_then(|d| d.attr("stamp"))
            .and_then(|s| Millis::from_stamp(&s));
        // The stamp is the room's, whoever it names: it is not the speaker's to forge.
        let content: Vec<Payload> =
            said(message, &room).into_iter().filter(|c| c.ns() != ns::DELAY).collect();
        match message.child("ev", ns::SYNC).and_then(Payload::typed::<Ev>) {
            Some(ev) => {
                let pos = ev.position(source.domain());
                if self.room().log.is_new(&pos) && &*pos.o != self.policy.domain.as_str() {
                    self.record(past_event(&ev, pos, speaker, message, content));
                }
            }
            None if self.room().head.core_only => self.adopt_past(speaker, message, content, stamp),
            None => {}
        }
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

fn past_event(
    ev: &Ev,
    pos: crate::event::Position,
    speaker: Speaker,
    message: &Stanza,
    content: Vec<Payload>,
) -> Event {
    Event {
        pos,
        h: ev.h,
        id: ev.id,
        deps: ev.dependencies(),
        nick: Some(speaker.nick),
        oid: Some(speaker.oid).filter(|oid| !oid.is_empty()),
        jid: None,
        stanza: message.id.as_deref().map(str::to_owned),
        lang: message.lang.as_deref().map(str::to_owned),
        content,
    }
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
