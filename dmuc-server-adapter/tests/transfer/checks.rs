//! What a check finds, and what it does not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dmuc_core::event::ChainDigest;
use dmuc_core::storage::{Change, Fault, FaultPlan, FaultyStore, MemoryStore, Operation, StoreErrorKind};
use dmuc_server_adapter::service::open_storage;
use dmuc_server_adapter::transfer::{Checked, Finding, Phase, Progress, TransferError, What, check};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::fixture::{MANY, Store, Stores, change, entries_of, fill, found, now, room, tombstone};

const PEER: &str = "rooms.macbeth.lit";

async fn checked(store: &Store) -> (Checked, Vec<Finding>) {
    let mut found = Vec::new();
    let checked = check(store, &(), &mut |finding| found.push(finding)).await.unwrap();
    (checked, found)
}

/// What was found, as text; all of it in `heath`.
async fn in_heath(store: &Store) -> Vec<String> {
    let (_, found) = checked(store).await;
    assert!(found.iter().all(|finding| finding.room == Some(room("heath"))), "{found:?}");
    found.into_iter().map(|finding| finding.what.to_string()).collect()
}

async fn filled(store: Store) -> Store {
    fill(&store).await;
    store
}

#[tokio::test]
async fn a_store_in_order_has_no_mistakes() {
    let stores = Stores::new();
    for store in [stores.memory().await, stores.sqlite().await] {
        fill(&store).await;
        let uid = found(&store, "heath").await.uid;
        store.append(uid, &entries_of(PEER, MANY)).await.unwrap();
        let (checked, found) = checked(&store).await;
        assert_eq!(found, []);
        assert_eq!((checked.counts.rooms, checked.counts.entries), (2, MANY + 4));
        assert_eq!((checked.counts.tombstones, checked.counts.rules), (1, 1));
    }
}

#[tokio::test]
async fn digests_that_do_not_fit_are_named() {
    let store = filled(Stores::new().memory().await).await;
    let uid = found(&store, "heath").await.uid;
    let mut log = entries_of(PEER, 5);
    log[1].digest = Some(ChainDigest([1; 16]));
    log[3].digest = None;
    store.append(uid, &log).await.unwrap();
    let names = [2, 3, 5].map(|s| format!("the digest of {PEER}.1.{s} is not that of the log up to it"));
    assert_eq!(in_heath(&store).await, names, "the third follows on a wrong one, the fifth on none");
}

#[tokio::test]
async fn retracted_words_leave_their_digest_good() {
    let store = filled(Stores::new().memory().await).await;
    let uid = found(&store, "heath").await.uid;
    let log = entries_of(PEER, 5);
    store.append(uid, &log).await.unwrap();
    change(&store, "heath", vec![Change::Redact { id: log[2].event.id, content: Vec::new() }]).await;
    assert_eq!(in_heath(&store).await, [""; 0]);
}

#[tokio::test]
async fn holes_are_mistakes_of_ones_own_log_alone() {
    let store = filled(Stores::new().memory().await).await;
    let uid = found(&store, "heath").await.uid;
    let mut log = entries_of(PEER, 7);
    log.drain(2..5);
    log[2].digest = None;
    log[3].digest = None;
    store.append(uid, &log).await.unwrap();
    let (result, findings) = checked(&store).await;
    assert_eq!((result.mistakes, result.notices), (0, 1), "{findings:?}");
    assert_eq!(findings[0].to_string(), format!("heath@chat.shakespeare.lit: the log {PEER}.1 lacks 3 to 5"));

    let mut own = entries_of("chat.shakespeare.lit", 9).split_off(8);
    own[0].digest = None;
    store.append(found(&store, "coven").await.uid, &own).await.unwrap();
    assert_eq!(checked(&store).await.0.mistakes, 1);
}

#[tokio::test]
async fn records_are_read_as_a_service_reads_them() {
    let store = filled(Stores::new().memory().await).await;
    let parts = found(&store, "heath").await.parts;
    let put = |key: &str, value: &str| vec![Change::Put { key: key.to_owned(), value: value.to_owned() }];
    let card = parts["card"].replace("\"public\":true", "\"public\":false");
    change(&store, "heath", put("card", &card)).await;
    assert_eq!(in_heath(&store).await, ["what discovery shows is not what its record says"]);
    change(&store, "heath", put("card", &parts["card"])).await;
    change(&store, "heath", put("head", &found(&store, "coven").await.parts["head"])).await;
    assert_eq!(in_heath(&store).await, ["the address leads to another room than its record says"]);
    change(&store, "heath", put("config", "{")).await;
    let said = in_heath(&store).await;
    assert!(said[0].starts_with("cannot be read: read a part of a room: Corrupt: EOF"), "{said:?}");
}

#[tokio::test]
async fn a_tombstone_of_a_living_room_is_a_mistake() {
    let store = filled(Stores::new().memory().await).await;
    store.put_tombstone(&tombstone("heath")).await.unwrap();
    assert_eq!(in_heath(&store).await, ["there is a tombstone where there is a room"]);
}

