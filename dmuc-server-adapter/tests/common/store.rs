//! A store in memory that counts, waits and fails when told to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use dmuc_core::event::Position;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{
    ArchiveQuery, Change, Directory, DirectoryPage, Entry, Found, Frontier, HistoryStore, Lease, Listed,
    LogEntry, Page, PeerPolicy, Recent, Renewal, Revision, Room, RoomCommit, RoomUid, StoreError,
    StoreErrorKind, Tombstone, card_field,
};
use dmuc_core::{Address, Millis};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

#[derive(Default)]
struct Disk {
    addresses: BTreeMap<Address, RoomUid>,
    tombstones: BTreeMap<Address, Tombstone>,
    rooms: BTreeMap<RoomUid, (Found, Vec<LogEntry>)>,
    leases: BTreeMap<RoomUid, Held>,
    rules: BTreeMap<String, PeerRule>,
}

struct Held {
    lease: Lease,
    /// None once it was given back.
    node: Option<String>,
    wanted: bool,
}

pub struct TestStore {
    disk: Mutex<Disk>,
    /// Commits, as the sizes of their groups.
    groups: Mutex<Vec<usize>>,
    /// Open while the store answers.
    gate: Semaphore,
    pub down: AtomicBool,
    /// Commits of this room fail.
    pub cursed: Mutex<Option<Address>>,
    ruled: Notify,
}

impl Default for TestStore {
    fn default() -> Self {
        Self {
            disk: Mutex::default(),
            groups: Mutex::default(),
            gate: Semaphore::new(1),
            down: AtomicBool::new(false),
            cursed: Mutex::default(),
            ruled: Notify::default(),
        }
    }
}

impl TestStore {
    /// The store answers nothing as long as the permit lives.
    pub async fn hold(&self) -> SemaphorePermit<'_> {
        self.gate.acquire().await.unwrap()
    }

    pub fn groups(&self) -> Vec<usize> {
        self.groups.lock().unwrap().clone()
    }

    pub fn rooms(&self) -> usize {
        self.disk.lock().unwrap().rooms.len()
    }

    pub fn log_len(&self) -> usize {
        self.disk.lock().unwrap().rooms.values().map(|(_, log)| log.len()).sum()
    }

    /// The parts of this kind in all rooms.
    pub fn parts(&self, kind: &str) -> Vec<String> {
        let disk = self.disk.lock().unwrap();
        let parts = disk.rooms.values().flat_map(|(found, _)| &found.parts);
        parts.filter(|(key, _)| key.starts_with(kind)).map(|(_, value)| value.clone()).collect()
    }

    /// Rewrites the parts of this kind in all rooms; gives how many there are.
    pub fn edit(&self, kind: &str, edit: impl Fn(&str) -> String) -> usize {
        let mut disk = self.disk.lock().unwrap();
        let parts = disk.rooms.values_mut().flat_map(|(found, _)| found.parts.iter_mut());
        let of_kind = parts.filter(|(key, _)| key.starts_with(kind));
        of_kind.map(|(_, value)| *value = edit(value)).count()
    }

    /// Leases that some node holds.
    pub fn leased(&self) -> usize {
        self.disk.lock().unwrap().leases.values().filter(|held| held.node.is_some()).count()
    }

    /// Another node takes every room.
    pub fn steal(&self) {
        for Held { lease, node, .. } in self.disk.lock().unwrap().leases.values_mut() {
            *lease = Lease { fence: lease.fence + 1, expires: Millis(u64::MAX), ..*lease };
            *node = Some("another".to_owned());
        }
    }

    /// The other node dies, and its leases expire.
    pub fn expire_stolen(&self) {
        self.disk.lock().unwrap().leases.values_mut().for_each(|held| held.lease.expires = Millis(0));
    }

    async fn up(&self, operation: &'static str) -> Result<(), StoreError> {
        let _pass = self.gate.acquire().await.unwrap();
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable, operation)),
            false => Ok(()),
        }
    }

    fn commit_one(&self, commit: &RoomCommit) -> Result<Revision, StoreError> {
        let mut disk = self.disk.lock().unwrap();
        let conflict = || StoreError::new(StoreErrorKind::Conflict, "commit");
        let fence = disk.leases.get(&commit.lease.room).map(|held| held.lease.fence);
        let revision = disk.rooms.get(&commit.lease.room).map_or(Revision(0), |(found, _)| found.revision);
        if fence.is_none_or(|fence| fence > commit.lease.fence) || revision != commit.expected {
            return Err(conflict());
        }
        let cursed = self.cursed.lock().unwrap().clone();
        if cursed.and_then(|jid| disk.addresses.get(&jid).copied()) == Some(commit.lease.room) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "commit"));
        }
        for change in &commit.changes {
            disk.apply(commit.lease.room, change);
        }
        let next = Revision(revision.0 + 1);
        if let Some((found, _)) = disk.rooms.get_mut(&commit.lease.room) {
            found.revision = next;
        }
        Ok(next)
    }
}

