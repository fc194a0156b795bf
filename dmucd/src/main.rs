//! `dmucd`: distributed Multi-User Chat for any XMPP server, as its component.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dmucd::config::{ConfigError, Settings, environment};
use dmucd::run::RunError;
use dmucd::{demo, exit, logging, run, store};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};

/// Distributed Multi-User Chat (XEP-0045, XEP-0281) as a component of any XMPP server (XEP-0114)
#[derive(Parser)]
#[command(version, after_help = exit::HELP)]
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
    /// Move, check, save and restore whole stores
    #[command(subcommand)]
    Store(store::Command),
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
        Command::Store(command) => keep_store(&command),
        Command::Demo(options) => play(&options),
    };
    ended.err().unwrap_or(ExitCode::SUCCESS)
}

fn load(file: &File) -> Result<Settings, ExitCode> {
    Settings::load(&file.config, environment()).map_err(|error: ConfigError| {
        eprintln!("{error}");
        ExitCode::from(exit::CONFIG)
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

/// Does something with a whole store; what is interrupted is taken up by the same command.
fn keep_store(command: &store::Command) -> Result<(), ExitCode> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| refused(&error))?;
    let done = runtime.block_on(store::run(command));
    // What hangs in a blocking call must not keep the process.
    runtime.shutdown_background();
    done.map_err(|failure| {
        eprintln!("{}", failure.explain());
        ExitCode::from(failure.exit_code())
    })
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
    error!("{}", dmucd::with_causes(error));
    match error {
        RunError::Open(_) | RunError::Read(_) => ExitCode::from(exit::UNAVAILABLE),
        RunError::Unfinished => ExitCode::from(exit::UNFINISHED),
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
            std::process::exit(i32::from(exit::UNFINISHED));
        });
    }
}
