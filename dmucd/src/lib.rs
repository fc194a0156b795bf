//! Distributed Multi-User Chat as a ready-made external component (XEP-0114).
//!
//! The program is a thin shell around this library: [`config::Settings`] are read from a file and the environment,
//! [`logging`] is set up, and the daemon [runs](run::run) until it is told to stop.

pub mod config;
pub mod demo;
pub mod exit;
pub mod logging;
pub mod run;
pub mod store;

use std::error::Error;

/// An error with all its causes.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    format!("{error}{}", causes.map(|cause| format!(": {cause}")).collect::<String>())
}
