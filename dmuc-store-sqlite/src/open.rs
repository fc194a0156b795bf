//! Opening the file, and saying what is wrong with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::SqliteStore;
use crate::append::ROWS_MAX;

/// The schema, step by step.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long one process waits for another that has the file locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for reading.
const READERS: u32 = 4;
/// Pages in the write-ahead log before they are moved to the file: 16 MiB. A busy page is moved once for many changes.
const CHECKPOINT_PAGES: &str = "4000";
/// Prepared statements kept by each connection: those with many rows come in every number of rows.
const STATEMENTS: usize = 4 * ROWS_MAX + 50;
/// What SQLite calls a database in memory; every connection to it is a database of its own.
const MEMORY: &str = ":memory:";

/// Why a file cannot be used as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no file.
    #[error("the URL of the database names no file: expected `sqlite:PATH`")]
    Unnamed,
    /// The file is not there, and was to be.
    #[error("there is no database {path}")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The directory of the file is not there.
    #[error("cannot create the database {path}: there is no directory {directory}")]
    NoDirectory {
        /// Which file.
        path: PathBuf,
        /// Where it would be.
        directory: PathBuf,
    },
    /// The file may not be written, or its directory: SQLite keeps its log beside the file.
    #[error("the database {path} is read-only: give this program the right to write it and its directory")]
    ReadOnly {
        /// Which file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{path} is not an SQLite database")]
    NotADatabase {
        /// Which file.
        path: PathBuf,
    },
    /// Whatever else SQLite finds wrong.
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

pub(crate) async fn open_existing(url: &str) -> Result<SqliteStore, OpenError> {
    let path = path_of(url)?;
    if path != Path::new(MEMORY) && !path.exists() {
        return Err(OpenError::Missing { path });
    }
    open(url).await
}

pub(crate) async fn open(url: &str) -> Result<SqliteStore, OpenError> {
    let path = path_of(url)?;
    if path == Path::new(MEMORY) {
        return open_memory(&path).await;
    }
    look(&path)?;
    let options = options(&path);
    let failed = |error| explain(&path, error);
    let pool = |connections| pool_options().max_connections(connections).connect_with(options.clone());
    let writer = pool(1).await.map_err(failed)?;
    migrate(&writer, &path).await?;
    Ok(SqliteStore { writer, readers: pool(READERS).await.map_err(failed)? })
}

/// Readers and writer share the one connection, which is the database.
async fn open_memory(path: &Path) -> Result<SqliteStore, OpenError> {
    let pool = pool_options().max_connections(1).connect_with(options(path));
    let pool = pool.await.map_err(|error| explain(path, error))?;
    migrate(&pool, path).await?;
    Ok(SqliteStore { writer: pool.clone(), readers: pool })
}

fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url);
    if path.is_empty() { Err(OpenError::Unnamed) } else { Ok(path.into()) }
}

/// What can be told without SQLite, and told better.
fn look(path: &Path) -> Result<(), OpenError> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Err(OpenError::NoDirectory { path: path.to_owned(), directory: directory.to_owned() });
    }
    match path.metadata() {
        Ok(file) if file.permissions().readonly() => Err(OpenError::ReadOnly { path: path.to_owned() }),
        _ => Ok(()),
    }
}

fn explain(path: &Path, source: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    let code = source.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    // Extended codes carry the primary one in their low byte.
    match code.map(|code| code & 0xff) {
        Some(SQLITE_READONLY) => OpenError::ReadOnly { path },
        Some(SQLITE_NOTADB) => OpenError::NotADatabase { path },
        _ => OpenError::Open { path, source },
    }
}

const SQLITE_READONLY: i32 = 8;
const SQLITE_NOTADB: i32 = 26;

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
}

/// Connections stay: a file does not hang up, and a database in memory would be lost with its connection.
fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None)
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let migrate_failed = |source| OpenError::Migrate { path: path.to_owned(), source };
    let mut connection = pool.acquire().await.map_err(|error| explain(path, error))?;
    let table = &MIGRATIONS.table_name;
    connection.ensure_migrations_table(table).await.map_err(migrate_failed)?;
    let applied = connection.list_applied_migrations(table).await.map_err(migrate_failed)?;
    drop(connection);
    let known = MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0);
    let found = applied.iter().map(|step| step.version).max().unwrap_or(0);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    MIGRATIONS.run(pool).await.map_err(migrate_failed)
}
