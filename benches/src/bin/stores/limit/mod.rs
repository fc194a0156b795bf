//! What backends can do by themselves, with rows of the same content.

mod postgres;
mod redis;
mod sqlite;

use async_trait::async_trait;
use dmuc_core::storage::{LogEntry, RoomUid};

use crate::Failure;

/// A message of a room, as a row.
pub struct Row {
    pub room: RoomUid,
    pub entry: LogEntry,
    /// Its event, as stores keep it.
    pub json: String,
}

/// What is kept of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The rows alone: nothing could be found among them.
    Bare,
    /// The rows and the keys by which a store finds them: position, event id, order of arrival and canonical order, speaker.
    Keyed,
}

/// A table or streams.
#[async_trait]
pub trait Limit: Send {
    /// Inserts rows in one durable transaction, in as few messages to the backend as it allows.
    async fn insert_together(&mut self, rows: &[Row]) -> Result<(), Failure>;

    /// Inserts rows in a durable transaction each, side by side where the backend can.
    async fn insert_singly(&mut self, rows: &[Row]) -> Result<(), Failure>;
}

/// The backend of a store's URL.
pub async fn open(url: &str, kept: Kept) -> Result<Box<dyn Limit>, Failure> {
    match url.split_once(':') {
        Some(("sqlite", file)) => Ok(Box::new(sqlite::Table::open(file, kept).await?)),
        Some(("postgres" | "postgresql", _)) => Ok(Box::new(postgres::Table::open(url, kept).await?)),
        Some(("redis" | "rediss" | "valkey", _)) => Ok(Box::new(redis::Stream::open(url, kept).await?)),
        _ => Err("only sqlite:, postgres: and redis: can be measured".into()),
    }
}
