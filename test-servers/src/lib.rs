//! Processes and database servers for tests, which leave nothing behind.
//!
//! [`postgres`] and [`redis`] are servers that the tests of one program share. Each is the one named by
//! `DMUC_TEST_POSTGRES` or `DMUC_TEST_REDIS`; otherwise a container, where there is Docker and the image; otherwise a
//! server of the distribution's, started on a private port, as [`redis_cluster`] is unless `DMUC_TEST_REDIS_CLUSTER` names
//! one. Tests that stop, kill or starve a server start one of their own, a [`PostgresServer`] or a [`RedisServer`].

mod container;
mod postgres;
mod process;
mod proxy;
mod reaper;
mod redis;
mod requirements;
mod schema;
mod shared;
mod small_disk;
mod speakers;

pub use postgres::PostgresServer;
pub use process::{Daemon, free_port};
pub use proxy::Proxy;
pub use redis::{RedisCluster, RedisServer};
pub use requirements::{in_path, is_strict};
pub use schema::{Schema, execute};
pub use shared::{postgres, redis, redis_cluster};
pub use small_disk::SmallDisk;
pub use speakers::Speakers;
