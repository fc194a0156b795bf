//! Servers that crash, hang, fill up or only read: nothing acknowledged is lost, nothing is there twice, errors say what
//! is wrong, and the store recovers by itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

use std::error::Error;
use std::time::{Duration, Instant};

use dmuc_core::storage::{PeerPolicy, StoreError, StoreErrorKind};
use dmuc_store_postgres::{OpenError, Options, PostgresStore};
use dmuc_test_servers::{PostgresServer, Proxy, SmallDisk, Speakers, execute};
use tokio::time::{sleep, timeout};

/// How long a store may take to work again once the server does.
const RECOVERY: Duration = Duration::from_secs(30);

fn hasty() -> Options {
    Options {
        connections: 4,
        connect_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(1),
    }
}

async fn open(url: &str, options: &Options) -> PostgresStore {
    PostgresStore::open(url, options).await.unwrap()
}

/// What an operator reads.
fn told(error: &StoreError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn a_killed_server_loses_nothing() {
    let Some(mut server) = PostgresServer::start(&[]) else { return };
    let url = server.url();
    let store = open(&url, &Options::default()).await;
    let watcher = open(&url, &Options::default()).await;
    let mut speakers = Speakers::create(&store, 10).await;
    // Strikes wherever the writer is, four times in 10 000 appends or more.
    let crashes = std::thread::spawn(move || {
        for lives in [700, 400, 900, 500] {
            std::thread::sleep(Duration::from_millis(lives));
            server.kill();
            server.launch();
        }
        server
    });
    let heard = tokio::spawn(async move { timeout(RECOVERY, watcher.rules_changed()).await });
    let mut failures = 0;
    while speakers.said() < 10_000 || !crashes.is_finished() {
        let refused = speakers.say(&store, 20).await;
        if let Some(error) = refused {
            failures += 1;
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
            speakers.reload(&store, RECOVERY).await;
        }
    }
    let server = crashes.join().unwrap();
    speakers.reload(&store, RECOVERY).await;
    assert!(failures > 0, "the crashes were met");
    speakers.check(&store).await;
    heard.await.unwrap().expect("listens again after a crash").unwrap();
    drop(server);
}

async fn pause(options: &Options, lasts: Duration) {
    let Some(server) = PostgresServer::start(&[]) else { return };
    let proxy = Proxy::start(server.address()).await;
    let store = open(&proxy.url(&server.url()), options).await;
    let mut speakers = Speakers::create(&store, 3).await;
    assert!(speakers.say(&store, 1).await.is_none());
    proxy.pause();
    let paused = Instant::now();
    let error = speakers.say(&store, 1).await.expect("nothing comes through");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(told(&error).contains("does not answer"), "{}", told(&error));
    let given_up = options.statement_timeout + options.connect_timeout + Duration::from_secs(5);
    assert!(paused.elapsed() < given_up, "given up after {:?}", paused.elapsed());
    let error = speakers.say(&store, 1).await.expect("nothing comes through");
    assert!(told(&error).contains("no connection could be had in time"), "{}", told(&error));
    sleep(lasts.saturating_sub(paused.elapsed())).await;
    proxy.resume();
    speakers.reload(&store, RECOVERY).await;
    for _ in 0..100 {
        speakers.say_in_time(&store, RECOVERY).await;
    }
    speakers.check(&store).await;
}

#[tokio::test]
async fn a_short_pause_of_the_network_is_survived() {
    pause(&hasty(), Duration::from_secs(6)).await;
}

#[tokio::test]
async fn a_long_pause_of_the_network_is_survived() {
    pause(&Options::default(), Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let Some(disk) = SmallDisk::mount(160) else { return };
    let settings = [("min_wal_size", "32MB"), ("max_wal_size", "48MB"), ("autovacuum", "off")];
    let Some(mut server) = PostgresServer::start_in(disk.path(), &settings) else { return };
    let store = open(&server.url(), &Options::default()).await;
    let mut speakers = Speakers::create(&store, 2).await;
    assert!(speakers.say_much(&store).await.is_none());
    disk.fill();
    let mut error = None;
    for _ in 0..200 {
        error = speakers.say_much(&store).await;
        if error.is_some() {
            break;
        }
    }
    let error = error.expect("the disk is full");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    // Where it is the log of the server itself that finds no room, the server stops.
    let full = ["disk of the server is full", "server is stopping", "connection to the server was lost"];
    assert!(full.iter().any(|words| told(&error).contains(words)), "{}", told(&error));
    disk.make_room();
    if !server.is_running() {
        server.launch();
    }
    speakers.reload(&store, RECOVERY).await;
    speakers.say_in_time(&store, RECOVERY).await;
    speakers.check(&store).await;
}

#[tokio::test]
async fn a_replica_is_refused_and_a_demoted_primary_told() {
    let Some(server) = PostgresServer::start(&[]) else { return };
    let url = server.url();
    let store = open(&url, &Options::default()).await;
    let standby = server.start_standby();
    for read_only in [standby.url(), format!("{url}?options=-cdefault_transaction_read_only=on")] {
        let error = PostgresStore::open(&read_only, &Options::default()).await.expect_err("only reads");
        assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
        assert!(error.to_string().contains("give the URL of the primary"), "{error}");
    }
    let mut speakers = Speakers::create(&store, 3).await;
    let switch = |state| {
        let sql = format!("ALTER SYSTEM SET default_transaction_read_only = {state}");
        let url = format!("{url}?options=-cdefault_transaction_read_only=off");
        async move {
            execute(&url, &sql).await;
            execute(&url, "SELECT pg_reload_conf()").await;
            // The sessions see it when they next look.
            sleep(Duration::from_millis(500)).await;
        }
    };
    switch("on").await;
    let error = speakers.say(&store, 1).await.expect("nothing can be written");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(told(&error).contains("only reads"), "{}", told(&error));
    speakers.reload(&store, RECOVERY).await;
    switch("off").await;
    speakers.say_in_time(&store, RECOVERY).await;
    speakers.check(&store).await;
}
