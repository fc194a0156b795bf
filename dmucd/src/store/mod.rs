//! `dmucd store`: whole stores moved, checked, written to files, read from them.

mod failure;
mod file;
mod progress;
mod which;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use dmuc_core::storage::Transfer;
use dmuc_server_adapter::transfer::{self, Finding, Target};

pub use failure::Failure;
use progress::Shown;
use which::{Ends, Which};

/// What is done with a store.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copy everything from one store to another, and compare them in the end
    ///
    /// Stop every dmucd that uses the source first. If it is interrupted, the same command goes on where it was. Nothing
    /// that the target holds is changed.
    Migrate(Migrate),
    /// Read everything in a store, and tell what is not as it must be
    ///
    /// Services may run on it meanwhile. Nothing is written. What is found goes to standard output, a line each.
    Check(Which),
    /// Write everything that a store holds to a file, as JSON Lines
    ///
    /// Stop every dmucd that uses the store first.
    Export(Export),
    /// Read an exported file into a store, and compare them in the end
    Import(Import),
}

/// From where to where.
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    ends: Ends,
    #[command(flatten)]
    merging: Merging,
}

/// From which store into which file.
#[derive(Debug, Args)]
pub struct Export {
    /// The file, which must not be there yet; `-` is standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    store: Which,
}

/// From which file into which store.
#[derive(Debug, Args)]
pub struct Import {
    /// The file; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    store: Which,
    #[command(flatten)]
    merging: Merging,
}

#[derive(Debug, Args)]
struct Merging {
    /// Let the target have rooms, tombstones and peer rules of its own, which stay as they are
    #[arg(long)]
    merge: bool,
}

impl Merging {
    fn target(&self) -> Target {
        if self.merge { Target::Merged } else { Target::Empty }
    }
}

/// Does what was asked; progress and what came of it go to standard error.
///
/// # Errors
/// [`Failure`].
pub async fn run(command: &Command) -> Result<(), Failure> {
    let progress = Shown::new();
    let done = carry_out(command, &progress).await;
    progress.end();
    eprintln!("{}", done?);
    Ok(())
}

/// Gives what is to be said of it.
async fn carry_out(command: &Command, progress: &Shown) -> Result<String, Failure> {
    match command {
        Command::Migrate(Migrate { ends, merging }) => {
            let (from, to) = (ends.source().await?, ends.target().await?);
            let counts = transfer::migrate(&from, &to, merging.target(), progress).await?;
            Ok(format!("copied and compared: {counts}"))
        }
        Command::Check(which) => check(&which.source().await?, progress).await,
        Command::Export(Export { file, store }) => {
            let (store, mut out) = (store.source().await?, file::create(file).await?);
            Ok(format!("written: {}", transfer::export(&store, &mut out, progress).await?))
        }
        Command::Import(Import { file, store, merging }) => {
            let (store, mut file) = (store.target().await?, file::open(file).await?);
            let counts = transfer::import(&mut file, &store, merging.target(), progress).await?;
            Ok(format!("read and compared: {counts}"))
        }
    }
}

async fn check(store: &Arc<dyn Transfer>, progress: &Shown) -> Result<String, Failure> {
    let mut tell = |finding: Finding| {
        let kind = if finding.what.is_mistake() { "mistake" } else { "notice" };
        progress.print(&format!("{kind}: {finding}"));
    };
    let checked = transfer::check(store, progress, &mut tell).await?;
    if checked.mistakes > 0 { Err(Failure::Mistakes(checked)) } else { Ok(format!("checked: {checked}")) }
}
