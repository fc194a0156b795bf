//! How PostgreSQL finds things in an archive of a million messages: by indexes, reading little more than it gives.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

mod explained;
mod library;

use dmuc_core::Millis;
use dmuc_core::event::{EventId, Position};
use dmuc_core::storage::{ArchiveQuery, Change, HistoryStore, LogEntry, Recent, Room};
use explained::{Plan, Plans};
use library::{Library, MESSAGES, message, stamp};

/// Rows that a statement may read for a page of fifty and its counts: two chapters that lie partly within, the list of
/// all chapters some times over, and the page.
const ROWS_MAX: u64 = 20_000;
/// How often each query is made: after some times PostgreSQL makes a plan that is good for all arguments.
const TIMES: usize = 8;

#[tokio::test]
async fn a_million_messages_are_read_by_indexes() {
    let Some(server) = dmuc_test_servers::postgres() else { return };
    let plans = Plans::collect();
    let library = Library::build(server).await;
    let room = library.room;
    for (name, query) in pages() {
        let speaker_rows = library.said_by_one * 3;
        let rows_max = if query.nick.is_some() || query.oid.is_some() { speaker_rows } else { ROWS_MAX };
        for _ in 0..TIMES {
            let page = library.store.page(room, &query).await.unwrap().unwrap();
            assert!(!page.entries.is_empty(), "{name} selects something");
        }
        check(name, &plans.taken(), rows_max);
    }
    for (name, limits) in recents() {
        for _ in 0..TIMES {
            assert!(!library.store.recent(room, limits).await.unwrap().is_empty(), "{name}");
        }
        check(name, &plans.taken(), 250);
    }
    for from in [1, MESSAGES / 2] {
        let from = Position { o: library.origin.into(), i: 1, s: from };
        for _ in 0..TIMES {
            assert_eq!(library.store.range(room, &from, u64::MAX, 100).await.unwrap().len(), 100);
        }
        check("a range", &plans.taken(), 250);
    }
    for _ in 0..TIMES {
        assert_eq!(library.store.frontier(room).await.unwrap()[0].pos.s, MESSAGES);
    }
    check("the frontier", &plans.taken(), 50);
    writes(&library, &plans).await;
}

fn pages() -> Vec<(&'static str, ArchiveQuery)> {
    let id = |n| Some(EventId(library::id(n)));
    let all = ArchiveQuery { max: 50, ..ArchiveQuery::default() };
    let query = |change: fn(&mut ArchiveQuery)| {
        let mut query = all.clone();
        change(&mut query);
        query
    };
    let late = Some(stamp(MESSAGES - 500));
    vec![
        ("the first page", all.clone()),
        ("the last page", query(|query| query.last = true)),
        ("after an entry", ArchiveQuery { after: id(MESSAGES / 2), ..all.clone() }),
        ("before an entry", ArchiveQuery { before: id(MESSAGES / 2), last: true, ..all.clone() }),
        ("between entries", ArchiveQuery { after_id: id(1000), before_id: id(900_000), ..all.clone() }),
        ("at an index", query(|query| query.index = Some(MESSAGES - 100))),
        ("from a late time", ArchiveQuery { start: late, ..all.clone() }),
        ("until an early time", ArchiveQuery { end: Some(stamp(500)), last: true, ..all.clone() }),
        ("nearly all times", ArchiveQuery { start: Some(stamp(5)), end: late, last: true, ..all.clone() }),
        ("by nick", ArchiveQuery { nick: Some(library::rare_nick()), ..all.clone() }),
        (
            "by occupant id",
            ArchiveQuery { oid: Some(library::RARE_OID.to_owned()), last: true, ..all.clone() },
        ),
        ("by ids", ArchiveQuery { ids: Some([7, 500_000].map(library::id).map(EventId).into()), ..all }),
    ]
}

fn recents() -> [(&'static str, Recent); 4] {
    let some = Recent { stanzas: Some(50), ..Recent::default() };
    [
        ("recent messages", some),
        ("recent characters", Recent { chars: Some(1000), ..some }),
        ("since a late time", Recent { since: Some(stamp(MESSAGES - 20)), ..some }),
        ("since an early time", Recent { since: Some(Millis(0)), ..some }),
    ]
}

/// Writing reads no more than it must either.
async fn writes(library: &Library, plans: &Plans) {
    let mut writer = library.writer().await;
    for n in 1..=TIMES as u64 {
        let next: LogEntry = message(library.origin, MESSAGES + n);
        writer.commit(vec![Change::Append(Box::new(next)), library::part(n)]).await;
    }
    check("appending", &plans.taken(), 2_500);
    for n in 1..=TIMES as u64 {
        let pos = message(library.origin, n * 1000).event.pos;
        let redact = Change::Redact { id: EventId(library::id(n)), content: Vec::new() };
        writer.commit(vec![Change::Withhold { pos, withheld: true }, redact]).await;
    }
    check("withholding and redacting", &plans.taken(), 500);
    for n in 1..=TIMES as u64 {
        assert_eq!(
            library.store.expire(library.room, stamp(10 * n)).await.unwrap(),
            if n == 1 { 9 } else { 10 }
        );
    }
    check("expiring", &plans.taken(), 2_500);
    for _ in 0..TIMES {
        library.store.list(library.domain, None, 100).await.unwrap();
        library.store.abandoned(library.domain, Millis(0), 100).await.unwrap();
    }
    check("listing", &plans.taken(), 500);
}

#[track_caller]
fn check(name: &str, plans: &[Plan], rows_max: u64) {
    assert!(plans.len() >= TIMES, "{name}: {} plans were seen", plans.len());
    for plan in plans {
        assert!(!plan.scans_whole("log"), "{name} scans the whole log:\n{plan}");
        assert!(plan.rows_sorted() <= 5_000, "{name} sorts {} rows:\n{plan}", plan.rows_sorted());
        assert!(plan.rows_read() <= rows_max, "{name} reads {} rows:\n{plan}", plan.rows_read());
    }
}
