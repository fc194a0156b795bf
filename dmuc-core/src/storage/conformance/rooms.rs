//! Rooms at their addresses: creating, loading, parts, destroying, tombstones.

use super::Builder;
use super::fixture::{
    Live, NOW, address, append, assert_conflict, entry, first, found, load, one, put, room_address, run,
    take, tombstone, uid,
};
use crate::clock::Millis;
use crate::event::Position;
use crate::storage::{Change, Entry, HistoryStore, Recent, Revision, Room, RoomCommit};

/// `load` answers `Vacant` for what never was.
pub async fn an_unknown_address_is_vacant<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    assert_eq!(load(&store, &room_address("coven"), NOW).await, Entry::Vacant);
}

/// `load` gives what the creating commit put.
pub async fn a_created_room_is_found<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let jid = room_address("coven");
    let lease = take(&store, uid(1), "node-a").await;
    let changes =
        vec![Change::Create { jid: jid.clone() }, put("head", "{\"a\":1}"), put("affiliation/x@y.z", "2")];
    let created = one(&store, RoomCommit { lease, expected: Revision(0), changes }).await;
    assert_eq!(created.expect("the address is free"), Revision(1));
    let found = found(&store, &jid).await;
    assert_eq!((found.uid, found.revision), (uid(1), Revision(1)));
    let parts: Vec<(&str, &str)> = found.parts.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(parts, [("affiliation/x@y.z", "2"), ("head", "{\"a\":1}")]);
}

/// `Put` sets and replaces, `Delete` drops, also what is not there.
pub async fn parts_are_set_replaced_and_dropped<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    room.must(vec![put("subject", "1"), put("config", "1"), put("occupant/a", "1")]).await;
    room.must(vec![put("subject", "2")]).await;
    let dropped = ["config", "never-there"].map(|key| Change::Delete { key: key.to_owned() });
    room.must(dropped.to_vec()).await;
    let parts: Vec<(String, String)> = found(&store, &room.jid).await.parts.into_iter().collect();
    let expected = [("occupant/a", "1"), ("subject", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(parts, expected);
}

/// `Create` needs an address without a room.
pub async fn an_occupied_address_refuses_another_room<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let first = Live::new(&store, 1).await;
    let lease = take(&store, uid(2), "node-b").await;
    let changes = vec![Change::Create { jid: first.jid.clone() }, put("head", "theirs")];
    assert_conflict(&one(&store, RoomCommit { lease, expected: Revision(0), changes }).await);
    let found = found(&store, &first.jid).await;
    assert_eq!((found.uid, found.revision, found.parts.len()), (uid(1), Revision(1), 0));
}

/// A room that exists is not created at another address.
pub async fn a_room_has_one_address<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let elsewhere = room_address("elsewhere");
    assert_conflict(&room.try_commit(vec![Change::Create { jid: elsewhere.clone() }]).await);
    room.revision = Revision(0);
    assert_conflict(&room.try_commit(vec![Change::Create { jid: elsewhere.clone() }]).await);
    assert_eq!(load(&store, &elsewhere, NOW).await, Entry::Vacant);
    assert_eq!(found(&store, &room.jid).await.revision, Revision(1));
}

/// A commit to a room that does not exist and that does not create it is refused.
pub async fn only_a_creation_makes_a_room<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let lease = take(&store, uid(1), "node-a").await;
    let changes = vec![put("head", "1"), append(&entry("a.lit", 1))];
    assert_conflict(&one(&store, RoomCommit { lease, expected: Revision(0), changes }).await);
    assert_eq!(store.frontier(uid(1)).await.expect("readable"), []);
}

/// `Create` needs revision 0.
pub async fn a_creation_needs_revision_zero<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let jid = room_address("coven");
    let lease = take(&store, uid(1), "node-a").await;
    let changes = vec![Change::Create { jid: jid.clone() }];
    assert_conflict(&one(&store, RoomCommit { lease, expected: Revision(1), changes }).await);
    assert_eq!(load(&store, &jid, NOW).await, Entry::Vacant);
}

/// `Destroy` removes the room, its parts and its logs.
pub async fn destroying_removes_everything<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=3)).await;
    room.must(vec![put("head", "1"), put("card", "1")]).await;
    room.must(vec![Change::Destroy(None)]).await;
    assert_eq!(load(&store, &room.jid, NOW).await, Entry::Vacant);
    assert_eq!(room.frontier().await, []);
    assert_eq!(room.page(&first(10)).await.count, 0);
    let origin = Position { o: "a.lit".into(), i: 1, s: 1 };
    assert_eq!(store.range(room.uid, &origin, 10, 10).await.expect("readable"), []);
    assert_eq!(store.recent(room.uid, Recent::default()).await.expect("readable"), []);
    assert_conflict(&room.try_commit(vec![put("head", "after the end")]).await);
}

