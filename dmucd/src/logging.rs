//! Logs: to standard error, for people or as JSON lines.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Sets up logging for the whole process. Only the first call has an effect.
pub fn start(log: &Log) {
    // The level was checked when it was read; `info` stands in should it come from elsewhere.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let set = match log.format {
        LogFormat::Human => lines.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // An embedder's own subscriber is left in place.
    drop(set);
}
