//! The changes of many commits as columns: what is left when each room's changes have been made in order.

use std::collections::BTreeMap;

use dmuc_core::event::{EventId, Position};
use dmuc_core::storage::columns::{is_public, signed};
use dmuc_core::storage::{Change, LogEntry, RoomCommit, StoreError, Tombstone};
use dmuc_core::{Address, stanza::Payload};
use uuid::Uuid;

use crate::append::{Content, Entries, check_ids, id};
use crate::database::Statement;
use crate::error::conflict;
use crate::transfer::Stones;

/// What one commit comes to.
#[derive(Default)]
struct Net<'a> {
    created: Option<&'a Address>,
    /// Parts by name: set, or dropped.
    parts: BTreeMap<&'a str, Option<&'a str>>,
    /// For entries that were held before; those of this commit are changed in `entries`.
    redacted: BTreeMap<EventId, &'a [Payload]>,
    withheld: BTreeMap<&'a Position, bool>,
    entries: Vec<LogEntry>,
    destroyed: Option<Option<&'a Tombstone>>,
}

impl<'a> Net<'a> {
    fn of(commit: &'a RoomCommit) -> Result<Self, StoreError> {
        let creates = matches!(commit.changes.first(), Some(Change::Create { .. }));
        if (commit.expected.0 == 0) != creates {
            return Err(conflict("commit: no such room, or it is there already"));
        }
        let mut net = Self::default();
        for (nth, change) in commit.changes.iter().enumerate() {
            net.add(nth, change)?;
        }
        check_ids(net.entries.iter())?;
        Ok(net)
    }

    fn add(&mut self, nth: usize, change: &'a Change) -> Result<(), StoreError> {
        match change {
            _ if self.destroyed.is_some() => return Err(conflict("commit: changes of a destroyed room")),
            Change::Create { jid } if nth == 0 => self.created = Some(jid),
            Change::Put { key, value } => drop(self.parts.insert(key, Some(value))),
            Change::Delete { key } => drop(self.parts.insert(key, None)),
            Change::Append(entry) => self.entries.push(LogEntry::clone(entry)),
            Change::Redact { id, content } => self.redact(*id, content),
            Change::Withhold { pos, withheld } => self.withhold(pos, *withheld),
            Change::Destroy(tombstone) => self.destroyed = Some(tombstone.as_ref()),
            _ => {
                return Err(conflict(
                    "commit: a change that this store does not know or that is out of place",
                ));
            }
        }
        Ok(())
    }

    fn redact(&mut self, id: EventId, content: &'a [Payload]) {
        let appended = self.entries.iter_mut().filter(|entry| entry.event.id == id);
        appended.for_each(|entry| entry.event.content = content.to_vec());
        self.redacted.insert(id, content);
    }

    fn withhold(&mut self, pos: &'a Position, withheld: bool) {
        let appended = self.entries.iter_mut().filter(|entry| entry.event.pos == *pos);
        appended.for_each(|entry| entry.withheld = withheld);
        self.withheld.insert(pos, withheld);
    }
}

/// The changes of many commits, a vector for each column.
#[derive(Default)]
pub(crate) struct Changes {
    uids: Vec<Uuid>,
    revisions: Vec<i64>,
    fences: Vec<i64>,
    counts: Vec<i64>,
    created: Created,
    parts: Parts,
    redacted: Redacted,
    withheld: Withheld,
    entries: Entries,
    destroyed: Vec<Uuid>,
    stones: Stones,
}

