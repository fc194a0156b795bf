//! The embedded store of distributed MUC rooms: one SQLite file, crash-safe and inspectable.
//!
//! Write-ahead log, and `synchronous = FULL`: a commit that was acknowledged survives the loss of power. All writes go
//! through one connection; one transaction carries the commits of many rooms. Readers have connections of their own.

mod append;
mod bulk;
mod commit;
mod directory;
mod error;
mod history;
mod lease;
mod open;
mod peers;
mod room;
mod transfer;

pub use open::OpenError;
use sqlx::sqlite::SqlitePool;

/// A store in one SQLite file; clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens, or creates, the file named by `sqlite:PATH`, `sqlite://PATH` or just a path. `sqlite::memory:` is a
    /// database of its own that is gone when the store is closed.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        open::open(url).await
    }

    /// Opens a file that is there already, as [`open`](Self::open) does.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub async fn open_existing(url: &str) -> Result<Self, OpenError> {
        open::open_existing(url).await
    }

    /// Closes the file, once what is under way is done.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
