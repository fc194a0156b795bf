//! What a crash between any two writes leaves behind: a room is whole, absent, or is finished by whoever comes next. The
//! life of a room is lived by a node that is cut off after one command, after two, and so on; then another node looks.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

#[path = "../common/mod.rs"]
mod common;
mod cutter;

use common::Prefix;
use cutter::Cutter;
use dmuc_core::storage::{
    Change, Directory, Entry, Lease, Revision, Room, RoomCommit, RoomUid, StoreError, StoreErrorKind,
    Tombstone, Transfer,
};
use dmuc_core::{Address, Millis};
use dmuc_store_redis::RedisStore;
use dmuc_test_servers::RedisServer;
use futures_util::future::join_all;
use uuid::Uuid;

const DOMAIN: &str = "chat.shakespeare.lit";
const SUBSCRIBER: &str = "subscriber/hag66@shakespeare.lit";
const PUBLIC: &str = "{\"public\":true}";
const HIDDEN: &str = "{\"public\":false}";
const NOW: Millis = Millis(1_787_307_242_000);
/// Lives that are lived side by side.
const AT_ONCE: i64 = 8;
/// When a lease of the node that was cut off has expired.
const LATER: Millis = Millis(NOW.0 + 60_000);

fn coven() -> Address {
    Address::parse(&format!("coven@{DOMAIN}")).unwrap()
}

fn uid(n: u128) -> RoomUid {
    RoomUid(Uuid::from_u128(n))
}

fn put(key: &str, value: &str) -> Change {
    Change::Put { key: key.to_owned(), value: value.to_owned() }
}

fn tombstone() -> Tombstone {
    Tombstone {
        uid: uid(1),
        jid: coven(),
        at: NOW,
        alternate: None,
        reason: Some("Hecate's orders".to_owned()),
        blocks_until: LATER.plus(3_600_000),
    }
}

/// The commits of a room's life: it is public and has a subscriber, loses both, gets both back, and ends.
fn life() -> Vec<Vec<Change>> {
    let unsubscribed = Change::Delete { key: SUBSCRIBER.to_owned() };
    vec![
        vec![Change::Create { jid: coven() }, put("card", PUBLIC), put(SUBSCRIBER, "1"), put("stage", "1")],
        vec![put("card", HIDDEN), unsubscribed, put("stage", "2")],
        vec![put("card", PUBLIC), put(SUBSCRIBER, "2"), put("stage", "3")],
        vec![Change::Destroy(Some(tombstone()))],
    ]
}

async fn commit(store: &RedisStore, lease: Lease, stage: usize) -> Result<Revision, StoreError> {
    let expected = Revision(stage as u64);
    let commit = RoomCommit { lease, expected, changes: life().remove(stage) };
    store.commit(&[commit]).await.remove(0)
}

/// Lives as far as it gets; gives how many commits were acknowledged.
async fn live(store: &RedisStore) -> usize {
    let Ok(lease) = store.acquire(uid(1), "node-a", NOW, 30_000).await else { return 0 };
    for stage in 0..life().len() {
        if let Err(error) = commit(store, lease, stage).await {
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
            return stage;
        }
    }
    life().len()
}

/// What every way of looking at the store says about the room.
#[derive(Debug, PartialEq)]
struct Seen {
    /// How many commits were made; nothing if there is neither room nor tombstone.
    stage: usize,
    listed: bool,
    public: bool,
    held: bool,
    domains: usize,
    stones: usize,
}

fn expected(stage: usize) -> Seen {
    let (alive, shown) = ((1..=3).contains(&stage), stage == 1 || stage == 3);
    let ended = stage == 4;
    Seen {
        stage,
        listed: alive,
        public: shown,
        held: shown,
        domains: usize::from(alive || ended),
        stones: usize::from(ended),
    }
}

async fn look(store: &RedisStore) -> Seen {
    let stage = match store.load(&coven(), NOW).await.unwrap() {
        Entry::Vacant => 0,
        Entry::Room(found) => {
            let stage = found.parts["stage"].parse().unwrap();
            assert_eq!(
                (found.uid, found.revision),
                (uid(1), Revision(stage)),
                "record and revision go together"
            );
            usize::try_from(stage).unwrap()
        }
        Entry::Tombstone(found) => {
            assert_eq!(found, tombstone());
            4
        }
    };
    let directory = Directory { max: 9, ..Directory::default() };
    Seen {
        stage,
        listed: !store.list(DOMAIN, None, 9).await.unwrap().is_empty(),
        public: !store.directory(DOMAIN, &directory).await.unwrap().unwrap().rooms.is_empty(),
        held: !store.holding(DOMAIN, SUBSCRIBER, 9).await.unwrap().is_empty(),
        domains: store.domains().await.unwrap().len(),
        stones: store.tombstones(DOMAIN, None, 9).await.unwrap().len(),
    }
}

/// The rest of the room's life, or all of it under another name where nothing is left of the first.
async fn finish(store: &RedisStore, stage: usize) {
    if (1..=3).contains(&stage) {
        assert_eq!(
            store.abandoned(DOMAIN, LATER, 9).await.unwrap(),
            [coven()],
            "the room waits for another node"
        );
    }
    let lease = store.acquire(uid(if stage == 0 { 2 } else { 1 }), "node-b", LATER, 30_000).await.unwrap();
    for stage in stage..life().len() {
        commit(store, lease, stage).await.unwrap();
        let directory = Directory { max: 9, ..Directory::default() };
        let page = store.directory(DOMAIN, &directory).await.unwrap().unwrap();
        assert_eq!(page.count as usize, page.rooms.len(), "the count is right again after stage {stage}");
    }
    assert_eq!(store.load(&coven(), LATER).await.unwrap(), Entry::Tombstone(tombstone()));
    assert!(store.list(DOMAIN, None, 9).await.unwrap().is_empty());
    assert!(store.holding(DOMAIN, SUBSCRIBER, 9).await.unwrap().is_empty());
}

/// Whether a life that is cut after so many commands still came to its end.
async fn live_until_cut(server: &RedisServer, commands: i64) -> bool {
    let prefix = Prefix::new(&server.url());
    let cutter = Cutter::start(server.address()).await;
    let node = prefix.by_way_of(server.address(), cutter.address()).open().await;
    cutter.cut_after(commands);
    let acknowledged = live(&node).await;
    let other = prefix.open().await;
    let seen = look(&other).await;
    assert_eq!(seen, expected(seen.stage), "after {commands} commands");
    let may_be = acknowledged..=acknowledged + 1;
    assert!(may_be.contains(&seen.stage), "after {commands} commands: {acknowledged} acknowledged, {seen:?}");
    finish(&other, seen.stage).await;
    !cutter.is_cut()
}

#[tokio::test]
async fn a_room_is_whole_absent_or_finished_wherever_its_node_is_cut_off() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut commands = 0;
    let whole = loop {
        let lives = (commands..commands + AT_ONCE).map(|commands| live_until_cut(&server, commands));
        if let Some(extra) = join_all(lives).await.iter().position(|is_whole| *is_whole) {
            break commands + extra as i64;
        }
        commands += AT_ONCE;
    };
    assert!(whole >= 4 * life().len() as i64, "{whole} commands are too few to have been counted rightly");
}
