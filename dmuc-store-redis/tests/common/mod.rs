//! Stores apart from each other on one server.

use dmuc_store_redis::{Options, RedisStore};
use uuid::Uuid;

/// A prefix of a case's own for keys.
pub struct Prefix(String);

impl Prefix {
    /// A new prefix on the server of a URL.
    pub fn new(server: &str) -> Self {
        Self(format!("{server}?prefix={}:", Uuid::new_v4().simple()))
    }

    /// The store under the prefix.
    pub async fn open(&self) -> RedisStore {
        RedisStore::open(&self.0, &Options::default()).await.unwrap()
    }
}
