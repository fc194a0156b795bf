//! The daemon's configuration: a TOML file, environment variables over it, and every mistake in them explained.

mod document;
mod mistake;
mod section;
mod sections;
mod store_url;

use std::path::{Path, PathBuf};
use std::time::Duration;

use dmuc_core::policy::ServicePolicy;
use dmuc_server_adapter::host::Secret;
use dmuc_server_adapter::service::{StoreOptions, Tuning};
use dmuc_server_adapter::wire::Limits;

pub use mistake::{Mistake, Mistakes, Place};
pub use store_url::StoreUrl;

use document::Document;

/// Everything that the daemon was told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[service]`, `[[peer]]`, `[defaults]` and the limits of rooms.
    pub policy: ServicePolicy,
    /// Limits and periods of the running.
    pub tuning: Tuning,
    /// `[component]`.
    pub component: Component,
    /// `store.url`.
    pub store: StoreUrl,
    /// The rest of `store`.
    pub store_options: StoreOptions,
    /// `[log]`.
    pub log: Log,
    /// Limits of the wire.
    pub wire: Limits,
    /// How long stopping may take.
    pub stop_within: Duration,
    /// What is allowed but not wise.
    pub warnings: Vec<String>,
}

/// The server whose component we are (XEP-0114).
#[derive(Debug, Clone)]
pub struct Component {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The shared secret.
    pub secret: Secret,
    /// Over how many connections the server spreads the domain, if other processes have some of them.
    pub connections: Option<usize>,
}

/// How and how much is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level, or directives as `info,dmuc_server_adapter=debug`.
    pub level: String,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file, or a variable, says something that cannot be meant.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

impl Settings {
    /// Reads a file and the environment variables `DMUC_<SECTION>_<KEY>` over it.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake, not only the first.
    pub fn load(
        file: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable { file: file.to_owned(), error })?;
        Ok(Self::parse(file, &text, variables)?)
    }

    /// Reads a text as if it stood in `file`.
    ///
    /// # Errors
    /// [`Mistakes`], all of them.
    pub fn parse(
        file: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Mistakes> {
        let mut document = Document::parse(text);
        document.overlay(variables);
        let settings = sections::read(&mut document);
        let mut all = document.mistakes;
        all.sort_by_key(|mistake| match mistake.place {
            Place::Line(line) => (0, line),
            Place::File => (1, 0),
            Place::Variable(_) => (2, 0),
        });
        match settings {
            Some(settings) if all.is_empty() => Ok(settings),
            _ => Err(Mistakes { file: file.to_owned(), all }),
        }
    }
}

/// The environment variables of this process, as far as they are text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Every key of every section, for documentation to be checked against. Those of a peer count once.
#[must_use]
pub fn known_keys() -> Vec<String> {
    let mut document = Document::parse("[[peer]]\n");
    sections::read(&mut document);
    document.known
}
