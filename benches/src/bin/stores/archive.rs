//! One room that was talked in for a long time: its history for those who join, and its archive.

use std::time::Instant;

use dmuc_core::storage::{ArchiveQuery, LogEntry, Recent, RoomUid, Transfer};

use crate::Failure;
use crate::messages::{Room, id, message, speaker, when};
use crate::times;

/// Messages written at a time.
const BATCH: usize = 1000;
/// Messages in a page of the archive.
const PAGE: u32 = 50;
/// Messages that somebody gets who joins.
const HISTORY: u32 = 20;

pub async fn measure(store: &dyn Transfer, messages: u64, questions: usize) -> Result<(), Failure> {
    let room = Room::create(store, "long", 1, &[]).await?.remove(0).lease.room;
    write(store, room, messages).await?;
    for stanzas in [HISTORY, 100] {
        let limits = Recent { stanzas: Some(stanzas), chars: Some(512 << 10), since: None };
        let what = format!("history for those who join, {stanzas} messages");
        times::tell(&what, questions, || async { Ok(store.recent(room, limits).await?) }).await?;
    }
    times::tell("how far its logs are held", questions, || async { Ok(store.frontier(room).await?) }).await?;
    for (what, query) in queries(room, messages) {
        times::tell(what, questions, || async { Ok(store.page(room, &query).await?) }).await?;
    }
    Ok(())
}

async fn write(store: &dyn Transfer, room: RoomUid, messages: u64) -> Result<(), Failure> {
    let (began, numbers) = (Instant::now(), (1..=messages).collect::<Vec<_>>());
    for numbers in numbers.chunks(BATCH) {
        let entries: Vec<LogEntry> = numbers.iter().map(|s| message(room, *s)).collect();
        store.append(room, &entries).await?;
    }
    println!("{messages} messages in one room, written by {BATCH} in {:.1?}", began.elapsed());
    Ok(())
}

fn queries(room: RoomUid, messages: u64) -> Vec<(&'static str, ArchiveQuery)> {
    let middle = messages / 2;
    let page = ArchiveQuery { max: PAGE, ..ArchiveQuery::default() };
    let (nick, oid) = speaker(middle);
    let hour = ArchiveQuery { start: Some(when(middle)), end: Some(when(middle + 3600)), ..page.clone() };
    vec![
        ("archive: first page", page.clone()),
        ("archive: last page", ArchiveQuery { last: true, ..page.clone() }),
        ("archive: page after the middle", ArchiveQuery { after: Some(id(room, middle)), ..page.clone() }),
        (
            "archive: page before the middle",
            ArchiveQuery { before: Some(id(room, middle)), last: true, ..page.clone() },
        ),
        ("archive: page of a nick", ArchiveQuery { nick: Some(nick), ..page.clone() }),
        ("archive: page of an occupant id", ArchiveQuery { oid: Some(oid), ..page.clone() }),
        ("archive: page of an hour", hour),
        ("archive: since the middle, first page", ArchiveQuery { start: Some(when(middle)), ..page }),
    ]
}
