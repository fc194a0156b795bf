//! The newest history, kept at hand for those who join.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::address::Address;
use crate::clock::{Hlc, Millis};
use crate::event::{Event, EventId};
use crate::instance::occupant_id_payload;
use crate::ns;
use crate::policy::ServicePolicy;
use crate::room::lasting::is_discussion;
use crate::room::retraction::Retraction;
use crate::room::strip::is_reserved;
use crate::stanza::{El, Payload, Stanza, Template};
use crate::storage::{LogEntry, Recent};

/// The newest of the discussion in canonical order, bounded.
#[derive(Debug, Default)]
pub(crate) struct History {
    events: VecDeque<Past>,
    bytes: usize,
    bound: Bound,
}

/// How much of the history a room keeps at hand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bound {
    pub events: usize,
    pub bytes: usize,
}

impl From<&ServicePolicy> for Bound {
    fn from(policy: &ServicePolicy) -> Self {
        Self { events: policy.history_max as usize, bytes: policy.history_bytes_max }
    }
}

/// An event, serialised for those who join once the first of them asks.
#[derive(Debug)]
struct Past {
    event: Event,
    bytes: usize,
    shown: OnceLock<Arc<Template>>,
}

impl Past {
    fn shown(&self, room: &Address) -> &Arc<Template> {
        self.shown.get_or_init(|| Template::new(&as_past_message(&self.event, room)))
    }
}

/// What somebody says, to be known again if it is sent again.
pub(crate) struct Said<'a> {
    pub oid: &'a str,
    /// The stanza's id.
    pub id: Option<&'a str>,
    /// Since when the speaker is in.
    pub since: Hlc,
    pub content: &'a [Payload],
}

impl Said<'_> {
    /// Whether that event says it: under the same origin id (XEP-0359 §3.2), or under the same id since the speaker came
    /// in, as clients that count their ids begin anew with each stream.
    fn is(&self, event: &Event) -> bool {
        let is_named = || self.content.iter().any(|child| child.is("origin-id", ns::SID));
        let same_id = || self.id.is_some() && event.stanza.as_deref() == self.id && event.h >= self.since;
        event.oid.as_deref() == Some(self.oid) && event.content == self.content && (is_named() || same_id())
    }
}

impl History {
    pub fn restore(recent: Vec<LogEntry>, bound: Bound) -> Self {
        let mut history = Self { bound, ..Self::default() };
        for entry in recent.into_iter().filter(|entry| !entry.withheld) {
            history.insert(entry.event);
        }
        history
    }

    /// Puts an event where it belongs; most come last. Gives those that are no history, or not any more.
    pub fn insert(&mut self, event: Event) -> Vec<Event> {
        if !is_discussion(&event.content) {
            return vec![event];
        }
        let earlier = |held: &Past| held.event.order() <= event.order();
        let at = self.events.iter().rposition(earlier).map_or(0, |at| at + 1);
        let bytes = event.bytes();
        self.bytes += bytes;
        self.events.insert(at, Past { event, bytes, shown: OnceLock::new() });
        self.forget_surplus()
    }

    /// Sets how much is kept from now on.
    pub fn set_bound(&mut self, bound: Bound) {
        self.bound = bound;
        self.forget_surplus();
    }

