//! Which store is meant: by its URL, or by the configuration that has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use dmuc_core::storage::Transfer;
use dmuc_server_adapter::service::{StoreOptions, open_storage_with};
use dmuc_server_adapter::transfer::Role;

use super::Failure;
use crate::config::{Settings, StoreUrl, environment};

/// One store.
#[derive(Debug, Args)]
pub struct Which {
    /// The store, as `store.url` in the configuration. Shells keep what is typed: a URL with a password belongs into the
    /// variable or the configuration
    #[arg(long, env = "DMUCD_STORE", hide_env_values = true, value_parser = hidden, conflicts_with = "config")]
    url: Option<StoreUrl>,
    /// The configuration that has the store
    #[arg(long, value_name = "FILE", default_value = "/etc/dmucd/dmucd.toml")]
    config: PathBuf,
}

/// Two stores.
#[derive(Debug, Args)]
pub struct Ends {
    /// The store to read, as `store.url` in the configuration. Shells keep what is typed: a URL with a password belongs
    /// into the variable or the configuration
    #[arg(long, value_name = "URL", env = "DMUCD_FROM", hide_env_values = true, value_parser = hidden)]
    #[arg(required_unless_present = "from_config", conflicts_with = "from_config")]
    from: Option<StoreUrl>,
    /// The configuration that has the store to read
    #[arg(long, value_name = "FILE")]
    from_config: Option<PathBuf>,
    /// The store to write
    #[arg(long, value_name = "URL", env = "DMUCD_TO", hide_env_values = true, value_parser = hidden)]
    #[arg(required_unless_present = "to_config", conflicts_with = "to_config")]
    to: Option<StoreUrl>,
    /// The configuration that has the store to write
    #[arg(long, value_name = "FILE")]
    to_config: Option<PathBuf>,
}

fn hidden(url: &str) -> Result<StoreUrl, std::convert::Infallible> {
    Ok(StoreUrl::new(url.to_owned()))
}

impl Which {
    /// Opens the store for reading: there must be one.
    pub async fn source(&self) -> Result<Arc<dyn Transfer>, Failure> {
        open(Role::Source, self.url.as_ref(), Some(&self.config)).await
    }

    /// Opens the store for writing, or creates it.
    pub async fn target(&self) -> Result<Arc<dyn Transfer>, Failure> {
        open(Role::Target, self.url.as_ref(), Some(&self.config)).await
    }
}

impl Ends {
    /// Opens the store to read: there must be one.
    pub async fn source(&self) -> Result<Arc<dyn Transfer>, Failure> {
        open(Role::Source, self.from.as_ref(), self.from_config.as_deref()).await
    }

    /// Opens the store to write, or creates it.
    pub async fn target(&self) -> Result<Arc<dyn Transfer>, Failure> {
        open(Role::Target, self.to.as_ref(), self.to_config.as_deref()).await
    }
}

/// Opens the store of a URL, or else that of a configuration, one of which the arguments have.
async fn open(
    role: Role,
    url: Option<&StoreUrl>,
    config: Option<&Path>,
) -> Result<Arc<dyn Transfer>, Failure> {
    let (url, options) = match (url, config) {
        (Some(url), _) => (url.clone(), StoreOptions::default()),
        (None, config) => {
            let settings = Settings::load(config.unwrap_or(Path::new("")), environment())?;
            (settings.store, settings.store_options)
        }
    };
    let options = StoreOptions { create: role == Role::Target, ..options };
    open_storage_with(url.reveal(), &options).await.map_err(|error| Failure::Open(role, error))
}
