//! A store that fails when told to, for the tests of whatever is built on stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{
    ArchiveQuery, Directory, DirectoryPage, Entry, Frontier, HistoryStore, Lease, Listed, LogEntry, Page,
    PeerPolicy, Recent, Renewal, Revision, Room, RoomCommit, RoomUid, StoreError, StoreErrorKind, Tombstone,
    Transfer,
};
use crate::address::Address;
use crate::clock::Millis;
use crate::event::Position;
use crate::policy::PeerRule;

/// An operation of a store, by the name of its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// [`Room::load`].
    Load,
    /// [`Room::commit`].
    Commit,
    /// [`Room::acquire`].
    Acquire,
    /// [`Room::renew`].
    Renew,
    /// [`Room::release`].
    Release,
    /// [`Room::abandoned`].
    Abandoned,
    /// [`Room::list`].
    List,
    /// [`Room::tally`].
    Tally,
    /// [`Room::directory`].
    Directory,
    /// [`Room::holding`].
    Holding,
    /// [`HistoryStore::append`].
    Append,
    /// [`HistoryStore::frontier`].
    Frontier,
    /// [`HistoryStore::range`].
    Range,
    /// [`HistoryStore::recent`].
    Recent,
    /// [`HistoryStore::page`].
    Page,
    /// [`HistoryStore::expire`].
    Expire,
    /// [`PeerPolicy::rules`].
    Rules,
    /// [`PeerPolicy::set_rule`].
    SetRule,
    /// [`PeerPolicy::drop_rule`].
    DropRule,
    /// [`PeerPolicy::rules_changed`].
    RulesChanged,
}

/// Where in an operation the failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before it took effect: nothing has happened.
    Before(StoreErrorKind),
    /// After it took effect: it happened, and is reported as failed all the same (the answer was lost).
    After(StoreErrorKind),
}

/// Which operations of a [`FaultyStore`] fail; clones share it. Empty, it changes nothing.
#[derive(Clone, Default)]
pub struct FaultPlan {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<Operation, u64>,
    planned: BTreeMap<(Operation, u64), Fault>,
    down: Down,
}

/// Which operations find the store unavailable.
#[derive(Debug, Default)]
enum Down {
    #[default]
    None,
    All,
    Some(BTreeSet<Operation>),
    /// So many operations more, of whatever kind.
    Next(u64),
}

impl Down {
    fn hits(&mut self, operation: Operation) -> bool {
        match self {
            Self::None | Self::Next(0) => false,
            Self::All => true,
            Self::Some(operations) => operations.contains(&operation),
            Self::Next(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl State {
    fn meet(&mut self, operation: Operation) -> Option<Fault> {
        let count = self.counts.entry(operation).or_default();
        *count += 1;
        let planned = self.planned.remove(&(operation, *count));
        let down = self.down.hits(operation).then_some(Fault::Before(StoreErrorKind::Unavailable));
        down.or(planned)
    }
}

impl FaultPlan {
    /// No faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The `n`-th call of `operation` from now on fails; 1 is the next. A slice of commits is one call, and all its
    /// results fail.
    pub fn fail(&self, operation: Operation, n: u64, fault: Fault) {
        self.with(|state| {
            let so_far = state.counts.get(&operation).copied().unwrap_or(0);
            state.planned.insert((operation, so_far + n), fault);
        });
    }

    /// Every operation is `Unavailable` until [`recover`](Self::recover).
    pub fn go_down(&self) {
        self.with(|state| state.down = Down::All);
    }

    /// These operations are `Unavailable` until [`recover`](Self::recover).
    pub fn go_down_for(&self, operations: impl IntoIterator<Item = Operation>) {
        self.with(|state| state.down = Down::Some(operations.into_iter().collect()));
    }

    /// The next `operations` operations are `Unavailable`, of whatever kind.
    pub fn go_down_during(&self, operations: u64) {
        self.with(|state| state.down = Down::Next(operations));
    }

    /// The store is available again; single faults stay planned.
    pub fn recover(&self) {
        self.with(|state| state.down = Down::None);
    }

    /// How many calls of `operation` there have been, failed ones included.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.with(|state| state.counts.get(&operation).copied().unwrap_or(0))
    }

    /// How many single faults have yet to happen; a test that ends with some left has not tested them.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.with(|state| state.planned.len())
    }

    fn meet(&self, operation: Operation) -> Option<Fault> {
        self.with(|state| state.meet(operation))
    }
}

impl fmt::Debug for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|state| fmt::Debug::fmt(state, f))
    }
}

