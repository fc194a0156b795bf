//! What a store can do, beside what its backend can do by itself: messages made durable, pages of a long archive, the
//! history of those who join, rooms loaded and listed.
//!
//! `cargo run --release -p dmuc-benches --bin stores -- --store sqlite:/var/tmp/bench.db --store postgres://...`
//!
//! A backend's limit is what it takes of the same rows in the same number of durable transactions: of the rows alone, in a
//! table (or streams) in which nothing could be found, and with the keys by which a store finds them. Either leaves out
//! what a store does besides: revision and fence checked, frontier, the counts of the archive.

mod appends;
mod archive;
mod limit;
mod listing;
mod messages;
mod times;

use std::time::Duration;

use clap::Parser;
use dmuc_server_adapter::service::open_storage;
use limit::Kept;

/// Errors go to whoever runs the measurement.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Stores measured beside their backends.
#[derive(Debug, Parser)]
struct Options {
    /// URLs of empty stores; without any, a database in a temporary directory
    #[arg(long = "store")]
    stores: Vec<String>,
    /// Rooms that speak at the same time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    speaking: Vec<usize>,
    /// Seconds of each of three rounds of appending, for the store and for its limit
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Messages in the long archive
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Idle rooms that are listed
    #[arg(long, default_value_t = 10_000)]
    rooms: usize,
    /// How often each question is asked
    #[arg(long, default_value_t = 200)]
    questions: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut options = Options::parse();
    let dir = tempfile::tempdir()?;
    if options.stores.is_empty() {
        options.stores.push(format!("sqlite:{}", dir.path().join("bench.db").display()));
    }
    for url in &options.stores {
        measure(url, &options).await?;
    }
    Ok(())
}

async fn measure(url: &str, options: &Options) -> Result<(), Failure> {
    let store = open_storage(url).await?;
    println!("== {}", url.split(':').next().unwrap_or(""));
    let mut limits = appends::Limits {
        bare: limit::open(url, Kept::Bare).await?,
        keyed: limit::open(url, Kept::Keyed).await?,
    };
    let lasts = Duration::from_secs(options.seconds);
    for speaking in &options.speaking {
        appends::measure(&*store, &mut limits, *speaking, lasts).await?;
    }
    listing::measure(&*store, options.rooms, options.questions).await?;
    archive::measure(&*store, options.messages, options.questions).await
}