/// `load` shows a tombstone until its `blocks_until`, and the address may be used again from then on.
pub async fn a_tombstone_blocks_and_then_frees<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let stone = tombstone(&room.jid, room.uid, NOW.plus(5_000));
    room.must(vec![Change::Destroy(Some(stone.clone()))]).await;
    assert_eq!(load(&store, &room.jid, NOW).await, Entry::Tombstone(stone.clone()));
    assert_eq!(load(&store, &room.jid, NOW.plus(4_999)).await, Entry::Tombstone(stone));
    assert_eq!(load(&store, &room.jid, NOW.plus(5_000)).await, Entry::Vacant);
    let later = NOW.plus(5_000);
    let lease = store.acquire(uid(2), "node-a", later, 30_000).await.expect("the lease is free");
    let changes = vec![Change::Create { jid: room.jid.clone() }];
    one(&store, RoomCommit { lease, expected: Revision(0), changes })
        .await
        .expect("the address is free again");
    assert_eq!(
        found(&store, &room.jid).await.uid,
        uid(2),
        "a room is found, whatever stone was there before"
    );
}

/// `Create` is refused by a tombstone that still blocks when the lease of the commit ends.
pub async fn a_blocking_tombstone_refuses_creations<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let stone = tombstone(&room.jid, room.uid, NOW.plus(86_400_000));
    room.must(vec![Change::Destroy(Some(stone.clone()))]).await;
    let lease = take(&store, uid(2), "node-b").await;
    let changes = vec![Change::Create { jid: room.jid.clone() }];
    assert_conflict(&one(&store, RoomCommit { lease, expected: Revision(0), changes }).await);
    assert_eq!(load(&store, &room.jid, NOW).await, Entry::Tombstone(stone));
}

/// `Destroy` without a tombstone frees the address at once.
pub async fn without_a_tombstone_the_address_is_vacant<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    room.must(vec![Change::Destroy(None)]).await;
    assert_eq!(load(&store, &room.jid, Millis(0)).await, Entry::Vacant);
    Live::at(&store, room.jid.clone(), uid(2)).await;
}

/// Nothing of a destroyed room comes back with a new one, not even under the same uid.
pub async fn a_room_created_again_starts_empty<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=3)).await;
    room.must(vec![put("head", "1"), Change::Destroy(None)]).await;
    let mut again = Live::at(&store, room.jid.clone(), room.uid).await;
    assert!(found(&store, &again.jid).await.parts.is_empty());
    assert_eq!(again.frontier().await, []);
    again.append(&run("a.lit", 2..=2)).await;
    assert_eq!(again.frontier().await, [("a.lit".to_owned(), 2, 2)]);
    assert_eq!(again.page(&first(10)).await.count, 1);
}

/// Addresses, part names and values are text, whatever they look like.
pub async fn names_and_parts_mean_nothing_to_the_store<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let jid = address("ведьмы-魔女_{tag}*%[x]?;--`$1\\@bücher.example");
    let mut room = Live::at(&store, jid.clone(), uid(1)).await;
    let odd = [
        "",
        "%",
        "_",
        "'; DROP TABLE rooms; --",
        "\"",
        "\\",
        "🧙‍♀️/\u{10ffff}",
        "a:b{c}*?[d]",
        "\r\n\t",
        "ü/u\u{308}",
    ];
    room.must(odd.iter().map(|text| put(&format!("occupant/{text}"), text)).collect()).await;
    let found = found(&store, &jid).await;
    for text in odd {
        assert_eq!(found.parts.get(&format!("occupant/{text}")).map(String::as_str), Some(text));
    }
    assert_eq!(found.parts.len(), odd.len(), "names that look alike are not the same");
}

/// A part may be large.
pub async fn large_parts_are_kept<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let value = format!("\"{}\"", "ü".repeat(1 << 19));
    room.must(vec![put("config", &value)]).await;
    assert!(found(&store, &room.jid).await.parts.get("config") == Some(&value), "1 MiB is kept as it is");
}

/// What is done to one room is not done to another.
pub async fn rooms_are_apart<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut one = Live::with(&store, 1, &run("a.lit", 1..=3)).await;
    let mut other = Live::with(&store, 2, &run("a.lit", 1..=5)).await;
    one.must(vec![put("head", "one")]).await;
    other.must(vec![put("head", "other"), put("subject", "other")]).await;
    assert_eq!(one.frontier().await, [("a.lit".to_owned(), 1, 3)]);
    one.must(vec![Change::Destroy(None)]).await;
    let found = found(&store, &other.jid).await;
    assert_eq!((found.revision, found.parts.len()), (Revision(3), 2));
    assert_eq!(found.parts["head"], "other");
    assert_eq!(other.frontier().await, [("a.lit".to_owned(), 1, 5)]);
    assert_eq!(other.page(&first(10)).await.count, 5);
}
