//! The peer rules that operators set.

use async_trait::async_trait;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{PeerPolicy, StoreError};

use crate::PostgresStore;
use crate::database::{Statement, first_column};
use crate::error::corrupt;

const PEERS: &str = "peer rules";

#[async_trait]
impl PeerPolicy for PostgresStore {
    async fn rules(&self) -> Result<Vec<PeerRule>, StoreError> {
        let rows = self.database.rows(PEERS, sqlx::query("SELECT rule FROM peers ORDER BY domain")).await?;
        let rules: Vec<String> = first_column(&rows, PEERS)?;
        rules.iter().map(|rule| serde_json::from_str(rule).map_err(|e| corrupt(PEERS)(e.into()))).collect()
    }

    async fn set_rule(&self, rule: &PeerRule) -> Result<(), StoreError> {
        let json = serde_json::to_string(rule).map_err(|error| corrupt(PEERS)(error.into()))?;
        let statement = sqlx::query(
            "WITH changed AS (INSERT INTO peers (domain, rule) VALUES ($1, $2) \
             ON CONFLICT (domain) DO UPDATE SET rule = excluded.rule) SELECT pg_notify('dmuc_rules', '')",
        );
        self.change(statement.bind(&rule.domain).bind(json)).await
    }

    async fn drop_rule(&self, domain: &str) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "WITH changed AS (DELETE FROM peers WHERE domain = $1) SELECT pg_notify('dmuc_rules', '')",
        );
        self.change(statement.bind(domain)).await
    }

    async fn rules_changed(&self) -> Result<(), StoreError> {
        self.listener.changed().await
    }
}

impl PostgresStore {
    async fn change(&self, statement: Statement<'_>) -> Result<(), StoreError> {
        self.database.rows(PEERS, statement).await.map(drop)
    }
}
