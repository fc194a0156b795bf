//! Several nodes on one store.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

mod common;

use std::time::Duration;

use common::Prefix;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{Change, Entry, PeerPolicy, Revision, Room, RoomCommit, RoomUid, StoreErrorKind};
use dmuc_core::{Address, Millis};
use dmuc_store_redis::RedisStore;
use tokio::time::timeout;
use uuid::Uuid;

const NOW: Millis = Millis(1_787_307_242_000);
const PATIENCE: Duration = Duration::from_secs(10);

async fn create(store: &RedisStore, uid: RoomUid, jid: &Address) -> bool {
    let lease = store.acquire(uid, "node", NOW, 30_000).await.unwrap();
    let changes = vec![Change::Create { jid: jid.clone() }];
    match store.commit(&[RoomCommit { lease, expected: Revision(0), changes }]).await.remove(0) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind, StoreErrorKind::Conflict, "{error:?}");
            false
        }
    }
}

/// Whoever is told that its room is there finds it there, and nobody else is.
async fn of_two_one_wins(server: &str) {
    let prefix = Prefix::new(server);
    let (one, other) = (prefix.open().await, prefix.open().await);
    for round in 0..50 {
        let jid = Address::parse(&format!("room-{round}@chat.shakespeare.lit")).unwrap();
        let (first, second) =
            (RoomUid(Uuid::from_u128(2 * round + 1)), RoomUid(Uuid::from_u128(2 * round + 2)));
        let made = tokio::join!(create(&one, first, &jid), create(&other, second, &jid));
        let winner = match made {
            (true, false) => first,
            (false, true) => second,
            _ => panic!("round {round}: {made:?}"),
        };
        let Entry::Room(found) = one.load(&jid, NOW).await.unwrap() else { panic!("round {round}: no room") };
        assert_eq!(found.uid, winner);
    }
}

#[tokio::test]
async fn of_two_rooms_at_one_address_one_is_made() {
    of_two_one_wins(dmuc_test_servers::redis().unwrap()).await;
}

#[tokio::test]
async fn of_two_rooms_at_one_address_one_is_made_in_a_cluster() {
    of_two_one_wins(dmuc_test_servers::redis_cluster().unwrap()).await;
}

async fn changed_rules_are_heard_of(server: &str) {
    let prefix = Prefix::new(server);
    let (one, other) = (prefix.open().await, prefix.open().await);
    // The beginning of listening is told as well.
    while timeout(Duration::from_secs(1), other.rules_changed()).await.is_ok() {}
    let heard = tokio::spawn(async move { timeout(PATIENCE, other.rules_changed()).await });
    tokio::task::yield_now().await;
    one.set_rule(&PeerRule::allow("rooms.macbeth.lit")).await.unwrap();
    heard.await.unwrap().expect("the change is told").unwrap();
}

#[tokio::test]
async fn changed_rules_are_heard_of_at_once() {
    changed_rules_are_heard_of(dmuc_test_servers::redis().unwrap()).await;
}

#[tokio::test]
async fn changed_rules_are_heard_of_in_a_cluster() {
    changed_rules_are_heard_of(dmuc_test_servers::redis_cluster().unwrap()).await;
}
