//! Room configuration: one file per option.

use serde::{Deserialize, Serialize};

/// The configuration of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `muc#roomconfig_roomname`
    pub name: String,
}
