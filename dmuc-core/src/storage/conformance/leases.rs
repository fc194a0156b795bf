//! Leases: taken, held, lost; the fence rises with every change of holder.

use super::Builder;
use super::fixture::{DOMAIN, Live, NOW, address, assert_conflict, found, one, put, take, uid};
use crate::address::Address;
use crate::clock::Millis;
use crate::storage::{Change, Lease, Renewal, Revision, Room, RoomCommit, Storage, StoreError};

const TTL_MS: u64 = 10_000;

async fn renew(store: &impl Storage, lease: &Lease, now: Millis) -> Result<Renewal, StoreError> {
    let mut renewals = store.renew(&[*lease], now, TTL_MS).await;
    assert_eq!(renewals.len(), 1, "one result for each lease");
    renewals.pop().expect("there is one")
}

async fn abandoned(store: &impl Storage, now: Millis, limit: u32) -> Vec<Address> {
    store.abandoned(DOMAIN, now, limit).await.expect("the store can be read")
}

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
    let renewed = renew(&store, &lease, NOW.plus(1)).await.expect("the attempts changed nothing");
    assert_eq!(renewed.lease.fence, lease.fence);
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
    let renewed = renew(&store, &lease, NOW.plus(9_000)).await.expect("still the newest").lease;
    assert_eq!((renewed.fence, renewed.expires), (lease.fence, NOW.plus(9_000 + TTL_MS)));
    assert_conflict(&store.acquire(uid(1), "node-b", NOW.plus(TTL_MS + 1), TTL_MS).await);
    let late = renew(&store, &renewed, NOW.plus(60_000)).await.expect("nobody took it");
    assert_eq!(late.lease.expires, NOW.plus(60_000 + TTL_MS));
    assert_conflict(&store.acquire(uid(1), "node-b", NOW.plus(60_001), TTL_MS).await);
}

/// `Conflict` if it has been taken over.
pub async fn a_lost_lease_cannot_be_renewed<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    let later = NOW.plus(TTL_MS + 1);
    let taken = store.acquire(uid(1), "node-b", later, TTL_MS).await.expect("expired");
    assert_conflict(&renew(&store, &lease, later).await);
    renew(&store, &taken, later).await.expect("the new holder's is the newest");
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
    renew(&store, &other, NOW).await.expect("untouched");
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

/// Many are prolonged at once, each for itself.
pub async fn leases_are_renewed_together<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut leases = Vec::new();
    for n in 1..=100 {
        leases.push(store.acquire(uid(n), "node-a", NOW, TTL_MS).await.expect("free"));
    }
    store.release(&leases[41]).await.expect("the store can be written");
    store.acquire(uid(42), "node-b", NOW, TTL_MS).await.expect("given back");
    let renewals = store.renew(&leases, NOW.plus(5_000), TTL_MS).await;
    assert_eq!(renewals.len(), leases.len());
    for (n, (renewal, lease)) in renewals.iter().zip(&leases).enumerate() {
        match renewal {
            Err(_) if n == 41 => assert_conflict(renewal),
            Ok(renewal) => {
                assert_eq!(renewal.lease, Lease { expires: NOW.plus(5_000 + TTL_MS), ..*lease });
            }
            Err(error) => panic!("lease {n}: {error:?}"),
        }
    }
    assert!(store.renew(&[], NOW, TTL_MS).await.is_empty());
}

/// The holder learns that another node asked, until the lease is taken anew.
pub async fn the_holder_learns_who_wants_it<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    let other = store.acquire(uid(2), "node-a", NOW, TTL_MS).await.expect("free");
    assert!(!renew(&store, &lease, NOW).await.expect("ours").wanted);
    assert_conflict(&store.acquire(uid(1), "node-b", NOW, TTL_MS).await);
    for _ in 0..2 {
        assert!(renew(&store, &lease, NOW).await.expect("ours").wanted, "until something comes of it");
    }
    assert!(!renew(&store, &other, NOW).await.expect("ours").wanted);
    store.release(&lease).await.expect("the store can be written");
    let taken = store.acquire(uid(1), "node-b", NOW, TTL_MS).await.expect("given back");
    assert!(!renew(&store, &taken, NOW).await.expect("ours").wanted);
}

/// Rooms of a dead node are found: those whose lease expired, not those given back or held.
pub async fn abandoned_rooms_are_found<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let (held, given_back) = (Live::new(&store, 1).await, Live::new(&store, 2).await);
    let (first, second) = (Live::new(&store, 3).await, Live::new(&store, 4).await);
    Live::at(&store, address("coven@rooms.macbeth.lit"), uid(5)).await;
    take(&store, uid(6), "node-a").await;
    store.release(&given_back.lease).await.expect("the store can be written");
    renew(&store, &held.lease, NOW.plus(600_000)).await.expect("ours");
    renew(&store, &second.lease, NOW.plus(120_000)).await.expect("ours");
    assert_eq!(abandoned(&store, NOW, 9).await, []);
    let later = NOW.plus(120_000 + TTL_MS);
    assert_eq!(abandoned(&store, later, 9).await, [first.jid.clone(), second.jid.clone()]);
    assert_eq!(abandoned(&store, later, 1).await, [first.jid]);
    store.acquire(uid(3), "node-b", later, TTL_MS).await.expect("expired");
    assert_eq!(abandoned(&store, later, 9).await, [second.jid]);
}
