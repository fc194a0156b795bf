//! Whole stores, moved, written to a file and read from it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod checks;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod fixture;
mod moves;
mod round;
