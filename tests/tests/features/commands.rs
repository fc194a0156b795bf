//! What is done by commands (XEP-0050): in a room by those who run it, in the service by those who run that.

use dmuc_tests::JoinOptions;
use dmuc_tests::scene::{Scene, until};

use crate::expectations::{all_see, refusal};

const HOST: &str = "https://shakespeare.lit/hats#host";
const CREATE: &str = "urn:xmpp:hats:commands:create";
const ASSIGN: &str = "urn:xmpp:hats:commands:assign";
const UNASSIGN: &str = "urn:xmpp:hats:commands:unassign";
const ANNOUNCE: &str = "http://jabber.org/protocol/admin#announce";

/// XEP-0317: a hat is made once, worn by anybody, and seen everywhere.
pub fn hats(scene: &Scene) {
    scene.gather();
    let host = [("hats#title", "Host"), ("hats#uri", HOST)];
    assert_eq!(refusal(scene.guest.executes(&scene.room, CREATE, &host)), "forbidden");
    scene.owner.executes(&scene.room, CREATE, &host).expect("an owner makes a hat");
    for (nick, client) in [("guest", &scene.guest), ("far", &scene.far)] {
        let worn = [("hats#jid", client.bare_jid()), ("hats#uri", HOST)];
        let mark = scene.owner.mark();
        scene.owner.executes(&scene.room, ASSIGN, &worn).expect("an owner gives it");
        all_see(scene, mark, nick, "with a hat", |presence| {
            presence.find("hat").is_some_and(|hat| hat.attr("uri") == HOST && hat.attr("title") == "Host")
        });
        let mark = scene.owner.mark();
        scene.far_owner.executes(&scene.far_room, UNASSIGN, &worn).expect("the other owner takes it");
        all_see(scene, mark, nick, "without a hat", |presence| presence.find("hat").is_none());
    }
}

/// What one instance is ordered holds at all.
pub fn of_a_room(scene: &Scene) {
    scene.gather();
    let (room, far_room) = (&scene.room, &scene.far_room);
    let offered = scene.owner.is_offered(room).expect("an owner sees the commands");
    assert!(
        ["statistics", "ban", "close"].iter().all(|node| offered.iter().any(|it| it == node)),
        "{offered:?}"
    );
    let offered = scene.guest.is_offered(room).expect("anybody may ask");
    assert!(offered.iter().all(|node| node == "urn:xmpp:hats:commands:list"), "{offered:?}");
    assert_eq!(refusal(scene.guest.executes(room, "statistics", &[])), "forbidden");
    let facts = scene.owner.executes(room, "statistics", &[]).expect("an owner asks");
    assert_eq!((facts.attr("status"), facts.form_values("occupants")), ("completed", Some(vec!["3"])));

    let banned = [("jids", scene.far.bare_jid())];
    let mark = scene.owner.mark();
    scene.owner.executes(room, "ban", &banned).expect("an owner bans");
    all_see(scene, mark, "far", "banned", |presence| presence.statuses().contains(&"301"));
    let refused = scene.far.try_join(far_room, "far", JoinOptions::default());
    assert_eq!(refused.expect_err("it is banned").condition(), Some("forbidden"));
    scene.far_owner.executes(far_room, "unban", &banned).expect("the other owner forgives");
    until("the ban is lifted", || scene.far.try_join(far_room, "far", JoinOptions::default()).is_ok());
}

/// XEP-0133: for administrators of the service alone.
pub fn of_the_service(scene: &Scene) {
    scene.gather();
    let service = scene.service();
    assert_eq!(scene.owner.is_offered(service).ok(), Some(Vec::new()));
    assert_eq!(refusal(scene.owner.executes(service, "list-rooms", &[])), "forbidden");
    let offered = scene.operator.is_offered(service).expect("an administrator sees the commands");
    assert!(offered.iter().any(|node| node == "list-rooms"), "{offered:?}");
    let rooms = scene.operator.executes(service, "list-rooms", &[("max_items", "500")]);
    let rooms = rooms.expect("an administrator asks for the rooms");
    assert!(rooms.all("value").iter().any(|value| value.text == scene.room), "{rooms}");

    let mark = scene.owner.mark();
    let text = format!("The service of {} goes to sleep.", scene.room);
    scene
        .operator
        .executes(service, ANNOUNCE, &[("announcement", &text)])
        .expect("an administrator announces");
    for client in [&scene.owner, &scene.guest] {
        client.expect(mark, "the announcement", |stanza| {
            stanza.from() == scene.room && stanza.body() == Some(&text)
        });
    }
    scene.far.expect_nothing(mark, "what concerns another service", |stanza| stanza.body() == Some(&text));
}
