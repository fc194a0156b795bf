//! What is said about files that cannot be used, and about damage.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use dmuc_core::clock::Hlc;
use dmuc_core::event::{Event, EventId, Position};
use dmuc_core::storage::{
    ArchiveQuery, Change, Entry, HistoryStore, LogEntry, PeerPolicy, Recent, Revision, Room, RoomCommit,
    RoomUid, StoreError, StoreErrorKind,
};
use dmuc_core::{Address, Millis};
use dmuc_store_sqlite::{OpenError, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

const UID: RoomUid = RoomUid(uuid::Uuid::from_u128(1));

fn coven() -> Address {
    Address::parse("coven@chat.shakespeare.lit").unwrap()
}

fn file() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dmuc.db");
    (dir, path)
}

async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&format!("sqlite:{}", path.display())).await
}

async fn refusal(path: &Path) -> (OpenError, String) {
    let error = open(path).await.expect_err("must not open");
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "names the file: {text}");
    (error, text)
}

/// Lets SQL loose on a store that is closed.
async fn tamper(path: &Path, sql: &'static str) {
    let mut db = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::query(sql).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

async fn commit(store: &SqliteStore, expected: u64, changes: Vec<Change>) {
    let lease = store.acquire(UID, "node", Millis(0), 1000).await.unwrap();
    let commit = RoomCommit { lease, expected: Revision(expected), changes };
    assert_eq!(store.commit(&[commit]).await.remove(0).unwrap(), Revision(expected + 1));
}

fn entry(s: u64) -> LogEntry {
    let event = Event {
        pos: Position { o: "chat.shakespeare.lit".into(), i: 1, s },
        h: Hlc::at(Millis(s)),
        id: EventId([s as u8; 16]),
        deps: Vec::new(),
        nick: None,
        oid: None,
        jid: None,
        stanza: None,
        lang: None,
        content: Vec::new(),
    };
    LogEntry { event, digest: None, withheld: false }
}

/// A store with a room, a message and a rule, damaged by `sql`.
async fn damaged(sql: &'static str) -> (TempDir, SqliteStore) {
    let (dir, path) = file();
    let store = open(&path).await.unwrap();
    commit(&store, 0, vec![Change::Create { jid: coven() }]).await;
    commit(&store, 1, vec![Change::Append(Box::new(entry(1)))]).await;
    store.set_rule(&dmuc_core::policy::PeerRule::allow("rooms.macbeth.lit")).await.unwrap();
    store.close().await;
    tamper(&path, sql).await;
    (dir, open(&path).await.unwrap())
}

#[track_caller]
fn assert_corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert_eq!(result.expect_err("must not be read").kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let (dir, _) = file();
    let (error, text) = refusal(&dir.path().join("not/there/dmuc.db")).await;
    assert!(matches!(error, OpenError::NoDirectory { .. }), "{error:?}");
    assert!(text.contains(&format!("no directory {}", dir.path().join("not/there").display())), "{text}");
}

#[tokio::test]
async fn a_file_of_another_kind_is_not_touched() {
    let (_dir, path) = file();
    let text = "Dear diary, ".repeat(1000);
    fs::write(&path, &text).unwrap();
    let (error, told) = refusal(&path).await;
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
    assert!(told.ends_with("is not an SQLite database"), "{told}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_directory_is_no_database() {
    let (dir, _) = file();
    let (error, _) = refusal(dir.path()).await;
    assert!(error.source().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_read_only_file_is_refused() {
    let (_dir, path) = file();
    open(&path).await.unwrap().close().await;
    let mut permissions = path.metadata().unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let (error, text) = refusal(&path).await;
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    assert!(text.contains("read-only"), "{text}");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let (_dir, path) = file();
    open(&path).await.unwrap().close().await;
    tamper(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'from the future', 1, x'00', 0)",
    )
    .await;
    let before = fs::read(&path).unwrap();
    let (error, text) = refusal(&path).await;
    let steps = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    let OpenError::Newer { found: 999, known, .. } = error else { panic!("{error:?}") };
    assert_eq!(usize::try_from(known).unwrap(), steps);
    assert!(text.contains("schema version 999") && text.contains(&format!("up to {steps}")), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_url_without_a_file_is_refused() {
    for url in ["", "sqlite:", "sqlite://"] {
        assert!(matches!(SqliteStore::open(url).await, Err(OpenError::Unnamed)), "{url:?}");
    }
}

#[tokio::test]
async fn both_spellings_of_a_url_name_the_file() {
    let (_dir, path) = file();
    for url in [format!("sqlite:{}", path.display()), format!("sqlite://{}", path.display())] {
        SqliteStore::open(&url).await.unwrap().close().await;
        assert!(path.is_file(), "{url}");
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_database_in_memory_is_one_database() {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    commit(&store, 0, vec![Change::Create { jid: coven() }]).await;
    commit(&store, 1, vec![Change::Append(Box::new(entry(1)))]).await;
    for _ in 0..20 {
        let jid = coven();
        let load = store.load(&jid, Millis(0));
        let query = ArchiveQuery { max: 9, ..ArchiveQuery::default() };
        let (found, page) = tokio::join!(load, store.page(UID, &query));
        assert!(matches!(found.unwrap(), Entry::Room(_)));
        assert_eq!(page.unwrap().unwrap().count, 1);
    }
    let other = SqliteStore::open("sqlite::memory:").await.unwrap();
    assert_eq!(other.load(&coven(), Millis(0)).await.unwrap(), Entry::Vacant);
    assert!(!Path::new(":memory:").exists());
}

#[tokio::test]
async fn damaged_events_are_corrupt() {
    let (_dir, store) = damaged("UPDATE log SET event = '{\"pos\":'").await;
    let from = entry(1).event.pos;
    assert_corrupt(store.range(UID, &from, 9, 9).await);
    assert_corrupt(store.recent(UID, Recent::default()).await);
    assert_corrupt(store.page(UID, &ArchiveQuery { max: 9, ..ArchiveQuery::default() }).await);
}

#[tokio::test]
async fn a_damaged_digest_is_corrupt() {
    let (_dir, store) = damaged("UPDATE log SET digest = x'00ff'").await;
    assert_corrupt(store.frontier(UID).await);
}

#[tokio::test]
async fn a_damaged_room_is_corrupt_and_never_vacant() {
    let (_dir, store) = damaged("UPDATE rooms SET uid = 'nonsense'").await;
    assert_corrupt(store.load(&coven(), Millis(0)).await);
    assert_corrupt(store.list("chat.shakespeare.lit", None, 9).await);
}

#[tokio::test]
async fn a_damaged_tombstone_is_corrupt_and_never_vacant() {
    let (_dir, store) =
        damaged("INSERT INTO tombstones VALUES ('heath@chat.shakespeare.lit', 1000, 'nonsense')").await;
    let heath = Address::parse("heath@chat.shakespeare.lit").unwrap();
    assert_corrupt(store.load(&heath, Millis(0)).await);
}

#[tokio::test]
async fn a_damaged_rule_is_corrupt_and_never_left_out() {
    let (_dir, store) = damaged("UPDATE peers SET rule = '{}x'").await;
    assert_corrupt(store.rules().await);
}

/// What is wrong with one room must not keep others from writing in the same slice.
#[tokio::test]
async fn a_damaged_event_stops_only_its_own_room() {
    let (_dir, store) = damaged("UPDATE log SET event = '{\"pos\":'").await;
    let lease = store.acquire(UID, "node", Millis(0), 1000).await.unwrap();
    let redact = Change::Redact { id: entry(1).event.id, content: Vec::new() };
    let broken = RoomCommit { lease, expected: Revision(2), changes: vec![redact] };
    let other = RoomUid(uuid::Uuid::from_u128(2));
    let lease = store.acquire(other, "node", Millis(0), 1000).await.unwrap();
    let jid = Address::parse("heath@chat.shakespeare.lit").unwrap();
    let sound = RoomCommit { lease, expected: Revision(0), changes: vec![Change::Create { jid }] };
    let results = store.commit(&[broken, sound]).await;
    assert!(results[0].is_err());
    assert_eq!(results[1].as_ref().unwrap(), &Revision(1));
}
