//! Leases: taken, held, lost; the fence rises with every change of holder.

use super::Builder;
use super::fixture::{Live, NOW, assert_conflict, found, one, put, take, uid};
use crate::storage::{Change, Revision, Room, RoomCommit};

const TTL_MS: u64 = 10_000;

/// A lease is there for a uid that has no room yet, until `now + ttl_ms`.
pub async fn a_free_lease_is_taken<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    assert_eq!((lease.room, lease.expires), (uid(1), NOW.plus(TTL_MS)));
}

/// `Conflict` while another node holds it.
pub async fn a_held_lease_refuses_others<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    assert_conflict(&store.acquire(uid(1), "node-b", NOW, TTL_MS).await);
    assert_conflict(&store.acquire(uid(1), "node-b", NOW.plus(TTL_MS - 1), TTL_MS).await);
    let renewed = store.renew(&lease, NOW.plus(1), TTL_MS).await.expect("the attempts changed nothing");
    assert_eq!(renewed.fence, lease.fence);
}

/// The holder may take its lease again, and goes on writing.
pub async fn the_holder_may_take_it_again<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let again = store.acquire(uid(1), "node-a", NOW.plus(5), TTL_MS).await.expect("ours");
    assert!(again.fence >= room.lease.fence);
    assert_eq!(again.expires, NOW.plus(5 + TTL_MS));
    room.lease = again;
    room.must(vec![put("head", "1")]).await;
}

/// An expired lease is free; its next holder has a higher fence.
pub async fn an_expired_lease_is_taken_over<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    let taken = store.acquire(uid(1), "node-b", NOW.plus(TTL_MS + 1), TTL_MS).await.expect("expired");
    assert!(taken.fence > lease.fence);
    let back = store.acquire(uid(1), "node-a", NOW.plus(2 * TTL_MS + 2), TTL_MS).await.expect("expired");
    assert!(back.fence > taken.fence, "a former holder is another node than the last one");
}

/// A lease that nobody has taken is prolonged, even if it has expired meanwhile.
pub async fn a_renewed_lease_holds_longer<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    let renewed = store.renew(&lease, NOW.plus(9_000), TTL_MS).await.expect("still the newest");
    assert_eq!((renewed.fence, renewed.expires), (lease.fence, NOW.plus(9_000 + TTL_MS)));
    assert_conflict(&store.acquire(uid(1), "node-b", NOW.plus(TTL_MS + 1), TTL_MS).await);
    let late = store.renew(&renewed, NOW.plus(60_000), TTL_MS).await.expect("nobody took it");
    assert_eq!(late.expires, NOW.plus(60_000 + TTL_MS));
    assert_conflict(&store.acquire(uid(1), "node-b", NOW.plus(60_001), TTL_MS).await);
}

/// `Conflict` if it has been taken over.
pub async fn a_lost_lease_cannot_be_renewed<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    let later = NOW.plus(TTL_MS + 1);
    let taken = store.acquire(uid(1), "node-b", later, TTL_MS).await.expect("expired");
    assert_conflict(&store.renew(&lease, later, TTL_MS).await);
    store.renew(&taken, later, TTL_MS).await.expect("the new holder's is the newest");
}

/// A lease given back is free at once; its next holder has a higher fence.
pub async fn a_lease_given_back_is_free<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    store.release(&lease).await.expect("the store can be written");
    let taken = store.acquire(uid(1), "node-b", NOW, TTL_MS).await.expect("given back");
    assert!(taken.fence > lease.fence);
}

/// A lease that was taken over is left alone.
pub async fn giving_back_a_lost_lease_changes_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    let later = NOW.plus(TTL_MS + 1);
    store.acquire(uid(1), "node-b", later, TTL_MS).await.expect("expired");
    store.release(&lease).await.expect("the store can be written");
    assert_conflict(&store.acquire(uid(1), "node-c", later, TTL_MS).await);
}

/// Every room has a lease of its own.
pub async fn leases_are_apart<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    let other = store.acquire(uid(2), "node-b", NOW, TTL_MS).await.expect("free");
    store.release(&lease).await.expect("the store can be written");
    assert_conflict(&store.acquire(uid(2), "node-a", NOW, TTL_MS).await);
    store.renew(&other, NOW, TTL_MS).await.expect("untouched");
}

/// A node that lost its lease can never write again, not even a room that was destroyed and created anew.
pub async fn fences_outlive_the_room<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let lost = room.lease;
    store.release(&lost).await.expect("the store can be written");
    room.lease = take(&store, room.uid, "node-b").await;
    room.must(vec![Change::Destroy(None)]).await;
    let create = vec![Change::Create { jid: room.jid.clone() }];
    let stale = RoomCommit { lease: lost, expected: Revision(0), changes: create.clone() };
    assert_conflict(&one(&store, stale).await);
    room.revision = Revision(0);
    room.must(create).await;
    assert_eq!(found(&store, &room.jid).await.revision, Revision(1));
}
