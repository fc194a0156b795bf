//! Messages that are taken back: by their authors (XEP-0424), or anybody's by moderators (XEP-0425). What was said is
//! gone from history and archive of every instance; that it was said is not.

mod elements;
mod moderate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::clock::Hlc;
use crate::event::{Event, EventId};
use crate::instance::Instance;
use crate::io::Query;
use crate::questions::Question;
use crate::record::{Parts, Subject, part};
use crate::room::occupants::Occupant;
use crate::stanza::{Condition, Payload, StanzaError};
use crate::storage::{ArchiveQuery, Change, Page, StoreError};

pub(crate) use elements::{Moderation, Retraction, Tombstone, is_rooms_own, without_words};
pub(crate) use moderate::Moderating;

/// A retraction of which the message is not at hand: it is older than history, or has yet to come here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outstanding {
    target: EventId,
    /// Whose message it must be; anybody's if a moderator took it back.
    author: Option<String>,
    tombstone: Payload,
    h: Hlc,
}

impl Outstanding {
    /// What an event takes back, if it does.
    fn of(event: &Event, room: &Address) -> Option<Self> {
        let retraction = Retraction::read(&event.content)?;
        // Moderation is said by the room itself.
        let (moderates, author) = (event.nick.is_none(), event.oid.clone());
        if moderates != retraction.moderation.is_some() || moderates == author.is_some() {
            return None;
        }
        let target = retraction.target;
        let tombstone = Tombstone::left_by(event, retraction).payload(room);
        Some(Self { target, author, tombstone, h: event.h })
    }

    /// Whether it takes this message back: nobody takes back another's (XEP-0424 §5), nor what the room itself says.
    fn concerns(&self, event: &Event) -> bool {
        event.id == self.target && event.nick.is_some() && (self.author.is_none() || self.author == event.oid)
    }
}

/// The retractions of which the message is not at hand, by their own names.
#[derive(Debug, Default)]
pub(crate) struct Retractions {
    outstanding: BTreeMap<EventId, Outstanding>,
    /// The store has yet to be asked, or asked again, whether it has their messages.
    unasked: bool,
}

/// Most retractions that wait for their messages; the oldest is given up first.
const OUTSTANDING_MAX: usize = 256;

impl Retractions {
    pub fn restore(parts: &Parts<'_>) -> Result<Self, StoreError> {
        let all = parts.all::<Outstanding>(part::RETRACTION)?;
        let read = |(id, one): (String, Outstanding)| Some((id.parse().ok()?, one));
        let outstanding: BTreeMap<_, _> = all.into_iter().filter_map(read).collect();
        Ok(Self { unasked: !outstanding.is_empty(), outstanding })
    }

    /// Makes the store be asked again, after it failed to answer.
    pub fn ask_again(&mut self) {
        self.unasked = true;
    }

    fn oldest(&self) -> Option<EventId> {
        self.outstanding.iter().min_by_key(|(_, one)| one.h).map(|(id, _)| *id)
    }
}

impl Instance {
    /// Refuses to take back what somebody else said, as far as is at hand; what is older is left to the store.
    pub(crate) fn may_retract(&self, occupant: &Occupant, content: &[Payload]) -> Result<(), StanzaError> {
        let target = Retraction::read(content).and_then(|said| self.room().history.get(&said.target));
        if target.is_some_and(|target| target.oid.as_ref() != Some(&occupant.oid)) {
            return Err(
                StanzaError::new(Condition::Forbidden).because("Only its author takes a message back.")
            );
        }
        Ok(())
    }

    /// If an event takes a message back, does so: at once if it is at hand, else once it is found or comes.
    pub(crate) fn note_retraction(&mut self, event: &Event) {
        let Some(outstanding) = Outstanding::of(event, &self.jid) else { return };
        match self.room().history.get(&outstanding.target) {
            Some(target) if outstanding.concerns(target) => {
                let target = target.clone();
                self.entomb(&target, outstanding.tombstone);
            }
            Some(_) => {}
            None => self.await_message(event.id, outstanding),
        }
    }

    /// Replaces what a message said.
    fn entomb(&mut self, target: &Event, tombstone: Payload) {
        let content = without_words(&target.content, tombstone);
        self.turn.change(Change::Redact { id: target.id, content: content.clone() });
        self.room_mut().history.redact(&target.id, content);
        self.withdraw_subject(&target.id);
    }

    /// What was taken back is not what the room is about any more; those who are in are told.
    fn withdraw_subject(&mut self, id: &EventId) {
        if self.room().subject.id != Some(*id) {
            return;
        }
        let none = Subject { h: self.room().subject.h, ..Subject::default() };
        self.turn.put(part::SUBJECT, &none);
        self.room_mut().subject = none;
        let message = self.subject_message();
        self.tell_all_here(&message);
    }

    fn await_message(&mut self, id: EventId, outstanding: Outstanding) {
        self.turn.put(&part::retraction(&id), &outstanding);
        self.look_for(id, outstanding.target);
        let retractions = &mut self.room_mut().retractions;
        retractions.outstanding.insert(id, outstanding);
        if retractions.outstanding.len() > OUTSTANDING_MAX
            && let Some(oldest) = retractions.oldest()
        {
            self.take_outstanding(&oldest);
        }
    }

    fn look_for(&mut self, id: EventId, target: EventId) {
        self.ask_store(Query::Page(single(target)), Question::Retraction(id));
    }

    /// Asks for the messages of all retractions that a crash, or a failure of the store, left without an answer.
    pub(crate) fn look_again(&mut self) {
        let Some(retractions) = self.room.as_mut().map(|room| &mut room.retractions) else { return };
        if std::mem::take(&mut retractions.unasked) {
            let all: Vec<_> = retractions.outstanding.iter().map(|(id, one)| (*id, one.target)).collect();
            all.into_iter().for_each(|(id, target)| self.look_for(id, target));
        }
    }

    /// The store has looked for a retraction's message; if it has none, that may come yet.
    pub(crate) fn message_found(&mut self, retraction: &EventId, page: Option<Page>) {
        let Some(entry) = page.and_then(|page| page.entries.into_iter().next()) else { return };
        let Some(outstanding) = self.take_outstanding(retraction) else { return };
        if outstanding.concerns(&entry.event) {
            self.entomb(&entry.event, outstanding.tombstone);
        }
    }

    fn take_outstanding(&mut self, retraction: &EventId) -> Option<Outstanding> {
        let outstanding = self.room_mut().retractions.outstanding.remove(retraction)?;
        self.turn.delete(part::retraction(retraction));
        Some(outstanding)
    }

    /// An event as it is shown here: without its words if it was taken back before it came.
    pub(crate) fn as_outstanding(&mut self, mut event: Event) -> Event {
        let outstanding = &self.room().retractions.outstanding;
        let concerns = |(_, one): &(&EventId, &Outstanding)| one.concerns(&event);
        let Some(id) = outstanding.iter().find(concerns).map(|(id, _)| *id) else { return event };
        if let Some(outstanding) = self.take_outstanding(&id) {
            event.content = without_words(&event.content, outstanding.tombstone);
            self.turn.change(Change::Redact { id: event.id, content: event.content.clone() });
        }
        event
    }
}

/// The query for one entry.
fn single(id: EventId) -> ArchiveQuery {
    ArchiveQuery { ids: Some(vec![id]), max: 1, ..ArchiveQuery::default() }
}
