//! From store to store.

use std::sync::Arc;

use dmuc_core::Millis;
use dmuc_core::storage::{
    ArchiveQuery, Change, Fault, FaultPlan, FaultyStore, MemoryStore, Operation, RoomUid, StoreErrorKind,
};
use dmuc_server_adapter::transfer::{Kind, Phase, Progress, Target, TransferError, migrate};
use uuid::Uuid;

use crate::fixture::{
    ENDED, MANY, NOW, Store, Stores, change, create, entries, exported, fill, found, full, goes_on, now,
    room, tombstone,
};

async fn moved(from: &Store, to: &Store) -> Result<(), TransferError> {
    migrate(from, to, Target::Empty, &()).await.map(drop)
}

async fn everything_arrives(from: Store, to: Store) {
    let from = full(from).await;
    let counts = migrate(&from, &to, Target::Empty, &()).await.unwrap();
    assert_eq!((counts.rooms, counts.tombstones, counts.rules), (3, 1, 1));
    assert_eq!(exported(&from).await, exported(&to).await);

    assert_eq!(found(&to, "coven").await.parts, found(&from, "coven").await.parts);
    let uid = found(&to, "coven").await.uid;
    let all = ArchiveQuery { max: 100, ..ArchiveQuery::default() };
    let page = to.page(uid, &all).await.unwrap().unwrap();
    assert_eq!(page.count, 3, "one of four is withheld");
    assert_eq!(to.arrivals(uid, 0, 100).await.unwrap().iter().filter(|(_, e)| e.withheld).count(), 1);
    let ended = to.frontier(uid).await.unwrap().into_iter().find(|log| log.low > log.pos.s).unwrap();
    assert_eq!((ended.pos.i, ended.pos.s), (3, ENDED));
    assert_eq!(to.tombstones("chat.shakespeare.lit", None, 9).await.unwrap(), [tombstone("cave")]);
    assert_eq!(to.rules().await.unwrap(), from.rules().await.unwrap());

    for store in [&from, &to] {
        store.acquire(uid, "another", Millis(0), 1000).await.expect("no lease is left held");
    }
}

#[tokio::test]
async fn everything_goes_from_memory_to_sqlite() {
    let stores = Stores::new();
    everything_arrives(stores.memory().await, stores.sqlite().await).await;
}

#[tokio::test]
async fn everything_goes_from_sqlite_to_memory() {
    let stores = Stores::new();
    everything_arrives(stores.sqlite().await, stores.memory().await).await;
}

#[tokio::test]
async fn everything_goes_from_sqlite_to_sqlite() {
    let stores = Stores::new();
    everything_arrives(stores.sqlite().await, stores.sqlite().await).await;
}

#[tokio::test]
async fn moving_again_changes_nothing() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.memory().await);
    moved(&from, &to).await.unwrap();
    let revision = found(&to, "long").await.revision;
    moved(&from, &to).await.unwrap();
    assert_eq!(found(&to, "long").await.revision, revision);
    assert_eq!(exported(&from).await, exported(&to).await);
}

/// Whatever write of the target fails, before or after it was made: the next run completes the work, and nothing is there
/// twice.
#[tokio::test]
async fn an_interrupted_run_is_taken_up() {
    let from = full(Stores::new().memory().await).await;
    let operations = [Operation::Append, Operation::Commit, Operation::Acquire, Operation::SetRule];
    let faults = [Fault::Before(StoreErrorKind::Unavailable), Fault::After(StoreErrorKind::Unavailable)];
    for (operation, fault) in operations.into_iter().flat_map(|one| faults.map(|fault| (one, fault))) {
        let (memory, plan) = (MemoryStore::new(), FaultPlan::new());
        plan.fail(operation, 1, fault);
        let faulty: Store = Arc::new(FaultyStore::new(memory.clone(), plan.clone()));
        let first = moved(&from, &faulty).await.unwrap_err();
        assert!(matches!(first, TransferError::Store { .. }), "{operation:?}: {first:?}");
        assert_eq!(plan.pending(), 0);
        let to: Store = Arc::new(memory);
        moved(&from, &to).await.unwrap();
        assert_eq!(exported(&from).await, exported(&to).await, "{operation:?}, {fault:?}");
    }
}

/// Half of a log is there already, as an interrupted run leaves it: only the rest is written.
#[tokio::test]
async fn what_is_held_is_not_written_again() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.sqlite().await);
    let uid = found(&from, "long").await.uid;
    to.append(uid, &entries(MANY / 2)).await.unwrap();
    moved(&from, &to).await.unwrap();
    assert_eq!(exported(&from).await, exported(&to).await);
}