    fn forget_surplus(&mut self) -> Vec<Event> {
        let mut surplus = Vec::new();
        while self.events.len() > self.bound.events || self.bytes > self.bound.bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.bytes;
            surplus.push(oldest.event);
        }
        surplus
    }

    /// The event of this name, if it is at hand.
    pub fn get(&self, id: &EventId) -> Option<&Event> {
        self.events.iter().map(|past| &past.event).find(|event| event.id == *id)
    }

    /// Replaces what an event said.
    pub fn redact(&mut self, id: &EventId, content: Vec<Payload>) {
        let Some(past) = self.events.iter_mut().find(|past| past.event.id == *id) else { return };
        past.event.content = content;
        past.shown = OnceLock::new();
        let bytes = past.event.bytes();
        self.bytes = self.bytes + bytes - past.bytes;
        past.bytes = bytes;
    }

    /// The event, not older than `within_ms`, by which the very same was said already.
    pub fn said(&self, again: &Said<'_>, now: Millis, within_ms: u64) -> Option<&Event> {
        let events = self.events.iter().rev().map(|past| &past.event);
        events.take_while(|event| now.since(event.h.millis()) <= within_ms).find(|event| again.is(event))
    }

    /// Whether an event of this name is at hand.
    pub fn holds(&self, id: &crate::event::EventId) -> bool {
        self.events.iter().any(|past| past.event.id == *id)
    }

    /// Somebody said the same at about the same time (within `within_ms`), as far as is at hand.
    pub fn has_like(&self, nick: &str, text: &str, at: Millis, within_ms: u64) -> bool {
        let near = |then: Millis| then.since(at).max(at.since(then)) <= within_ms;
        let said = |event: &Event| event.child("body", ns::STANZA).map(Payload::text).unwrap_or_default();
        let mut events = self.events.iter().map(|past| &past.event).filter(|event| near(event.h.millis()));
        events.any(|event| event.nick.as_ref().is_some_and(|own| own.as_str() == nick) && said(event) == text)
    }

    /// When the newest event was.
    pub fn newest(&self) -> Option<Millis> {
        self.events.back().map(|past| past.event.h.millis())
    }

    /// The newest within limits, oldest first, as the room's messages.
    pub fn select(&self, limits: Recent, room: &Address) -> Vec<Arc<Template>> {
        let mut chars = 0;
        let fits = |past: &&Past| {
            let Some(max) = limits.chars else { return true };
            let shown = past.shown(room);
            chars += (shown.head().len() + shown.tail().len()) as u64;
            chars <= max
        };
        let newest = self.events.iter().rev().take(limits.stanzas.map_or(usize::MAX, |n| n as usize));
        let recent =
            newest.take_while(|past| limits.since.is_none_or(|since| past.event.h.millis() >= since));
        let mut shown: Vec<_> = recent.take_while(fits).map(|past| past.shown(room).clone()).collect();
        shown.reverse();
        shown
    }
}

/// What of a join's `<history/>` is granted, given the room's own length (XEP-0045 §7.2.14).
pub(crate) fn limits(asked: Option<&xmpp_parsers::muc::muc::History>, length: u32, now: Millis) -> Recent {
    let Some(asked) = asked else { return Recent { stanzas: Some(length), ..Recent::default() } };
    let seconds = asked.seconds.map(|s| Millis(now.0.saturating_sub(u64::from(s) * 1000)));
    let since =
        asked.since.as_ref().and_then(|time| u64::try_from(time.0.timestamp_millis()).ok()).map(Millis);
    Recent {
        stanzas: Some(asked.maxstanzas.unwrap_or(length).min(length)),
        chars: asked.maxchars.map(u64::from),
        since: seconds.max(since),
    }
}

/// An event as the room's message, for clients at the instance `room`.
pub(crate) fn as_message(event: &Event, room: &Address) -> Stanza {
    let from = event.nick.as_ref().and_then(|nick| room.with_resource(nick.as_str()).ok());
    let mut message = Stanza::message("groupchat").with_from(from.as_ref().unwrap_or(room));
    message.id = event.stanza.as_deref().map(Into::into);
    message.lang = event.lang.as_deref().map(Into::into);
    message.children.reserve(event.content.len() + 3);
    match Retraction::read(&event.content).filter(|_| event.nick.is_none()) {
        // What a room says names its moderator as known at its instance.
        Some(retraction) => message.children.push(retraction.payload(room)),
        // An event of another instance keeps what its digest covers, but nobody speaks here in this room's name.
        None => {
            message.children.extend(event.content.iter().filter(|child| !is_reserved(child, room)).cloned());
        }
    }
    message.children.push(stanza_id(event.id, room));
    message.with_opt(event.oid.as_deref().map(occupant_id_payload))
}

/// The same, marked as said in the past.
pub(crate) fn as_past_message(event: &Event, room: &Address) -> Stanza {
    as_message(event, room).with(delay(event.h.millis(), room))
}

/// `<delay/>` in the room's name: never a user's real JID.
pub(crate) fn delay(at: Millis, room: &Address) -> Payload {
    El::new("delay", ns::DELAY).attr("from", room.as_str()).attr("stamp", at.to_stamp()).payload()
}

/// `<stanza-id/>` (XEP-0359).
pub(crate) fn stanza_id(id: EventId, room: &Address) -> Payload {
    El::new("stanza-id", ns::SID).attr("by", room.as_str()).attr("id", id.to_string()).payload()
}
