//! Two sources read side by side.

use std::cmp::Ordering;
use std::fmt;

use dmuc_core::Address;
use dmuc_core::storage::Tombstone;

use super::error::TransferError;
use super::progress::Progress;
use super::record::{Counts, Record};
use super::source::Source;

/// Names something that a store holds. In the order in which sources have them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The rule for a peer's domain.
    Rule(String),
    /// What is left of a room: domain and address.
    Tombstone(String, Address),
    /// A room: domain and address.
    Room(String, Address),
}

impl Key {
    pub(super) fn room(jid: &Address) -> Self {
        Self::Room(jid.domain().to_owned(), jid.clone())
    }

    pub(super) fn tombstone(tombstone: &Tombstone) -> Self {
        Self::Tombstone(tombstone.jid.domain().to_owned(), tombstone.jid.clone())
    }

    /// What a record is the beginning of.
    pub(super) fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Rule(rule) => Some(Self::Rule(rule.domain.clone())),
            Record::Tombstone(tombstone) => Some(Self::tombstone(tombstone)),
            Record::Room(room) => Some(Self::room(&room.jid)),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(domain) => write!(f, "peer rule for {domain}"),
            Self::Tombstone(_, jid) => write!(f, "tombstone of {jid}"),
            Self::Room(_, jid) => write!(f, "room {jid}"),
        }
    }
}

/// How two stores differ in one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub key: Key,
    /// How.
    pub kind: Kind,
}

/// In which way something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The source alone has it.
    Missing,
    /// The target alone has it.
    Foreign,
    /// Both have it, and it is not the same.
    Different,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Missing => "missing in the target",
            Kind::Foreign => "in the target alone",
            Kind::Different => "different",
        };
        write!(f, "{}: {kind}", self.key)
    }
}

/// How much is compared of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Whether they are the same rooms.
    Outline,
    /// All that they hold, by digests.
    Content,
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Everything in which the two differ, in order.
    pub differences: Vec<Difference>,
    /// What the source holds; of its entries, those that were read.
    pub counts: Counts,
}

/// Reads two sources to their ends.
pub(super) async fn compare(
    source: &mut impl Source,
    target: &mut impl Source,
    depth: Depth,
    progress: &dyn Progress,
) -> Result<Comparison, TransferError> {
    let mut differences = Vec::new();
    let (mut left, mut right) = (Side::new(source, depth, progress), Side::new(target, depth, &()));
    let (mut one, mut other) = (left.next().await?, right.next().await?);
    loop {
        let order = match (&one, &other) {
            (None, None) => return Ok(Comparison { differences, counts: left.counts }),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.key.cmp(&other.key),
        };
        let (left_item, right_item) = (one.take_if(|_| order.is_le()), other.take_if(|_| order.is_ge()));
        differences.extend(difference(left_item, right_item));
        (one, other) = tokio::try_join!(left.refill(one), right.refill(other))?;
    }
}

/// What is to be said of a thing that two sources have, or one of them.
fn difference(one: Option<Item>, other: Option<Item>) -> Option<Difference> {
    match (one, other) {
        (Some(one), None) => Some(Difference { key: one.key, kind: Kind::Missing }),
        (None, Some(other)) => Some(Difference { key: other.key, kind: Kind::Foreign }),
        (Some(one), Some(other)) if one.value != other.value => {
            Some(Difference { key: one.key, kind: Kind::Different })
        }
        _ => None,
    }
}

/// One thing, and a text that is the same if it is.
struct Item {
    key: Key,
    value: String,
}

/// One of the two sources.
struct Side<'a, S> {
    source: &'a mut S,
    depth: Depth,
    progress: &'a dyn Progress,
    counts: Counts,
}

impl<'a, S: Source> Side<'a, S> {
    fn new(source: &'a mut S, depth: Depth, progress: &'a dyn Progress) -> Self {
        Self { source, depth, progress, counts: Counts::default() }
    }

    /// What is at hand, or else what comes next.
    async fn refill(&mut self, item: Option<Item>) -> Result<Option<Item>, TransferError> {
        if item.is_some() { Ok(item) } else { self.next().await }
    }

    async fn next(&mut self) -> Result<Option<Item>, TransferError> {
        while let Some(record) = self.source.next().await? {
            match Key::of(&record) {
                Some(key) => return Ok(Some(Item { key, value: self.value(record).await? })),
                None => self.note_end(&record),
            }
        }
        Ok(None)
    }

    fn note_end(&mut self, record: &Record) {
        if let Record::Trailer { counts, .. } = record {
            self.counts = *counts;
        }
    }

    async fn value(&mut self, record: Record) -> Result<String, TransferError> {
        match record {
            Record::Room(room) if self.depth == Depth::Outline => {
                self.source.pass().await?;
                self.progress.advance(1);
                Ok(room.uid.to_string())
            }
            Record::Room(_) => self.digest().await,
            other => Ok(other.line()),
        }
    }

    /// The digest at the end of the room that has begun.
    async fn digest(&mut self) -> Result<String, TransferError> {
        while let Some(record) = self.source.next().await? {
            match record {
                Record::EndOfRoom { sha256, .. } => {
                    self.progress.advance(1);
                    return Ok(sha256);
                }
                Record::Entry(_) => self.progress.advance(1),
                _ => {}
            }
        }
        Ok(String::new())
    }
}
