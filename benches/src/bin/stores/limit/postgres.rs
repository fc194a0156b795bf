//! PostgreSQL: arrays of rows in one statement, or a connection for each of many writers.

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Kept, Limit, Row};
use crate::Failure;

/// Writers at the same time, each with a connection.
const WRITERS: u32 = 16;

const KEYS: &str = "ALTER TABLE bench_Keyed ADD PRIMARY KEY (uid, arrival) INCLUDE (hlc, withheld); \
    CREATE UNIQUE INDEX ON bench_Keyed (uid, origin, incarnation, seq); \
    CREATE UNIQUE INDEX ON bench_Keyed (uid, id); \
    CREATE INDEX ON bench_Keyed (uid, hlc, origin, incarnation, seq); \
    CREATE INDEX ON bench_Keyed (uid, nick, arrival) INCLUDE (hlc); \
    CREATE INDEX ON bench_Keyed (uid, oid, arrival) INCLUDE (hlc)";

#[derive(Clone)]
pub struct Table {
    pool: PgPool,
    insert: String,
}

impl Table {
    pub async fn open(url: &str, kept: Kept) -> Result<Self, Failure> {
        let pool = PgPoolOptions::new().max_connections(WRITERS).connect(url).await?;
        let table = format!(
            "DROP TABLE IF EXISTS bench_{kept:?}; CREATE TABLE bench_{kept:?} (uid uuid, origin text COLLATE \"C\", \
             incarnation bigint, seq bigint, hlc bigint, id uuid, nick text COLLATE \"C\", oid text COLLATE \"C\", \
             bytes bigint, withheld boolean, digest uuid, event text, arrival bigint GENERATED ALWAYS AS IDENTITY)"
        );
        sqlx::raw_sql(AssertSqlSafe(table)).execute(&pool).await?;
        if kept == Kept::Keyed {
            sqlx::raw_sql(KEYS).execute(&pool).await?;
        }
        let insert = format!(
            "INSERT INTO bench_{kept:?} SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], \
             $5::bigint[], $6::uuid[], $7::text[], $8::text[], $9::bigint[], $10::boolean[], $11::uuid[], $12::text[])"
        );
        Ok(Self { pool, insert })
    }

    async fn insert(&self, columns: &Columns) -> Result<(), Failure> {
        sqlx::query(AssertSqlSafe(self.insert.clone()))
            .bind(&columns.uids)
            .bind(&columns.origins)
            .bind(&columns.incarnations)
            .bind(&columns.numbers)
            .bind(&columns.stamps)
            .bind(&columns.ids)
            .bind(&columns.nicks)
            .bind(&columns.oids)
            .bind(&columns.bytes)
            .bind(&columns.withheld)
            .bind(&columns.digests)
            .bind(&columns.events)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Limit for Table {
    async fn insert_together(&mut self, rows: &[Row]) -> Result<(), Failure> {
        self.insert(&Columns::of(rows)).await
    }

    async fn insert_singly(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut writers = JoinSet::new();
        for row in rows {
            let (table, columns) = (self.clone(), Columns::of(std::slice::from_ref(row)));
            writers.spawn(async move { table.insert(&columns).await });
        }
        while let Some(written) = writers.join_next().await {
            written??;
        }
        Ok(())
    }
}

/// Rows, an array for each column.
#[derive(Default)]
struct Columns {
    uids: Vec<Uuid>,
    origins: Vec<String>,
    incarnations: Vec<i64>,
    numbers: Vec<i64>,
    stamps: Vec<i64>,
    ids: Vec<Uuid>,
    nicks: Vec<Option<String>>,
    oids: Vec<Option<String>>,
    bytes: Vec<i64>,
    withheld: Vec<bool>,
    digests: Vec<Option<Uuid>>,
    events: Vec<String>,
}

impl Columns {
    fn of(rows: &[Row]) -> Self {
        let mut columns = Self::default();
        for Row { room, entry, json } in rows {
            let event = &entry.event;
            columns.uids.push(room.0);
            columns.origins.push(event.pos.o.to_string());
            columns.incarnations.push(event.pos.i.into());
            columns.numbers.push(event.pos.s.cast_signed());
            columns.stamps.push(event.h.0.cast_signed());
            columns.ids.push(Uuid::from_bytes(event.id.0));
            columns.nicks.push(event.nick.as_ref().map(|nick| nick.as_str().to_owned()));
            columns.oids.push(event.oid.clone());
            columns.bytes.push(event.bytes() as i64);
            columns.withheld.push(entry.withheld);
            columns.digests.push(entry.digest.map(|digest| Uuid::from_bytes(digest.0)));
            columns.events.push(json.clone());
        }
        columns
    }
}
