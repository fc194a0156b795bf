//! Opening the database, and saying what is wrong with it.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::time::timeout;
use tracing::warn;

use crate::PostgresStore;
use crate::database::Database;
use crate::error::Explained;
use crate::listen::Listener;

/// The schema, step by step.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// The oldest server that will do: PostgreSQL 14.
const SERVER_MIN: i32 = 140_000;
/// How much longer than the server we wait for a statement to be given up.
const GRACE: Duration = Duration::from_secs(2);
/// A connection that was idle for so long is tried before it is used.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// How the database is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Most connections at once, besides one that listens.
    pub connections: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a statement may take before it is given up.
    pub statement_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a database cannot be used as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is none.
    #[error("the URL of the database is wrong: expected `postgres://USER:PASSWORD@HOST:PORT/DATABASE`")]
    Malformed(
        /// What is wrong with it.
        #[source]
        sqlx::Error,
    ),
    /// The server does not answer.
    #[error("the PostgreSQL server at {server} does not answer within {} seconds", waited.as_secs_f32())]
    Silent {
        /// Host, port and database.
        server: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The server cannot be reached, refuses us, or fails.
    #[error("cannot use the PostgreSQL server at {server}")]
    Failed {
        /// Host, port and database.
        server: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server is too old.
    #[error("the PostgreSQL server at {server} is of version {version}, and must be at least 14")]
    Old {
        /// Host, port and database.
        server: String,
        /// Its version.
        version: String,
    },
    /// The server only reads.
    #[error(
        "the PostgreSQL server at {server} is read-only: give the URL of the primary, not of a replica, and leave default_transaction_read_only off"
    )]
    ReadOnly {
        /// Host, port and database.
        server: String,
    },
    /// The server confirms what it may lose.
    #[error(
        "the PostgreSQL server at {server} has synchronous_commit = off for us, and would lose what it has confirmed: set it to on for this user or database"
    )]
    Forgetful {
        /// Host, port and database.
        server: String,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the database {server} has schema version {found}, and this program knows versions up to {known}: use the newer program, or restore a backup"
    )]
    Newer {
        /// Host, port and database.
        server: String,
        /// Its version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// Its schema could not be brought up to date.
    #[error("cannot bring the database {server} up to date")]
    Migrate {
        /// Host, port and database.
        server: String,
        /// What went wrong.
        #[source]
        source: MigrateError,
    },
}

pub(crate) async fn open(url: &str, options: &Options) -> Result<PostgresStore, OpenError> {
    let connect: PgConnectOptions = url.parse().map_err(OpenError::Malformed)?;
    let connect = connect.application_name("dmuc").disable_statement_logging();
    prepare(&connect, options.connect_timeout).await?;
    let limit = options.statement_timeout.as_millis().to_string();
    // Our statements are short: compiling one takes longer than carrying it out.
    let connect = connect.options([("statement_timeout", limit.as_str()), ("jit", "off")]);
    let pool = pool_options(options).max_connections(options.connections).connect_lazy_with(connect.clone());
    let listening = PgPoolOptions::new().max_connections(1).acquire_timeout(options.connect_timeout);
    Ok(PostgresStore {
        database: Database::new(pool, options.statement_timeout + GRACE),
        listener: Listener::start(listening.connect_lazy_with(connect)),
    })
}

/// A connection is tried only if it has been idle for a while; trying each would double the round trips.
fn pool_options(options: &Options) -> PgPoolOptions {
    PgPoolOptions::new().acquire_timeout(options.connect_timeout).test_before_acquire(false).before_acquire(
        |connection, idle| {
            Box::pin(async move {
                if idle.idle_for > IDLE_TRUSTED {
                    // One that fails is replaced; nobody needs to hear of it.
                    return Ok(connection.ping().await.is_ok());
                }
                Ok(true)
            })
        },
    )
}

/// Host, port and database: what an error may say of a URL.
fn describe(connect: &PgConnectOptions) -> String {
    let host = connect.get_socket().map_or(connect.get_host().into(), |socket| socket.to_string_lossy());
    let database = connect.get_database().unwrap_or(connect.get_username());
    format!("{host}:{}/{database}", connect.get_port())
}

/// Looks whether the server will do, and brings the schema up to date.
async fn prepare(connect: &PgConnectOptions, waited: Duration) -> Result<(), OpenError> {
    let server = describe(connect);
    let failed = |source: sqlx::Error| {
        let source = Box::new(Explained::from(source));
        OpenError::Failed { server: server.clone(), source }
    };
    let connected = timeout(waited, connect.connect()).await;
    let mut connection =
        connected.map_err(|_| OpenError::Silent { server: server.clone(), waited })?.map_err(failed)?;
    let settings = timeout(waited, read_settings(&mut connection)).await;
    let settings =
        settings.map_err(|_| OpenError::Silent { server: server.clone(), waited })?.map_err(failed)?;
    settings.check(&server)?;
    migrate(&mut connection, &server).await?;
    connection.close().await.map_err(failed)
}

/// What matters of a server.
struct ServerSettings {
    version_number: i32,
    version: String,
    is_read_only: bool,
    synchronous_commit: String,
    /// Without one of these a crash of the machine, not of the server, loses or damages data.
    is_safe: bool,
}

async fn read_settings(connection: &mut PgConnection) -> Result<ServerSettings, sqlx::Error> {
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
         pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, \
         current_setting('synchronous_commit'), \
         current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean",
    )
    .fetch_one(connection)
    .await?;
    Ok(ServerSettings {
        version_number: row.try_get(0)?,
        version: row.try_get(1)?,
        is_read_only: row.try_get(2)?,
        synchronous_commit: row.try_get(3)?,
        is_safe: row.try_get(4)?,
    })
}

impl ServerSettings {
    fn check(&self, server: &str) -> Result<(), OpenError> {
        let server = server.to_owned();
        if self.version_number < SERVER_MIN {
            return Err(OpenError::Old { server, version: self.version.clone() });
        }
        if self.is_read_only {
            return Err(OpenError::ReadOnly { server });
        }
        if self.synchronous_commit == "off" {
            return Err(OpenError::Forgetful { server });
        }
        if !self.is_safe {
            warn!(%server, "fsync or full_page_writes is off: a crash of the server's machine may damage the database");
        }
        Ok(())
    }
}

/// Nodes that start at once wait for each other (an advisory lock).
async fn migrate(connection: &mut PgConnection, server: &str) -> Result<(), OpenError> {
    let known = MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0);
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|source| match source {
        MigrateError::VersionMissing(found) => OpenError::Newer { server: server.to_owned(), found, known },
        source => OpenError::Migrate { server: server.to_owned(), source },
    })
}
