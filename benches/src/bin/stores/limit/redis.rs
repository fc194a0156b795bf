//! Redis: entries of streams, one stream for each room, in one pipeline.

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use super::{Limit, Row};
use crate::Failure;

/// What the URL of a store says besides is nothing to Redis.
const OPTIONS: char = '?';

pub struct Stream(MultiplexedConnection);

impl Stream {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let client = Client::open(url.split(OPTIONS).next().unwrap_or(url))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }
}

#[async_trait]
impl Limit for Stream {
    async fn insert_together(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut pipeline = redis::pipe();
        for Row { room, entry, json } in rows {
            let event = &entry.event;
            let digest = entry.digest.map(|digest| digest.0).unwrap_or_default();
            pipeline.cmd("XADD").arg(format!("{{{room}}}:limit")).arg("*");
            pipeline.arg("p").arg(format!("{}.{}.{}", event.pos.o, event.pos.i, event.pos.s));
            pipeline.arg("d").arg(&digest[..]).arg("e").arg(json).ignore();
        }
        Ok(pipeline.query_async(&mut self.0).await?)
    }

    async fn insert_singly(&mut self, rows: &[Row]) -> Result<(), Failure> {
        for row in rows {
            self.insert_together(std::slice::from_ref(row)).await?;
        }
        Ok(())
    }
}
