//! What becomes of entries later: redacted, withheld, expired.

use super::Builder;
use super::fixture::{Live, NOW, entry, first, id_at, numbers, position, run, said, uid};
use crate::event::{ChainDigest, EventId};
use crate::stanza::Payload;
use crate::storage::{ArchiveQuery, Change, HistoryStore, Recent};

fn redact(s: u64, content: Vec<Payload>) -> Change {
    Change::Redact { id: id_at(&position("a.lit", s)), content }
}

fn withhold(s: u64, withheld: bool) -> Change {
    Change::Withhold { pos: position("a.lit", s), withheld }
}

/// `Redact` replaces the content and nothing else (XEP-0424, XEP-0425).
pub async fn a_redacted_event_has_new_content<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=3);
    entries[1].digest = Some(ChainDigest([2; 16]));
    let mut room = Live::with(&store, 1, &entries).await;
    let content = vec![
        Payload::parse_xml("<retracted xmlns='urn:xmpp:message-retract:1' stamp='x\"&apos;🧙'/>")
            .expect("well-formed"),
        Payload::text_element("reason", "it's \"spam\" \\ $.content"),
    ];
    room.must(vec![redact(2, content.clone())]).await;
    entries[1].event.content = content;
    assert_eq!(room.all().await, entries);
    room.must(vec![redact(2, Vec::new())]).await;
    entries[1].event.content = Vec::new();
    assert_eq!(room.all().await, entries);
}

/// `recent` counts the characters that are there, not those that were.
pub async fn a_redacted_event_counts_with_its_new_size<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let entries = [said("a.lit", 1, "x"), said("a.lit", 2, &"x".repeat(1000)), said("a.lit", 3, "x")];
    let mut room = Live::with(&store, 1, &entries).await;
    let limits = Recent { chars: Some(100), ..Recent::default() };
    assert_eq!(numbers(&store.recent(room.uid, limits).await.expect("readable")), [3]);
    room.must(vec![redact(2, Vec::new())]).await;
    assert_eq!(numbers(&store.recent(room.uid, limits).await.expect("readable")), [1, 2, 3]);
    room.must(vec![redact(3, said("a.lit", 3, &"y".repeat(1000)).event.content)]).await;
    assert!(numbers(&store.recent(room.uid, limits).await.expect("readable")).is_empty());
}

/// Numbers that a float cannot hold are the same afterwards.
pub async fn redaction_keeps_large_numbers<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut large = entry("a.lit", (1 << 53) + 1);
    large.event.h = entry("a.lit", 1).event.h;
    large.event.deps = vec![position("b.lit", (1 << 62) + 1)];
    let mut room = Live::with(&store, 1, std::slice::from_ref(&large)).await;
    room.must(vec![Change::Redact { id: large.event.id, content: Vec::new() }]).await;
    large.event.content = Vec::new();
    assert_eq!(room.all().await, [large]);
}

/// `Redact` and `Withhold` of what is not held here are no errors, and have no effect on what comes later.
pub async fn redacting_what_is_not_held_changes_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=1)).await;
    let mut other = Live::with(&store, 2, &run("a.lit", 1..=2)).await;
    room.must(vec![redact(2, Vec::new()), withhold(2, true), withhold(77, true)]).await;
    room.append(&run("a.lit", 2..=2)).await;
    assert_eq!(room.all().await, run("a.lit", 1..=2));
    other.must(vec![redact(1, Vec::new()), withhold(2, true)]).await;
    assert_eq!(room.all().await, run("a.lit", 1..=2), "what is done to another room is not done here");
}

/// A withheld entry appears in `range` only.
pub async fn a_withheld_entry_is_kept_and_not_shown<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=4);
    entries[0].withheld = true;
    let mut room = Live::with(&store, 1, &entries).await;
    room.must(vec![withhold(3, true)]).await;
    entries[2].withheld = true;
    let page = room.page(&first(1)).await;
    assert_eq!((numbers(&page.entries), page.complete, page.count, page.index), (vec![2], false, 2, 0));
    assert_eq!(numbers(&store.recent(uid(1), Recent::default()).await.expect("readable")), [2, 4]);
    assert_eq!(store.range(uid(1), &position("a.lit", 1), 9, 9).await.expect("readable"), entries);
    let behind = ArchiveQuery { after: Some(id_at(&position("a.lit", 3))), ..first(9) };
    let page = room.page(&behind).await;
    assert_eq!((numbers(&page.entries), page.count, page.index), (vec![4], 2, 1), "it may be referred to");
}

/// Once revealed, it is shown at the place where it arrived.
pub async fn a_revealed_entry_is_shown_again<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=3);
    entries[1].withheld = true;
    let mut room = Live::with(&store, 1, &entries).await;
    room.must(vec![withhold(2, false), withhold(3, false)]).await;
    assert_eq!(room.all().await, run("a.lit", 1..=3));
    assert_eq!(numbers(&store.recent(uid(1), Recent::default()).await.expect("readable")), [1, 2, 3]);
}

/// `expire` drops what is stamped before, withheld or not, and gives how many.
pub async fn expiry_drops_what_is_older<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=4);
    entries[1].withheld = true;
    entries.extend(run("b.lit", 1..=2));
    let room = Live::with(&store, 1, &entries).await;
    assert_eq!(store.expire(room.uid, NOW).await.expect("writable"), 0);
    assert_eq!(store.expire(room.uid, NOW.plus(3_000)).await.expect("writable"), 4, "`before` itself stays");
    assert_eq!(room.all().await, run("a.lit", 3..=4));
    assert_eq!(store.expire(room.uid, NOW.plus(3_001)).await.expect("writable"), 1);
    assert_eq!(numbers(&store.recent(room.uid, Recent::default()).await.expect("readable")), [4]);
    assert_eq!(store.expire(uid(9), NOW.plus(3_001)).await.expect("writable"), 0, "no such room");
}

/// Another room's entries stay.
pub async fn expiry_is_by_room<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &run("a.lit", 1..=4)).await;
    let other = Live::with(&store, 2, &run("a.lit", 1..=4)).await;
    store.expire(uid(1), NOW.plus(60_000)).await.expect("writable");
    assert_eq!(other.all().await, run("a.lit", 1..=4));
    assert_eq!(other.frontier().await, [("a.lit".to_owned(), 1, 4)]);
}

/// A page after an entry that has expired is `None`, not a page with a silent hole.
pub async fn expired_references_are_unknown<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=4)).await;
    store.expire(room.uid, NOW.plus(3_000)).await.expect("writable");
    let after = |id: EventId| ArchiveQuery { after: Some(id), ..first(9) };
    let expired = after(id_at(&position("a.lit", 1)));
    assert_eq!(store.page(room.uid, &expired).await.expect("readable"), None);
    let page = room.page(&after(id_at(&position("a.lit", 3)))).await;
    assert_eq!((numbers(&page.entries), page.count, page.index), (vec![4], 2, 1));
}
