//! One server for all tests of a program.

use std::env;
use std::mem::forget;
use std::sync::OnceLock;

use crate::container::Image;
use crate::reaper;
use crate::requirements::is_strict;
use crate::{PostgresServer, container};

const POSTGRES: Image = Image {
    image_variable: "DMUC_TEST_POSTGRES_IMAGE",
    image: "postgres:17",
    port: 5432,
    ready: "database system is ready to accept connections",
    environment: &[("POSTGRES_HOST_AUTH_METHOD", "trust")],
    command: &["postgres", "-c", "fsync=off", "-c", "max_connections=500"],
    probe: &["pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres"],
};

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
