//! The archive out of real stores: pages, and what is left of messages that are taken back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{TestHost, World, jid};
use dmuc_core::Stanza;
use dmuc_core::policy::ServicePolicy;
use dmuc_server_adapter::service::{Service, Tuning, open_storage};

const MAM: &str = "urn:xmpp:mam:2";

async fn on(url: &str) -> World {
    let mut policy = ServicePolicy::new(&jid(common::CHAT));
    policy.lock_new_rooms = false;
    let (host, storage) = (Arc::<TestHost>::default(), open_storage(url).await.unwrap());
    let service = Service::start(storage, host.clone(), policy, Tuning::default()).await.unwrap();
    World { host, store: Arc::default(), service }
}

/// Asks the room; gives what came up to the answer, which is the last.
async fn asks(world: &World, ty: &str, payload: &str) -> Vec<Stanza> {
    let before = world.got("hecate").len();
    world.handle(&format!(
        "<iq type='{ty}' id='q' from='hecate@shakespeare.lit/x' to='coven@{}'>{payload}</iq>",
        common::CHAT
    ));
    let answered = |world: &World| world.got("hecate")[before..].iter().any(|s| s.id.as_deref() == Some("q"));
    world.until("answered", answered).await;
    world.got("hecate").split_off(before)
}

/// The id that the room gave to what was said.
fn id_of(world: &World, text: &str) -> String {
    let got = world.got("hecate");
    let said = got.iter().find(|s| s.child("body", "jabber:client").is_some_and(|body| body.text() == text));
    said.unwrap().child("stanza-id", "urn:xmpp:sid:0").unwrap().attr("id").unwrap()
}

async fn tell(url: &str) {
    let world = on(url).await;
    world.joined("hecate", "coven").await;
    world.joined("wyrd", "coven").await;
    for text in ["treason", "sedition", "praise"] {
        world.say("wyrd", "coven", text);
    }
    world.until("heard", |world| world.heard("hecate", "coven").len() == 3).await;
    let [treason, sedition, praise] = ["treason", "sedition", "praise"].map(|text| id_of(&world, text));
    world.handle(&format!(
        "<message type='groupchat' id='r' from='wyrd@shakespeare.lit/x' to='coven@{}'>\
         <retract id='{treason}' xmlns='urn:xmpp:message-retract:1'/></message>",
        common::CHAT
    ));
    let moderate = format!(
        "<moderate id='{sedition}' xmlns='urn:xmpp:message-moderate:1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>"
    );
    assert_eq!(asks(&world, "set", &moderate).await.last().unwrap().ty(), "result", "{url}");

    let page = |rest: &str| {
        format!(
            "<query xmlns='{MAM}'><set xmlns='http://jabber.org/protocol/rsm'><max>2</max>{rest}</set></query>"
        )
    };
    let mut results = asks(&world, "set", &page("")).await;
    let fin = results.pop().unwrap().to_xml();
    assert!(fin.contains("<count>5</count>") && !fin.contains("complete='true'"), "{url}: {fin}");
    let text: String = results.iter().map(Stanza::to_xml).collect();
    assert_eq!((results.len(), text.matches("<retracted").count()), (2, 2), "{url}: {text}");
    assert!(!text.contains(">treason<") && !text.contains(">sedition<"), "{url}: {text}");
    let rest = asks(&world, "set", &page(&format!("<after>{sedition}</after>"))).await;
    assert!(rest[0].to_xml().contains(&format!("id='{praise}'")), "{url}: {rest:?}");
    let beyond = asks(&world, "set", &page("<after>AAAAAAAAAAAAAAAAAAAAAA</after>")).await;
    assert!(beyond[0].to_xml().contains("<item-not-found"), "{url}: {beyond:?}");

    let ends = asks(&world, "get", &format!("<metadata xmlns='{MAM}'/>")).await.pop().unwrap().to_xml();
    assert!(ends.contains(&format!("<start id='{treason}'")), "{url}: {ends}");
    world.service.shutdown().await;
}

#[tokio::test]
async fn out_of_memory() {
    tell("memory:").await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn out_of_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    tell(&format!("sqlite:{}", dir.path().join("rooms.db").display())).await;
}