impl Disk {
    fn apply(&mut self, room: RoomUid, change: &Change) {
        match change {
            Change::Create { jid } => {
                self.addresses.insert(jid.clone(), room);
                let found = Found { uid: room, revision: Revision(0), parts: BTreeMap::new() };
                self.rooms.insert(room, (found, Vec::new()));
            }
            Change::Put { key, value } => {
                self.room(room).0.parts.insert(key.clone(), value.clone());
            }
            Change::Delete { key } => {
                self.room(room).0.parts.remove(key);
            }
            Change::Append(entry) => self.room(room).1.push(*entry.clone()),
            Change::Destroy(tombstone) => {
                self.rooms.remove(&room);
                self.addresses.retain(|_, uid| *uid != room);
                self.tombstones.extend(tombstone.clone().map(|tombstone| (tombstone.jid.clone(), tombstone)));
            }
            other => panic!("no room in these tests makes {other:?}"),
        }
    }

    fn room(&mut self, room: RoomUid) -> &mut (Found, Vec<LogEntry>) {
        self.rooms.get_mut(&room).expect("changes follow a creation")
    }
}

#[async_trait]
impl Room for TestStore {
    async fn load(&self, jid: &Address, now: Millis) -> Result<Entry, StoreError> {
        self.up("load").await?;
        let disk = self.disk.lock().unwrap();
        if let Some(uid) = disk.addresses.get(jid) {
            return Ok(Entry::Room(disk.rooms[uid].0.clone()));
        }
        let tombstone = disk.tombstones.get(jid).filter(|tombstone| tombstone.blocks_until > now);
        Ok(tombstone.cloned().map_or(Entry::Vacant, Entry::Tombstone))
    }

    async fn commit(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>> {
        self.groups.lock().unwrap().push(commits.len());
        match self.up("commit").await {
            Ok(()) => commits.iter().map(|commit| self.commit_one(commit)).collect(),
            Err(error) => commits.iter().map(|_| Err(StoreError::new(error.kind, "commit"))).collect(),
        }
    }

    async fn acquire(
        &self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        self.up("acquire").await?;
        let mut disk = self.disk.lock().unwrap();
        let expires = now.plus(ttl_ms);
        let fresh = Held { lease: Lease { room, fence: 0, expires }, node: None, wanted: false };
        let held = disk.leases.entry(room).or_insert(fresh);
        let is_anew = held.node.as_deref() != Some(node);
        if is_anew && held.node.is_some() && held.lease.expires > now {
            held.wanted = true;
            return Err(StoreError::new(StoreErrorKind::Conflict, "acquire"));
        }
        let lease = Lease { fence: held.lease.fence + u64::from(is_anew), expires, ..held.lease };
        *held = Held { lease, node: Some(node.to_owned()), wanted: false };
        Ok(lease)
    }

    async fn renew(&self, leases: &[Lease], now: Millis, ttl_ms: u64) -> Vec<Result<Renewal, StoreError>> {
        if let Err(error) = self.up("renew").await {
            return error.for_all(leases.len());
        }
        let mut disk = self.disk.lock().unwrap();
        let renew = |lease: &Lease| match disk.leases.get_mut(&lease.room) {
            Some(held) if held.node.is_some() && held.lease.fence == lease.fence => {
                held.lease.expires = now.plus(ttl_ms);
                Ok(Renewal { lease: held.lease, wanted: held.wanted })
            }
            _ => Err(StoreError::new(StoreErrorKind::Conflict, "renew")),
        };
        leases.iter().map(renew).collect()
    }

    async fn abandoned(&self, _: &str, now: Millis, _: u32) -> Result<Vec<Address>, StoreError> {
        let disk = self.disk.lock().unwrap();
        let expired = |room: &RoomUid| {
            disk.leases.get(room).is_some_and(|held| held.node.is_some() && held.lease.expires <= now)
        };
        Ok(disk.addresses.iter().filter(|(_, room)| expired(room)).map(|(jid, _)| jid.clone()).collect())
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.up("release").await?;
        let mut disk = self.disk.lock().unwrap();
        let held = disk.leases.get_mut(&lease.room).filter(|held| held.lease.fence == lease.fence);
        held.into_iter().for_each(|held| held.node = None);
        Ok(())
    }

    async fn list(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        self.up("list").await?;
        let disk = self.disk.lock().unwrap();
        let listed = |(jid, uid): (&Address, &RoomUid)| {
            let card = disk.rooms[uid].0.parts.get("card").cloned();
            Listed { jid: jid.clone(), uid: *uid, card }
        };
        let wanted = disk.addresses.iter().filter(|(jid, _)| jid.domain() == domain && Some(*jid) > after);
        Ok(wanted.map(listed).take(limit as usize).collect())
    }

    async fn tally(&self, domain: &str, field: &str) -> Result<BTreeMap<String, u32>, StoreError> {
        self.up("tally").await?;
        let disk = self.disk.lock().unwrap();
        let mut counts = BTreeMap::new();
        for (_, uid) in disk.addresses.iter().filter(|(jid, _)| jid.domain() == domain) {
            let card = disk.rooms[uid].0.parts.get("card");
            card.into_iter().for_each(|card| *counts.entry(card_field(card, field)).or_default() += 1);
        }
        Ok(counts)
    }

    /// All of it: these tests do not page.
    async fn directory(&self, domain: &str, _: &Directory) -> Result<Option<DirectoryPage>, StoreError> {
        let mut rooms = self.list(domain, None, u32::MAX).await?;
        rooms.retain(|room| room.card.as_ref().is_some_and(|card| card.contains("\"public\":true")));
        Ok(Some(DirectoryPage { count: rooms.len() as u64, index: 0, rooms }))
    }

    async fn holding(
        &self,
        domain: &str,
        key: &str,
        limit: u32,
    ) -> Result<Vec<(Address, String)>, StoreError> {
        self.up("holding").await?;
        let disk = self.disk.lock().unwrap();
        let rooms = disk.addresses.iter().filter(|(jid, _)| jid.domain() == domain);
        let part = |uid: &RoomUid| disk.rooms[uid].0.parts.get(key).cloned();
        Ok(rooms.filter_map(|(jid, uid)| Some((jid.clone(), part(uid)?))).take(limit as usize).collect())
    }
}

#[async_trait]
impl HistoryStore for TestStore {
    async fn append(&self, _: RoomUid, _: &[LogEntry]) -> Result<(), StoreError> {
        Err(StoreError::new(StoreErrorKind::Unexpected, "rooms append by commits"))
    }

