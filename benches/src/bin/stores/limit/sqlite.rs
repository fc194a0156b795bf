//! SQLite with the settings of the store, in a file beside it.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection};

use super::{Kept, Limit, Row};
use crate::Failure;

/// Rows in one statement, as many as the store has.
const ROWS: usize = 64;
const INSERT: &str =
    "INSERT INTO log (uid, origin, incarnation, seq, hlc, id, nick, oid, bytes, withheld, digest, event) ";
const KEYS: &str = "CREATE UNIQUE INDEX positions ON log (uid, origin, incarnation, seq); \
    CREATE UNIQUE INDEX ids ON log (uid, id); \
    CREATE INDEX canonical ON log (uid, hlc, origin, incarnation, seq); \
    CREATE INDEX arrivals ON log (uid, arrival, hlc, withheld, oid, nick)";

pub struct Table(SqliteConnection);

impl Table {
    pub async fn open(store: &str, kept: Kept) -> Result<Self, Failure> {
        let options = SqliteConnectOptions::new()
            .filename(format!("{store}.{kept:?}"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "4000")
            .statement_cache_capacity(ROWS + 10)
            .disable_statement_logging();
        let mut db = options.connect().await?;
        sqlx::query("DROP TABLE IF EXISTS log").execute(&mut db).await?;
        sqlx::query(
            "CREATE TABLE log (arrival INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT, origin TEXT, incarnation INTEGER, seq INTEGER, hlc INTEGER, id BLOB, \
             nick TEXT, oid TEXT, bytes INTEGER, withheld INTEGER, digest BLOB, event TEXT)",
        )
        .execute(&mut db)
        .await?;
        if kept == Kept::Keyed {
            sqlx::raw_sql(KEYS).execute(&mut db).await?;
        }
        Ok(Self(db))
    }
}

#[async_trait]
impl Limit for Table {
    async fn insert_together(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        for rows in rows.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(INSERT);
            query.push_values(rows, |mut row, Row { room, entry, json }| {
                let event = &entry.event;
                row.push_bind(room.to_string())
                    .push_bind(event.pos.o.to_string())
                    .push_bind(i64::from(event.pos.i))
                    .push_bind(event.pos.s.cast_signed())
                    .push_bind(event.h.0.cast_signed())
                    .push_bind(event.id.0.to_vec())
                    .push_bind(event.nick.as_ref().map(|nick| nick.as_str().to_owned()))
                    .push_bind(event.oid.clone())
                    .push_bind(event.bytes() as i64)
                    .push_bind(entry.withheld)
                    .push_bind(entry.digest.map(|digest| digest.0.to_vec()))
                    .push_bind(json.clone());
            });
            query.build().execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// One after the other: only one can write.
    async fn insert_singly(&mut self, rows: &[Row]) -> Result<(), Failure> {
        for row in rows {
            self.insert_together(std::slice::from_ref(row)).await?;
        }
        Ok(())
    }
}
