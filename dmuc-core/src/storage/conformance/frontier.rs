//! Frontiers: what is held of each log without a hole.

use super::Builder;
use super::fixture::{Live, NOW, entry, run, uid};
use crate::event::ChainDigest;
use crate::storage::{Change, HistoryStore};

fn log(origin: &str, low: u64, top: u64) -> (String, u64, u64) {
    (origin.to_owned(), low, top)
}

/// No log, no frontier; the same for a room that does not exist.
pub async fn a_room_without_events_has_none<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    assert_eq!(Live::new(&store, 1).await.frontier().await, []);
    assert_eq!(store.frontier(uid(2)).await.expect("readable"), []);
}

/// It follows a log that grows by one, and by several.
pub async fn it_grows_with_the_log<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=1)).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 1)]);
    room.append(&run("a.lit", 2..=2)).await;
    room.append(&run("a.lit", 3..=30)).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 30)]);
}

/// What lies beyond a hole does not count.
pub async fn it_stops_at_a_hole<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", [1, 2, 4])).await;
    room.append(&run("a.lit", [5, 9])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 2)]);
}

/// When a hole is filled, it moves on to the next one.
pub async fn a_filled_hole_moves_it_on<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", [1, 2, 5, 6, 9, 10])).await;
    room.append(&run("a.lit", [3])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 3)]);
    room.append(&run("a.lit", [4])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 6)]);
    room.append(&run("a.lit", [8, 7])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 10)]);
}

/// A log of which the beginning was never fetched.
pub async fn it_starts_at_the_lowest_number_held<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", [500, 501])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 500, 501)]);
    room.append(&run("a.lit", [502])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 500, 502)]);
}

/// Older entries that join up lower its beginning.
pub async fn older_entries_lower_it<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 5..=7)).await;
    room.append(&run("a.lit", [4])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 4, 7)]);
    room.append(&run("a.lit", [3, 2, 1])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 7)]);
}

/// Older entries that do not join up are what is held from the lowest number on.
pub async fn older_entries_below_a_hole_are_the_frontier<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 5..=7)).await;
    room.append(&run("a.lit", [1, 2])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 2)]);
    room.append(&run("a.lit", [3, 8])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 3)]);
    room.append(&run("a.lit", [4])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 8)]);
}

/// In order of origin and incarnation.
pub async fn it_comes_in_order_of_logs<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("b.lit", 1..=2);
    entries.extend(run("a.lit", 1..=1));
    for incarnation in [11, 2] {
        let mut risen = entry("b.lit", 1);
        risen.event.pos.i = incarnation;
        risen.event.id = entry("z.lit", u64::from(incarnation)).event.id;
        entries.push(risen);
    }
    let room = Live::with(&store, 1, &entries).await;
    let frontier = store.frontier(room.uid).await.expect("readable");
    let logs: Vec<(&str, u32, u64)> =
        frontier.iter().map(|log| (&*log.pos.o, log.pos.i, log.pos.s)).collect();
    assert_eq!(logs, [("a.lit", 1, 1), ("b.lit", 1, 2), ("b.lit", 2, 1), ("b.lit", 11, 1)]);
}

/// The chain digest is that of its last entry, if that has one.
pub async fn it_carries_the_digest_of_its_end<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", [1, 2, 4]);
    for (n, entry) in (1..).zip(&mut entries) {
        entry.digest = Some(ChainDigest([n; 16]));
    }
    let mut room = Live::with(&store, 1, &entries).await;
    assert_eq!(store.frontier(room.uid).await.expect("readable")[0].digest, Some(ChainDigest([2; 16])));
    room.append(&run("a.lit", [3])).await;
    assert_eq!(store.frontier(room.uid).await.expect("readable")[0].digest, Some(ChainDigest([3; 16])));
    room.append(&run("a.lit", [5])).await;
    assert_eq!(store.frontier(room.uid).await.expect("readable")[0].digest, None);
}

/// Withheld entries are held.
pub async fn withheld_entries_count<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=3);
    entries[1].withheld = true;
    let mut room = Live::with(&store, 1, &entries).await;
    room.must(vec![Change::Withhold { pos: entries[2].event.pos.clone(), withheld: true }]).await;
    assert_eq!(room.frontier().await, [log("a.lit", 1, 3)]);
}

/// What has expired moves the lowest number.
pub async fn expiry_raises_its_low_end<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=6)).await;
    assert_eq!(store.expire(room.uid, NOW.plus(4_000)).await.expect("writable"), 3);
    assert_eq!(room.frontier().await, [log("a.lit", 4, 6)]);
    room.append(&run("a.lit", [7])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 4, 7)]);
}

/// A log that has expired as a whole keeps its place, so that no number is used twice, and the digest to go on from.
pub async fn an_expired_log_keeps_its_place<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=6);
    entries[5].digest = Some(ChainDigest([6; 16]));
    let mut room = Live::with(&store, 1, &entries).await;
    assert_eq!(store.expire(room.uid, NOW.plus(60_000)).await.expect("writable"), 6);
    assert_eq!(room.frontier().await, [log("a.lit", 7, 6)]);
    assert_eq!(store.frontier(room.uid).await.expect("readable")[0].digest, Some(ChainDigest([6; 16])));
    assert_eq!(store.expire(room.uid, NOW.plus(60_000)).await.expect("writable"), 0);
    assert_eq!(room.frontier().await, [log("a.lit", 7, 6)]);
    room.append(&run("a.lit", [7])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 7, 7)]);
    room.append(&run("a.lit", [8])).await;
    assert_eq!(room.frontier().await, [log("a.lit", 7, 8)]);
}