#[tokio::test]
async fn a_store_that_does_not_answer_has_no_mistakes_but_fails() {
    let memory = MemoryStore::new();
    filled(Arc::new(memory.clone())).await;
    let plan = FaultPlan::new();
    let store: Store = Arc::new(FaultyStore::new(memory, plan.clone()));
    for operation in [Operation::Load, Operation::Range, Operation::Page, Operation::Recent, Operation::Rules]
    {
        plan.fail(operation, 1, Fault::Before(StoreErrorKind::Unavailable));
        let failed = check(&store, &(), &mut |found| panic!("{found:?}")).await;
        assert!(matches!(failed, Err(TransferError::Store { .. })), "{operation:?}: {failed:?}");
        plan.fail(operation, 1, Fault::Before(StoreErrorKind::Corrupt));
        let (checked, found) = checked(&store).await;
        assert_eq!(checked.mistakes, 1, "{operation:?}: {found:?}");
    }
    assert_eq!(plan.pending(), 0);
}

/// Somebody writes a room whenever something was read, so many times.
struct Meanwhile<'a> {
    store: &'a Store,
    checking: AtomicBool,
    times: AtomicU64,
}

impl Progress for Meanwhile<'_> {
    fn begin(&self, phase: Phase, _: Option<u64>) {
        self.checking.store(phase == Phase::Checking, Ordering::Relaxed);
    }

    fn advance(&self, _: u64) {
        let (order, less) = (Ordering::Relaxed, |times: u64| times.checked_sub(1));
        if self.checking.load(order) && self.times.fetch_update(order, order, less).is_ok() {
            now(change(self.store, "coven", vec![Change::Delete { key: "nothing".to_owned() }]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_changes_is_read_again_and_given_up_at_last() {
    let store = filled(Stores::new().memory().await).await;
    for (times, notices) in [(2, 0), (u64::MAX, 1)] {
        let meanwhile =
            Meanwhile { store: &store, checking: AtomicBool::default(), times: AtomicU64::new(times) };
        let mut found = Vec::new();
        let checked = check(&store, &meanwhile, &mut |finding| found.push(finding)).await.unwrap();
        assert_eq!((checked.mistakes, checked.notices), (0, notices), "{found:?}");
        assert!(found.iter().all(|finding| finding.what == What::Busy), "{found:?}");
    }
}

/// Lets SQL loose on the file of a store.
async fn tamper(file: &Path, sql: &'static str) {
    let mut db = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query(sql).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn every_index_is_held_against_the_entries() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, file) = (dir.path().join("whole.db"), dir.path().join("damaged.db"));
    let store = open_storage(&format!("sqlite:{}", whole.display())).await.unwrap();
    fill(&store).await;
    drop(store);
    tamper(&whole, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    for (sql, expected) in [
        ("UPDATE log SET nick = 'macbeth' WHERE nick = 'wyrd'", "by nick `wyrd`, but there are 3"),
        ("UPDATE log SET oid = 'macbeth'", "entries by occupant id"),
        ("UPDATE log SET hlc = 1 WHERE seq = 1", "selects 2 entries by time, but there are 3"),
        ("UPDATE log SET hlc = hlc + 1000000000000 WHERE seq = 3", "not the newest in canonical order"),
        ("UPDATE log SET id = zeroblob(16) WHERE seq = 1", "not found by their ids"),
        (
            "UPDATE log SET event = json_set(event, '$.lang', 'en') WHERE seq = 4",
            "digest of chat.shakespeare.lit.1.4",
        ),
        ("UPDATE frontiers SET top = 3 WHERE incarnation = 1", "holds chat.shakespeare.lit.1 from 1 to 3"),
        ("DELETE FROM frontiers WHERE incarnation = 1", "order of arrival are not the 0 of the logs"),
        ("DELETE FROM log WHERE seq = 2", "the log chat.shakespeare.lit.1 lacks 2 to 2"),
        ("UPDATE log SET event = '?' WHERE seq = 1", "cannot be read: read a log: Corrupt"),
        ("UPDATE rooms SET public = 0 WHERE jid LIKE 'heath%'", "has 1 rooms, but 2 say"),
        ("UPDATE tombstones SET tombstone = '{}'", "cannot be read: read the store: Corrupt"),
        ("UPDATE peers SET rule = '?'", "cannot be read: peer rules: Corrupt"),
    ] {
        std::fs::copy(&whole, &file).unwrap();
        tamper(&file, sql).await;
        let store = open_storage(&format!("sqlite:{}", file.display())).await.unwrap();
        let (checked, found) = checked(&store).await;
        let said: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert!(checked.mistakes > 0 && said.iter().any(|said| said.contains(expected)), "{sql}: {said:?}");
        drop(store);
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", file.display()));
        }
    }
}
