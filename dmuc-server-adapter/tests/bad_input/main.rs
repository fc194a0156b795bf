//! Every bad input over the real component wire: what it is answered with, and that the service goes on.
#![allow(missing_docs, clippy::unwrap_used)]

mod addresses;
mod admin;
#[path = "../common/mod.rs"]
mod common;
mod joins;
mod links;
mod messages;
mod mutations;
mod streams;
mod wire;
