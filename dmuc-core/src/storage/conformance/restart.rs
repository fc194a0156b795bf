//! What a restart must not lose; for stores that outlive their process.

use super::Builder;
use super::fixture::{
    Live, NOW, append, assert_conflict, entry, first, found, load, one, put, run, tombstone, uid,
};
use crate::event::ChainDigest;
use crate::policy::PeerRule;
use crate::storage::{Change, Entry, HistoryStore, PeerPolicy, Revision, Room, RoomCommit};

/// Rooms, their parts and revisions, and the list.
pub async fn rooms_survive<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    room.must(vec![put("head", "1"), put("card", "2")]).await;
    let (jid, lease, before) = (room.jid.clone(), room.lease, found(&store, &room.jid).await);
    let Some(store) = builder.reopen(store, &guard).await else { return };
    assert_eq!(found(&store, &jid).await, before);
    let listed = store.list(jid.domain(), None, 9).await.expect("readable");
    assert_eq!((listed.len(), listed[0].card.as_deref()), (1, Some("2")));
    let commit = RoomCommit { lease, expected: Revision(2), changes: vec![put("head", "3")] };
    assert_eq!(one(&store, commit).await.expect("the same node goes on"), Revision(3));
}

/// Logs with everything that became of them, and frontiers.
pub async fn logs_survive<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", [1, 2, 3, 5])).await;
    let redact = Change::Redact { id: entry("a.lit", 2).event.id, content: Vec::new() };
    room.must(vec![redact, Change::Withhold { pos: entry("a.lit", 3).event.pos, withheld: true }]).await;
    let from = entry("a.lit", 1).event.pos;
    let before = store.range(uid(1), &from, 9, 9).await.expect("readable");
    let frontier = store.frontier(uid(1)).await.expect("readable");
    let Some(store) = builder.reopen(store, &guard).await else { return };
    assert_eq!(store.range(uid(1), &from, 9, 9).await.expect("readable"), before);
    assert_eq!(store.frontier(uid(1)).await.expect("readable"), frontier);
}

/// What arrives after a restart comes after what arrived before, even if that has been dropped.
pub async fn the_order_of_arrival_survives<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    Live::with(&store, 1, &run("a.lit", [7, 8, 1])).await;
    store.expire(uid(1), NOW.plus(2_000)).await.expect("writable");
    let Some(store) = builder.reopen(store, &guard).await else { return };
    store.append(uid(1), &run("b.lit", [1, 2])).await.expect("in order");
    let page = store.page(uid(1), &first(9)).await.expect("readable").expect("no reference");
    let mut expected = run("a.lit", [7, 8]);
    expected.extend(run("b.lit", [1, 2]));
    assert_eq!(page.entries, expected);
}

/// Leases, so that a node that lost one before the restart cannot write after it.
pub async fn leases_survive<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let room = Live::new(&store, 1).await;
    let lost = room.commit(vec![append(&entry("a.lit", 1))]);
    store.release(&room.lease).await.expect("writable");
    let taken = store.acquire(uid(1), "node-b", NOW, 10_000).await.expect("given back");
    let Some(store) = builder.reopen(store, &guard).await else { return };
    assert_conflict(&one(&store, lost).await);
    assert_conflict(&store.acquire(uid(1), "node-c", NOW.plus(9_999), 10_000).await);
    let renewals = store.renew(&[taken], NOW.plus(1), 10_000).await;
    assert!(renewals[0].as_ref().is_ok_and(|renewed| renewed.lease.fence == taken.fence), "{renewals:?}");
}

/// Tombstones.
pub async fn tombstones_survive<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let (jid, stone) = (room.jid.clone(), tombstone(&room.jid, room.uid, NOW.plus(1)));
    room.must(vec![Change::Destroy(Some(stone.clone()))]).await;
    let Some(store) = builder.reopen(store, &guard).await else { return };
    assert_eq!(load(&store, &jid, NOW).await, Entry::Tombstone(stone));
}

/// Peer rules.
pub async fn rules_survive<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let rule = PeerRule { vouch: vec!["macbeth.lit".to_owned()], ..PeerRule::allow("rooms.macbeth.lit") };
    store.set_rule(&rule).await.expect("writable");
    let Some(store) = builder.reopen(store, &guard).await else { return };
    assert_eq!(store.rules().await.expect("readable"), [rule]);
}

/// The place of a log of which nothing is left.
pub async fn an_expired_log_keeps_its_place_over_a_restart<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=3);
    entries[2].digest = Some(ChainDigest([3; 16]));
    Live::with(&store, 1, &entries).await;
    store.expire(uid(1), NOW.plus(60_000)).await.expect("writable");
    let before = store.frontier(uid(1)).await.expect("readable");
    let Some(store) = builder.reopen(store, &guard).await else { return };
    assert_eq!(store.frontier(uid(1)).await.expect("readable"), before);
    assert_eq!((before[0].pos.s, before[0].low), (3, 4));
}
