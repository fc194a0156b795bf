//! The tolerant readings of XEP-0281 and what is said strictly in return: one test for each of the 24 rows of the table
//! in docs/protocol.md ("Core-only peers, schemas, and the XEP's own inconsistencies"), and the life of a peer that
//! knows nothing but what was published.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod helpers;
mod plain_peers;
mod rows_13_to_24;
mod rows_1_to_12;
