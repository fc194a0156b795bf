//! Stores apart from each other on one server, and what tests ask of servers.
#![allow(dead_code, reason = "no test needs all of it")]

use std::error::Error;
use std::net::SocketAddr;

use dmuc_core::storage::StoreError;
use dmuc_store_redis::{Options, RedisStore};
use uuid::Uuid;

/// A prefix of a case's own for keys.
pub struct Prefix(String);

impl Prefix {
    /// A new prefix on the server of a URL.
    pub fn new(server: &str) -> Self {
        Self(format!("{server}?prefix={}:", Uuid::new_v4().simple()))
    }

    /// The same prefix of the same server, which is reached by another address.
    pub fn by_way_of(&self, server: SocketAddr, address: SocketAddr) -> Self {
        Self(self.0.replace(&server.to_string(), &address.to_string()))
    }

    /// The store under the prefix.
    pub async fn open(&self) -> RedisStore {
        RedisStore::open(&self.0, &Options::default()).await.unwrap()
    }
}

/// What an operator reads.
pub fn told(error: &StoreError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// What a server answers to a command without special characters.
pub async fn command(server: SocketAddr, command: &str) -> String {
    let client = redis::Client::open(format!("redis://{server}")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut words = command.split(' ');
    let mut asked = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        asked.arg(word);
    });
    asked.query_async(&mut connection).await.unwrap()
}
