//! The elements of retraction: `<retract/>` takes a message back, `<retracted/>` stands in its place.

use minidom::Element;

use crate::address::Address;
use crate::clock::Millis;
use crate::event::{Event, EventId};
use crate::nick::Nick;
use crate::ns;
use crate::stanza::{El, Payload};

/// Which moderator took a message back, and why (XEP-0425 §3.1, §4).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moderation {
    pub nick: Nick,
    pub oid: String,
    pub reason: Option<String>,
}

impl Moderation {
    /// Reads what is inside of `<retract/>` or `<retracted/>`.
    fn read(element: &Element) -> Option<Self> {
        let moderated = element.get_child("moderated", ns::MODERATE)?;
        let by = Address::parse(moderated.attr("by")?).ok()?;
        let oid = moderated.get_child("occupant-id", ns::OCCUPANT_ID)?.attr("id")?;
        Some(Self {
            nick: Nick::parse(by.resource()?).ok()?,
            oid: oid.to_owned(),
            reason: element.get_child("reason", ns::RETRACT).map(Element::text),
        })
    }

    /// Puts it inside of `<retract/>` or `<retracted/>`, the moderator being known as in the instance `room`.
    fn write(&self, element: El, room: &Address) -> El {
        let by = room.with_resource(self.nick.as_str()).unwrap_or_else(|_| room.clone());
        let moderated = El::new("moderated", ns::MODERATE)
            .attr("by", by.as_str())
            .child(El::new("occupant-id", ns::OCCUPANT_ID).attr("id", &self.oid));
        let reason = self.reason.as_deref().map(|reason| El::new("reason", ns::RETRACT).text(reason));
        element.child(moderated).children(reason)
    }
}

/// `<retract/>`: a message that takes another one back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retraction {
    pub target: EventId,
    pub moderation: Option<Moderation>,
}

impl Retraction {
    /// The retraction in a message, if it is of something that may be in a log.
    pub fn read(content: &[Payload]) -> Option<Self> {
        let retract = content.iter().find(|child| child.is("retract", ns::RETRACT))?.element().ok()?;
        Some(Self { target: retract.attr("id")?.parse().ok()?, moderation: Moderation::read(&retract) })
    }

    /// As clients at the instance `room` see it.
    pub fn payload(&self, room: &Address) -> Payload {
        let retract = El::new("retract", ns::RETRACT).attr("id", self.target.to_string());
        match &self.moderation {
            Some(moderation) => moderation.write(retract, room).payload(),
            None => retract.payload(),
        }
    }
}

/// `<retracted/>`: what is left of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tombstone {
    /// The `id` of the message that took it back.
    id: String,
    stamp: Millis,
    moderation: Option<Moderation>,
}

impl Tombstone {
    /// What a retraction leaves of its message.
    pub fn left_by(event: &Event, retraction: Retraction) -> Self {
        let id = event.stanza.clone().unwrap_or_else(|| event.id.to_string());
        Self { id, stamp: event.h.millis(), moderation: retraction.moderation }
    }

    /// The tombstone in a message.
    pub fn read(content: &[Payload]) -> Option<Self> {
        let retracted = content.iter().find(|child| child.is("retracted", ns::RETRACT))?.element().ok()?;
        Some(Self {
            id: retracted.attr("id")?.to_owned(),
            stamp: Millis::from_stamp(retracted.attr("stamp")?)?,
            moderation: Moderation::read(&retracted),
        })
    }

    /// As clients at the instance `room` see it.
    pub fn payload(&self, room: &Address) -> Payload {
        let retracted =
            El::new("retracted", ns::RETRACT).attr("id", &self.id).attr("stamp", self.stamp.to_stamp());
        match &self.moderation {
            Some(moderation) => moderation.write(retracted, room).payload(),
            None => retracted.payload(),
        }
    }
}

/// What becomes of the content of a message that was taken back. A retraction goes on being one: others may still have
/// what it took back.
pub(crate) fn without_words(content: &[Payload], tombstone: Payload) -> Vec<Payload> {
    let retract = content.iter().find(|child| child.is("retract", ns::RETRACT)).cloned();
    retract.into_iter().chain([tombstone]).collect()
}

/// Whether a child says what only the room says: that a message was moderated, or that there was one.
pub(crate) fn is_rooms_own(child: &Payload) -> bool {
    let moderates = || child.ns() == ns::RETRACT && child.as_xml().contains(ns::MODERATE);
    child.ns() == ns::MODERATE || child.is("retracted", ns::RETRACT) || moderates()
}
