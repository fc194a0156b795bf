//! Why a command on a store was not done.

use std::path::PathBuf;

use dmuc_server_adapter::service::OpenError;
use dmuc_server_adapter::transfer::{Checked, Role, TransferError};

use crate::config::ConfigError;
use crate::{exit, with_causes};

/// What kept a command from being done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration that has the store cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A store cannot be opened.
    #[error("the {0} store")]
    Open(Role, #[source] OpenError),
    /// The file cannot be opened or made.
    #[error("{}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The store has mistakes.
    #[error("checked: {0}")]
    Mistakes(Checked),
    /// The work failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

impl Failure {
    /// With all causes, for people.
    #[must_use]
    pub fn explain(&self) -> String {
        with_causes(self)
    }

    /// What the shell is told.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => exit::CONFIG,
            Self::Open(..) | Self::Transfer(TransferError::Store { .. }) => exit::UNAVAILABLE,
            Self::File { error, .. } if error.kind() == std::io::ErrorKind::AlreadyExists => exit::OCCUPIED,
            Self::File { .. } | Self::Transfer(TransferError::File(_)) => exit::FILE,
            Self::Transfer(TransferError::Awake(_) | TransferError::Used) => exit::UNFINISHED,
            Self::Transfer(TransferError::Occupied(_) | TransferError::InTheWay(_)) => exit::OCCUPIED,
            Self::Mistakes(_) | Self::Transfer(_) => exit::DATA,
        }
    }
}
