//! Running the service by ad-hoc commands (XEP-0050, XEP-0133), and what it tells of itself.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::desk::Desk;
use common::{CHAT, jid};
use dmuc_core::policy::{PeerRule, ServicePolicy};
use dmuc_core::storage::MemoryStore;
use minidom::Element;

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const ADMIN: &str = "http://jabber.org/protocol/admin";
const PEER: &str = "rooms.macbeth.lit";

/// A service that `hecate` administers.
async fn desk() -> Desk {
    let mut policy = ServicePolicy::new(&jid(CHAT));
    policy.lock_new_rooms = false;
    policy.admins = vec![jid("hecate@shakespeare.lit")];
    policy.contacts = [("abuse".to_owned(), vec!["mailto:abuse@shakespeare.lit".to_owned()])].into();
    policy.peers = [PeerRule { ask: true, ..PeerRule::allow(PEER) }].into_iter().collect();
    Desk::on(Arc::new(MemoryStore::new()), policy).await
}

fn command(node: &str, more: &str, fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    format!("<command xmlns='{COMMANDS}' node='{node}' {more}>{form}</command>")
}

fn begun(node: &str) -> String {
    format!("<command xmlns='{COMMANDS}' node='{node}'/>")
}

/// Begins a command and fills in its forms, one after the other; gives the last answer.
async fn carries_out(desk: &Desk, node: &str, stages: &[&[(&str, &str)]]) -> Result<Element, String> {
    let mut answer = desk.asks("set", "hecate", &begun(node)).await?;
    for fields in stages {
        assert_eq!(answer.attr("status"), Some("executing"), "{answer:?}");
        let more = format!("sessionid='{}'", answer.attr("sessionid").unwrap());
        answer = desk.asks("set", "hecate", &command(node, &more, fields)).await?;
    }
    assert_eq!(answer.attr("status"), Some("completed"), "{answer:?}");
    Ok(answer)
}

fn note(answer: &Element) -> (String, String) {
    let note = answer.get_child("note", COMMANDS).unwrap();
    (note.attr("type").unwrap().to_owned(), note.text())
}

/// The cells of a result's rows.
fn rows(answer: &Element) -> Vec<Vec<String>> {
    let form = answer.get_child("x", "jabber:x:data").unwrap();
    let items = form.children().filter(|child| child.name() == "item");
    items
        .map(|item| item.children().map(|field| field.children().map(Element::text).collect()).collect())
        .collect()
}

fn fact(answer: &Element, var: &str) -> String {
    let form = answer.get_child("x", "jabber:x:data").unwrap();
    let field = form.children().find(|field| field.attr("var") == Some(var)).unwrap();
    field.children().map(Element::text).collect()
}

const NODES: [&str; 10] = [
    "statistics",
    "list-rooms",
    "destroy-rooms",
    "http://jabber.org/protocol/admin#announce",
    "http://jabber.org/protocol/admin#end-user-session",
    "http://jabber.org/protocol/admin#shutdown",
    "list-peers",
    "set-peer",
    "drop-peer",
    "approve-shadow",
];

#[tokio::test]
async fn only_administrators_are_offered_commands() {
    let desk = desk().await;
    let items = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    for (who, expected) in [("hecate", &NODES[..]), ("wyrd", &[])] {
        let listed = desk.asks("get", who, &items).await.unwrap();
        let nodes: Vec<&str> = listed.children().map(|item| item.attr("node").unwrap()).collect();
        assert_eq!(nodes, expected, "{who}");
        assert!(listed.children().all(|item| item.attr("jid") == Some(CHAT)));
    }
    for node in NODES {
        let info = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
        let told = desk.asks("get", "hecate", &info).await.unwrap();
        let identity = told.children().next().unwrap();
        assert_eq!(
            (identity.attr("category"), identity.attr("type")),
            (Some("automation"), Some("command-node"))
        );
        assert_eq!(desk.asks("get", "wyrd", &info).await.unwrap_err(), "forbidden cancel", "{node}");
        let refused = desk.asks("set", "wyrd", &command(node, "", &[])).await;
        assert_eq!(refused.unwrap_err(), "forbidden cancel", "{node}");
    }
    for (payload, refusal) in [
        (command("nonsense", "", &[]), "item-not-found cancel"),
        (command("list-peers", "action='dance'", &[]), "bad-request modify malformed-action"),
        (command("list-rooms", "sessionid='7'", &[]), "bad-request modify bad-sessionid"),
        (format!("<command xmlns='{COMMANDS}'/>"), "bad-request modify"),
    ] {
        assert_eq!(desk.asks("set", "hecate", &payload).await.unwrap_err(), refusal, "{payload}");
    }
    let get = desk.asks("get", "hecate", &command("list-peers", "", &[])).await;
    assert_eq!(get.unwrap_err(), "bad-request modify");
}

