//! What a distributed Multi-User Chat room *is*: XEP-0045 and XEP-0281 without sockets, clocks or threads.
//!
//! An [`Instance`] is one instance of a room at one service. Stanzas, timers and answers of the store go in through
//! [`Instance::handle`]; out come [`Action`]s: commit this, send that once it is committed, wake me then. Time is an
//! argument and randomness a seed, so that the same inputs always give the same actions.
//!
//! What must survive goes through the traits in [`storage`]; what the operator decides is in [`policy`].

pub mod address;
pub mod adhoc;
pub mod clock;
pub mod event;
mod instance;
pub mod io;
pub mod nick;
pub mod ns;
pub mod outbox;
pub mod policy;
mod questions;
pub mod rate;
pub mod record;
pub mod replication;
pub mod room;
pub mod service;
pub mod stanza;
pub mod storage;
mod turn;

pub use address::Address;
pub use clock::Millis;
pub use instance::Instance;
pub use io::{Action, Input};
pub use stanza::Stanza;
