//! Pages of the archive, in order of arrival (XEP-0313, XEP-0059).

use super::Builder;
use super::fixture::{Live, NOW, at, by, entry, first, id_at, last, numbers, position, run, uid};
use crate::clock::Millis;
use crate::event::EventId;
use crate::nick::Nick;
use crate::storage::{ArchiveQuery, HistoryStore, LogEntry, Page, Storage};

fn id(s: u64) -> Option<EventId> {
    Some(id_at(&position("a.lit", s)))
}

/// Numbers of the entries, whether complete, count and index.
fn seen(page: &Page) -> (Vec<u64>, bool, u64, u64) {
    (numbers(&page.entries), page.complete, page.count, page.index)
}

/// No entry, not even a room: still a page.
pub async fn an_empty_archive_has_an_empty_page<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::new(&store, 1).await;
    assert_eq!(seen(&room.page(&first(10)).await), (vec![], true, 0, 0));
    assert_eq!(seen(&room.page(&last(10)).await), (vec![], true, 0, 0));
    let nowhere =
        store.page(uid(2), &first(10)).await.expect("readable").expect("no reference, no lack of one");
    assert_eq!(seen(&nowhere), (vec![], true, 0, 0));
}

/// Arrival decides, not the stamp: what comes late is appended, never inserted into what clients have read.
pub async fn pages_are_in_order_of_arrival<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", [3, 1])).await;
    room.append(&run("b.lit", [2])).await;
    store.append(room.uid, &run("a.lit", [2])).await.expect("in order");
    room.append(&run("a.lit", [3, 4])).await;
    let order: Vec<(String, u64)> =
        room.all().await.iter().map(|entry| (entry.event.pos.o.to_string(), entry.event.pos.s)).collect();
    let expected = [("a.lit", 3), ("a.lit", 1), ("b.lit", 2), ("a.lit", 2), ("a.lit", 4)];
    assert_eq!(order, expected.map(|(origin, s)| (origin.to_owned(), s)));
}

/// Page after page from the beginning, `complete` with the last.
pub async fn it_is_read_forwards<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=7)).await;
    let after = |s| ArchiveQuery { after: id(s), ..first(3) };
    assert_eq!(seen(&room.page(&first(3)).await), (vec![1, 2, 3], false, 7, 0));
    assert_eq!(seen(&room.page(&after(3)).await), (vec![4, 5, 6], false, 7, 3));
    assert_eq!(seen(&room.page(&after(6)).await), (vec![7], true, 7, 6));
    assert_eq!(seen(&room.page(&after(4)).await), (vec![5, 6, 7], true, 7, 4));
    let beyond = room.page(&after(7)).await;
    assert_eq!((beyond.entries.len(), beyond.complete, beyond.count), (0, true, 7));
}

/// Page before page from the end, each ascending, `complete` with the first.
pub async fn it_is_read_backwards<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=7)).await;
    let before = |s| ArchiveQuery { before: id(s), ..last(3) };
    assert_eq!(seen(&room.page(&last(3)).await), (vec![5, 6, 7], false, 7, 4));
    assert_eq!(seen(&room.page(&before(5)).await), (vec![2, 3, 4], false, 7, 1));
    assert_eq!(seen(&room.page(&before(2)).await), (vec![1], true, 7, 0));
    assert_eq!(seen(&room.page(&before(4)).await), (vec![1, 2, 3], true, 7, 0));
    let beyond = room.page(&before(1)).await;
    assert_eq!((beyond.entries.len(), beyond.complete, beyond.count), (0, true, 7));
}

/// Whoever reads forwards sees everything once, also what arrives meanwhile.
pub async fn reading_forwards_meets_what_arrives_meanwhile<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=5)).await;
    let mut read: Vec<LogEntry> = Vec::new();
    for round in 0_u64.. {
        let query = ArchiveQuery { after: read.last().map(|entry| entry.event.id), ..first(2) };
        let page = room.page(&query).await;
        read.extend(page.entries);
        if page.complete {
            break;
        }
        if round < 3 {
            room.append(&[entry("a.lit", 6 + round), at(entry("b.lit", 1 + round), NOW)]).await;
        }
    }
    assert_eq!(read, room.all().await);
    assert_eq!(read.len(), 11);
}

/// Whoever reads backwards sees everything that was there when they began, once.
pub async fn reading_backwards_is_not_disturbed_by_what_arrives<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=7)).await;
    let mut read: Vec<LogEntry> = Vec::new();
    for round in 0_u64.. {
        let query = ArchiveQuery { before: read.first().map(|entry| entry.event.id), ..last(2) };
        let page = room.page(&query).await;
        read.splice(0..0, page.entries);
        if page.complete {
            break;
        }
        room.append(&[entry("a.lit", 8 + round), at(entry("b.lit", 1 + round), NOW)]).await;
    }
    assert_eq!(read, run("a.lit", 1..=7));
}

