//! What is durable of a room in a story.

use std::collections::BTreeMap;

use dmuc_core::io::{Answer, Query};
use dmuc_core::storage::{Change, HistoryStore, LogEntry, MemoryStore, RoomUid, Tombstone};

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) parts: BTreeMap<String, String>,
    pub(super) uid: Option<RoomUid>,
    pub(super) log: Vec<LogEntry>,
    pub(super) tombstone: Option<Tombstone>,
    pub(super) revision: u64,
}

impl Disk {
    pub(super) fn apply(&mut self, changes: Vec<Change>, uid: Option<RoomUid>) {
        self.revision += 1;
        for change in changes {
            match change {
                Change::Create { .. } => self.uid = uid,
                Change::Put { key, value } => drop(self.parts.insert(key, value)),
                Change::Delete { key } => drop(self.parts.remove(&key)),
                Change::Append(entry) => self.log.push(*entry),
                Change::Destroy(tombstone) => {
                    *self = Self { tombstone, revision: self.revision, ..Self::default() };
                }
                Change::Redact { id, content } => {
                    let held = self.log.iter_mut().find(|entry| entry.event.id == id);
                    held.into_iter().for_each(|entry| entry.event.content.clone_from(&content));
                }
                Change::Withhold { pos, withheld } => {
                    let held = self.log.iter_mut().find(|entry| entry.event.pos == pos);
                    held.into_iter().for_each(|entry| entry.withheld = withheld);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// As a store would have it: out of the log, written and read.
    pub(super) fn answer(&self, query: Query) -> Answer {
        let (store, uid) = (MemoryStore::new(), self.uid.expect("a room"));
        now(store.append(uid, &self.log)).unwrap();
        match query {
            Query::Recent(limits) => Answer::Entries(now(store.recent(uid, limits)).unwrap()),
            Query::Page(query) => Answer::Page(now(store.page(uid, &query)).unwrap()),
            other => panic!("unexpected {other:?}"),
        }
    }

    pub(super) fn card(&self) -> Option<dmuc_core::record::Card> {
        dmuc_core::record::Card::read(self.parts.get("card")?)
    }

    pub(super) fn firsthost(&self) -> Option<String> {
        self.card()?.firsthost.map(|firsthost| firsthost.as_str().to_owned())
    }

    pub(super) fn frontier(&self) -> Vec<dmuc_core::storage::Frontier> {
        let mut logs: BTreeMap<_, Vec<&LogEntry>> = BTreeMap::new();
        for entry in &self.log {
            logs.entry((entry.event.pos.o.clone(), entry.event.pos.i)).or_default().push(entry);
        }
        let frontier = |mut entries: Vec<&LogEntry>| {
            entries.sort_by_key(|entry| entry.event.pos.s);
            let low = entries[0].event.pos.s;
            let last = entries
                .iter()
                .enumerate()
                .take_while(|(n, e)| e.event.pos.s == low + *n as u64)
                .last()
                .unwrap()
                .1;
            dmuc_core::storage::Frontier { pos: last.event.pos.clone(), digest: last.digest, low }
        };
        logs.into_values().map(frontier).collect()
    }
}

/// What a store in memory gives: it never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a store in memory waits"),
    }
}
