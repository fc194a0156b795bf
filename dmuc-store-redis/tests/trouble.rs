//! Servers that crash, hang, fill up, only read or lack their replicas: nothing acknowledged is lost, nothing is there
//! twice, errors say what is wrong, and the store recovers by itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its store has failed")]

mod common;

use std::error::Error;
use std::time::{Duration, Instant};

use common::told;
use dmuc_core::storage::{PeerPolicy, StoreErrorKind};
use dmuc_store_redis::{Durability, OpenError, Options, RedisStore};
use dmuc_test_servers::{Proxy, RedisCluster, RedisServer, SmallDisk, Speakers};
use tokio::time::{sleep, timeout};

/// How long a store may take to work again once the server does.
const RECOVERY: Duration = Duration::from_secs(30);

fn hasty() -> Options {
    let second = Duration::from_secs(1);
    Options { connect_timeout: second, answer_timeout: second, ..Options::default() }
}

async fn open(url: &str, options: &Options) -> RedisStore {
    RedisStore::open(url, options).await.unwrap()
}

#[tokio::test]
async fn a_killed_server_loses_nothing() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let store = open(&server.url(), &Options::default()).await;
    let watcher = open(&server.url(), &Options::default()).await;
    let mut speakers = Speakers::create(&store, 10).await;
    // Strikes wherever the writer is, four times in 10 000 appends.
    let crashes = std::thread::spawn(move || {
        for lives in [300, 200, 400, 250] {
            std::thread::sleep(Duration::from_millis(lives));
            server.kill();
            server.launch();
        }
        server
    });
    let heard = tokio::spawn(async move { timeout(RECOVERY, watcher.rules_changed()).await });
    while speakers.said() < 10_000 || !crashes.is_finished() {
        if let Some(error) = speakers.say(&store, 5).await {
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
            speakers.reload(&store, RECOVERY).await;
        }
    }
    let server = crashes.join().unwrap();
    speakers.reload(&store, RECOVERY).await;
    speakers.check(&store).await;
    heard.await.unwrap().expect("listens again after a crash").unwrap();
    drop(server);
}

#[tokio::test]
async fn a_killed_node_of_a_cluster_is_survived() {
    let Some(mut cluster) = RedisCluster::start(&[("cluster-node-timeout", "2000")]) else { return };
    let store = open(&cluster.url(), &hasty()).await;
    let mut speakers = Speakers::create(&store, 12).await;
    let crash = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        cluster.nodes()[1].kill();
        std::thread::sleep(Duration::from_secs(1));
        cluster.nodes()[1].launch();
        cluster
    });
    let mut failures = 0;
    while !crash.is_finished() {
        if let Some(error) = speakers.say(&store, 5).await {
            failures += 1;
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
            speakers.reload(&store, RECOVERY).await;
        }
    }
    let cluster = crash.join().unwrap();
    assert!(failures > 0, "the crash was met");
    speakers.say_in_time(&store, RECOVERY).await;
    speakers.check(&store).await;
    drop(cluster);
}

async fn pause(options: &Options, lasts: Duration) {
    let Some(server) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(server.address()).await;
    let store = open(&proxy.url(&server.url()), options).await;
    let mut speakers = Speakers::create(&store, 3).await;
    assert!(speakers.say(&store, 1).await.is_none());
    proxy.pause();
    let paused = Instant::now();
    let error = speakers.say(&store, 1).await.expect("nothing comes through");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(told(&error).contains("does not answer in time"), "{}", told(&error));
    let given_up = options.answer_timeout + options.connect_timeout + Duration::from_secs(5);
    assert!(paused.elapsed() < given_up, "given up after {:?}", paused.elapsed());
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
    pause(&hasty(), Duration::from_secs(4)).await;
}

