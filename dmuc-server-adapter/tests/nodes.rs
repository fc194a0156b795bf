//! Several services over one store, as on several machines: who has which room.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{TestStore, World, jid};
use dmuc_core::Address;
use dmuc_core::policy::PeerRule;
use dmuc_core::storage::{Entry, PeerPolicy, Room};
use dmuc_server_adapter::service::Tuning;

const LEASE: Duration = Duration::from_millis(600);

fn tuning(node: &str) -> Tuning {
    let never = Duration::from_secs(3600);
    Tuning { node: node.to_owned(), lease_ttl: LEASE, peers_every: never, ..Tuning::default() }
}

async fn node(name: &str, store: &Arc<TestStore>) -> World {
    World::with(store.clone(), tuning(name)).await
}

/// A node that ends without having given anything back.
fn dies(runtime: tokio::runtime::Runtime) {
    runtime.shutdown_background();
}

/// A node of its own, in which hecate and wyrd are in some rooms.
async fn doomed(store: &Arc<TestStore>, rooms: &'static [&'static str]) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, (ready, is_ready)) = (store.clone(), tokio::sync::oneshot::channel());
    runtime.spawn(async move {
        let world = node("doomed", &store).await;
        for room in rooms {
            world.joined("hecate", room).await;
            world.joined("wyrd", room).await;
            world.say("wyrd", room, "first");
            world.until("heard", |world| world.heard("hecate", room) == ["first"]).await;
        }
        let _ = ready.send(());
        std::future::pending::<()>().await;
    });
    is_ready.await.unwrap();
    runtime
}

#[tokio::test]
async fn rooms_of_a_dead_node_are_taken_over_with_their_occupants() {
    let store = Arc::<TestStore>::default();
    let runtime = doomed(&store, &["coven", "heath"]).await;
    let survivor = node("survivor", &store).await;
    tokio::time::sleep(LEASE * 2).await;
    assert_eq!(survivor.service.rooms_awake(), 0, "what is well is left alone");
    dies(runtime);
    survivor.until("both are awake here", |world| world.service.rooms_awake() == 2).await;
    survivor.say("wyrd", "heath", "second");
    survivor.until("all are still in", |world| world.heard("hecate", "heath") == ["second"]).await;
    assert!(survivor.refused("wyrd").is_empty());
    assert_eq!(store.log_len(), 3);
}

#[tokio::test]
async fn what_is_said_before_the_lease_of_a_dead_node_ends_waits_for_it() {
    let store = Arc::<TestStore>::default();
    let runtime = doomed(&store, &["coven"]).await;
    let survivor = node("survivor", &store).await;
    dies(runtime);
    for text in ["one", "two", "three"] {
        survivor.say("wyrd", "coven", text);
    }
    assert!(survivor.heard("hecate", "coven").is_empty(), "the lease has not ended");
    survivor.until("heard", |world| world.heard("hecate", "coven") == ["one", "two", "three"]).await;
    assert!(survivor.refused("wyrd").is_empty());
}

/// The same name is no reason to take a room from somebody who lives.
#[tokio::test]
async fn two_nodes_of_one_name_are_two_nodes() {
    let store = Arc::<TestStore>::default();
    let (first, second) = (node("twin", &store).await, node("twin", &store).await);
    first.joined("hecate", "coven").await;
    second.say("hecate", "coven", "waits");
    tokio::time::sleep(LEASE / 4).await;
    assert!(second.heard("hecate", "coven").is_empty());
    first.say("hecate", "coven", "ours");
    first.until("still served", |world| world.heard("hecate", "coven") == ["ours"]).await;
}

#[tokio::test]
async fn a_room_follows_its_stanzas() {
    let store = Arc::<TestStore>::default();
    let (first, second) = (node("first", &store).await, node("second", &store).await);
    first.joined("hecate", "coven").await;
    first.joined("wyrd", "coven").await;
    for round in 0..3 {
        let (from, to) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let text = format!("round {round}");
        to.say("wyrd", "coven", &text);
        to.until("heard there", |world| world.heard("hecate", "coven").contains(&text)).await;
        from.until("gone here", |world| world.service.rooms_awake() == 0).await;
    }
    assert_eq!(store.log_len(), 3);
    assert!(first.refused("wyrd").is_empty() && second.refused("wyrd").is_empty());
}

/// Stanzas that arrive at both nodes are all dealt with, by one node at a time.
#[tokio::test]
async fn a_room_that_two_nodes_want_serves_both() {
    let store = Arc::<TestStore>::default();
    let nodes = [node("first", &store).await, node("second", &store).await];
    nodes[0].joined("hecate", "coven").await;
    let mut said = Vec::new();
    for number in 0..40 {
        let text = format!("line {number}");
        assert!(nodes[number % 2].say("hecate", "coven", &text));
        said.push(text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = || nodes.iter().flat_map(|node| node.heard("hecate", "coven"));
    for _ in 0..500 {
        if heard().count() == said.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut all: Vec<_> = heard().collect();
    all.sort();
    said.sort();
    assert_eq!(all, said, "each once");
    assert_eq!(store.log_len(), 40);
}

#[tokio::test]
async fn a_rule_set_at_one_node_holds_at_the_other() {
    let store = Arc::<TestStore>::default();
    let (first, second) = (node("first", &store).await, node("second", &store).await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.set_rule(&PeerRule::allow("rooms.macbeth.lit")).await.unwrap();
    let knows = |world: &World| world.service.policy().peers.get("rooms.macbeth.lit").is_some();
    first.until("told, not read by the clock", knows).await;
    second.until("told, not read by the clock", knows).await;
}

/// A store that is away for longer than a lease costs nobody its room.
#[tokio::test]
async fn nobody_is_served_once_the_lease_has_ended() {
    let store = Arc::<TestStore>::default();
    let world = node("only", &store).await;
    world.joined("hecate", "coven").await;
    store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(LEASE).await;
    let commits = store.groups().len();
    world.say("hecate", "coven", "lost");
    world.until("refused", |world| world.refused("hecate") == ["lost"]).await;
    assert_eq!(store.groups().len(), commits, "the room knew by itself");
    store.down.store(false, std::sync::atomic::Ordering::SeqCst);
    world.say("hecate", "coven", "kept");
    world.until("heard", |world| world.heard("hecate", "coven") == ["kept"]).await;
    let coven: Address = jid("coven@chat.shakespeare.lit");
    let entry = store.load(&coven, dmuc_core::Millis(0)).await.unwrap();
    assert!(matches!(entry, Entry::Room(_)));
}