/// A store, and the faults that its callers meet.
#[derive(Debug, Clone)]
pub struct FaultyStore<S> {
    store: S,
    plan: FaultPlan,
}

fn planned(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "a planned fault")
}

impl<S> FaultyStore<S> {
    /// `store` with the faults of `plan`, which may be changed at any time.
    #[must_use]
    pub fn new(store: S, plan: FaultPlan) -> Self {
        Self { store, plan }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    /// The store without faults, to see what really happened.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// The store without faults, for good.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.store
    }

    async fn perform<T>(
        &self,
        operation: Operation,
        done: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.plan.meet(operation) {
            None => done.await,
            Some(Fault::Before(kind)) => Err(planned(kind)),
            Some(Fault::After(kind)) => {
                done.await?;
                Err(planned(kind))
            }
        }
    }

    async fn perform_all<T>(
        &self,
        operation: Operation,
        size: usize,
        done: impl Future<Output = Vec<Result<T, StoreError>>>,
    ) -> Vec<Result<T, StoreError>> {
        match self.plan.meet(operation) {
            None => done.await,
            Some(Fault::Before(kind)) => planned(kind).for_all(size),
            Some(Fault::After(kind)) => {
                done.await;
                planned(kind).for_all(size)
            }
        }
    }
}

#[async_trait]
impl<S: Room> Room for FaultyStore<S> {
    async fn load(&self, jid: &Address, now: Millis) -> Result<Entry, StoreError> {
        self.perform(Operation::Load, self.store.load(jid, now)).await
    }

