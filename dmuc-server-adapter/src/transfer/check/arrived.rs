//! The entries of a room in order of arrival.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::Millis;
use dmuc_core::clock::Hlc;
use dmuc_core::event::Position;
use dmuc_core::nick::Nick;
use dmuc_core::storage::{ArchiveQuery, LogEntry, RoomUid, StoreError, Transfer};
use sha2::{Digest, Sha256};

use super::finding::What;
use crate::transfer::Progress;
use crate::transfer::source::ENTRIES;

/// How many of the newest are compared with what the store says is newest.
const NEWEST: usize = 100;
/// How many speakers are counted.
const SPEAKERS: usize = 16;

/// How many entries there are, and a number that depends on each of them, but not on their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub count: u64,
    prints: u128,
}

impl Sum {
    pub fn add(&mut self, entry: &LogEntry) {
        let json = serde_json::to_vec(entry).expect("an entry is plain data");
        let print =
            Sha256::digest(json).iter().take(16).fold(0, |print, byte| print << 8 | u128::from(*byte));
        self.count += 1;
        self.prints = self.prints.wrapping_add(print);
    }
}

/// What there is, as it arrived.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    pub sum: Sum,
    /// Those that are not withheld.
    pub shown: u64,
    /// The newest of those, in canonical order.
    pub newest: BTreeSet<(Hlc, Position)>,
    /// The first and last moment of those.
    pub span: Option<(Millis, Millis)>,
    /// What the first few speakers have said of it.
    pub nicks: BTreeMap<Nick, u64>,
    pub oids: BTreeMap<String, u64>,
}

impl Arrived {
    pub async fn read(
        store: &dyn Transfer,
        room: RoomUid,
        progress: &dyn Progress,
        found: &mut Vec<What>,
    ) -> Result<Self, StoreError> {
        let (mut arrived, mut place) = (Self::default(), 0);
        loop {
            let page = store.arrivals(room, place, ENTRIES).await?;
            let Some((last, _)) = page.last() else { return Ok(arrived) };
            place = *last;
            let entries: Vec<LogEntry> = page.into_iter().map(|(_, entry)| entry).collect();
            found.extend(check_ids(store, room, &entries).await?);
            entries.iter().for_each(|entry| arrived.note(entry));
            progress.advance(entries.len() as u64);
        }
    }

    fn note(&mut self, entry: &LogEntry) {
        self.sum.add(entry);
        if entry.withheld {
            return;
        }
        self.shown += 1;
        let event = &entry.event;
        self.newest.insert((event.h, event.pos.clone()));
        if self.newest.len() > NEWEST {
            self.newest.pop_first();
        }
        let at = event.h.millis();
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
        count(&mut self.nicks, event.nick.as_ref());
        count(&mut self.oids, event.oid.as_ref());
    }
}

fn count<K: Ord + Clone>(speakers: &mut BTreeMap<K, u64>, speaker: Option<&K>) {
    let Some(speaker) = speaker else { return };
    if speakers.len() < SPEAKERS || speakers.contains_key(speaker) {
        *speakers.entry(speaker.clone()).or_default() += 1;
    }
}

/// Looks the entries up by their ids: the archive must give them, in the same order.
async fn check_ids(
    store: &dyn Transfer,
    room: RoomUid,
    entries: &[LogEntry],
) -> Result<Option<What>, StoreError> {
    let ids = Some(entries.iter().map(|entry| entry.event.id).collect());
    let query = ArchiveQuery { ids, max: ENTRIES, ..ArchiveQuery::default() };
    let found = store.page(room, &query).await?.map(|page| page.entries);
    let shown: Vec<&LogEntry> = entries.iter().filter(|entry| !entry.withheld).collect();
    let is_right = found.is_some_and(|found| found.iter().eq(shown.iter().copied()));
    Ok(entries.first().filter(|_| !is_right).map(|first| What::Ids(first.event.id)))
}
