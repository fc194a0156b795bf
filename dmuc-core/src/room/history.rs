//! The newest history, kept at hand for those who join.

use std::collections::VecDeque;

use crate::address::Address;
use crate::clock::Millis;
use crate::event::Event;
use crate::instance::occupant_id_payload;
use crate::ns;
use crate::room::strip::is_reserved;
use crate::stanza::{El, Payload, Stanza};
use crate::storage::{LogEntry, Recent};

/// The newest events in canonical order, bounded.
#[derive(Debug, Default)]
pub(crate) struct History {
    events: VecDeque<Event>,
    max: usize,
}

impl History {
    pub fn restore(recent: Vec<LogEntry>, max: u32) -> Self {
        let mut history = Self { events: VecDeque::new(), max: max as usize };
        recent.into_iter().filter(|entry| !entry.withheld).for_each(|entry| history.insert(entry.event));
        history
    }

    /// Puts an event where it belongs; most come last.
    pub fn insert(&mut self, event: Event) {
        let at = self.events.iter().rposition(|held| held.order() <= event.order()).map_or(0, |at| at + 1);
        self.events.insert(at, event);
        if self.events.len() > self.max {
            self.events.pop_front();
        }
    }

    /// Whether an event of this name is at hand.
    pub fn holds(&self, id: &crate::event::EventId) -> bool {
        self.events.iter().any(|event| event.id == *id)
    }

    /// Somebody said the same at about the same time (within `within_ms`), as far as is at hand.
    pub fn has_like(&self, nick: &str, text: &str, at: Millis, within_ms: u64) -> bool {
        let near = |then: Millis| then.since(at).max(at.since(then)) <= within_ms;
        let said = |event: &Event| event.child("body", ns::STANZA).map(Payload::text).unwrap_or_default();
        let mut events = self.events.iter().filter(|event| near(event.h.millis()));
        events.any(|event| event.nick.as_ref().is_some_and(|own| own.as_str() == nick) && said(event) == text)
    }

    /// When the newest event was.
    pub fn newest(&self) -> Option<Millis> {
        self.events.back().map(|event| event.h.millis())
    }

    /// The newest within limits, oldest first. `rendered` gives the size that an event counts with.
    pub fn select(&self, limits: Recent, rendered: impl Fn(&Event) -> u64) -> Vec<&Event> {
        let mut chars = 0;
        let mut newest: Vec<&Event> = self
            .events
            .iter()
            .rev()
            .take(limits.stanzas.map_or(usize::MAX, |n| n as usize))
            .take_while(|event| limits.since.is_none_or(|since| event.h.millis() >= since))
            .take_while(|event| {
                chars += limits.chars.map_or(0, |_| rendered(event));
                limits.chars.is_none_or(|max| chars <= max)
            })
            .collect();
        newest.reverse();
        newest
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
    // An event of another instance keeps what its digest covers, but nobody speaks here in this room's name.
    message.children.extend(event.content.iter().filter(|child| !is_reserved(child, room)).cloned());
    message.children.push(stanza_id(event, room));
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

fn stanza_id(event: &Event, room: &Address) -> Payload {
    El::new("stanza-id", ns::SID).attr("by", room.as_str()).attr("id", event.id.to_string()).payload()
}
