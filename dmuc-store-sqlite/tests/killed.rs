//! A process that is killed in the middle of writing: what it acknowledged is there, and nothing twice.
//!
//! The writer is this very test binary, started again with a file to write to.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use dmuc_core::clock::Hlc;
use dmuc_core::event::{Event, EventId, Position};
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{
    Change, Entry, HistoryStore, LogEntry, Revision, Room, RoomCommit, RoomUid, StoreErrorKind,
};
use dmuc_core::{Address, Millis};
use dmuc_store_sqlite::SqliteStore;
use uuid::Uuid;

const FILE: &str = "DMUC_KILLED_TEST_FILE";
const ORIGIN: &str = "chat.shakespeare.lit";
/// Rooms in each slice.
const ROOMS: u128 = 3;
const ROUNDS: u64 = 6;

fn address(n: u128) -> Address {
    Address::parse(&format!("room-{n}@{ORIGIN}")).unwrap()
}

fn uid(n: u128) -> RoomUid {
    RoomUid(Uuid::from_u128(n))
}

fn message(room: u128, s: u64) -> Change {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&s.to_be_bytes());
    id[8] = room as u8;
    let event = Event {
        pos: Position { o: ORIGIN.into(), i: 1, s },
        h: Hlc::at(Millis(s)),
        id: EventId(id),
        deps: Vec::new(),
        nick: None,
        oid: None,
        jid: None,
        stanza: None,
        lang: None,
        content: vec![Payload::text_element("body", &format!("message {s}"))],
    };
    Change::Append(Box::new(LogEntry { event, digest: None, withheld: false }))
}

/// Revision and last number of a room; number and revision go together, as both rise with every commit.
async fn state(store: &SqliteStore, n: u128) -> (Revision, u64) {
    let Entry::Room(found) = store.load(&address(n), Millis(0)).await.unwrap() else {
        return (Revision(0), 0);
    };
    let frontier = store.frontier(uid(n)).await.unwrap();
    let top = frontier.first().map_or(0, |log| log.pos.s);
    let said: u64 = found.parts.get("said").map_or(0, |said| said.parse().unwrap());
    assert_eq!((found.revision.0, said), (top + 1, top), "room {n}: record and log are of one commit");
    (found.revision, top)
}

async fn next(store: &SqliteStore, n: u128) -> RoomCommit {
    let lease = store.acquire(uid(n), "writer", Millis(0), 1000).await.unwrap();
    let (mut expected, top) = state(store, n).await;
    if expected == Revision(0) {
        let commit = RoomCommit { lease, expected, changes: vec![Change::Create { jid: address(n) }] };
        expected = store.commit(&[commit]).await.remove(0).unwrap();
    }
    let said = Change::Put { key: "said".into(), value: (top + 1).to_string() };
    RoomCommit { lease, expected, changes: vec![message(n, top + 1), said] }
}

/// The child: goes on writing until it is killed, and tells what was acknowledged.
async fn write_for_ever(file: &str) {
    let store = SqliteStore::open(file).await.unwrap();
    let mut slice = Vec::new();
    for n in 1..=ROOMS {
        slice.push(next(&store, n).await);
    }
    loop {
        for (n, result) in (1..).zip(store.commit(&slice).await) {
            let revision = result.unwrap();
            println!("\nacknowledged {n} {}", revision.0 - 1);
            let said = Change::Put { key: "said".into(), value: revision.0.to_string() };
            let commit: &mut RoomCommit = &mut slice[n as usize - 1];
            (commit.expected, commit.changes) = (revision, vec![message(n, revision.0), said]);
        }
        std::io::stdout().flush().unwrap();
    }
}

/// Starts a writer, kills it after `lives`, and gives the last number that each room acknowledged.
fn kill_a_writer(file: &Path, lives: Duration) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_was_acknowledged_survives_a_kill", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = vec![0; ROOMS as usize];
    let mut note = |line: String| {
        let mut words = line.strip_prefix("acknowledged ").into_iter().flat_map(str::split_whitespace);
        if let (Some(n), Some(s)) = (words.next(), words.next()) {
            told[n.parse::<usize>().unwrap() - 1] = s.parse().unwrap();
        }
    };
    lines.by_ref().find(|line| line.starts_with("acknowledged")).into_iter().for_each(&mut note);
    let id = child.id();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(lives);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    lines.for_each(note);
    killer.join().unwrap_or_else(|_| panic!("the writer {id} could not be killed"));
    told
}

async fn check(store: &SqliteStore, n: u128, acknowledged: u64) -> u64 {
    let (_, top) = state(store, n).await;
    assert!(top >= acknowledged, "room {n}: {acknowledged} was acknowledged, {top} is there");
    let from = Position { o: ORIGIN.into(), i: 1, s: 1 };
    let entries = store.range(uid(n), &from, u64::MAX, u32::MAX).await.unwrap();
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.event.pos.s).collect();
    assert_eq!(
        numbers,
        (1..=top).collect::<Vec<_>>(),
        "room {n}: nothing is missing, nothing is there twice"
    );
    let page = store.page(uid(n), &dmuc_core::storage::ArchiveQuery::default()).await.unwrap().unwrap();
    assert_eq!(page.count, top);
    top
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    if let Ok(file) = std::env::var(FILE) {
        return write_for_ever(&file).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dmuc.db");
    let mut before = 0;
    for round in 0..ROUNDS {
        // Somewhere else in the writer's loop each time.
        let chance = UNIX_EPOCH.elapsed().unwrap().subsec_nanos() % 150_000;
        let lives = Duration::from_micros(20_000 + u64::from(chance));
        let told = kill_a_writer(&file, lives);
        let store = SqliteStore::open(file.to_str().unwrap()).await.unwrap();
        for (n, acknowledged) in (1..).zip(&told) {
            let top = check(&store, n, *acknowledged).await;
            assert!(top > before, "round {round}: the writer wrote");
        }
        before = told[0];
        let stale = RoomCommit { expected: Revision(1), ..next(&store, 1).await };
        assert_eq!(store.commit(&[stale]).await[0].as_ref().unwrap_err().kind, StoreErrorKind::Conflict);
        store.close().await;
    }
    assert!(before > ROUNDS, "{before} messages in all: too few to say anything");
}
