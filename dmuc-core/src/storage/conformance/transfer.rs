//! Whole stores: what it takes to move one.

use super::Builder;
use super::fixture::{DOMAIN, Live, NOW, address, append, entry, found, room_address, run, tombstone, uid};
use crate::event::ChainDigest;
use crate::storage::{Change, Entry, Frontier, HistoryStore, LogEntry, Room, Transfer};

/// Domains of rooms and of tombstones, each once.
pub async fn all_domains_are_known<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    assert!(store.domains().await.expect("readable").is_empty());
    Live::new(&store, 1).await;
    Live::new(&store, 2).await;
    Live::at(&store, address("coven@rooms.macbeth.lit"), uid(3)).await;
    let stone = tombstone(&address("heath@a.macbeth.lit"), uid(4), NOW);
    store.put_tombstone(&stone).await.expect("writable");
    let domains = store.domains().await.expect("readable");
    assert_eq!(domains, ["a.macbeth.lit", DOMAIN, "rooms.macbeth.lit"]);
}

/// Tombstones come by pages, whether they block or not, and work where they are put.
pub async fn tombstones_are_listed_and_put<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::at(&store, room_address("b"), uid(1)).await;
    let destroyed = tombstone(&room.jid, room.uid, NOW.plus(60_000));
    room.must(vec![Change::Destroy(Some(destroyed.clone()))]).await;
    let a = tombstone(&room_address("a"), uid(2), NOW);
    let c = tombstone(&room_address("c"), uid(3), NOW.plus(1));
    let elsewhere = tombstone(&address("b@rooms.macbeth.lit"), uid(4), NOW);
    for stone in [&c, &a, &elsewhere] {
        store.put_tombstone(stone).await.expect("writable");
    }
    let all = store.tombstones(DOMAIN, None, 9).await.expect("readable");
    assert_eq!(all, [a.clone(), destroyed.clone(), c.clone()]);
    let rest = store.tombstones(DOMAIN, Some(&a.jid), 1).await.expect("readable");
    assert_eq!(rest, [destroyed]);
    assert_eq!(store.load(&c.jid, NOW).await.expect("readable"), Entry::Tombstone(c));
}

/// Entries come in order of arrival, also those withheld, by pages.
pub async fn arrivals_are_read_by_pages<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("b.lit", [3, 1, 2]);
    entries.extend(run("a.lit", 1..=2));
    entries[1].digest = Some(ChainDigest([7; 16]));
    let mut room = Live::with(&store, 1, &entries).await;
    Live::with(&store, 2, &run("a.lit", 1..=5)).await;
    room.must(vec![Change::Withhold { pos: entries[2].event.pos.clone(), withheld: true }]).await;
    entries[2].withheld = true;
    let (mut read, mut place): (Vec<LogEntry>, u64) = (Vec::new(), 0);
    loop {
        let page = store.arrivals(room.uid, place, 2).await.expect("readable");
        let Some((last, _)) = page.last() else { break };
        assert!(*last > place && page.len() <= 2);
        place = *last;
        read.extend(page.into_iter().map(|(_, entry)| entry));
    }
    assert_eq!(read, entries);
}

/// Ended logs keep their place in another store; held ones are left alone.
pub async fn places_of_ended_logs_are_put<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let held = entry("a.lit", 4);
    let room = Live::with(&store, 1, std::slice::from_ref(&held)).await;
    let mut pos = entry("b.lit", 9).event.pos;
    let ended = Frontier { low: 10, digest: Some(ChainDigest([9; 16])), pos: pos.clone() };
    pos.o = "a.lit".into();
    let ignored = Frontier { low: 10, digest: None, pos };
    store.put_places(room.uid, &[ended.clone(), ignored]).await.expect("writable");
    let frontier = store.frontier(room.uid).await.expect("readable");
    assert_eq!(frontier, [Frontier { pos: held.event.pos, digest: held.digest, low: 4 }, ended]);
    let mut room = room;
    room.must(vec![append(&entry("b.lit", 10))]).await;
    let frontier = room.frontier().await;
    assert_eq!(frontier[1], ("b.lit".to_owned(), 10, 10), "the log goes on after its place");
    assert_eq!(found(&store, &room.jid).await.uid, room.uid);
}
