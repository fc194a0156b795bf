//! The logs of one room in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conflict;
use crate::clock::Millis;
use crate::event::{EventId, Position};
use crate::storage::{ArchiveQuery, Frontier, LogEntry, Page, StoreError};

/// The logs of one room: entries in order of arrival, and where each position is.
#[derive(Debug, Clone, Default)]
pub(super) struct Logs {
    pub arrived: BTreeMap<u64, LogEntry>,
    next: u64,
    pub positions: BTreeMap<Position, u64>,
    pub ids: BTreeMap<EventId, Position>,
    /// The last frontier of logs of which every entry has expired.
    pub ended: BTreeMap<(Arc<str>, u32), Frontier>,
}

impl Logs {
    /// An event id names one position, among those held and those to come.
    pub fn check<'a>(&self, entries: impl Iterator<Item = &'a LogEntry>) -> Result<(), StoreError> {
        let mut coming: BTreeMap<EventId, &Position> = BTreeMap::new();
        for LogEntry { event, .. } in entries {
            let held = self.ids.get(&event.id).or_else(|| coming.get(&event.id).copied());
            if held.is_some_and(|pos| *pos != event.pos) {
                return Err(conflict("append: the event id is held at another position"));
            }
            if !self.positions.contains_key(&event.pos) {
                coming.insert(event.id, &event.pos);
            }
        }
        Ok(())
    }

    pub fn append(&mut self, entry: &LogEntry) {
        if self.positions.contains_key(&entry.event.pos) {
            return;
        }
        self.next += 1;
        self.positions.insert(entry.event.pos.clone(), self.next);
        self.ids.insert(entry.event.id, entry.event.pos.clone());
        self.arrived.insert(self.next, entry.clone());
    }

    pub fn at(&mut self, pos: &Position) -> Option<&mut LogEntry> {
        let arrival = self.positions.get(pos)?;
        self.arrived.get_mut(arrival)
    }

    pub fn arrival_of(&self, id: EventId) -> Option<u64> {
        self.positions.get(self.ids.get(&id)?).copied()
    }

    pub fn frontier(&self) -> Vec<Frontier> {
        let mut frontier = self.ended.clone();
        frontier.extend(self.held().into_iter().map(|log| ((log.pos.o.clone(), log.pos.i), log)));
        frontier.into_values().collect()
    }

    fn held(&self) -> Vec<Frontier> {
        let mut frontier: Vec<Frontier> = Vec::new();
        for (pos, arrival) in &self.positions {
            let digest = self.arrived.get(arrival).and_then(|entry| entry.digest);
            match frontier.last_mut().filter(|last| last.pos.o == pos.o && last.pos.i == pos.i) {
                Some(last) if last.pos.s + 1 == pos.s => {
                    *last = Frontier { pos: pos.clone(), digest, low: last.low }
                }
                Some(_) => {}
                None => frontier.push(Frontier { pos: pos.clone(), digest, low: pos.s }),
            }
        }
        frontier
    }

    /// Drops what is stamped before `before`; a log that ends so keeps its place.
    pub fn expire(&mut self, before: Millis) -> u64 {
        let logs = self.frontier();
        let old = |entry: &LogEntry| entry.event.h.millis() < before;
        let dropped: Vec<LogEntry> =
            self.arrived.extract_if(.., |_, entry| old(entry)).map(|(_, e)| e).collect();
        for entry in &dropped {
            self.positions.remove(&entry.event.pos);
            self.ids.remove(&entry.event.id);
        }
        self.ended = logs
            .into_iter()
            .map(|log| ((log.pos.o.clone(), log.pos.i), Frontier { low: log.pos.s + 1, ..log }))
            .collect();
        dropped.len() as u64
    }

    pub fn canonical(&self) -> Vec<&LogEntry> {
        let mut shown: Vec<&LogEntry> = self.arrived.values().filter(|entry| !entry.withheld).collect();
        shown.sort_by(|a, b| a.event.order().cmp(&b.event.order()));
        shown
    }

    pub fn page(&self, query: &ArchiveQuery) -> Option<Page> {
        let selected = self.selected(query)?;
        let after = self.bound(query.after, 0)?;
        let before = self.bound(query.before, u64::MAX)?;
        let skipped = usize::try_from(query.index.unwrap_or(0)).unwrap_or(usize::MAX);
        let from = selected.partition_point(|(n, _)| *n <= after).max(skipped).min(selected.len());
        let to = selected.partition_point(|(n, _)| *n < before).max(from);
        let size = (to - from).min(query.max as usize);
        let (first, complete) =
            if query.last { (to - size, to - size == from) } else { (from, from + size == to) };
        Some(Page {
            entries: selected[first..first + size].iter().map(|(_, entry)| (*entry).clone()).collect(),
            complete,
            count: selected.len() as u64,
            index: first as u64,
        })
    }

    /// Where a bound stands in the order of arrival; `absent` if there is none, nothing if it is not held.
    fn bound(&self, id: Option<EventId>, absent: u64) -> Option<u64> {
        id.map_or(Some(absent), |id| self.arrival_of(id))
    }

    /// What the filters select, in order of arrival; nothing if one names an entry that is not held.
    fn selected(&self, query: &ArchiveQuery) -> Option<Vec<(u64, &LogEntry)>> {
        let after = self.bound(query.after_id, 0)?;
        let before = self.bound(query.before_id, u64::MAX)?;
        if query.ids.iter().flatten().any(|id| self.arrival_of(*id).is_none()) {
            return None;
        }
        let selects = |arrival: u64, LogEntry { event, withheld, .. }: &LogEntry| {
            let at = event.h.millis();
            !withheld
                && (after < arrival && arrival < before)
                && query.start.is_none_or(|start| at >= start)
                && query.end.is_none_or(|end| at <= end)
                && (query.oid.is_none() || query.oid == event.oid)
                && (query.nick.is_none() || query.nick == event.nick)
                && query.ids.as_ref().is_none_or(|ids| ids.contains(&event.id))
        };
        let entries = self.arrived.iter().map(|(arrival, entry)| (*arrival, entry));
        Some(entries.filter(|(arrival, entry)| selects(*arrival, entry)).collect())
    }
}
