//! The store read and written as a whole.

use async_trait::async_trait;
use dmuc_core::Address;
use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{Frontier, LogEntry, RoomUid, StoreError, Tombstone, Transfer};
use sqlx::{FromRow, Row};

use crate::SqliteStore;
use crate::commit::put_tombstone;
use crate::error::{corrupt, failed};
use crate::history::Stored;

const READ: &str = "read the store";
const WRITE: &str = "write the store";

#[async_trait]
impl Transfer for SqliteStore {
    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        let mut domains: Vec<String> = sqlx::query_scalar("SELECT DISTINCT domain FROM rooms")
            .fetch_all(&self.readers)
            .await
            .map_err(failed(READ))?;
        let stones: Vec<String> = sqlx::query_scalar("SELECT jid FROM tombstones")
            .fetch_all(&self.readers)
            .await
            .map_err(failed(READ))?;
        for jid in stones {
            domains.push(Address::parse(&jid).map_err(|e| corrupt(READ)(e.into()))?.domain().to_owned());
        }
        domains.sort();
        domains.dedup();
        Ok(domains)
    }

    async fn tombstones(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, StoreError> {
        let stones: Vec<String> = sqlx::query_scalar(
            "SELECT tombstone FROM tombstones \
             WHERE jid > ?1 AND (jid = ?2 OR substr(jid, instr(jid, '@') + 1) = ?2) ORDER BY jid LIMIT ?3",
        )
        .bind(after.map_or("", Address::as_str))
        .bind(domain)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(failed(READ))?;
        stones.iter().map(|json| serde_json::from_str(json).map_err(|e| corrupt(READ)(e.into()))).collect()
    }

    async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let mut writer = self.writer.acquire().await.map_err(failed(WRITE))?;
        put_tombstone(&mut writer, tombstone).await
    }

    async fn arrivals(
        &self,
        room: RoomUid,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LogEntry)>, StoreError> {
        let rows = sqlx::query(
            "SELECT arrival, event, digest, withheld FROM log WHERE uid = ? AND arrival > ? \
             ORDER BY arrival LIMIT ?",
        )
        .bind(room.to_string())
        .bind(signed(after))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(failed(READ))?;
        let entry = |row| {
            let place = row_place(row).map_err(failed(READ))?;
            Ok((place, Stored::from_row(row).map_err(failed(READ))?.read()?))
        };
        rows.iter().map(entry).collect()
    }

    async fn put_places(&self, room: RoomUid, ended: &[Frontier]) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin().await.map_err(failed(WRITE))?;
        for log in ended {
            sqlx::query(
                "INSERT INTO frontiers (uid, origin, incarnation, low, top, digest) VALUES (?, ?, ?, ?, ?, ?) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(room.to_string())
            .bind(log.pos.o.as_ref())
            .bind(i64::from(log.pos.i))
            .bind(signed(log.low))
            .bind(signed(log.pos.s))
            .bind(log.digest.map(|digest| digest.0.to_vec()))
            .execute(&mut *transaction)
            .await
            .map_err(failed(WRITE))?;
        }
        transaction.commit().await.map_err(failed(WRITE))
    }
}

fn row_place(row: &sqlx::sqlite::SqliteRow) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>("arrival").map(unsigned)
}
