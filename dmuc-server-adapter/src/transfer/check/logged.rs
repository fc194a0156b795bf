//! The logs of a room, each by its numbers: digests, holes, and how far it is held.

use dmuc_core::event::{ChainDigest, Event, Position};
use dmuc_core::storage::{Frontier, LogEntry, RoomUid, StoreError, Transfer};

use super::arrived::Sum;
use super::finding::What;
use crate::transfer::source::ENTRIES;

/// The highest number that every store can be asked for.
const HIGHEST: u64 = i64::MAX as u64;

/// What there is in the logs.
#[derive(Debug, Default)]
pub(super) struct Logged {
    pub sum: Sum,
}

impl Logged {
    /// Reads the logs that the store says there are; `here` is the domain whose log has no holes.
    pub async fn read(
        store: &dyn Transfer,
        room: RoomUid,
        here: &str,
        frontier: &[Frontier],
        found: &mut Vec<What>,
    ) -> Result<Self, StoreError> {
        let mut logged = Self::default();
        for said in frontier {
            let mut log = Log { is_own: &*said.pos.o == here, ..Log::default() };
            let mut next = 1;
            loop {
                let from = Position { s: next, ..said.pos.clone() };
                let entries = store.range(room, &from, HIGHEST, ENTRIES).await?;
                let Some(last) = entries.last() else { break };
                next = last.event.pos.s + 1;
                for entry in &entries {
                    logged.sum.add(entry);
                    found.extend(log.take(entry));
                }
            }
            found.extend(log.compare(said));
        }
        Ok(logged)
    }
}

/// A log that is being read.
#[derive(Debug, Default)]
struct Log {
    is_own: bool,
    /// The last entry, its number and digest.
    last: Option<(u64, Option<ChainDigest>)>,
    /// As the store should say it.
    held: Option<Frontier>,
}

impl Log {
    /// Gives what is wrong with the next entry, or between it and the one before.
    fn take(&mut self, LogEntry { event, digest, .. }: &LogEntry) -> Vec<What> {
        let s = event.pos.s;
        let before = self.last.replace((s, *digest));
        let hole = before.filter(|(last, _)| last + 1 < s);
        let hole = hole.map(|(last, _)| What::Hole {
            log: event.pos.clone(),
            missing: last + 1..=s - 1,
            is_own: self.is_own,
        });
        let previous = match before {
            None if s == 1 => Some(Some(ChainDigest::default())),
            Some((last, digest)) if last + 1 == s => Some(digest),
            // What it was made of is not here.
            _ => None,
        };
        let is_wrong = previous.is_some_and(|previous| !fits(event, *digest, previous));
        match &mut self.held {
            Some(held) if held.pos.s + 1 == s => (held.pos, held.digest) = (event.pos.clone(), *digest),
            Some(_) => {}
            None => self.held = Some(Frontier { pos: event.pos.clone(), digest: *digest, low: s }),
        }
        hole.into_iter().chain(is_wrong.then(|| What::Chain(event.pos.clone()))).collect()
    }

    fn compare(self, said: &Frontier) -> Option<What> {
        // Of a log that has expired as a whole, only the place is left.
        let is_right = match &self.held {
            Some(held) => held == said,
            None => said.low == said.pos.s + 1,
        };
        (!is_right).then(|| What::WrongFrontier { said: said.clone(), held: self.held })
    }
}

/// Whether a digest may follow on another. There need not be one; but there is none without one before it.
fn fits(event: &Event, digest: Option<ChainDigest>, previous: Option<ChainDigest>) -> bool {
    match (digest, previous) {
        (None, _) => true,
        (Some(_), None) => false,
        // What was said is gone, and the digest stands for it.
        (Some(_), Some(_)) if event.is_retracted() || event.content.is_empty() => true,
        (Some(digest), Some(previous)) => event.chain(previous) == digest,
    }
}
