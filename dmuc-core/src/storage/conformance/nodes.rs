//! Several nodes on one store; for stores that more than one process may use.

use super::Builder;
use super::fixture::{
    Live, NOW, append, assert_conflict, entry, first, found, one, put, run, take, together, uid,
};
use crate::storage::{HistoryStore, Lease, Revision, Room, RoomCommit};

const TTL_MS: u64 = 10_000;

/// While one node holds a lease another does not get it; the holder learns of the wish, and can pass it on.
pub async fn a_lease_is_held_against_another_node<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let Some(second) = builder.second(&store, &guard).await else { return };
    let lease = store.acquire(uid(1), "node-a", NOW, TTL_MS).await.expect("free");
    assert_conflict(&second.acquire(uid(1), "node-b", NOW, TTL_MS).await);
    let renewals = store.renew(&[lease], NOW.plus(1), TTL_MS).await;
    assert!(renewals[0].as_ref().is_ok_and(|renewal| renewal.wanted), "{renewals:?}");
    store.release(&lease).await.expect("the store can be written");
    let taken = second.acquire(uid(1), "node-b", NOW.plus(2), TTL_MS).await.expect("given back");
    assert!(taken.fence > lease.fence);
    assert_conflict(&store.acquire(uid(1), "node-a", NOW.plus(3), TTL_MS).await);
}

/// A node that slept through its lease finds everything refused, by whatever way it writes.
pub async fn a_node_that_lost_its_lease_cannot_write_again<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let Some(second) = builder.second(&store, &guard).await else { return };
    let asleep = Live::with(&store, 1, &run("a.lit", 1..=2)).await;
    let later = NOW.plus(3_600_000);
    let lease = second.acquire(uid(1), "node-b", later, TTL_MS).await.expect("expired");
    let at = asleep.revision;
    assert_conflict(&one(&store, asleep.commit(vec![append(&entry("a.lit", 3))])).await);
    assert_conflict(&store.renew(&[asleep.lease], later, TTL_MS).await.remove(0));
    store.release(&asleep.lease).await.expect("the store can be written");
    let commit = RoomCommit { lease, expected: at, changes: vec![append(&entry("b.lit", 1))] };
    assert_eq!(one(&second, commit).await.expect("it has the lease"), Revision(at.0 + 1));
    assert_conflict(&one(&store, asleep.commit(vec![put("head", "1")])).await);
    let mut kept = run("a.lit", 1..=2);
    kept.extend(run("b.lit", 1..=1));
    assert_eq!(asleep.all().await, kept);
}

/// What one has acknowledged the other reads.
pub async fn another_node_reads_what_was_written<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let Some(second) = builder.second(&store, &guard).await else { return };
    let mut room = Live::new(&store, 1).await;
    for s in 1..=20 {
        room.must(vec![put("head", &s.to_string()), append(&entry("a.lit", s))]).await;
        assert_eq!(found(&second, &room.jid).await, found(&store, &room.jid).await);
        let page = second.page(uid(1), &first(100)).await.expect("readable").expect("no reference");
        assert_eq!(page.count, s);
    }
}

/// However close they are, and even if both believe that the lease is theirs.
pub async fn of_two_nodes_at_one_revision_one_wins<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let Some(second) = builder.second(&store, &guard).await else { return };
    let mut room = Live::new(&store, 1).await;
    let lease: Lease = take(&store, uid(1), "node-a").await;
    for s in 1..=20 {
        let write = |node: &str| {
            let changes = vec![put("head", node), append(&entry(node, s))];
            RoomCommit { lease, expected: room.revision, changes }
        };
        let both = together(vec![
            Box::pin(one(&store, write("a.lit"))) as std::pin::Pin<Box<dyn Future<Output = _>>>,
            Box::pin(one(&second, write("b.lit"))),
        ])
        .await;
        let won: Vec<bool> = both.iter().map(Result::is_ok).collect();
        assert!(won[0] != won[1], "{both:?}");
        both.iter().filter(|result| result.is_err()).for_each(assert_conflict);
        room.revision = Revision(room.revision.0 + 1);
        let winner = if won[0] { "a.lit" } else { "b.lit" };
        assert_eq!(found(&store, &room.jid).await.parts["head"], winner);
    }
    assert_eq!(room.all().await.len(), 20, "of the others nothing was kept");
}
