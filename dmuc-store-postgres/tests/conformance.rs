//! The promises of the storage traits, kept by PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

use async_trait::async_trait;
use dmuc_core::storage::conformance::Builder;
use dmuc_store_postgres::{Options, PostgresStore};
use dmuc_test_servers::Schema;

#[derive(Default)]
struct Postgres;

#[async_trait]
impl Builder for Postgres {
    type Store = PostgresStore;
    type Guard = Schema;

    async fn build(&self) -> (PostgresStore, Schema) {
        let server = dmuc_test_servers::postgres().unwrap();
        let schema = Schema::new(server).await;
        (open(&schema).await, schema)
    }

    async fn reopen(&self, store: PostgresStore, schema: &Schema) -> Option<PostgresStore> {
        store.close().await;
        Some(open(schema).await)
    }

    async fn second(&self, _: &PostgresStore, schema: &Schema) -> Option<PostgresStore> {
        Some(open(schema).await)
    }
}

async fn open(schema: &Schema) -> PostgresStore {
    PostgresStore::open(&schema.url(), &Options::default()).await.unwrap()
}

dmuc_core::suite!(Postgres);

/// The same with logs in partitions.
mod partitioned {
    use async_trait::async_trait;
    use dmuc_core::storage::conformance::Builder;
    use dmuc_store_postgres::PostgresStore;

    use super::Postgres;
    use dmuc_test_servers::{Schema, execute};

    /// As `docs/operating.md` says.
    fn partition() -> &'static str {
        let manual = include_str!("../../docs/operating.md");
        let from = manual.find("ALTER TABLE log RENAME").expect("the manual says how");
        manual[from..].split("COMMIT;").next().expect("there is always a first")
    }

    #[derive(Default)]
    struct Partitioned;

    #[async_trait]
    impl Builder for Partitioned {
        type Store = PostgresStore;
        type Guard = Schema;

        async fn build(&self) -> (PostgresStore, Schema) {
            let (store, schema) = Postgres.build().await;
            execute(&schema.url(), partition()).await;
            (store, schema)
        }
    }

    dmuc_core::suite!(Partitioned);
}
