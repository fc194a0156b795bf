//! The embedded store of distributed MUC rooms: one SQLite file, crash-safe and inspectable.
//!
//! Write-ahead log, and `synchronous = FULL`: a commit that was acknowledged survives the loss of power. All writes go
//! through one connection; one transaction carries the commits of many rooms. Readers have connections of their own.

mod append;
mod commit;
mod error;
mod history;
mod lease;
mod peers;
mod room;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// The schema, step by step.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long one process waits for another that has the file locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for reading.
const READERS: u32 = 4;

/// Why a file cannot be used as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not there and cannot be made, is no database, is read-only, or belongs to somebody else.
    #[error("cannot open the database {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the database {path} has schema version {found}, and this program knows versions up to {known}: use the newer program, or restore a backup"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// Its schema could not be brought up to date.
    #[error("cannot bring the database {path} up to date")]
    Migrate {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// A store in one SQLite file; clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens, or creates, the file named by `sqlite:PATH` or just a path.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let path = Path::new(url.strip_prefix("sqlite:").unwrap_or(url)).to_owned();
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let failed = |source| OpenError::Open { path: path.clone(), source };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        migrate(&writer, &path).await?;
        let readers =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options).await.map_err(failed)?;
        Ok(Self { writer, readers })
    }

    /// Closes the file, once what is under way is done.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let migrate_failed = |source| OpenError::Migrate { path: path.to_owned(), source };
    let open_failed = |source| OpenError::Open { path: path.to_owned(), source };
    let known = MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0);
    let mut connection = pool.acquire().await.map_err(open_failed)?;
    connection.ensure_migrations_table(&MIGRATIONS.table_name).await.map_err(migrate_failed)?;
    let applied = connection.list_applied_migrations(&MIGRATIONS.table_name).await.map_err(migrate_failed)?;
    drop(connection);
    let found = applied.iter().map(|step| step.version).max().unwrap_or(0);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    MIGRATIONS.run(pool).await.map_err(migrate_failed)
}
