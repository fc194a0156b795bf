//! One crowded room on the durable embedded store: everybody joins, then messages are sent and every delivery counted.
//!
//! `cargo run --release -p dmuc-benches --bin crowd -- --daemon target/release/dmucd`

use std::error::Error;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;

use clap::Parser;
use dmuc_benches::{CountingHost, Daemon, timed};
use memchr::memmem::Finder;

const DOMAIN: &str = "rooms.bench.example";

/// A crowd in one room.
#[derive(Debug, Parser)]
struct Options {
    /// The daemon to measure.
    #[arg(long, default_value = "target/release/dmucd")]
    daemon: PathBuf,
    /// Occupants of the room.
    #[arg(long, default_value_t = 1000)]
    occupants: usize,
    /// Messages sent to it.
    #[arg(long, default_value_t = 1000)]
    messages: usize,
    /// Messages that may be under way at once.
    #[arg(long, default_value_t = 64)]
    window: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let dir = tempfile::tempdir()?;
    let daemon = Daemon::start(&options.daemon, DOMAIN, listener.local_addr()?.port(), dir.path())?;
    let mut host = CountingHost::accept(&listener)?;
    let (joined, wall) = timed(|| join_all(&mut host, options.occupants));
    joined?;
    let joins_cpu = daemon.cpu()?;
    println!("{} occupants joined in {wall:.2?}, daemon CPU {joins_cpu:.2?}", options.occupants);
    let (said, wall) = timed(|| say_all(&mut host, &options));
    said?;
    let cpu = daemon.cpu()? - joins_cpu;
    let deliveries = options.occupants * options.messages;
    println!(
        "{} messages, {deliveries} deliveries, none lost, none doubled: wall {wall:.2?}, daemon CPU {cpu:.2?}",
        options.messages
    );
    println!("deliveries per CPU second: {:.0}", deliveries as f64 / cpu.as_secs_f64());
    println!("resident: {} KiB", daemon.resident_kib()?);
    Ok(())
}

/// Each occupant is in when it has its self-presence; the subject comes right behind it.
fn join_all(host: &mut CountingHost, occupants: usize) -> std::io::Result<()> {
    let mut writer = host.writer()?;
    let marker = Finder::new("<status code='");
    let mut joined = 0;
    for client in 0..occupants {
        write!(
            writer,
            "<presence from='user{client}@bench.example/x' to='crowd@{DOMAIN}/nick{client}'>\
             <x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
        )?;
        while joined <= client {
            host.read_numbers(&marker, |code| joined += usize::from(code == 110))?;
        }
    }
    Ok(())
}

/// Sends with a bounded number under way; every message has to reach every occupant exactly once.
fn say_all(host: &mut CountingHost, options: &Options) -> std::io::Result<()> {
    let mut writer = host.writer()?;
    let marker = Finder::new("<body>");
    let mut heard = vec![0_usize; options.messages];
    let (mut sent, mut complete) = (0, 0);
    while complete < options.messages {
        while sent < options.messages && sent < complete + options.window {
            let client = sent % options.occupants;
            write!(
                writer,
                "<message type='groupchat' id='m{sent}' from='user{client}@bench.example/x' to='crowd@{DOMAIN}'>\
                 <body>{sent}</body></message>"
            )?;
            sent += 1;
        }
        host.read_numbers(&marker, |message| {
            heard[message] += 1;
            complete += usize::from(heard[message] == options.occupants);
        })?;
    }
    assert!(heard.iter().all(|heard| *heard == options.occupants), "every message once to everyone");
    Ok(())
}
