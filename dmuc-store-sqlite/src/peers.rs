//! The peer rules that operators set.

use async_trait::async_trait;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{PeerPolicy, StoreError};

use crate::SqliteStore;
use crate::error::{corrupt, failed};

const PEERS: &str = "peer rules";

#[async_trait]
impl PeerPolicy for SqliteStore {
    async fn rules(&self) -> Result<Vec<PeerRule>, StoreError> {
        let rules: Vec<String> = sqlx::query_scalar("SELECT rule FROM peers ORDER BY domain")
            .fetch_all(&self.readers)
            .await
            .map_err(failed(PEERS))?;
        rules.iter().map(|rule| serde_json::from_str(rule).map_err(|e| corrupt(PEERS)(e.into()))).collect()
    }

    async fn set_rule(&self, rule: &PeerRule) -> Result<(), StoreError> {
        let json = serde_json::to_string(rule).map_err(|error| corrupt(PEERS)(error.into()))?;
        sqlx::query("INSERT OR REPLACE INTO peers (domain, rule) VALUES (?, ?)")
            .bind(&rule.domain)
            .bind(json)
            .execute(&self.writer)
            .await
            .map_err(failed(PEERS))?;
        Ok(())
    }

    async fn drop_rule(&self, domain: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM peers WHERE domain = ?")
            .bind(domain)
            .execute(&self.writer)
            .await
            .map_err(failed(PEERS))?;
        Ok(())
    }
}
