//! What a room is, and whom it lets in.

use dmuc_tests::JoinOptions;
use dmuc_tests::scene::{Scene, until};

use crate::expectations::{all_see, refusal};

/// XEP-0045 §10.2.
pub fn configuration(scene: &Scene) {
    scene.gather();
    assert_eq!(refusal(scene.guest.reads_configuration(&scene.room)), "forbidden");
    for (number, (client, room)) in
        [(&scene.owner, &scene.room), (&scene.far_owner, &scene.far_room)].into_iter().enumerate()
    {
        let mark = scene.owner.mark();
        let name = format!("A Dark Cave {number}");
        client
            .changes_configuration(room, &[("muc#roomconfig_roomname", &name)])
            .expect("an owner configures");
        for (occupant, _) in scene.occupants() {
            occupant.expect(mark, "word of it", |stanza| stanza.statuses().contains(&"104"));
        }
        let form = scene.owner.reads_configuration(&scene.room).expect("an owner reads");
        assert_eq!(form.form_values("muc#roomconfig_roomname"), Some(vec![&*name]));
    }
}

/// XEP-0045 §7.2.6.
pub fn password(scene: &Scene) {
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        for (given, refused) in [(None, true), (Some("wrong"), true), (Some("s"), false)] {
            let options = JoinOptions { password: given, ..JoinOptions::default() };
            let joined = client.try_join(room, nick, options);
            let condition = joined.as_ref().err().and_then(|error| error.condition());
            assert_eq!(condition, refused.then_some("not-authorized"), "{given:?} at {room}");
        }
    }
}

/// XEP-0045 §7.8.2: who is invited to a members-only room by an owner is a member then.
pub fn invitation(scene: &Scene) {
    scene.owner.join(&scene.room, "owner");
    for (client, room) in [(&scene.bystander, &scene.room), (&scene.far, &scene.far_room)] {
        let refused = client.try_join(room, "invited", JoinOptions::default());
        assert_eq!(refused.expect_err("it is no member").condition(), Some("registration-required"));
        let mark = client.mark();
        let bare = client.bare_jid();
        scene.owner.invites(&scene.room, bare);
        client.expect(mark, "the invitation", |message| message.find("invite").is_some());
        until("the invited is let in", || client.try_join(room, "invited", JoinOptions::default()).is_ok());
        client.leaves(room, "invited");
    }
}

/// XEP-0045 §7.10: a registered nick is its user's at all instances.
pub fn registration(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    scene.guest.registers(&scene.room, "weird sister").expect("anybody may register");
    all_see(scene, mark, "guest", "a member", |presence| presence.muc_item("affiliation") == "member");
    for (client, room) in [(&scene.bystander, &scene.room), (&scene.far_owner, &scene.far_room)] {
        let taken = client.try_join(room, "weird sister", JoinOptions::default());
        assert_eq!(taken.expect_err("the nick is reserved").condition(), Some("conflict"), "{room}");
    }
    assert_eq!(refusal(scene.far.registers(&scene.far_room, "weird sister")), "conflict");
    scene.guest.unregisters(&scene.room).expect("it may end that");
    all_see(scene, mark, "guest", "nothing any more", |presence| presence.muc_item("affiliation") == "none");
}

/// XEP-0054, XEP-0486: of the room, and of an occupant of the other instance.
pub fn cards(scene: &Scene) {
    scene.gather();
    assert_eq!(refusal(scene.guest.publishes_card(&scene.room, "a cauldron")), "forbidden");
    scene.owner.publishes_card(&scene.room, "a cauldron").expect("an owner gives the room a picture");
    for (client, room) in scene.occupants() {
        until("the room has its picture", || {
            let card = client.reads_card(room);
            card.is_ok_and(|card| card.find("BINVAL").is_some_and(|photo| photo.text == "YSBjYXVsZHJvbg=="))
        });
    }
}

/// XEP-0045 §10.9.
pub fn destruction(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    assert_eq!(refusal(scene.guest.destroys(&scene.room)), "forbidden");
    scene.owner.destroys(&scene.room).expect("an owner destroys");
    for (client, room) in scene.occupants() {
        client.expect(mark, "the end", |stanza| {
            stanza.find("destroy").is_some()
                && stanza.from().starts_with(room)
                && stanza.kind() == "unavailable"
        });
        let refused = client.try_join(room, "again", JoinOptions::default());
        assert_eq!(refused.expect_err("it is gone").condition(), Some("gone"), "{room}");
    }
}