    async fn frontier(&self, room: RoomUid) -> Result<Vec<Frontier>, StoreError> {
        self.up("frontier").await?;
        let mut logs: BTreeMap<(String, u32), Frontier> = BTreeMap::new();
        for entry in self.disk.lock().unwrap().rooms.get(&room).map_or(&[][..], |(_, log)| log) {
            let pos = entry.event.pos.clone();
            let frontier = Frontier { pos: pos.clone(), digest: entry.digest, low: 1 };
            logs.insert((pos.o.to_string(), pos.i), frontier);
        }
        Ok(logs.into_values().collect())
    }

    async fn range(&self, _: RoomUid, _: &Position, _: u64, _: u32) -> Result<Vec<LogEntry>, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unexpected, "these tests ask for no ranges"))
    }

    async fn recent(&self, room: RoomUid, limits: Recent) -> Result<Vec<LogEntry>, StoreError> {
        self.up("recent").await?;
        let disk = self.disk.lock().unwrap();
        let log = disk.rooms.get(&room).map_or(&[][..], |(_, log)| log);
        let most = limits.stanzas.map_or(usize::MAX, |most| most as usize);
        Ok(log[log.len().saturating_sub(most)..].to_vec())
    }

    async fn page(&self, _: RoomUid, _: &ArchiveQuery) -> Result<Option<Page>, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unexpected, "these tests ask for no archive"))
    }

    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError> {
        self.up("expire").await?;
        let mut disk = self.disk.lock().unwrap();
        let Some((_, log)) = disk.rooms.get_mut(&room) else { return Ok(0) };
        let held = log.len();
        log.retain(|entry| entry.event.h.millis() >= before);
        Ok((held - log.len()) as u64)
    }
}

#[async_trait]
impl PeerPolicy for TestStore {
    async fn rules(&self) -> Result<Vec<PeerRule>, StoreError> {
        self.up("rules").await?;
        Ok(self.disk.lock().unwrap().rules.values().cloned().collect())
    }

    async fn set_rule(&self, rule: &PeerRule) -> Result<(), StoreError> {
        self.disk.lock().unwrap().rules.insert(rule.domain.clone(), rule.clone());
        self.ruled.notify_waiters();
        Ok(())
    }

    async fn drop_rule(&self, domain: &str) -> Result<(), StoreError> {
        self.disk.lock().unwrap().rules.remove(domain);
        self.ruled.notify_waiters();
        Ok(())
    }

    async fn rules_changed(&self) -> Result<(), StoreError> {
        self.ruled.notified().await;
        Ok(())
    }
}
