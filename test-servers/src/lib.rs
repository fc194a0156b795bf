//! Processes and database servers for tests, which leave nothing behind.
//!
//! [`postgres`] is a server that the tests of one program share. It is the one named by `DMUC_TEST_POSTGRES`;
//! otherwise a container, where there is Docker and the image; otherwise a server of the distribution's, started on a
//! private port. Tests that stop, kill or starve a server start one of their own, a [`PostgresServer`].

mod container;
mod postgres;
mod process;
mod reaper;
mod requirements;
mod schema;
mod shared;

pub use postgres::PostgresServer;
pub use process::{Daemon, free_port};
pub use requirements::{in_path, is_strict};
pub use schema::{Schema, execute};
pub use shared::postgres;
