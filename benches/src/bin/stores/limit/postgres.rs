//! PostgreSQL: arrays of rows in one statement, or a connection for each of many writers.

use async_trait::async_trait;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Limit, Row};
use crate::Failure;

/// Writers at the same time, each with a connection.
const WRITERS: u32 = 16;

pub struct Table(PgPool);

impl Table {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let pool = PgPoolOptions::new().max_connections(WRITERS).connect(url).await?;
        sqlx::query("DROP TABLE IF EXISTS bench_limit").execute(&pool).await?;
        sqlx::query(
            "CREATE TABLE bench_limit (uid uuid, origin text, incarnation bigint, seq bigint, hlc bigint, id uuid, \
             nick text, oid text, bytes bigint, withheld boolean, digest uuid, event text)",
        )
        .execute(&pool)
        .await?;
        Ok(Self(pool))
    }
}

#[async_trait]
impl Limit for Table {
    async fn insert_together(&mut self, rows: &[Row]) -> Result<(), Failure> {
        insert(&self.0, &Columns::of(rows)).await
    }

    async fn insert_singly(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut writers = JoinSet::new();
        for row in rows {
            let (pool, columns) = (self.0.clone(), Columns::of(std::slice::from_ref(row)));
            writers.spawn(async move { insert(&pool, &columns).await });
        }
        while let Some(written) = writers.join_next().await {
            written??;
        }
        Ok(())
    }
}

async fn insert(pool: &PgPool, columns: &Columns) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO bench_limit SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], \
         $5::bigint[], $6::uuid[], $7::text[], $8::text[], $9::bigint[], $10::boolean[], $11::uuid[], $12::text[])",
    )
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
    .execute(pool)
    .await?;
    Ok(())
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
