//! `dmucd`: distributed Multi-User Chat for any XMPP server, as its component.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dmucd::config::{ConfigError, Settings};
use dmucd::run::RunError;
use dmucd::{demo, logging, run};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};

/// What the shell is told, in the numbers of `sysexits.h`.
const UNAVAILABLE: u8 = 69;
const UNFINISHED: u8 = 75;
const CONFIG: u8 = 78;
const EXIT_CODES: &str = "Exit codes:
   0  stopped as told; for `check`: the configuration is good
   1  the operating system refused what every program needs
   2  wrong arguments
  69  the store cannot be opened or read
  75  told to stop, but the store or the server did not finish in time, or a second signal came
  78  the configuration has mistakes";

/// Distributed Multi-User Chat (XEP-0045, XEP-0281) as a component of any XMPP server (XEP-0114)
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve rooms until SIGTERM or SIGINT
    Run(File),
    /// Explain every mistake in a configuration, without starting anything
    Check(File),
    /// Play the story of one room at three services, in this process, with no set-up at all
    Demo(demo::Options),
}

#[derive(clap::Args)]
struct File {
    /// The configuration; variables DMUC_<SECTION>_<KEY> overrule it
    #[arg(long, default_value = "/etc/dmucd/dmucd.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Command::Run(file) => load(&file).and_then(run_until_signal),
        Command::Check(file) => load(&file).map(|settings| say_good(&file, &settings)),
        Command::Demo(options) => play(&options),
    };
    ended.err().unwrap_or(ExitCode::SUCCESS)
}

fn load(file: &File) -> Result<Settings, ExitCode> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Settings::load(&file.config, variables).map_err(|error: ConfigError| {
        eprintln!("{error}");
        ExitCode::from(CONFIG)
    })
}

fn say_good(file: &File, settings: &Settings) {
    settings.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    println!("{}: the configuration is good", file.config.display());
}

fn run_until_signal(settings: Settings) -> Result<(), ExitCode> {
    logging::start(&settings.log);
    let runtime = tokio::runtime::Runtime::new().map_err(|error| refused(&error))?;
    let ended = runtime.block_on(async {
        let stop = Stop::listen().map_err(|error| refused(&error))?;
        run::run(settings, stop.signalled()).await.map_err(|error| failed(&error))
    });
    // What hangs in a blocking call must not keep the process.
    runtime.shutdown_background();
    ended
}

/// Plays the demonstration; a story that does not come out as it must is a failure.
fn play(options: &demo::Options) -> Result<(), ExitCode> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| refused(&error))?;
    runtime.block_on(demo::run(options)).map_err(|error| {
        eprintln!("the demonstration failed: {error}");
        ExitCode::FAILURE
    })
}

fn refused(error: &std::io::Error) -> ExitCode {
    error!(%error, "the operating system refused");
    ExitCode::FAILURE
}

fn failed(error: &RunError) -> ExitCode {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    error!("{error}{}", causes.map(|cause| format!(": {cause}")).collect::<String>());
    match error {
        RunError::Open(_) | RunError::Read(_) => ExitCode::from(UNAVAILABLE),
        RunError::Unfinished => ExitCode::from(UNFINISHED),
    }
}

/// The signals that end the daemon.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Resolves at the first signal; the second ends the process at once.
    async fn signalled(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            warn!("told twice: stopping at once");
            std::process::exit(i32::from(UNFINISHED));
        });
    }
}