    async fn commit(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>> {
        self.perform_all(Operation::Commit, commits.len(), self.store.commit(commits)).await
    }

    async fn acquire(
        &self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        self.perform(Operation::Acquire, self.store.acquire(room, node, now, ttl_ms)).await
    }

    async fn renew(&self, leases: &[Lease], now: Millis, ttl_ms: u64) -> Vec<Result<Renewal, StoreError>> {
        self.perform_all(Operation::Renew, leases.len(), self.store.renew(leases, now, ttl_ms)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.perform(Operation::Release, self.store.release(lease)).await
    }

    async fn abandoned(&self, domain: &str, now: Millis, limit: u32) -> Result<Vec<Address>, StoreError> {
        self.perform(Operation::Abandoned, self.store.abandoned(domain, now, limit)).await
    }

    async fn list(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        self.perform(Operation::List, self.store.list(domain, after, limit)).await
    }

    async fn tally(&self, domain: &str, field: &str) -> Result<BTreeMap<String, u32>, StoreError> {
        self.perform(Operation::Tally, self.store.tally(domain, field)).await
    }

    async fn directory(&self, domain: &str, wanted: &Directory) -> Result<Option<DirectoryPage>, StoreError> {
        self.perform(Operation::Directory, self.store.directory(domain, wanted)).await
    }

    async fn holding(
        &self,
        domain: &str,
        key: &str,
        limit: u32,
    ) -> Result<Vec<(Address, String)>, StoreError> {
        self.perform(Operation::Holding, self.store.holding(domain, key, limit)).await
    }
}

#[async_trait]
impl<S: HistoryStore> HistoryStore for FaultyStore<S> {
    async fn append(&self, room: RoomUid, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.perform(Operation::Append, self.store.append(room, entries)).await
    }

    async fn frontier(&self, room: RoomUid) -> Result<Vec<Frontier>, StoreError> {
        self.perform(Operation::Frontier, self.store.frontier(room)).await
    }

    async fn range(
        &self,
        room: RoomUid,
        from: &Position,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, StoreError> {
        self.perform(Operation::Range, self.store.range(room, from, to, limit)).await
    }

    async fn recent(&self, room: RoomUid, limits: Recent) -> Result<Vec<LogEntry>, StoreError> {
        self.perform(Operation::Recent, self.store.recent(room, limits)).await
    }

    async fn page(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Option<Page>, StoreError> {
        self.perform(Operation::Page, self.store.page(room, query)).await
    }

    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError> {
        self.perform(Operation::Expire, self.store.expire(room, before)).await
    }
}

#[async_trait]
impl<S: PeerPolicy> PeerPolicy for FaultyStore<S> {
    async fn rules(&self) -> Result<Vec<PeerRule>, StoreError> {
        self.perform(Operation::Rules, self.store.rules()).await
    }

    async fn set_rule(&self, rule: &PeerRule) -> Result<(), StoreError> {
        self.perform(Operation::SetRule, self.store.set_rule(rule)).await
    }

    async fn drop_rule(&self, domain: &str) -> Result<(), StoreError> {
        self.perform(Operation::DropRule, self.store.drop_rule(domain)).await
    }

    async fn rules_changed(&self) -> Result<(), StoreError> {
        self.perform(Operation::RulesChanged, self.store.rules_changed()).await
    }
}

/// Moving a store meets no faults of its own: whoever moves one meets those of the other operations.
#[async_trait]
impl<S: Transfer> Transfer for FaultyStore<S> {
    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        self.store.domains().await
    }

    async fn tombstones(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, StoreError> {
        self.store.tombstones(domain, after, limit).await
    }

    async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        self.store.put_tombstone(tombstone).await
    }

    async fn arrivals(
        &self,
        room: RoomUid,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LogEntry)>, StoreError> {
        self.store.arrivals(room, after, limit).await
    }

    async fn put_places(&self, room: RoomUid, ended: &[Frontier]) -> Result<(), StoreError> {
        self.store.put_places(room, ended).await
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::{Fault, FaultPlan, FaultyStore, Operation};
    use crate::address::Address;
    use crate::clock::Millis;
    use crate::storage::conformance::Builder;
    use crate::storage::{
        Change, Entry, HistoryStore, Lease, MemoryStore, PeerPolicy, Revision, Room, RoomCommit, RoomUid,
        StoreErrorKind,
    };

    #[derive(Default)]
    struct Faultless;

    #[async_trait]
    impl Builder for Faultless {
        type Store = FaultyStore<MemoryStore>;
        type Guard = ();

        async fn build(&self) -> (Self::Store, ()) {
            (FaultyStore::new(MemoryStore::new(), FaultPlan::new()), ())
        }
    }

    crate::suite!(Faultless);

    fn store() -> FaultyStore<MemoryStore> {
        FaultyStore::new(MemoryStore::new(), FaultPlan::new())
    }

    fn coven() -> Address {
        Address::parse("coven@chat.shakespeare.lit").unwrap()
    }

    fn creation() -> RoomCommit {
        let lease = Lease { room: RoomUid(uuid::Uuid::from_u128(1)), fence: 1, expires: Millis(1) };
        RoomCommit { lease, expected: Revision(0), changes: vec![Change::Create { jid: coven() }] }
    }

    async fn exists(store: &MemoryStore) -> bool {
        store.load(&coven(), Millis(0)).await.unwrap() != Entry::Vacant
    }

    #[tokio::test]
    async fn a_fault_before_leaves_nothing_behind() {
        let store = store();
        store.plan().fail(Operation::Commit, 1, Fault::Before(StoreErrorKind::Unavailable));
        let results = store.commit(&[creation(), creation()]).await;
        let kinds: Vec<_> = results.iter().map(|result| result.as_ref().unwrap_err().kind).collect();
        assert_eq!(kinds, [StoreErrorKind::Unavailable; 2]);
        assert!(!exists(store.inner()).await);
        assert!(store.commit(&[creation()]).await[0].is_ok(), "only that one fails");
    }

    #[tokio::test]
    async fn a_fault_after_leaves_everything_behind() {
        let store = store();
        store.plan().fail(Operation::Commit, 2, Fault::After(StoreErrorKind::Unexpected));
        assert!(store.commit(&[]).await.is_empty());
        let results = store.commit(&[creation()]).await;
        assert_eq!(results[0].as_ref().unwrap_err().kind, StoreErrorKind::Unexpected);
        assert!(exists(store.inner()).await);
        assert_eq!((store.plan().pending(), store.plan().count(Operation::Commit)), (0, 2));
    }

    #[tokio::test]
    async fn it_is_down_until_it_recovers() {
        let store = store();
        store.plan().go_down();
        assert_eq!(store.rules().await.unwrap_err().kind, StoreErrorKind::Unavailable);
        assert!(store.load(&coven(), Millis(0)).await.is_err());
        store.plan().go_down_for([Operation::Rules]);
        assert!(store.rules().await.is_err());
        assert!(store.load(&coven(), Millis(0)).await.is_ok());
        store.plan().recover();
        assert!(store.rules().await.is_ok());
    }

    #[tokio::test]
    async fn it_is_down_for_a_while() {
        let store = store();
        let room = creation().lease.room;
        store.plan().fail(Operation::Frontier, 3, Fault::Before(StoreErrorKind::Corrupt));
        store.plan().go_down_during(2);
        assert!(store.frontier(room).await.is_err());
        assert!(store.rules().await.is_err());
        assert!(store.frontier(room).await.is_ok());
        assert_eq!(store.frontier(room).await.unwrap_err().kind, StoreErrorKind::Corrupt);
        assert!(store.frontier(room).await.is_ok());
    }
}
