//! The promises of the storage traits, kept by SQLite.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

use async_trait::async_trait;
use dmuc_core::storage::conformance::Builder;
use dmuc_store_sqlite::SqliteStore;
use tempfile::TempDir;

#[derive(Default)]
struct Sqlite;

#[async_trait]
impl Builder for Sqlite {
    type Store = SqliteStore;
    type Guard = TempDir;

    async fn build(&self) -> (SqliteStore, TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (open(&dir).await, dir)
    }

    async fn reopen(&self, store: SqliteStore, dir: &TempDir) -> Option<SqliteStore> {
        store.close().await;
        Some(open(dir).await)
    }

    async fn second(&self, _: &SqliteStore, dir: &TempDir) -> Option<SqliteStore> {
        Some(open(dir).await)
    }
}

async fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path().join("dmuc.db").to_str().unwrap()).await.unwrap()
}

dmuc_core::suite!(Sqlite);
