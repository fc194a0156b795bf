//! Whole stores, moved, written to a file and read from it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod checks;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod fixture;
mod moves;
mod round;
#[cfg(feature = "postgres")]
#[path = "../../../dmuc-store-postgres/tests/common/schema.rs"]
mod schema;
#[cfg(feature = "postgres")]
#[path = "../../../dmuc-store-postgres/tests/common/sql.rs"]
mod sql;
