//! How fast messages become durable: commits per second and CPU time per commit, with one room at a time and with
//! slices of many rooms.
//!
//! `cargo run --release -p dmuc-store-sqlite --example commits -- [DATABASE]`

use std::time::{Duration, Instant};

use dmuc_core::clock::Hlc;
use dmuc_core::event::{Event, EventId, Position};
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{Change, Lease, LogEntry, Revision, Room, RoomCommit, RoomUid};
use dmuc_core::{Address, Millis};
use dmuc_store_sqlite::SqliteStore;
use uuid::Uuid;

const NOW: Millis = Millis(1_787_307_242_000);
const LASTS: Duration = Duration::from_secs(5);
type Failure = Box<dyn std::error::Error>;

/// A room and what it has said so far.
struct Speaker {
    lease: Lease,
    revision: Revision,
    said: u64,
}

impl Speaker {
    async fn new(store: &SqliteStore, n: u128) -> Result<Self, Failure> {
        let uid = RoomUid(Uuid::from_u128(n));
        let lease = store.acquire(uid, "bench", NOW, 60_000).await?;
        let jid = Address::parse(&format!("room-{n}@chat.shakespeare.lit"))?;
        let create = RoomCommit { lease, expected: Revision(0), changes: vec![Change::Create { jid }] };
        let revision = store.commit(&[create]).await.remove(0)?;
        Ok(Self { lease, revision, said: 0 })
    }

    /// One message of ordinary size.
    fn says(&mut self) -> RoomCommit {
        self.said += 1;
        let mut id = self.lease.room.0.to_bytes_le();
        id[..8].copy_from_slice(&self.said.to_be_bytes());
        let event = Event {
            pos: Position { o: "chat.shakespeare.lit".into(), i: 1, s: self.said },
            h: Hlc::at(NOW.plus(self.said)),
            id: EventId(id),
            deps: Vec::new(),
            nick: None,
            oid: Some("dd72603deec90a38ba552f7c68cbcc61bca202cd".to_owned()),
            jid: Address::parse("hag66@shakespeare.lit").ok(),
            stanza: Some("hysf1v37".to_owned()),
            lang: None,
            content: vec![Payload::text_element("body", "Thrice the brinded cat hath mew'd.")],
        };
        let entry = LogEntry { event, digest: None, withheld: false };
        RoomCommit {
            lease: self.lease,
            expected: self.revision,
            changes: vec![Change::Append(Box::new(entry))],
        }
    }
}

/// CPU time of this process, all threads, from `/proc` (Linux); zero elsewhere.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ran = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    ran.filter_map(|stat| stat.split(' ').next()?.parse().ok()).map(Duration::from_nanos).sum()
}

async fn measure(store: &SqliteStore, speakers: &mut [Speaker]) -> Result<(), Failure> {
    let (began, ran) = (Instant::now(), cpu());
    let mut commits = 0_u32;
    while began.elapsed() < LASTS {
        let slice: Vec<RoomCommit> = speakers.iter_mut().map(Speaker::says).collect();
        for (speaker, result) in speakers.iter_mut().zip(store.commit(&slice).await) {
            speaker.revision = result?;
            commits += 1;
        }
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), (cpu() - ran) / commits);
    println!(
        "{:3} rooms in a slice: {:8.0} commits/s, {cpu:?} of CPU for each",
        speakers.len(),
        f64::from(commits) / seconds
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let file = std::env::args().nth(1).unwrap_or_else(|| dir.path().join("dmuc.db").display().to_string());
    let store = SqliteStore::open(&file).await?;
    let mut speakers = Vec::new();
    for n in 1..=64 {
        speakers.push(Speaker::new(&store, n).await?);
    }
    for slice in [1, 8, 64] {
        measure(&store, &mut speakers[..slice]).await?;
    }
    store.close().await;
    Ok(())
}
