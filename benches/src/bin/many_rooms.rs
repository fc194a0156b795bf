//! Many rooms that sleep on the durable embedded store, and a few that are awake: how soon the daemon serves, and how
//! much memory it takes.
//!
//! `cargo run --release -p dmuc-benches --bin many_rooms -- --daemon target/release/dmucd`

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use dmuc_benches::{CountingHost, Daemon, timed};
use dmuc_core::policy::ServicePolicy;
use dmuc_core::stanza::{El, Payload};
use dmuc_core::storage::{Change, Lease, LogEntry, Revision, Room, RoomCommit, RoomUid};
use dmuc_core::{Action, Address, Input, Instance, Millis, Stanza, ns};
use dmuc_store_sqlite::SqliteStore;
use memchr::memmem::Finder;

const DOMAIN: &str = "rooms.bench.example";
/// Rooms that are written in one transaction.
const BATCH: usize = 1000;

/// Many rooms, few awake.
#[derive(Debug, Parser)]
struct Options {
    /// The daemon to measure.
    #[arg(long, default_value = "target/release/dmucd")]
    daemon: PathBuf,
    /// Persistent rooms in the store.
    #[arg(long, default_value_t = 100_000)]
    rooms: usize,
    /// How many of them are woken, in steps.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000])]
    awake: Vec<usize>,
    /// Messages in the history of each room that is woken.
    #[arg(long, default_value_t = 20)]
    messages: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let dir = tempfile::tempdir()?;
    let store = dir.path().join("rooms.db");
    let (created, wall) = timed(|| create_all(&store, &options));
    created?;
    println!("{} rooms created in {wall:.2?}: {} MiB", options.rooms, store.metadata()?.len() >> 20);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let start = Instant::now();
    let daemon = Daemon::start(&options.daemon, DOMAIN, listener.local_addr()?.port(), dir.path())?;
    let mut host = CountingHost::accept(&listener)?;
    println!("serves after {:.2?}, daemon CPU {:.2?}", start.elapsed(), daemon.cpu()?);
    let asleep = daemon.resident_kib()?;
    println!("0 awake: {asleep} KiB resident");
    let mut woken = 0;
    for awake in options.awake {
        let (done, wall) = timed(|| wake(&mut host, woken..awake));
        done?;
        woken = awake;
        let resident = daemon.resident_kib()?;
        let each = resident.saturating_sub(asleep) as f64 / awake as f64;
        println!("{awake} awake: {resident} KiB resident, {each:.1} KiB each; woken in {wall:.2?}");
    }
    Ok(())
}

/// A room is awake once it says what it is.
fn wake(host: &mut CountingHost, rooms: std::ops::Range<usize>) -> std::io::Result<()> {
    let mut writer = host.writer()?;
    let marker = Finder::new(" id='wake");
    for room in rooms {
        write!(
            writer,
            "<iq type='get' id='wake{room}' from='user@bench.example/x' to='room{room}@{DOMAIN}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )?;
        let mut answered = false;
        while !answered {
            host.read_numbers(&marker, |number| answered |= number == room)?;
        }
    }
    Ok(())
}

/// What the store holds of a room that was created, talked in and left.
struct Pattern {
    uid: RoomUid,
    jid: Address,
    parts: BTreeMap<String, String>,
    log: Vec<LogEntry>,
}

#[tokio::main(flavor = "current_thread")]
async fn create_all(store: &Path, options: &Options) -> Result<(), Box<dyn Error>> {
    let pattern = play(options.messages)?;
    let talks = options.awake.iter().copied().max().unwrap_or(0);
    let store = SqliteStore::open(&store.display().to_string()).await?;
    for first in (0..options.rooms).step_by(BATCH) {
        let numbers = first..options.rooms.min(first + BATCH);
        let commits: Vec<_> = numbers.map(|n| commit(&pattern, n, n < talks)).collect::<Result<_, _>>()?;
        for made in store.commit(&commits).await {
            made?;
        }
    }
    store.close().await;
    Ok(())
}

/// The pattern again, as room `number`.
fn commit(pattern: &Pattern, number: usize, with_log: bool) -> Result<RoomCommit, Box<dyn Error>> {
    let jid = Address::parse(&format!("room{number}@{DOMAIN}"))?;
    let uid = RoomUid(uuid::Uuid::from_u128(number as u128 + 1));
    let again = |text: &str| {
        text.replace(&pattern.uid.to_string(), &uid.to_string()).replace(pattern.jid.as_str(), jid.as_str())
    };
    let mut changes = vec![Change::Create { jid: jid.clone() }];
    let put = |(key, value): (&String, &String)| Change::Put { key: key.clone(), value: again(value) };
    changes.extend(pattern.parts.iter().map(put));
    let log = pattern.log.iter().filter(|_| with_log);
    changes.extend(log.map(|entry| Change::Append(Box::new(entry.clone()))));
    let lease = Lease { room: uid, fence: 1, expires: Millis(0) };
    Ok(RoomCommit { lease, expected: Revision(0), changes })
}

/// Plays the life of one room on an instance, as a service would.
fn play(messages: usize) -> Result<Pattern, Box<dyn Error>> {
    let jid = Address::parse(&format!("pattern@{DOMAIN}"))?;
    let user = Address::parse("user@bench.example/x")?;
    let occupant = jid.with_resource("nick")?;
    let mut policy = ServicePolicy::new(&Address::parse(DOMAIN)?);
    (policy.lock_new_rooms, policy.defaults.persistent) = (false, true);
    let mut instance = Instance::vacant(&jid, None, Arc::new(policy), [7; 32]);
    let join = Stanza::presence().with(El::new("x", ns::MUC).payload());
    let say = |n: usize| {
        let body =
            Payload::text_element("body", &format!("What is said as number {n}, of the usual length."));
        Stanza::message("groupchat").with_id(&n.to_string()).with(body).with_to(&jid)
    };
    let stanzas = std::iter::once(join.with_to(&occupant))
        .chain((0..messages).map(say))
        .chain([Stanza::presence().with_type("unavailable").with_to(&occupant)]);
    let mut pattern = Pattern {
        uid: RoomUid(uuid::Uuid::nil()),
        jid: jid.clone(),
        parts: BTreeMap::new(),
        log: Vec::new(),
    };
    for (n, stanza) in (0..).zip(stanzas) {
        let now = Millis(1_787_307_242_000).plus(n * 1000);
        for action in instance.handle(now, Input::Stanza(stanza.with_from(&user))) {
            if let Action::Commit { changes, .. } = action {
                changes.into_iter().for_each(|change| pattern.note(change));
            }
        }
    }
    pattern.uid = instance.uid().ok_or("the room is persistent")?;
    Ok(pattern)
}

impl Pattern {
    fn note(&mut self, change: Change) {
        match change {
            Change::Put { key, value } => drop(self.parts.insert(key, value)),
            Change::Delete { key } => drop(self.parts.remove(&key)),
            Change::Append(entry) => self.log.push(*entry),
            _ => {}
        }
    }
}
