//! Whole stores: moved from one backend to another, written to a file and read from it, checked.
//!
//! A store is a sequence of [`Record`]s, which is also what a file holds, one to a line (`docs/store-format.md`).
//! Whatever reads records gets them in the same order, so that two stores are compared side by side; whatever writes
//! them makes a room last, so that a room that is there is complete. Memory does not grow with the store.
//!
//! ```
//! use dmuc_server_adapter::service::open_storage;
//! use dmuc_server_adapter::transfer::{Target, migrate};
//!
//! async fn to_another(from: &str, to: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let (from, to) = (open_storage(from).await?, open_storage(to).await?);
//!     let moved = migrate(&from, &to, Target::Empty, &()).await?;
//!     println!("{moved}");
//!     Ok(())
//! }
//! ```

mod check;
mod claim;
mod compare;
mod error;
mod lines;
mod moving;
mod progress;
mod record;
mod rooms;
mod sink;
mod source;

pub use check::{Checked, Finding, What, check};
pub use compare::{Difference, Key, Kind};
pub use error::{Role, TransferError};
pub use moving::{Target, export, import, migrate};
pub use progress::{Phase, Progress};
pub use record::{Counts, Record, RoomRecord};
