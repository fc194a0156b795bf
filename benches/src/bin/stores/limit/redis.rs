//! Redis: streams, one for each room, and sets beside them; many commands in one pipeline.

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline};

use super::{Kept, Limit, Row};
use crate::Failure;

/// What the URL of a store says besides is nothing to Redis.
const OPTIONS: char = '?';

pub struct Stream {
    connection: MultiplexedConnection,
    kept: Kept,
}

impl Stream {
    pub async fn open(url: &str, kept: Kept) -> Result<Self, Failure> {
        let client = Client::open(url.split(OPTIONS).next().unwrap_or(url))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Self { connection, kept })
    }
}

#[async_trait]
impl Limit for Stream {
    async fn insert_together(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut pipeline = redis::pipe();
        for row in rows {
            add(&mut pipeline, row);
            if self.kept == Kept::Keyed {
                add_keys(&mut pipeline, row);
            }
        }
        Ok(pipeline.query_async(&mut self.connection).await?)
    }

    async fn insert_singly(&mut self, rows: &[Row]) -> Result<(), Failure> {
        for row in rows {
            self.insert_together(std::slice::from_ref(row)).await?;
        }
        Ok(())
    }
}

fn position(Row { entry, .. }: &Row) -> String {
    let pos = &entry.event.pos;
    format!("{}.{}.{}", pos.o, pos.i, pos.s)
}

fn add(pipeline: &mut Pipeline, row: &Row) {
    let digest = row.entry.digest.map(|digest| digest.0).unwrap_or_default();
    pipeline.cmd("XADD").arg(format!("{{{}}}:bench", row.room)).arg("*");
    pipeline.arg("p").arg(position(row)).arg("d").arg(&digest[..]).arg("e").arg(&row.json).ignore();
}

fn add_keys(pipeline: &mut Pipeline, row: &Row) {
    let (event, room) = (&row.entry.event, row.room);
    let (position, place) = (position(row), event.pos.s);
    let index = format!("{{{room}}}:bench:index");
    pipeline.cmd("HSET").arg(&index).arg(&position).arg(place).arg(&event.id.0[..]).arg(place).ignore();
    let member = format!("{position} {place}");
    pipeline.cmd("ZADD").arg(format!("{{{room}}}:bench:order")).arg(event.h.millis().0).arg(member).ignore();
    pipeline.cmd("ZADD").arg(format!("{{{room}}}:bench:speakers"));
    for speaker in [event.nick.as_ref().map(|nick| nick.as_str()), event.oid.as_deref()].into_iter().flatten()
    {
        pipeline.arg(0).arg(format!("{speaker} {place:016}"));
    }
    pipeline.ignore();
}
