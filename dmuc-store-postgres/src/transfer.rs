//! The store read and written as a whole.

use async_trait::async_trait;
use dmuc_core::Address;
use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{Frontier, LogEntry, RoomUid, StoreError, Tombstone, Transfer};
use uuid::Uuid;

use crate::PostgresStore;
use crate::database::{Statement, column, first_column};
use crate::error::corrupt;
use crate::history::{ENTRY, read_entry};

const READ: &str = "read the store";
const WRITE: &str = "write the store";

#[async_trait]
impl Transfer for PostgresStore {
    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        let statement =
            sqlx::query("SELECT domain FROM addresses UNION SELECT domain FROM tombstones ORDER BY domain");
        first_column(&self.database.rows(READ, statement).await?, READ)
    }

    async fn tombstones(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, StoreError> {
        let statement = sqlx::query(
            "SELECT tombstone FROM tombstones WHERE domain = $1 AND jid > $2 ORDER BY jid LIMIT $3",
        );
        let after = after.map_or("", Address::as_str);
        let rows =
            self.database.rows(READ, statement.bind(domain).bind(after).bind(i64::from(limit))).await?;
        let stones: Vec<String> = first_column(&rows, READ)?;
        stones.iter().map(|json| serde_json::from_str(json).map_err(|e| corrupt(READ)(e.into()))).collect()
    }

    async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let mut stones = Stones::default();
        stones.push(tombstone)?;
        let statement = stones.bind(sqlx::query("SELECT put_tombstones($1, $2, $3, $4)"));
        self.database.rows(WRITE, statement).await.map(drop)
    }

    async fn arrivals(
        &self,
        room: RoomUid,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LogEntry)>, StoreError> {
        let sql = format!(
            "SELECT {ENTRY}, arrival FROM log WHERE uid = $1 AND arrival > $2 ORDER BY arrival LIMIT $3"
        );
        let statement = sqlx::query(sqlx::AssertSqlSafe(sql));
        let statement = statement.bind(room.0).bind(signed(after)).bind(i64::from(limit));
        let rows = self.database.rows(READ, statement).await?;
        rows.iter().map(|row| Ok((unsigned(column(row, 4, READ)?), read_entry(row)?))).collect()
    }

    async fn put_places(&self, room: RoomUid, ended: &[Frontier]) -> Result<(), StoreError> {
        let origins: Vec<&str> = ended.iter().map(|log| &*log.pos.o).collect();
        let incarnations: Vec<i64> = ended.iter().map(|log| log.pos.i.into()).collect();
        let lows: Vec<i64> = ended.iter().map(|log| signed(log.low)).collect();
        let tops: Vec<i64> = ended.iter().map(|log| signed(log.pos.s)).collect();
        let digests: Vec<Option<Uuid>> =
            ended.iter().map(|log| log.digest.map(|digest| Uuid::from_bytes(digest.0))).collect();
        let statement = sqlx::query(
            "INSERT INTO frontiers (uid, origin, incarnation, low, top, highest, digest) \
             SELECT $1, origin, incarnation, low, top, top, digest \
             FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[]) \
               AS ended (origin, incarnation, low, top, digest) \
             ON CONFLICT DO NOTHING",
        );
        let statement = statement.bind(room.0).bind(origins).bind(incarnations);
        self.database.rows(WRITE, statement.bind(lows).bind(tops).bind(digests)).await.map(drop)
    }
}

/// Tombstones, a vector for each column.
#[derive(Default)]
pub(crate) struct Stones {
    jids: Vec<String>,
    domains: Vec<String>,
    until: Vec<i64>,
    stones: Vec<String>,
}

impl Stones {
    pub fn push(&mut self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let json = serde_json::to_string(tombstone).map_err(|error| corrupt(WRITE)(error.into()))?;
        self.jids.push(tombstone.jid.as_str().to_owned());
        self.domains.push(tombstone.jid.domain().to_owned());
        self.until.push(signed(tombstone.blocks_until.0));
        self.stones.push(json);
        Ok(())
    }

    /// All columns, in the order of the functions' arguments.
    pub fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        statement.bind(&self.jids).bind(&self.domains).bind(&self.until).bind(&self.stones)
    }
}