impl Changes {
    /// Adds a commit, unless its own changes refuse it. No other of the same room may be there; they must come in order
    /// of their rooms.
    pub fn push(&mut self, commit: &RoomCommit) -> Result<(), StoreError> {
        let net = Net::of(commit)?;
        let room = commit.lease.room;
        self.redacted.push(room.0, &net.redacted)?;
        self.withheld.push(room.0, &net.withheld);
        let before = self.entries.len();
        self.entries.push_all(room, net.entries.iter())?;
        self.uids.push(room.0);
        self.revisions.push(signed(commit.expected.0));
        self.fences.push(signed(commit.lease.fence));
        self.counts.push(signed((self.entries.len() - before) as u64));
        self.created.push(commit, net.created);
        self.parts.push(room.0, net.parts);
        if let Some(tombstone) = net.destroyed {
            self.destroyed.push(room.0);
            tombstone.map_or(Ok(()), |tombstone| self.stones.push(tombstone))?;
        }
        Ok(())
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    /// All columns, in the order of the function's arguments.
    pub fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        let statement =
            statement.bind(&self.uids).bind(&self.revisions).bind(&self.fences).bind(&self.counts);
        let statement = self.parts.bind(self.created.bind(statement));
        let statement = self.withheld.bind(self.redacted.bind(statement));
        self.stones.bind(self.entries.bind(statement).bind(&self.destroyed))
    }
}

#[derive(Default)]
struct Created {
    uids: Vec<Uuid>,
    jids: Vec<String>,
    domains: Vec<String>,
    until: Vec<i64>,
}

impl Created {
    fn push(&mut self, commit: &RoomCommit, jid: Option<&Address>) {
        let Some(jid) = jid else { return };
        self.uids.push(commit.lease.room.0);
        self.jids.push(jid.as_str().to_owned());
        self.domains.push(jid.domain().to_owned());
        self.until.push(signed(commit.lease.expires.0));
    }

    fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        statement.bind(&self.uids).bind(&self.jids).bind(&self.domains).bind(&self.until)
    }
}

#[derive(Default)]
struct Parts {
    put_uids: Vec<Uuid>,
    put_keys: Vec<String>,
    put_values: Vec<String>,
    dropped_uids: Vec<Uuid>,
    dropped_keys: Vec<String>,
    card_uids: Vec<Uuid>,
    card_publics: Vec<bool>,
}

impl Parts {
    fn push(&mut self, room: Uuid, parts: BTreeMap<&str, Option<&str>>) {
        if let Some(card) = parts.get("card") {
            self.card_uids.push(room);
            self.card_publics.push(card.is_some_and(is_public));
        }
        for (key, value) in parts {
            if let Some(value) = value {
                self.put_uids.push(room);
                self.put_keys.push(key.to_owned());
                self.put_values.push(value.to_owned());
            } else {
                self.dropped_uids.push(room);
                self.dropped_keys.push(key.to_owned());
            }
        }
    }

    fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        statement
            .bind(&self.put_uids)
            .bind(&self.put_keys)
            .bind(&self.put_values)
            .bind(&self.dropped_uids)
            .bind(&self.dropped_keys)
            .bind(&self.card_uids)
            .bind(&self.card_publics)
    }
}

#[derive(Default)]
struct Redacted {
    uids: Vec<Uuid>,
    ids: Vec<Uuid>,
    contents: Vec<String>,
    sizes: Vec<i32>,
}

impl Redacted {
    fn push(&mut self, room: Uuid, redacted: &BTreeMap<EventId, &[Payload]>) -> Result<(), StoreError> {
        for (event, content) in redacted {
            let content = Content::of(content)?;
            self.uids.push(room);
            self.ids.push(id(*event));
            self.contents.push(content.json);
            self.sizes.push(content.bytes);
        }
        Ok(())
    }

    fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        statement.bind(&self.uids).bind(&self.ids).bind(&self.contents).bind(&self.sizes)
    }
}

#[derive(Default)]
struct Withheld {
    uids: Vec<Uuid>,
    origins: Vec<String>,
    incarnations: Vec<i64>,
    seqs: Vec<i64>,
    values: Vec<bool>,
}

impl Withheld {
    fn push(&mut self, room: Uuid, withheld: &BTreeMap<&Position, bool>) {
        for (pos, value) in withheld {
            self.uids.push(room);
            self.origins.push(pos.o.to_string());
            self.incarnations.push(pos.i.into());
            self.seqs.push(signed(pos.s));
            self.values.push(*value);
        }
    }

    fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        statement
            .bind(&self.uids)
            .bind(&self.origins)
            .bind(&self.incarnations)
            .bind(&self.seqs)
            .bind(&self.values)
    }
}
