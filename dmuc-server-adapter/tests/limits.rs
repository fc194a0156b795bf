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
