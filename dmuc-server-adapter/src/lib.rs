//! Makes the core live inside a server.

pub mod host;
pub mod module;
pub mod service;
pub mod transfer;
pub mod wire;
