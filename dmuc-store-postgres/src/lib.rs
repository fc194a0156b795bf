//! Rooms of distributed MUC in PostgreSQL, 14 or newer, for one node or many.
//!
//! One call carries the commits of many rooms, as arrays, in one transaction: functions in the database
//! (`migrations/`) check them, make them, and say which were refused. Each room's row is changed first by whoever writes
//! anything of the room, so that revisions and fences are checked where they are kept. Everything that belongs to a room
//! is keyed by its uid.
//!
//! A commit whose answer is lost is reported as `Unavailable`, whether it was made or not; the revision tells.

mod append;
mod changes;
mod commit;
mod database;
mod directory;
mod error;
mod history;
mod lease;
mod listen;
mod open;
mod page;
mod peers;
mod room;
mod transfer;

use database::Database;
use listen::Listener;
pub use open::{OpenError, Options};

/// A store in a PostgreSQL database; clones share it.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    database: Database,
    listener: Listener,
}

impl PostgresStore {
    /// Opens the database of a URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE` with the parameters of libpq, such as
    /// `sslmode` and `sslrootcert`, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`], which never repeats the URL: it may hold a password.
    pub async fn open(url: &str, options: &Options) -> Result<Self, OpenError> {
        open::open(url, options).await
    }

    /// Ends the connections, once what is under way is done.
    pub async fn close(&self) {
        self.listener.stop();
        self.database.close().await;
    }
}
