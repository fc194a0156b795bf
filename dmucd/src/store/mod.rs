//! `dmucd store`: whole stores moved, written to files, read from them.

mod failure;
mod file;
mod progress;
mod which;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dmuc_server_adapter::transfer::{self, Target};

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
    /// Write everything that a store holds to a file, as JSON Lines
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
    let counts = match command {
        Command::Migrate(Migrate { ends, merging }) => {
            let (from, to) = (ends.source().await?, ends.target().await?);
            transfer::migrate(&from, &to, merging.target(), &progress).await
        }
        Command::Export(Export { file, store }) => {
            let (store, mut out) = (store.source().await?, file::create(file).await?);
            transfer::export(&store, &mut out, &progress).await
        }
        Command::Import(Import { file, store, merging }) => {
            let (store, mut file) = (store.target().await?, file::open(file).await?);
            transfer::import(&mut file, &store, merging.target(), &progress).await
        }
    };
    progress.end();
    eprintln!("{}: {}", command.done(), counts?);
    Ok(())
}

impl Command {
    fn done(&self) -> &'static str {
        match self {
            Self::Migrate(_) => "copied and compared",
            Self::Export(_) => "written",
            Self::Import(_) => "read and compared",
        }
    }
}
