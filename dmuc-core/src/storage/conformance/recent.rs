//! The recent history, in canonical order (XEP-0045 §7.2.14).

use super::Builder;
use super::fixture::{Live, NOW, at, entry, run, said, uid};
use crate::storage::{Change, LogEntry, Recent, Storage};

async fn recent(store: &impl Storage, limits: Recent) -> Vec<(String, u64)> {
    let entries: Vec<LogEntry> = store.recent(uid(1), limits).await.expect("the log can be read");
    entries.iter().map(|entry| (entry.event.pos.o.to_string(), entry.event.pos.s)).collect()
}

fn named<const N: usize>(positions: [(&str, u64); N]) -> Vec<(String, u64)> {
    positions.map(|(origin, s)| (origin.to_owned(), s)).to_vec()
}

/// Two logs that take turns: a 1, b 2, a 3, b 4, a 5; they arrive log by log.
fn interleaved() -> Vec<LogEntry> {
    let mut entries = run("b.lit", [2, 4]);
    entries.extend(run("a.lit", [5, 1, 3]));
    entries
}

/// No limit gives everything that is not withheld, ascending.
pub async fn all_of_it_in_canonical_order<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    assert_eq!(recent(&store, Recent::default()).await, []);
    let mut room = Live::with(&store, 1, &interleaved()).await;
    let all = named([("a.lit", 1), ("b.lit", 2), ("a.lit", 3), ("b.lit", 4), ("a.lit", 5)]);
    assert_eq!(recent(&store, Recent::default()).await, all);
    room.must(vec![Change::Withhold { pos: entry("b.lit", 4).event.pos, withheld: true }]).await;
    let shown = named([("a.lit", 3), ("a.lit", 5)]);
    assert_eq!(recent(&store, Recent { stanzas: Some(2), ..Recent::default() }).await, shown);
}

/// `stanzas` counts from the newest back.
pub async fn the_newest_stanzas<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &interleaved()).await;
    let limit = |n| Recent { stanzas: Some(n), ..Recent::default() };
    assert_eq!(recent(&store, limit(2)).await, named([("b.lit", 4), ("a.lit", 5)]));
    assert_eq!(recent(&store, limit(0)).await, []);
    assert_eq!(recent(&store, limit(u32::MAX)).await.len(), 5);
}

/// `chars` stops before the first stanza that would be too much, counted from the newest back.
pub async fn as_many_characters_as_wanted<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let large = said("a.lit", 2, &"x".repeat(1000));
    let entries = [said("a.lit", 1, "x"), large, said("a.lit", 3, "xyz"), said("a.lit", 4, "xyz")];
    Live::with(&store, 1, &entries).await;
    let small = entries[3].event.bytes() as u64;
    let limit = |chars| Recent { chars: Some(chars), ..Recent::default() };
    assert_eq!(recent(&store, limit(0)).await, []);
    assert_eq!(recent(&store, limit(small - 1)).await, []);
    assert_eq!(recent(&store, limit(small)).await, named([("a.lit", 4)]));
    assert_eq!(recent(&store, limit(2 * small + 100)).await, named([("a.lit", 3), ("a.lit", 4)]));
    assert_eq!(recent(&store, limit(u64::MAX)).await.len(), 4);
}

/// `since` is included.
pub async fn none_from_before<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &interleaved()).await;
    let since = |ms| Recent { since: Some(NOW.plus(ms)), ..Recent::default() };
    assert_eq!(recent(&store, since(4_000)).await, named([("b.lit", 4), ("a.lit", 5)]));
    assert_eq!(recent(&store, since(4_001)).await, named([("a.lit", 5)]));
    assert_eq!(recent(&store, since(u64::MAX)).await, []);
}

/// The strictest limit decides.
pub async fn all_limits_hold_together<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &run("a.lit", 1..=9)).await;
    let size = entry("a.lit", 9).event.bytes() as u64;
    let limits = Recent { stanzas: Some(5), chars: Some(4 * size), since: Some(NOW.plus(3_000)) };
    let from = |s: u64| (s..=9).map(|s| ("a.lit".to_owned(), s)).collect::<Vec<_>>();
    assert_eq!(recent(&store, limits).await, from(6));
    assert_eq!(recent(&store, Recent { stanzas: Some(3), ..limits }).await, from(7));
    assert_eq!(recent(&store, Recent { since: Some(NOW.plus(8_000)), ..limits }).await, from(8));
}

/// Equal stamps are ordered by origin, incarnation and number.
pub async fn one_moment_is_ordered_by_position<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries: Vec<LogEntry> = Vec::new();
    for (n, (origin, i, s)) in
        (1..).zip([("b.lit", 1, 1), ("a.lit", 10, 1), ("a.lit", 9, 10), ("a.lit", 9, 9), ("b.lit", 1, 2)])
    {
        let mut entry = at(entry(origin, s), NOW);
        entry.event.pos.i = i;
        entry.event.id = super::fixture::entry("z.lit", n).event.id;
        entries.push(entry);
    }
    Live::with(&store, 1, &entries).await;
    let order = named([("a.lit", 9), ("a.lit", 10), ("a.lit", 1), ("b.lit", 1), ("b.lit", 2)]);
    assert_eq!(recent(&store, Recent::default()).await, order);
    let newest = named([("a.lit", 1), ("b.lit", 1), ("b.lit", 2)]);
    assert_eq!(recent(&store, Recent { stanzas: Some(3), ..Recent::default() }).await, newest);
}

/// What arrives late stands where it belongs.
pub async fn a_late_arrival_takes_its_place<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=3)).await;
    room.append(&[at(entry("b.lit", 1), NOW.plus(2_500)), at(entry("b.lit", 2), NOW)]).await;
    let newest = named([("a.lit", 2), ("b.lit", 1), ("a.lit", 3)]);
    assert_eq!(recent(&store, Recent { stanzas: Some(3), ..Recent::default() }).await, newest);
}
