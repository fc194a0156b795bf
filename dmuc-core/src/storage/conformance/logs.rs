//! Logs: appending by position, and reading ranges.

use super::Builder;
use super::fixture::{
    Live, NOW, append, assert_conflict, at, entry, first, numbers, position, run, said, uid,
};
use crate::address::Address;
use crate::clock::Hlc;
use crate::event::{ChainDigest, Position};
use crate::nick::Nick;
use crate::stanza::Payload;
use crate::storage::{HistoryStore, LogEntry, Storage};

async fn range(store: &impl Storage, from: &Position, to: u64, limit: u32) -> Vec<LogEntry> {
    store.range(uid(1), from, to, limit).await.expect("the log can be read")
}

fn elaborate() -> LogEntry {
    let mut entry = said("bücher.example", 7, "<&>'\"\\ \u{10ffff} 🧙‍♀️");
    entry.event.jid = Address::parse("hag66@shakespeare.lit").ok();
    entry.digest = Some(ChainDigest([0xfe; 16]));
    entry.withheld = true;
    entry.event.h = Hlc(Hlc::at(NOW).0 + 0xffff);
    entry.event.deps = vec![position("a.lit", 3), Position { i: 9, ..position("c.lit", 1 << 52) }];
    entry.event.nick = Some(Nick::parse("thirdwitch 🧙").expect("a valid nick"));
    entry.event.oid = Some("dd72603deec90a38ba552f7c68cbcc61bca202cd".to_owned());
    entry.event.stanza = Some("'id\"".to_owned());
    entry.event.lang = Some("de".to_owned());
    let html = "<html xmlns='http://jabber.org/protocol/xhtml-im'><b>&lt;x y='z'></b></html>";
    entry.event.content.push(Payload::parse_xml(html).expect("well-formed"));
    entry
}

/// What is read is what was written.
pub async fn every_field_of_an_entry_is_kept<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let entry = elaborate();
    Live::with(&store, 1, std::slice::from_ref(&entry)).await;
    assert_eq!(range(&store, &entry.event.pos, 7, 1).await, [entry]);
}

/// A second append of the same position changes nothing, whatever it says.
pub async fn appending_again_changes_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=3)).await;
    let mut other = at(said("a.lit", 2, "something else"), NOW);
    other.digest = Some(ChainDigest([1; 16]));
    other.event.id = entry("b.lit", 77).event.id;
    room.append(&[entry("a.lit", 2), other.clone()]).await;
    store.append(room.uid, &[entry("a.lit", 3), other]).await.expect("appending again is no error");
    assert_eq!(room.all().await, run("a.lit", 1..=3));
    assert_eq!(room.frontier().await, [("a.lit".to_owned(), 1, 3)]);
}

/// An event id that is held at another position is a `Conflict`.
pub async fn an_id_names_one_position<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=2)).await;
    for pos in [
        position("a.lit", 2),
        position("a.lit", 3),
        position("b.lit", 1),
        Position { i: 2, ..position("a.lit", 1) },
    ] {
        let mut stolen = entry("a.lit", 1);
        stolen.event.pos = pos;
        assert_conflict(&store.append(room.uid, std::slice::from_ref(&stolen)).await);
        assert_conflict(&room.try_commit(vec![append(&stolen)]).await);
    }
    assert_eq!(room.all().await, run("a.lit", 1..=2));
}

/// The same holds for two entries that come together.
pub async fn an_id_names_one_position_within_a_slice<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let mut twin = entry("a.lit", 2);
    twin.event.id = entry("a.lit", 1).event.id;
    assert_conflict(&store.append(room.uid, &[entry("a.lit", 1), twin.clone()]).await);
    assert_conflict(&room.try_commit(vec![append(&entry("a.lit", 1)), append(&twin)]).await);
    assert_eq!(room.all().await, []);
    assert_eq!(room.frontier().await, []);
}

/// `append` is all or none.
pub async fn a_refused_slice_appends_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=1)).await;
    let mut stolen = entry("a.lit", 3);
    stolen.event.id = entry("a.lit", 1).event.id;
    assert_conflict(&store.append(room.uid, &[entry("a.lit", 2), stolen, entry("a.lit", 4)]).await);
    assert_eq!(room.all().await, run("a.lit", 1..=1));
    assert_eq!(room.frontier().await, [("a.lit".to_owned(), 1, 1)]);
}

/// The same event may be in two rooms, at different positions.
pub async fn ids_are_apart_by_room<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &run("a.lit", 1..=1)).await;
    let mut moved = entry("b.lit", 9);
    moved.event.id = entry("a.lit", 1).event.id;
    let other = Live::with(&store, 2, std::slice::from_ref(&moved)).await;
    assert_eq!(other.all().await, [moved]);
}

/// Entries from `from.s` to `to`, both included, ascending, at most `limit`.
pub async fn ranges_ascend_within_limits<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &run("a.lit", [5, 1, 4, 12, 2, 3])).await;
    assert_eq!(numbers(&range(&store, &position("a.lit", 2), 4, 100).await), [2, 3, 4]);
    assert_eq!(numbers(&range(&store, &position("a.lit", 2), 100, 2).await), [2, 3]);
    assert_eq!(numbers(&range(&store, &position("a.lit", 0), u64::MAX, 100).await), [1, 2, 3, 4, 5, 12]);
    assert!(numbers(&range(&store, &position("a.lit", 6), 11, 100).await).is_empty());
    assert!(numbers(&range(&store, &position("b.lit", 1), 100, 100).await).is_empty());
}

/// A range that ends before it begins is empty, and so is one of at most none.
pub async fn an_inverted_range_is_empty<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &run("a.lit", 1..=5)).await;
    assert_eq!(range(&store, &position("a.lit", 4), 2, 100).await, []);
    assert_eq!(range(&store, &position("a.lit", 1), 5, 0).await, []);
}

/// Incarnations of an origin are different logs.
pub async fn incarnations_are_logs_of_their_own<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut second = said("a.lit", 1, "risen");
    second.event.pos.i = 2;
    second.event.id = entry("z.lit", 1).event.id;
    let room = Live::with(&store, 1, &[entry("a.lit", 1), second.clone()]).await;
    assert_eq!(range(&store, &position("a.lit", 1), 9, 9).await, run("a.lit", 1..=1));
    assert_eq!(range(&store, &second.event.pos, 9, 9).await, [second]);
    assert_eq!(room.frontier().await.len(), 2);
}

/// A body of 1 MiB is kept as it is.
pub async fn large_bodies_are_kept<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let large = said("a.lit", 1, &"ab'<".repeat(1 << 18));
    let room = Live::with(&store, 1, &[large.clone(), entry("a.lit", 2)]).await;
    assert!(room.page(&first(1)).await.entries == [large], "1 MiB is kept as it is");
}

/// `append` needs no room: the history store may be another one than the room store.
pub async fn appending_without_a_commit<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    store.append(uid(1), &run("a.lit", 1..=2)).await.expect("in order");
    store.append(uid(1), &[]).await.expect("nothing to append is no error");
    store.append(uid(1), &run("a.lit", 3..=3)).await.expect("in order");
    assert_eq!(numbers(&range(&store, &position("a.lit", 1), 9, 9).await), [1, 2, 3]);
}
