//! The peer rules that operators set.

use async_trait::async_trait;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{PeerPolicy, StoreError};
use redis::{Cmd, cmd};
use std::collections::BTreeMap;

use crate::RedisStore;
use crate::error::corrupt;

const PEERS: &str = "peer rules";

#[async_trait]
impl PeerPolicy for RedisStore {
    async fn rules(&self) -> Result<Vec<PeerRule>, StoreError> {
        let mut rules = cmd("HGETALL");
        rules.arg(self.keys.store("peers"));
        let rules: BTreeMap<String, String> = self.connection.ask(PEERS, rules).await?;
        rules.values().map(|rule| serde_json::from_str(rule).map_err(corrupt(PEERS))).collect()
    }

    async fn set_rule(&self, rule: &PeerRule) -> Result<(), StoreError> {
        let json = serde_json::to_string(rule).map_err(corrupt(PEERS))?;
        let mut set = cmd("HSET");
        set.arg(self.keys.store("peers")).arg(&rule.domain).arg(json);
        self.change_rules(set).await
    }

    async fn drop_rule(&self, domain: &str) -> Result<(), StoreError> {
        let mut unset = cmd("HDEL");
        unset.arg(self.keys.store("peers")).arg(domain);
        self.change_rules(unset).await
    }

    async fn rules_changed(&self) -> Result<(), StoreError> {
        self.listener.changed().await
    }
}

impl RedisStore {
    async fn change_rules(&self, change: Cmd) -> Result<(), StoreError> {
        self.connection.change_one::<u64>(PEERS, change).await?;
        let mut tell = cmd("PUBLISH");
        tell.arg(self.keys.store(CHANNEL)).arg("");
        self.connection.ask::<u64>(PEERS, tell).await.map(drop)
    }
}

/// On which it is told that rules have changed.
pub(crate) const CHANNEL: &str = "rules";