#[tokio::test]
async fn a_long_pause_of_the_network_is_survived() {
    pause(&Options::default(), Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let Some(disk) = SmallDisk::mount(40) else { return };
    // With `appendfsync always` a server that cannot write its log ends; with `everysec` it takes no changes.
    for (appendfsync, words) in [("everysec", "cannot write to its disk"), ("always", "the server is down")] {
        let Some(mut server) = RedisServer::start_in(disk.path(), &[("appendfsync", appendfsync)]) else {
            return;
        };
        let store = open(&server.url(), &Options::default()).await;
        let mut speakers = Speakers::create(&store, 2).await;
        assert!(speakers.say(&store, 1).await.is_none());
        disk.fill();
        let since = Instant::now();
        let error = loop {
            match speakers.say_much(&store).await {
                Some(error) if told(&error).contains(words) => break error,
                Some(error) => assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}"),
                None => {}
            }
            assert!(since.elapsed() < RECOVERY, "nobody tells that the disk is full");
        };
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        disk.make_room();
        if !server.is_running() {
            server.launch();
        }
        if appendfsync == "always" {
            speakers.reload(&store, RECOVERY).await;
        }
        speakers.say_in_time(&store, RECOVERY).await;
        speakers.check(&store).await;
    }
}

#[tokio::test]
async fn a_replica_is_refused_and_a_demoted_primary_told() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let replica = server.start_replica();
    let error = RedisStore::open(&replica.url(), &Options::default()).await.expect_err("takes no changes");
    assert!(matches!(error, OpenError::Replica), "{error:?}");
    let store = open(&server.url(), &Options::default()).await;
    let mut speakers = Speakers::create(&store, 3).await;
    let address = replica.address();
    common::command(server.address(), &format!("REPLICAOF {} {}", address.ip(), address.port())).await;
    let error = speakers.say(&store, 1).await.expect("a replica takes no changes");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(told(&error).contains("use the address of the primary"), "{}", told(&error));
    common::command(server.address(), "REPLICAOF NO ONE").await;
    speakers.say_in_time(&store, RECOVERY).await;
}

#[tokio::test]
async fn replicas_that_are_wanted_are_waited_for() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = open(&format!("{}?min_replicas=1", server.url()), &Options::default()).await;
    let replica = server.start_replica();
    let deadline = Instant::now() + RECOVERY;
    while !common::command(server.address(), "INFO replication").await.contains("state=online") {
        assert!(Instant::now() < deadline, "the replica does not follow");
        sleep(Duration::from_millis(100)).await;
    }
    let mut speakers = Speakers::create(&store, 2).await;
    assert!(speakers.say(&store, 1).await.is_none());
    drop(replica);
    let error = speakers.say(&store, 1).await.expect("nobody else has it");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(told(&error).contains("fewer replicas have the change"), "{}", told(&error));
}

/// Opens strictly and gives what is refused.
async fn refused(url: &str) -> String {
    let strict = Options { durability: Durability::Strict, ..Options::default() };
    match RedisStore::open(url, &strict).await {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn what_may_be_lost_is_told_before_it_is() {
    for (settings, words) in [
        (&[][..], ""),
        (&[("appendonly", "no")], "set `appendonly yes`"),
        (&[("appendfsync", "everysec")], "set `appendfsync always`"),
        (&[("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")], "set `maxmemory-policy noeviction`"),
        (&[("rename-command", "CONFIG HIDDEN")], "does not show its settings"),
    ] {
        let Some(server) = RedisServer::start(settings) else { return };
        let said = refused(&server.url()).await;
        assert!(
            if words.is_empty() { said.is_empty() } else { said.contains(words) },
            "{settings:?}: {said}"
        );
        open(&server.url(), &Options::default()).await;
        if words.contains("does not show") {
            assert_eq!(refused(&format!("{}?trusted=yes", server.url())).await, "");
            assert!(refused(&format!("{}?min_replicas=1", server.url())).await.contains("has 0 replicas"));
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    let url = format!("redis://me:hunter2@127.0.0.1:{}", dmuc_test_servers::free_port());
    let error = RedisStore::open(&url, &hasty()).await.expect_err("nobody listens");
    let said = format!("{error} {error:?} {:?}", error.source().map(ToString::to_string));
    assert!(said.contains("refuses connections") && !said.contains("hunter2"), "{said}");
}
