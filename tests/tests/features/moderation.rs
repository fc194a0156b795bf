//! Who may do what, and who decides that.

use dmuc_tests::JoinOptions;
use dmuc_tests::scene::{Scene, until};

use crate::expectations::{all_hear, all_see, refusal};

/// XEP-0045 §8.2.
pub fn kick(scene: &Scene) {
    scene.gather();
    assert_eq!(refusal(scene.guest.changes_role(&scene.room, "far", "none")), "forbidden");
    for nick in ["guest", "far"] {
        let mark = scene.owner.mark();
        scene.owner.changes_role(&scene.room, nick, "none").expect("an owner kicks");
        all_see(scene, mark, nick, "kicked", |presence| {
            presence.statuses().contains(&"307") && presence.muc_item("role") == "none"
        });
        let (client, room) =
            if nick == "far" { (&scene.far, &scene.far_room) } else { (&scene.guest, &scene.room) };
        client.join(room, nick);
    }
}

/// XEP-0045 §9.1, §9.2.
pub fn ban(scene: &Scene) {
    scene.gather();
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        let bare = client.bare_jid();
        let mark = scene.owner.mark();
        scene.owner.changes_affiliation(&scene.room, bare, "outcast").expect("an owner bans");
        all_see(scene, mark, nick, "banned", |presence| {
            presence.statuses().contains(&"301") && presence.muc_item("affiliation") == "outcast"
        });
        assert_eq!(scene.owner.lists(&scene.room, "outcast").ok(), Some(vec![bare.to_owned()]));
        let refused = client.try_join(room, nick, JoinOptions::default());
        assert_eq!(refused.expect_err("it is banned").condition(), Some("forbidden"));
        scene.owner.changes_affiliation(&scene.room, bare, "none").expect("an owner forgives");
        until("the ban is lifted everywhere", || client.try_join(room, nick, JoinOptions::default()).is_ok());
    }
}

/// XEP-0045 §8.3, §8.4.
pub fn voice(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        client.speaks(room, &format!("{nick} without voice"));
        client.expect(mark, "a refusal", |stanza| stanza.condition() == Some("forbidden"));
        scene.owner.changes_role(&scene.room, nick, "participant").expect("an owner gives voice");
        all_see(scene, mark, nick, "with voice", |presence| presence.muc_item("role") == "participant");
        client.speaks(room, &format!("{nick} with voice"));
        all_hear(scene, mark, &format!("{nick} with voice"));
        scene.owner.changes_role(&scene.room, nick, "visitor").expect("an owner takes voice");
        all_see(scene, mark, nick, "silenced", |presence| presence.muc_item("role") == "visitor");
    }
    scene.owner.expect_nothing(0, "a silenced word", |stanza| {
        stanza.body().is_some_and(|body| body.ends_with("without voice"))
    });
}

/// XEP-0045 §7.13, §8.6: those who moderate are asked, at whichever instance they are.
pub fn voice_requests(scene: &Scene) {
    const REQUEST: &str = "http://jabber.org/protocol/muc#request";
    scene.gather();
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        let mark = scene.owner.mark();
        client.requests_voice(room);
        let asked = scene.owner.expect(mark, "the request", |message| {
            message.from() == scene.room && message.form_values("muc#roomnick") == Some(vec![nick])
        });
        assert_eq!(asked.form_values("FORM_TYPE"), Some(vec![REQUEST]));
        assert_eq!(asked.form_values("muc#jid"), Some(vec![client.jid()]));
        let granted = [
            ("muc#role", "participant"),
            ("muc#jid", client.jid()),
            ("muc#roomnick", nick),
            ("muc#request_allow", "1"),
        ];
        scene.owner.sends_form(&scene.room, REQUEST, &granted);
        all_see(scene, mark, nick, "with voice", |presence| presence.muc_item("role") == "participant");
        client.speaks(room, &format!("{nick} was given voice"));
        all_hear(scene, mark, &format!("{nick} was given voice"));
    }
}

/// XEP-0045 §9.3 to §10.8: at this instance and at the other, whoever changes what where.
pub fn lists(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    let bare = scene.far.bare_jid().to_owned();
    for affiliation in ["member", "admin", "owner"] {
        scene.owner.changes_affiliation(&scene.room, &bare, affiliation).expect("an owner appoints");
        all_see(scene, mark, "far", affiliation, |presence| presence.muc_item("affiliation") == affiliation);
        for (client, room) in [(&scene.owner, &scene.room), (&scene.far_owner, &scene.far_room)] {
            let listed = client.lists(room, affiliation).expect("owners see the lists");
            assert!(listed.contains(&bare), "{affiliation}s at {room}: {listed:?}");
        }
    }
    assert_eq!(refusal(scene.guest.changes_affiliation(&scene.room, &bare, "none")), "forbidden");
    scene.far_owner.changes_affiliation(&scene.far_room, &bare, "none").expect("the other owner dismisses");
    all_see(scene, mark, "far", "dismissed", |presence| presence.muc_item("affiliation") == "none");
}