#[tokio::test]
async fn rooms_are_counted_listed_and_destroyed() {
    let desk = desk().await;
    for room in ["coven", "heath", "palace"] {
        desk.joined("wyrd", room).await;
    }
    desk.configured(
        "wyrd",
        "heath",
        &[("muc#roomconfig_publicroom", "0"), ("muc#roomconfig_roomname", "A Heath")],
    )
    .await;
    let statistics = carries_out(&desk, "statistics", &[]).await.unwrap();
    let counted = ["rooms", "public", "awake", "occupants", "shadows"].map(|var| fact(&statistics, var));
    assert_eq!(counted, ["3", "2", "3", "3", "0"]);

    let listed = carries_out(&desk, "list-rooms", &[&[]]).await.unwrap();
    assert_eq!(rows(&listed)[1], ["heath@chat.shakespeare.lit", "A Heath", "0", "1", ""]);
    let after =
        carries_out(&desk, "list-rooms", &[&[("max_items", "1"), ("after", "coven@chat.shakespeare.lit")]]);
    let after = after.await.unwrap();
    assert_eq!(rows(&after).len(), 1);
    assert_eq!(note(&after).1, "There may be more after heath@chat.shakespeare.lit.");

    let unknown = carries_out(&desk, "destroy-rooms", &[&[("rooms", "nowhere@chat.shakespeare.lit")]]).await;
    assert_eq!(unknown.unwrap_err(), "bad-request modify bad-payload");
    let fields = [("rooms", "coven@chat.shakespeare.lit"), ("reason", "Macbeth doth come.")];
    let destroyed = carries_out(&desk, "destroy-rooms", &[&fields]).await.unwrap();
    assert_eq!(note(&destroyed), ("info".into(), "Destroyed: 1 of 1.".into()));
    desk.until("wyrd is told", |world| {
        world
            .got("wyrd")
            .iter()
            .any(|stanza| stanza.to_xml().contains("<reason>Macbeth doth come.</reason></destroy>"))
    })
    .await;
    let statistics = carries_out(&desk, "statistics", &[]).await.unwrap();
    assert_eq!((fact(&statistics, "rooms"), fact(&statistics, "occupants")), ("2".into(), "2".into()));
}

#[tokio::test]
async fn everybody_is_told_or_somebody_put_out_of_all_rooms() {
    let desk = desk().await;
    for room in ["coven", "heath"] {
        desk.joined("wyrd", room).await;
        desk.joined("macbeth", room).await;
    }
    let announce = format!("{ADMIN}#announce");
    let empty = carries_out(&desk, &announce, &[&[]]).await;
    assert_eq!(empty.unwrap_err(), "bad-request modify bad-payload");
    let told = carries_out(&desk, &announce, &[&[("announcement", "The wood moves!")]]).await.unwrap();
    assert_eq!(note(&told).1, "Announced in rooms: 2.");
    for (who, room) in [("wyrd", "coven"), ("wyrd", "heath"), ("macbeth", "coven"), ("macbeth", "heath")] {
        desk.until("told", |world| world.heard(who, room) == ["The wood moves!"]).await;
    }
    let fields = [("accountjids", "macbeth@shakespeare.lit"), ("reason", "Lay on!")];
    carries_out(&desk, &format!("{ADMIN}#end-user-session"), &[&fields]).await.unwrap();
    let out =
        |stanza: &dmuc_core::Stanza| stanza.ty() == "unavailable" && stanza.to_xml().contains("Lay on!");
    desk.until("out of both", |world| world.got("macbeth").iter().filter(|stanza| out(stanza)).count() == 2)
        .await;
    desk.joined("macbeth", "coven").await;
}

#[tokio::test]
async fn rules_for_peers_are_in_force_at_once() {
    let desk = desk().await;
    let set = |fields: &'static [(&str, &str)], rule: &'static [(&str, &str)]| {
        let desk = &desk;
        async move { carries_out(desk, "set-peer", &[fields, rule]).await }
    };
    set(&[("domain", PEER)], &[("ask", "0"), ("rooms-max", "7"), ("vouch", "macbeth.lit")]).await.unwrap();
    let rule = desk.service.policy().peers.get(PEER).cloned().unwrap();
    assert_eq!((rule.host, rule.place, rule.ask, rule.rooms_max), (true, true, false, 7));
    assert_eq!(rule.vouch, ["macbeth.lit"]);
    let listed = carries_out(&desk, "list-peers", &[]).await.unwrap();
    assert_eq!(rows(&listed), [[PEER, "1", "1", "0", "7", "65536", "macbeth.lit", "0"]]);
    for (fields, rule) in [
        (&[("domain", "a@b.lit")][..], &[][..]),
        (&[("domain", PEER)], &[("rooms-max", "many")]),
        (&[("domain", PEER)], &[("vouch", "macbeth@macbeth.lit")]),
    ] {
        assert_eq!(
            set(fields, rule).await.unwrap_err(),
            "bad-request modify bad-payload",
            "{fields:?} {rule:?}"
        );
    }

    let back = desk.asks("set", "hecate", &begun("set-peer")).await.unwrap();
    let session = format!("sessionid='{}'", back.attr("sessionid").unwrap());
    let second =
        desk.asks("set", "hecate", &command("set-peer", &session, &[("domain", PEER)])).await.unwrap();
    assert!(second.get_child("actions", COMMANDS).unwrap().has_child("prev", COMMANDS));
    let first =
        desk.asks("set", "hecate", &command("set-peer", &format!("{session} action='prev'"), &[])).await;
    let first = first.unwrap();
    assert_eq!(first.get_child("actions", COMMANDS).unwrap().attr("execute"), Some("next"));

    let never = carries_out(&desk, "drop-peer", &[&[("domain", "conference.marlowe.lit")]]).await;
    assert_eq!(never.unwrap_err(), "bad-request modify bad-payload");
    carries_out(&desk, "drop-peer", &[&[("domain", PEER)]]).await.unwrap();
    assert!(desk.service.policy().peers.get(PEER).unwrap().ask, "as configured again");
}

