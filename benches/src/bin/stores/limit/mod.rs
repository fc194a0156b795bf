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

/// A table or streams, without indexes.
#[async_trait]
pub trait Limit: Send {
    /// Inserts rows in one durable transaction, in as few messages to the backend as it allows.
    async fn insert_together(&mut self, rows: &[Row]) -> Result<(), Failure>;

    /// Inserts rows in a durable transaction each, side by side where the backend can.
    async fn insert_singly(&mut self, rows: &[Row]) -> Result<(), Failure>;
}

/// The backend of a store's URL.
pub async fn open(url: &str) -> Result<Box<dyn Limit>, Failure> {
    match url.split_once(':') {
        Some(("sqlite", file)) => Ok(Box::new(sqlite::Table::open(file).await?)),
        Some(("postgres" | "postgresql", _)) => Ok(Box::new(postgres::Table::open(url).await?)),
        Some(("redis" | "rediss" | "valkey", _)) => Ok(Box::new(redis::Stream::open(url).await?)),
        _ => Err("only sqlite:, postgres: and redis: can be measured".into()),
    }
}
