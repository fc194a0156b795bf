//! What a service grants to one user across all of its rooms.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{CHAT, World, jid};
use dmuc_core::policy::ServicePolicy;
use dmuc_core::rate::Rate;
use dmuc_server_adapter::service::Tuning;

async fn world(change: impl FnOnce(&mut ServicePolicy)) -> World {
    let mut policy = ServicePolicy::new(&jid(CHAT));
    policy.lock_new_rooms = false;
    change(&mut policy);
    World::governed(Arc::default(), Tuning::default(), policy).await
}

fn errors(world: &World, who: &str) -> usize {
    world.got(who).iter().filter(|stanza| stanza.is_error()).count()
}

#[tokio::test]
async fn errors_are_told_within_their_rate_and_requests_are_always_answered() {
    let world = world(|policy| policy.rates.errors = Rate::per_minute(5, 1)).await;
    for n in 0..50 {
        world.say("hag66", &format!("nowhere{n}"), "hello?");
        world.handle(&format!("<message from='hag66@shakespeare.lit/x' to='{CHAT}'/>"));
    }
    for n in 0..50 {
        world.handle(&format!(
            "<iq type='get' id='{n}' from='hag66@shakespeare.lit/x' to='nowhere{n}@{CHAT}'>\
             <ping xmlns='urn:xmpp:ping'/></iq>"
        ));
    }
    world.until("requests answered", |world| errors(world, "hag66") >= 50).await;
    world.service.shutdown().await;
    assert_eq!(errors(&world, "hag66"), 55);
}

#[tokio::test]
async fn one_who_is_told_no_more_keeps_nobody_from_being_told() {
    let world = world(|policy| policy.rates.errors = Rate::per_minute(5, 1)).await;
    for n in 0..50 {
        world.say("hag66", &format!("nowhere{n}"), "hello?");
    }
    world.say("wiccarocks", "nowhere", "hello?");
    world.until("told", |world| errors(world, "wiccarocks") == 1).await;
    world.service.shutdown().await;
    assert_eq!(errors(&world, "hag66"), 5);
}

#[tokio::test]
async fn one_can_be_in_so_many_rooms_at_once() {
    let world = world(|policy| policy.rooms_at_once_max = 3).await;
    for room in ["a", "b", "c"] {
        world.joined("hag66", room).await;
    }
    world.join("hag66", "d");
    world.until("refused", |world| errors(world, "hag66") == 1).await;
    assert_eq!(world.refused("hag66").len(), 1, "with resource-constraint (wait)");
    world.joined("wiccarocks", "d").await;
    world.join("hag66", "c");
    world.leave("hag66", "a");
    let left = |world: &World| world.got("hag66").iter().any(|stanza| stanza.ty() == "unavailable");
    world.until("gone", left).await;
    world.joined("hag66", "d").await;
    assert_eq!(errors(&world, "hag66"), 1, "who is in is not refused, and there was place again");
}

#[tokio::test]
async fn a_room_that_ends_lets_everybody_into_another() {
    let world = world(|policy| policy.rooms_at_once_max = 1).await;
    world.joined("crone1", "a").await;
    world.joined("hag66", "a").await;
    world.handle(&format!(
        "<iq type='set' id='d' from='crone1@shakespeare.lit/x' to='a@{CHAT}'>\
         <query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>"
    ));
    let left = |world: &World| world.got("hag66").iter().any(|stanza| stanza.ty() == "unavailable");
    world.until("gone", left).await;
    world.joined("hag66", "b").await;
    assert_eq!(errors(&world, "hag66"), 0);
}

#[tokio::test]
async fn rooms_are_counted_from_the_store_and_as_they_come_and_go() {
    let store = Arc::default();
    let governed = |store: &Arc<common::TestStore>| {
        let mut policy = ServicePolicy::new(&jid(CHAT));
        (policy.lock_new_rooms, policy.defaults.persistent, policy.rooms_per_user_max) = (false, true, 2);
        World::governed(store.clone(), Tuning::default(), policy)
    };
    let world = governed(&store).await;
    world.joined("hag66", "a").await;
    world.joined("hag66", "b").await;
    world.service.shutdown().await;
    let world = governed(&store).await;
    world.join("hag66", "c");
    world.until("refused", |world| world.refused("hag66").len() == 1).await;
    assert_eq!(store.rooms(), 2);
    world.handle(&format!(
        "<iq type='set' id='d' from='hag66@shakespeare.lit/x' to='a@{CHAT}'>\
         <query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>"
    ));
    world.until("destroyed", |world| world.got("hag66").iter().any(|stanza| stanza.ty() == "result")).await;
    world.joined("hag66", "c").await;
}