#[tokio::test]
async fn a_shadow_that_waits_is_approved() {
    let desk = desk().await;
    desk.joined("wyrd", "coven").await;
    let none =
        carries_out(&desk, "approve-shadow", &[&[("room", "coven@chat.shakespeare.lit")]]).await.unwrap();
    assert_eq!(
        note(&none),
        ("error".into(), "coven@chat.shakespeare.lit does not wait for approval.".into())
    );
    let offer = "<offer xmlns='urn:xmpp:dmuc:sync:0' uid='5f6a1e0c-4d7e-4a62-9a39-0e9f8c7d6b5a' \
                 source='heath@rooms.macbeth.lit' term='1'/>";
    desk.handle(&format!(
        "<iq type='set' id='r1' from='{PEER}' to='{CHAT}'><replicate xmlns='urn:xmpp:dmuc:0'>\
         <room id='heath'/>{offer}</replicate></iq>"
    ));
    desk.until("an answer", |world| !world.got_by(PEER).is_empty()).await;
    let answer = desk.got_by(PEER).remove(0).to_xml();
    assert!(answer.contains("pending"), "{answer}");
    let approved =
        carries_out(&desk, "approve-shadow", &[&[("room", "heath@chat.shakespeare.lit")]]).await.unwrap();
    assert_eq!(note(&approved).1, "heath@chat.shakespeare.lit is approved.");
    let accepts = |stanza: &dmuc_core::Stanza| stanza.child("accept", "urn:xmpp:dmuc:sync:0").is_some();
    desk.until("its source is told", |world| world.got_by("heath@rooms.macbeth.lit").iter().any(accepts))
        .await;
}

#[tokio::test]
async fn the_service_ends_when_an_administrator_says_so() {
    let desk = desk().await;
    desk.joined("wyrd", "coven").await;
    let node = format!("{ADMIN}#shutdown");
    let late = carries_out(&desk, &node, &[&[("delay", "99999")]]).await;
    assert_eq!(late.unwrap_err(), "bad-request modify bad-payload");
    let fields = [("delay", "0"), ("announcement", "Out, brief candle!")];
    carries_out(&desk, &node, &[&fields]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), desk.service.stop_asked()).await.unwrap();
    assert_eq!(desk.heard("wyrd", "coven"), ["Out, brief candle!"]);
    assert!(desk.got("wyrd").iter().any(|stanza| stanza.to_xml().contains("code='332'")));
}

#[tokio::test]
async fn the_service_tells_of_itself() {
    let desk = desk().await;
    let info =
        desk.asks("get", "wyrd", "<query xmlns='http://jabber.org/protocol/disco#info'/>").await.unwrap();
    let features: Vec<&str> = info.children().filter_map(|child| child.attr("var")).collect();
    for feature in
        [COMMANDS, "jabber:iq:last", "urn:xmpp:time", "urn:xmpp:channel-search:0:search", "urn:xmpp:rai:0"]
    {
        assert!(features.contains(&feature), "{feature}");
    }
    let form = info.get_child("x", "jabber:x:data").unwrap();
    let values: Vec<(&str, String)> = form
        .children()
        .map(|field| (field.attr("var").unwrap(), field.children().map(Element::text).collect()))
        .collect();
    let contact = "mailto:abuse@shakespeare.lit".to_owned();
    let form_type = "http://jabber.org/network/serverinfo".to_owned();
    assert_eq!(values, [("FORM_TYPE", form_type), ("abuse-addresses", contact)]);

    let last = desk.asks("get", "wyrd", "<query xmlns='jabber:iq:last'/>").await.unwrap();
    assert!(last.attr("seconds").unwrap().parse::<u64>().unwrap() < 60);
    let time = desk.asks("get", "wyrd", "<time xmlns='urn:xmpp:time'/>").await.unwrap();
    assert_eq!(time.get_child("tzo", "urn:xmpp:time").unwrap().text(), "+00:00");
    assert!(time.get_child("utc", "urn:xmpp:time").unwrap().text().ends_with('Z'));
    let set = desk.asks("set", "wyrd", "<query xmlns='jabber:iq:last'/>").await;
    assert_eq!(set.unwrap_err(), "service-unavailable cancel");
}
