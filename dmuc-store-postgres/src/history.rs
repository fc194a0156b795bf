//! The logs read in their several orders.

use async_trait::async_trait;
use dmuc_core::Millis;
use dmuc_core::event::{ChainDigest, Event, Position};
use dmuc_core::storage::columns::{first_stamp, signed, unsigned};
use dmuc_core::storage::{ArchiveQuery, Frontier, HistoryStore, LogEntry, Page, Recent, RoomUid, StoreError};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::PostgresStore;
use crate::database::column;
use crate::error::corrupt;

const FRONTIER: &str = "read the frontier";
const READ: &str = "read a log";
const EXPIRE: &str = "expire a log";
/// Entries that are dropped in one transaction.
const EXPIRE_ROWS: i64 = 5_000;

/// The columns that [`read_entry`] needs, which must come first.
pub(crate) const ENTRY: &str = "event, content, digest, withheld";

/// An entry out of a row that begins with [`ENTRY`].
pub(crate) fn read_entry(row: &PgRow) -> Result<LogEntry, StoreError> {
    let mut event: Event = json(column(row, 0, READ)?)?;
    event.content = json(column(row, 1, READ)?)?;
    let digest: Option<Uuid> = column(row, 2, READ)?;
    Ok(LogEntry { event, digest: digest.map(read_digest), withheld: column(row, 3, READ)? })
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(READ)(error.into()))
}

fn read_digest(bits: Uuid) -> ChainDigest {
    ChainDigest(bits.into_bytes())
}

#[async_trait]
impl HistoryStore for PostgresStore {
    async fn append(&self, room: RoomUid, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.append_entries(room, entries).await
    }

    async fn frontier(&self, room: RoomUid) -> Result<Vec<Frontier>, StoreError> {
        let statement = sqlx::query(
            "SELECT f.origin, f.incarnation, f.low, f.top, \
               CASE WHEN f.low > f.top THEN f.digest ELSE l.digest END FROM frontiers AS f \
             LEFT JOIN log AS l ON l.uid = f.uid AND l.origin = f.origin AND l.incarnation = f.incarnation \
               AND l.seq = f.top \
             WHERE f.uid = $1 ORDER BY f.origin, f.incarnation",
        );
        let rows = self.database.rows(FRONTIER, statement.bind(room.0)).await?;
        rows.iter().map(read_frontier).collect()
    }

    async fn range(
        &self,
        room: RoomUid,
        from: &Position,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let sql = format!(
            "SELECT {ENTRY} FROM log WHERE uid = $1 AND origin = $2 AND incarnation = $3 \
             AND seq BETWEEN $4 AND $5 ORDER BY seq LIMIT $6"
        );
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(room.0).bind(&*from.o).bind(i64::from(from.i));
        let statement = statement.bind(signed(from.s)).bind(signed(to)).bind(i64::from(limit));
        self.database.rows(READ, statement).await?.iter().map(read_entry).collect()
    }

    async fn recent(&self, room: RoomUid, limits: Recent) -> Result<Vec<LogEntry>, StoreError> {
        let sql = format!(
            "SELECT {ENTRY} FROM ( \
               SELECT *, sum(bytes) OVER (ORDER BY hlc DESC, origin DESC, incarnation DESC, seq DESC \
                                          ROWS UNBOUNDED PRECEDING) AS total FROM ( \
                 SELECT * FROM log WHERE uid = $1 AND NOT withheld AND hlc >= $2 \
                 ORDER BY hlc DESC, origin DESC, incarnation DESC, seq DESC LIMIT $3) AS newest) AS summed \
             WHERE total <= $4 ORDER BY hlc, origin, incarnation, seq"
        );
        let statement = sqlx::query(AssertSqlSafe(sql))
            .bind(room.0)
            .bind(limits.since.map_or(0, first_stamp))
            .bind(limits.stanzas.map(i64::from))
            .bind(limits.chars.map_or(i64::MAX, signed));
        self.database.rows(READ, statement).await?.iter().map(read_entry).collect()
    }

    async fn page(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Option<Page>, StoreError> {
        self.archive_page(room, query).await
    }

    /// By portions, so that no transaction is long.
    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError> {
        // Most rooms have nothing so old, and are not locked.
        let old = sqlx::query("SELECT EXISTS (SELECT FROM log WHERE uid = $1 AND hlc < $2)");
        let old = old.bind(room.0).bind(first_stamp(before));
        let mut more: bool = column(&self.database.row(EXPIRE, old).await?, 0, EXPIRE)?;
        let mut dropped = 0;
        while more {
            let statement = sqlx::query("SELECT expire_entries($1, $2, $3)");
            let statement = statement.bind(room.0).bind(first_stamp(before)).bind(EXPIRE_ROWS);
            let portion: i64 = column(&self.database.row(EXPIRE, statement).await?, 0, EXPIRE)?;
            dropped += unsigned(portion);
            more = portion == EXPIRE_ROWS;
        }
        Ok(dropped)
    }
}

fn read_frontier(row: &PgRow) -> Result<Frontier, StoreError> {
    let number = |place| column::<i64>(row, place, FRONTIER).map(unsigned);
    let incarnation = u32::try_from(number(1)?).map_err(|error| corrupt(FRONTIER)(error.into()))?;
    let origin: &str = column(row, 0, FRONTIER)?;
    let digest: Option<Uuid> = column(row, 4, FRONTIER)?;
    Ok(Frontier {
        pos: Position { o: origin.into(), i: incarnation, s: number(3)? },
        digest: digest.map(read_digest),
        low: number(2)?,
    })
}
