//! `dmucd demo`: three services in one process play the specification's story.

pub mod cast;
mod listen;
mod screen;
mod stage;
mod story;

use std::error::Error;
use std::time::Duration;

use clap::Args;

use screen::Screen;
use stage::Stage;

/// How the demonstration runs.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Keep running after the story, and let real clients log in.
    #[arg(long)]
    pub listen: bool,
    /// First of the three ports for clients, with --listen.
    #[arg(long, default_value_t = 5222)]
    pub port: u16,
    /// Do not pause for reading.
    #[arg(long)]
    pub fast: bool,
}

/// Time to read a line.
const PAUSE: Duration = Duration::from_millis(350);

/// Plays the story; with `listen`, goes on until interrupted.
///
/// # Errors
/// If something that must happen does not: then the demonstration has failed.
pub async fn run(options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    let dir = tempfile::tempdir()?;
    let screen = Screen::new(if options.fast { Duration::ZERO } else { PAUSE });
    let stage = Stage::set(dir.path()).await?;
    screen.note("Three services, each with a store of its own (SQLite, synced to disk), in this process.");
    story::play(&stage, &screen).await?;
    if options.listen {
        listen::serve(&stage, &screen, options.port).await?;
    }
    stage.clear().await;
    Ok(())
}