/// `start` and `end` select by stamp, to the millisecond, both included.
pub async fn times_select_with_both_ends<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut entries = run("a.lit", 1..=5);
    entries[3].event.h.0 += 9; // later in the same millisecond
    let room = Live::with(&store, 1, &entries).await;
    let time = |s: u64| Some(NOW.plus(s * 1000));
    let from = ArchiveQuery { start: time(2), ..first(9) };
    assert_eq!(seen(&room.page(&from).await), (vec![2, 3, 4, 5], true, 4, 0));
    let until = ArchiveQuery { end: time(4), ..first(9) };
    assert_eq!(seen(&room.page(&until).await), (vec![1, 2, 3, 4], true, 4, 0));
    let between = ArchiveQuery { start: time(2), end: time(4), ..first(2) };
    assert_eq!(seen(&room.page(&between).await), (vec![2, 3], false, 3, 0));
    let never = ArchiveQuery { start: time(4), end: time(2), ..first(9) };
    assert_eq!(seen(&room.page(&never).await), (vec![], true, 0, 0));
}

fn dialogue() -> Vec<LogEntry> {
    let speakers = ["hag", "wiccarocks"];
    run("a.lit", 1..=8).into_iter().zip(speakers.iter().cycle()).map(|(entry, who)| by(entry, who)).collect()
}

/// The occupant id that [`by`] gives.
fn hers() -> Option<String> {
    Some("id of hag".to_owned())
}

/// `oid` and `nick` select by speaker.
pub async fn a_speaker_selects<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &dialogue()).await;
    room.append(&run("b.lit", 1..=1)).await;
    let by_id = ArchiveQuery { oid: hers(), ..first(9) };
    assert_eq!(seen(&room.page(&by_id).await), (vec![1, 3, 5, 7], true, 4, 0));
    let stranger = Some("id of ha".to_owned());
    let none = ArchiveQuery { oid: stranger, ..first(9) };
    assert_eq!(seen(&room.page(&none).await), (vec![], true, 0, 0));
    let by_nick = |nick: &str| ArchiveQuery { nick: Nick::parse(nick).ok(), ..first(9) };
    assert_eq!(seen(&room.page(&by_nick("wiccarocks")).await), (vec![2, 4, 6, 8], true, 4, 0));
    assert_eq!(seen(&room.page(&by_nick("ha")).await), (vec![], true, 0, 0));
}

/// `after_id` and `before_id` are filters: what they leave out is not counted.
pub async fn ids_enclose_what_is_selected<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=9)).await;
    let query = ArchiveQuery { after_id: id(2), before_id: id(7), ..first(9) };
    assert_eq!(seen(&room.page(&query).await), (vec![3, 4, 5, 6], true, 4, 0));
    let query = ArchiveQuery { max: 2, after: id(3), ..query };
    assert_eq!(seen(&room.page(&query).await), (vec![4, 5], false, 4, 1));
    let query = ArchiveQuery { last: true, after: None, ..query };
    assert_eq!(seen(&room.page(&query).await), (vec![5, 6], false, 4, 2));
    let query = ArchiveQuery { last: true, after: id(1), before: id(9), ..query };
    assert_eq!(seen(&room.page(&query).await), (vec![5, 6], false, 4, 2), "a page wider than the selection");
}

/// `ids` selects by name, in order of arrival whatever the order of asking.
pub async fn single_entries_are_selected<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=9)).await;
    let ids = |numbers: &[u64]| Some(numbers.iter().filter_map(|s| id(*s)).collect());
    let three = ArchiveQuery { ids: ids(&[8, 2, 5, 2]), ..first(9) };
    assert_eq!(seen(&room.page(&three).await), (vec![2, 5, 8], true, 3, 0));
    let paged = ArchiveQuery { after: id(2), max: 1, ..three.clone() };
    assert_eq!(seen(&room.page(&paged).await), (vec![5], false, 3, 1));
    let early = ArchiveQuery { end: Some(NOW.plus(5_000)), ..three };
    assert_eq!(seen(&room.page(&early).await), (vec![2, 5], true, 2, 0));
    let none = ArchiveQuery { ids: ids(&[]), ..first(9) };
    assert_eq!(seen(&room.page(&none).await), (vec![], true, 0, 0));
    let many = ArchiveQuery { ids: ids(&(1..=9).collect::<Vec<_>>()), ..last(4) };
    assert_eq!(seen(&room.page(&many).await), (vec![6, 7, 8, 9], false, 9, 5));
}

