//! What is said about databases that cannot be used, and about damage.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

use std::error::Error;
use std::time::Duration;

use dmuc_core::clock::Hlc;
use dmuc_core::event::{Event, EventId, Position};
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{
    ArchiveQuery, Change, HistoryStore, LogEntry, PeerPolicy, Recent, Revision, Room, RoomCommit, RoomUid,
    StoreError, StoreErrorKind,
};
use dmuc_core::{Address, Millis};
use dmuc_store_postgres::{OpenError, Options, PostgresStore};
use dmuc_test_servers::Schema;
use dmuc_test_servers::execute;
use dmuc_test_servers::free_port;
use uuid::Uuid;

const UID: RoomUid = RoomUid(Uuid::from_u128(1));

fn coven() -> Address {
    Address::parse("coven@chat.shakespeare.lit").unwrap()
}

async fn open(url: &str) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(url, &Options::default()).await
}

/// The error and all that is said of it.
async fn refusal(url: &str) -> (OpenError, String) {
    let error = open(url).await.expect_err("must not open");
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let text = format!("{error}: {cause}");
    assert!(!text.contains("hunter2"), "shows the password: {text}");
    (error, text)
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

async fn commit(store: &PostgresStore, expected: u64, changes: Vec<Change>) {
    let lease = store.acquire(UID, "node", Millis(0), 1000).await.unwrap();
    let commit = RoomCommit { lease, expected: Revision(expected), changes };
    assert_eq!(store.commit(&[commit]).await.remove(0).unwrap(), Revision(expected + 1));
}

/// A store with a room, a message and a rule, damaged by `sql`; nothing without a server.
async fn damaged(sql: &str) -> Option<(Schema, PostgresStore)> {
    let schema = Schema::new(dmuc_test_servers::postgres()?).await;
    let store = open(&schema.url()).await.unwrap();
    commit(&store, 0, vec![Change::Create { jid: coven() }]).await;
    commit(&store, 1, vec![Change::Append(Box::new(entry(1)))]).await;
    store.set_rule(&PeerRule::allow("rooms.macbeth.lit")).await.unwrap();
    execute(&schema.url(), sql).await;
    Some((schema, store))
}

#[track_caller]
fn assert_corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert_eq!(result.expect_err("must not be read").kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    for url in ["postgres://u:hunter2@h:x/db", "postgres://h/db?sslmode=perhaps"] {
        let (error, text) = refusal(url).await;
        assert!(matches!(error, OpenError::Malformed(_)), "{error:?}");
        assert!(text.contains("expected `postgres://USER"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = free_port();
    let (error, text) = refusal(&format!("postgres://u:hunter2@127.0.0.1:{port}/rooms")).await;
    assert!(matches!(error, OpenError::Failed { .. }), "{error:?}");
    assert!(text.contains(&format!("127.0.0.1:{port}/rooms")) && text.contains("cannot be made"), "{text}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u:hunter2@{}/rooms", deaf.local_addr().unwrap());
    let options = Options { connect_timeout: Duration::from_millis(300), ..Options::default() };
    let error = PostgresStore::open(&url, &options).await.expect_err("says nothing");
    assert!(matches!(error, OpenError::Silent { .. }), "{error:?}");
    assert!(error.to_string().contains("does not answer within 0.3 seconds"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let Some(server) = dmuc_test_servers::postgres() else { return };
    let (error, text) = refusal(&format!("{}/nowhere", server.rsplit_once('/').unwrap().0)).await;
    assert!(matches!(error, OpenError::Failed { .. }), "{error:?}");
    assert!(text.contains("nowhere"), "{text}");
}

#[tokio::test]
async fn a_forgetful_server_is_refused() {
    let Some(server) = dmuc_test_servers::postgres() else { return };
    let schema = Schema::new(server).await;
    let (error, text) = refusal(&format!("{} -csynchronous_commit=off", schema.url())).await;
    assert!(matches!(error, OpenError::Forgetful { .. }), "{error:?}");
    assert!(text.contains("synchronous_commit"), "{text}");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let Some(server) = dmuc_test_servers::postgres() else { return };
    let schema = Schema::new(server).await;
    open(&schema.url()).await.unwrap().close().await;
    let future = "INSERT INTO _sqlx_migrations VALUES (999, 'from the future', now(), true, '', 0)";
    execute(&schema.url(), future).await;
    let (error, text) = refusal(&schema.url()).await;
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error:?}");
    assert!(text.contains("schema version 999") && text.contains("use the newer program"), "{text}");
}

#[tokio::test]
async fn nodes_may_start_at_once() {
    let Some(server) = dmuc_test_servers::postgres() else { return };
    let schema = Schema::new(server).await;
    let nodes: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let url = schema.url();
                async move { open(&url).await }
            })
        })
        .collect();
    for node in nodes {
        let store = node.await.unwrap().expect("waits for its turn");
        store.rules().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_events_are_corrupt() {
    for column in ["event", "content"] {
        let Some((_schema, store)) = damaged(&format!("UPDATE log SET {column} = '[{{\"pos\":'")).await
        else {
            return;
        };
        assert_corrupt(store.range(UID, &entry(1).event.pos, 9, 9).await);
        assert_corrupt(store.recent(UID, Recent::default()).await);
        assert_corrupt(store.page(UID, &ArchiveQuery { max: 9, ..ArchiveQuery::default() }).await);
    }
}

#[tokio::test]
async fn a_lost_room_is_corrupt_and_never_vacant() {
    let Some((_schema, store)) = damaged("DELETE FROM rooms").await else { return };
    assert_corrupt(store.load(&coven(), Millis(0)).await);
}

#[tokio::test]
async fn a_damaged_address_is_corrupt_and_never_left_out() {
    let Some((_schema, store)) = damaged("UPDATE addresses SET jid = '@'").await else { return };
    assert_corrupt(store.list("chat.shakespeare.lit", None, 9).await);
}

#[tokio::test]
async fn a_damaged_tombstone_is_corrupt_and_never_vacant() {
    let stone = "INSERT INTO tombstones VALUES ('heath@chat.shakespeare.lit', 'chat.shakespeare.lit', 1000, 'nonsense')";
    let Some((_schema, store)) = damaged(stone).await else { return };
    let heath = Address::parse("heath@chat.shakespeare.lit").unwrap();
    assert_corrupt(store.load(&heath, Millis(0)).await);
}

#[tokio::test]
async fn a_damaged_rule_is_corrupt_and_never_left_out() {
    let Some((_schema, store)) = damaged("UPDATE peers SET rule = '{}x'").await else { return };
    assert_corrupt(store.rules().await);
}

/// What is wrong with one room must not keep others from writing in the same slice.
#[tokio::test]
async fn what_the_database_refuses_stops_only_its_own_room() {
    let Some((_schema, store)) = damaged("SELECT 1").await else { return };
    let lease = store.acquire(UID, "node", Millis(0), 1000).await.unwrap();
    // A NUL that no JSON has.
    let changes = vec![Change::Put { key: "config".to_owned(), value: "\0".to_owned() }];
    let broken = RoomCommit { lease, expected: Revision(2), changes };
    let lease = store.acquire(RoomUid(Uuid::from_u128(2)), "node", Millis(0), 1000).await.unwrap();
    let jid = Address::parse("heath@chat.shakespeare.lit").unwrap();
    let sound = RoomCommit { lease, expected: Revision(0), changes: vec![Change::Create { jid }] };
    let results = store.commit(&[broken, sound]).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind, StoreErrorKind::Unexpected);
    assert_eq!(results[1].as_ref().unwrap(), &Revision(1));
}
