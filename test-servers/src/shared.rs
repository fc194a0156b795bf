//! One server for all tests of a program.

use std::env;
use std::mem::forget;
use std::sync::OnceLock;

use crate::container::Image;
use crate::reaper;
use crate::requirements::is_strict;
use crate::{PostgresServer, RedisCluster, RedisServer, container};

const POSTGRES: Image = Image {
    image_variable: "DMUC_TEST_POSTGRES_IMAGE",
    image: "postgres:17",
    port: 5432,
    ready: "database system is ready to accept connections",
    environment: &[("POSTGRES_HOST_AUTH_METHOD", "trust")],
    command: &["postgres", "-c", "fsync=off", "-c", "max_connections=500"],
    probe: &["pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres"],
};

const REDIS: Image = Image {
    image_variable: "DMUC_TEST_REDIS_IMAGE",
    image: "redis:7",
    port: 6379,
    ready: "Ready to accept connections",
    environment: &[],
    command: &["redis-server", "--save", ""],
    probe: &["redis-cli", "ping"],
};

/// What is kept in memory alone is enough for tests of what a store does while its server runs.
const IN_MEMORY: [(&str, &str); 1] = [("appendonly", "no")];

/// The URL of a PostgreSQL database in which tests may make schemas. Nothing, said on standard error, if there is none.
///
/// # Panics
/// When there is none and nothing may be skipped.
pub fn postgres() -> Option<&'static str> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    let url = URL.get_or_init(|| {
        let container = || Some(format!("postgres://postgres@{}/postgres", container::start(&POSTGRES)?));
        find("PostgreSQL", "DMUC_TEST_POSTGRES", container, local_postgres)
    });
    url.as_deref()
}

fn local_postgres() -> Option<String> {
    // The tests of stores are about what is kept, not about the loss of power.
    let server = PostgresServer::start(&[("fsync", "off"), ("max_connections", "500")])?;
    reaper::at_end(&server.end());
    let url = server.url();
    forget(server);
    Some(url)
}

/// The URL of a Redis server, of which a test uses keys with a prefix of its own. Nothing, said on standard error, if
/// there is none.
///
/// # Panics
/// When there is none and nothing may be skipped.
pub fn redis() -> Option<&'static str> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    let url = URL.get_or_init(|| {
        let container = || Some(format!("redis://{}", container::start(&REDIS)?));
        find("Redis", "DMUC_TEST_REDIS", container, local_redis)
    });
    url.as_deref()
}

/// The URL of a cluster of Redis servers, used likewise.
///
/// # Panics
/// When there is none and nothing may be skipped.
pub fn redis_cluster() -> Option<&'static str> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(|| find("a Redis cluster", "DMUC_TEST_REDIS_CLUSTER", || None, local_cluster)).as_deref()
}

fn local_redis() -> Option<String> {
    let server = RedisServer::start(&IN_MEMORY)?;
    reaper::at_end(&server.end());
    let url = server.url();
    forget(server);
    Some(url)
}

fn local_cluster() -> Option<String> {
    let cluster = RedisCluster::start(&IN_MEMORY)?;
    reaper::at_end(&cluster.end());
    let url = cluster.url();
    forget(cluster);
    Some(url)
}

fn find(
    name: &str,
    variable: &str,
    container: impl FnOnce() -> Option<String>,
    local: impl FnOnce() -> Option<String>,
) -> Option<String> {
    let given = env::var(variable).ok().filter(|url| !url.is_empty());
    let url = given.or_else(container).or_else(local);
    if url.is_none() {
        assert!(!is_strict(), "no {name} here (./test installs it), and skipping is not allowed");
        eprintln!(
            "SKIPPED for want of {name}: set {variable}, or run ./test, which installs it where it may"
        );
    }
    url
}
