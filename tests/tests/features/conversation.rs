//! Coming, talking and going.

use dmuc_tests::JoinOptions;
use dmuc_tests::scene::{Scene, until};

use crate::expectations::{all_hear, all_see, refusal};

/// XEP-0045 §7.2: the others, itself, what was said, the subject.
pub fn entry(scene: &Scene) {
    let owner = scene.owner.join(&scene.room, "owner");
    assert_eq!(owner.own.muc_item("affiliation"), "owner");
    assert_eq!(owner.own.muc_item("role"), "moderator");
    let mark = scene.owner.mark();
    scene.far.join(&scene.far_room, "far");
    scene.owner.expect(mark, "far", |stanza| stanza.from() == scene.nick("far"));
    let guest = scene.guest.join(&scene.room, "guest");
    assert_eq!(guest.own.from(), scene.nick("guest"));
    assert!(guest.own.statuses().contains(&"110"));
    let seen: Vec<&str> = guest.occupants.iter().map(dmuc_tests::Element::nick).collect();
    assert!(["owner", "far"].iter().all(|nick| seen.contains(nick)), "{seen:?}");
    let taken = scene.bystander.try_join(&scene.room, "guest", JoinOptions::default());
    assert_eq!(taken.expect_err("the nick is taken").condition(), Some("conflict"));
    let far_taken = scene.bystander.try_join(&scene.room, "far", JoinOptions::default());
    assert_eq!(far_taken.expect_err("taken at the other instance").condition(), Some("conflict"));
}

/// XEP-0045 §7.2.14: who comes back hears what was said meanwhile.
pub fn history(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    for (number, (client, room)) in scene.occupants().into_iter().enumerate() {
        client.speaks(room, &format!("line {number}"));
        all_hear(scene, mark, &format!("line {number}"));
    }
    scene.guest.leaves(&scene.room, "guest");
    all_see(scene, mark, "guest", "leaving", |presence| presence.kind() == "unavailable");
    let options = JoinOptions { max_stanzas: Some(2), ..JoinOptions::default() };
    let back = scene.guest.try_join(&scene.room, "guest", options).expect("it comes back");
    let told: Vec<_> = back.history.iter().filter_map(|message| message.body()).collect();
    assert_eq!(told, ["line 1", "line 2"]);
    assert!(back.history.iter().all(|message| message.find("delay").is_some()));
}

/// XEP-0045 §7.6.
pub fn nick(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    assert_eq!(scene.guest.changes_nick(&scene.room, "stranger").ok().as_deref(), Some("stranger"));
    all_see(scene, mark, "guest", "changing its nick", |presence| {
        presence.statuses().contains(&"303") && presence.muc_item("nick") == "stranger"
    });
    all_see(scene, mark, "stranger", "under its new nick", |presence| presence.kind().is_empty());
}

/// XEP-0045 §8.1.
pub fn subject(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    scene.owner.changes_subject(&scene.room, "Fire Burn and Cauldron Bubble!");
    for (client, room) in scene.occupants() {
        client.expect(mark, "the subject", |message| {
            message.subject() == Some("Fire Burn and Cauldron Bubble!")
                && message.from() == format!("{room}/owner")
        });
    }
    let newcomer = scene.bystander.join(&scene.room, "newcomer");
    assert_eq!(newcomer.subject.subject(), Some("Fire Burn and Cauldron Bubble!"));
    scene.bystander.leaves(&scene.room, "newcomer");
}

/// XEP-0045 §7.5.
pub fn private(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    for (nick, listener, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)]
    {
        let text = format!("only for {nick}");
        scene.owner.confides(&scene.nick(nick), &text);
        let message = listener.hears(mark, &text);
        assert_eq!((message.kind(), message.from()), ("chat", &*format!("{room}/owner")));
    }
    scene.owner.confides(&scene.nick("nobody"), "to nobody");
    scene.owner.expect(mark, "an error", |stanza| stanza.condition() == Some("item-not-found"));
}

/// XEP-0410.
pub fn ping(scene: &Scene) {
    scene.gather();
    scene.guest.pings(&scene.nick("guest")).expect("it is in");
    scene.guest.leaves(&scene.room, "guest");
    until("it is out", || scene.guest.pings(&scene.nick("guest")).is_err());
    assert_eq!(refusal(scene.guest.pings(&scene.nick("guest"))), "not-acceptable");
    scene.guest.pings(&scene.room).expect("the room itself may be pinged");
}

/// XEP-0045 §7.14.
pub fn leaving(scene: &Scene) {
    scene.gather();
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        let mark = scene.owner.mark();
        client.leaves(room, nick);
        let farewell = client.expect(mark, "its farewell", |stanza| stanza.statuses().contains(&"110"));
        assert_eq!(farewell.kind(), "unavailable");
        scene.owner.expect(mark, "it leaving", |stanza| {
            stanza.from() == scene.nick(nick) && stanza.kind() == "unavailable"
        });
    }
}