#[tokio::test]
async fn another_log_in_the_way_is_left_alone() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.memory().await);
    let uid = found(&from, "long").await.uid;
    let mut others = entries(3);
    others[1].event.oid = Some("another".to_owned());
    to.append(uid, &others).await.unwrap();
    let error = moved(&from, &to).await.unwrap_err();
    assert!(matches!(error, TransferError::InTheWay(_)), "{error:?}");
    assert!(error.to_string().contains("room long@chat.shakespeare.lit"), "{error}");
    let held: Vec<_> = to.arrivals(uid, 0, 9).await.unwrap().into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(held, others);
}

#[tokio::test]
async fn rooms_in_use_are_named_and_nothing_happens() {
    let stores = Stores::new();
    let (from, to) = (full(stores.sqlite().await).await, stores.memory().await);
    let uid = found(&from, "heath").await.uid;
    let far = Millis(u64::MAX / 4);
    let lease = from.acquire(uid, "a node", NOW, far.0).await.unwrap();
    let error = moved(&from, &to).await.unwrap_err();
    assert!(matches!(&error, TransferError::Awake(rooms) if *rooms == [room("heath")]), "{error:?}");
    assert!(error.to_string().contains("heath@chat.shakespeare.lit"), "{error}");
    assert!(to.domains().await.unwrap().is_empty());
    from.release(&lease).await.unwrap();
    moved(&from, &to).await.unwrap();
}

#[tokio::test]
async fn a_target_with_rooms_of_its_own_is_refused_unless_it_is_to_keep_them() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.sqlite().await);
    create(&to, "foreign", RoomUid(Uuid::from_u128(5))).await;
    let before = exported(&to).await;
    let error = moved(&from, &to).await.unwrap_err();
    let TransferError::Occupied(differences) = &error else { panic!("{error:?}") };
    assert_eq!((differences.len(), differences[0].kind), (1, Kind::Foreign));
    assert!(error.to_string().contains("room foreign@chat.shakespeare.lit: in the target alone"), "{error}");
    assert_eq!(exported(&to).await, before, "nothing was written");

    migrate(&from, &to, Target::Merged, &()).await.unwrap();
    assert_eq!(exported(&to).await.1.rooms, 4);
    found(&to, "foreign").await;
}

#[tokio::test]
async fn another_room_at_an_address_is_never_replaced() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.memory().await);
    let other = RoomUid(Uuid::from_u128(5));
    create(&to, "coven", other).await;
    for target in [Target::Empty, Target::Merged] {
        let error = migrate(&from, &to, target, &()).await.unwrap_err();
        assert!(matches!(error, TransferError::Occupied(_)), "{error:?}");
    }
    assert_eq!(found(&to, "coven").await.uid, other);
}

#[tokio::test]
async fn a_room_where_a_tombstone_comes_is_left_alone() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.memory().await);
    create(&to, "cave", RoomUid(Uuid::from_u128(5))).await;
    let error = migrate(&from, &to, Target::Merged, &()).await.unwrap_err();
    assert!(error.to_string().contains("tombstone of cave@chat.shakespeare.lit"), "{error}");
    found(&to, "cave").await;
}

/// Does something when a phase begins.
struct At<F>(Phase, F);

impl<F: Fn() + Send + Sync> Progress for At<F> {
    fn begin(&self, phase: Phase, _: Option<u64>) {
        if phase == self.0 {
            (self.1)();
        }
    }

    fn advance(&self, _: u64) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_names_the_room() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.sqlite().await);
    let spoil = || now(change(&to, "heath", vec![Change::Delete { key: "config".to_owned() }]));
    let error = migrate(&from, &to, Target::Empty, &At(Phase::Verifying, spoil)).await.unwrap_err();
    let TransferError::Differs(differences) = &error else { panic!("{error:?}") };
    assert_eq!((differences.len(), differences[0].kind), (1, Kind::Different));
    assert!(error.to_string().contains("room heath@chat.shakespeare.lit: different"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uses_a_room_meanwhile() {
    let stores = Stores::new();
    let (from, to) = (full(stores.memory().await).await, stores.memory().await);
    let uid = found(&from, "heath").await.uid;
    let wake = || {
        now(async {
            let taken = from.acquire(uid, "a node", Millis(0), 1000).await;
            assert_eq!(taken.unwrap_err().kind, StoreErrorKind::Conflict);
        });
    };
    migrate(&from, &to, Target::Empty, &At(Phase::Copying, wake)).await.unwrap();
}

#[tokio::test]
async fn a_moved_service_goes_on() {
    let stores = Stores::new();
    let (from, to) = (stores.memory().await, stores.sqlite().await);
    fill(&from).await;
    moved(&from, &to).await.unwrap();
    // A service that starts there finds its rooms and its occupants, and the log goes on where it was.
    let before = to.frontier(found(&to, "coven").await.uid).await.unwrap();
    goes_on(&to).await;
    let after = to.frontier(found(&to, "coven").await.uid).await.unwrap();
    assert_eq!(after[0].pos.s, before[0].pos.s + 1);
    assert!(after[0].digest.is_some());
}