/// A page may begin at an index (XEP-0059 §2.6).
pub async fn a_page_begins_at_an_index<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &dialogue()).await;
    let at = |index| ArchiveQuery { index: Some(index), ..first(3) };
    assert_eq!(seen(&room.page(&at(0)).await), (vec![1, 2, 3], false, 8, 0));
    assert_eq!(seen(&room.page(&at(4)).await), (vec![5, 6, 7], false, 8, 4));
    assert_eq!(seen(&room.page(&at(5)).await), (vec![6, 7, 8], true, 8, 5));
    let of_hers = ArchiveQuery { oid: hers(), ..at(1) };
    assert_eq!(seen(&room.page(&of_hers).await), (vec![3, 5, 7], true, 4, 1));
    for beyond in [8, u64::MAX] {
        let page = room.page(&at(beyond)).await;
        assert_eq!((page.entries.len(), page.complete, page.count), (0, true, 8));
    }
}

/// All filters hold together; count and index are of what the filters select.
pub async fn filters_hold_together<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &dialogue()).await;
    let query = ArchiveQuery { oid: hers(), start: Some(NOW.plus(2_000)), after: id(4), ..first(1) };
    assert_eq!(seen(&room.page(&query).await), (vec![5], false, 3, 1));
    let query = ArchiveQuery { oid: hers(), end: Some(NOW.plus(6_000)), before: id(4), ..last(1) };
    assert_eq!(seen(&room.page(&query).await), (vec![3], false, 3, 1));
}

/// `after` and `before` together enclose.
pub async fn a_page_lies_between_after_and_before<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=9)).await;
    let query = ArchiveQuery { after: id(2), before: id(7), ..first(9) };
    assert_eq!(seen(&room.page(&query).await), (vec![3, 4, 5, 6], true, 9, 2));
    let query = ArchiveQuery { max: 2, ..query };
    assert_eq!(seen(&room.page(&query).await), (vec![3, 4], false, 9, 2));
    let query = ArchiveQuery { last: true, ..query };
    assert_eq!(seen(&room.page(&query).await), (vec![5, 6], false, 9, 4));
    let crossed = ArchiveQuery { after: id(7), before: id(2), ..first(9) };
    let page = room.page(&crossed).await;
    assert_eq!((page.entries.len(), page.complete, page.count), (0, true, 9));
}

async fn is_none(store: &impl Storage, query: &ArchiveQuery) -> bool {
    store.page(uid(1), query).await.expect("readable").is_none()
}

/// `None` if the query names an entry that this room does not have.
pub async fn an_unknown_reference_is_no_page<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::with(&store, 1, &run("a.lit", 1..=2)).await;
    Live::with(&store, 2, &run("a.lit", 1..=9)).await;
    assert!(is_none(&store, &ArchiveQuery { after: id(9), ..first(9) }).await);
    assert!(is_none(&store, &ArchiveQuery { before: id(9), ..last(9) }).await);
    assert!(is_none(&store, &ArchiveQuery { after: id(1), before: id(9), ..first(9) }).await);
    assert!(!is_none(&store, &ArchiveQuery { after: id(1), before: id(2), ..first(9) }).await);
    assert!(is_none(&store, &ArchiveQuery { after_id: id(9), ..first(9) }).await);
    assert!(is_none(&store, &ArchiveQuery { before_id: id(9), ..first(9) }).await);
    let ids = |numbers: [u64; 2]| Some(numbers.into_iter().filter_map(id).collect());
    assert!(is_none(&store, &ArchiveQuery { ids: ids([1, 9]), ..first(9) }).await);
    assert!(!is_none(&store, &ArchiveQuery { ids: ids([1, 2]), ..first(9) }).await);
}

/// A page of at most none tells the count (XEP-0059 §2.7).
pub async fn a_page_of_none_counts<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=5)).await;
    let page = room.page(&first(0)).await;
    assert_eq!((page.entries.len(), page.complete, page.count), (0, false, 5));
    let page = room.page(&ArchiveQuery { start: Some(NOW.plus(4_000)), ..last(0) }).await;
    assert_eq!((page.entries.len(), page.complete, page.count), (0, false, 2));
}

/// Times beyond all stamps select nothing or everything, not something.
pub async fn far_times_select_soundly<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::with(&store, 1, &run("a.lit", 1..=2)).await;
    for far in [1 << 47, (1 << 48) - 1, 1 << 48, u64::MAX].map(Millis) {
        assert_eq!(room.page(&ArchiveQuery { start: Some(far), ..first(9) }).await.count, 0, "{far:?}");
        assert_eq!(room.page(&ArchiveQuery { end: Some(far), ..first(9) }).await.count, 2, "{far:?}");
    }
    assert_eq!(room.page(&ArchiveQuery { end: Some(Millis(0)), ..first(9) }).await.count, 0);
}
