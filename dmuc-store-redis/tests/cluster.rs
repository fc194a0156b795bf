//! The promises of the storage traits, kept by a cluster of three Redis servers.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

mod common;

use async_trait::async_trait;
use common::Prefix;
use dmuc_core::storage::conformance::Builder;
use dmuc_store_redis::RedisStore;

#[derive(Default)]
struct Cluster;

#[async_trait]
impl Builder for Cluster {
    type Store = RedisStore;
    type Guard = Prefix;

    async fn build(&self) -> (RedisStore, Prefix) {
        let prefix = Prefix::new(dmuc_test_servers::redis_cluster().unwrap());
        (prefix.open().await, prefix)
    }

    async fn reopen(&self, store: RedisStore, prefix: &Prefix) -> Option<RedisStore> {
        store.close();
        Some(prefix.open().await)
    }

    async fn second(&self, _: &RedisStore, prefix: &Prefix) -> Option<RedisStore> {
        Some(prefix.open().await)
    }
}

dmuc_core::suite!(Cluster);
