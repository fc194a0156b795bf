//! Where a daemon under test keeps its rooms: `DMUC_TEST_STORE` says of which kind.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dmuc_test_servers::Schema;

/// A store of a daemon's own, gone on drop.
#[derive(Debug)]
pub enum Store {
    /// A file: the default, `sqlite`.
    Sqlite(String),
    /// A schema of its own: `postgres`.
    Postgres(Schema),
    /// Keys under a prefix of its own: `redis`. They go with the server.
    Redis(String),
}

impl Store {
    /// A fresh store; a file would be in this directory.
    ///
    /// # Panics
    /// When `DMUC_TEST_STORE` names what is not known, or not to be had here.
    #[must_use]
    pub fn fresh(directory: &Path) -> Self {
        match std::env::var("DMUC_TEST_STORE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite(format!("sqlite:{}", directory.join("dmuc.db").display())),
            Ok("postgres") => {
                let server = dmuc_test_servers::postgres();
                Self::Postgres(Schema::blocking(server.expect("DMUC_TEST_STORE asks for PostgreSQL")))
            }
            Ok("redis") => {
                let server = dmuc_test_servers::redis().expect("DMUC_TEST_STORE asks for Redis");
                Self::Redis(format!("{server}?prefix={}:", unique()))
            }
            Ok(other) => panic!("DMUC_TEST_STORE is {other}, and may be sqlite, postgres or redis"),
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(url) | Self::Redis(url) => url.clone(),
            Self::Postgres(schema) => schema.url(),
        }
    }
}

/// A name that no other store of the server has.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", std::process::id(), now.as_nanos())
}
