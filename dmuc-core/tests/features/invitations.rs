//! Mediated invitations (XEP-0045 §7.8.2, §7.9), sent by the instance where the invited will join.

use dmuc_core::Stanza;

use crate::common::*;
use crate::stage::*;

const CONFERENCE_NS: &str = "jabber:x:conference";

fn invites(stage: &mut Stage, user: &str, inner: &str) {
    stage.says(user, "normal", &format!("<x xmlns='{MUC_USER}'>{inner}</x>"));
}

/// Somebody of the domain that an instance answers for, who is in neither.
fn guest(room: &str) -> &'static str {
    if room.ends_with("shakespeare.lit") { "hecate@shakespeare.lit" } else { "hecate@macbeth.lit" }
}

/// `(room, inviter, reason, password)` of the one invitation, in both of its forms.
fn invitation(stanzas: &[Stanza]) -> (String, String, Option<String>, Option<String>) {
    assert_eq!(stanzas.len(), 1, "{stanzas:?}");
    let room = stanzas[0].from.as_ref().unwrap().to_string();
    let x = stanzas[0].child("x", MUC_USER).unwrap().element().unwrap();
    let invite = x.get_child("invite", MUC_USER).unwrap();
    let direct = stanzas[0].child("x", CONFERENCE_NS).unwrap();
    let text = |parent: &minidom::Element, name| parent.get_child(name, MUC_USER).map(minidom::Element::text);
    let (reason, password) = (text(invite, "reason"), text(&x, "password"));
    assert_eq!(direct.attr("jid").as_ref(), Some(&room), "both name one room");
    assert_eq!((direct.attr("reason"), direct.attr("password")), (reason.clone(), password.clone()));
    (room, invite.attr("from").unwrap().to_owned(), reason, password)
}

#[test]
fn an_invitation_names_the_instance_that_is_nearest_to_the_invited() {
    let secret: &[_] = &[("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")];
    for (options, password) in [(&[][..], None), (secret, Some("s".to_owned()))] {
        everywhere(options, |stage| {
            let to = stage.nick("crone");
            stage.world.send(&format!(
                "<presence from='{}' to='{to}'><x xmlns='http://jabber.org/protocol/muc'><password>s</password></x></presence>",
                stage.owner
            ));
            stage.world.forget();
            let near = [
                (guest(stage.room), stage.room),
                (guest(stage.far_room), stage.far_room),
                ("kit@marlowe.lit", stage.room),
            ];
            for (invited, room) in near {
                invites(
                    stage,
                    stage.owner,
                    &format!("<invite to='{invited}'><reason>come</reason></invite>"),
                );
                let expected =
                    (room.to_owned(), format!("{room}/crone"), Some("come".to_owned()), password.clone());
                assert_eq!(invitation(&stage.got(invited)), expected, "{invited}");
            }
            assert_eq!(stage.got(stage.owner), []);
        });
    }
}

#[test]
fn several_are_invited_at_once_and_a_chat_goes_on() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger]);
        let guests = [guest(stage.room), guest(stage.far_room)];
        let each = guests.map(|to| format!("<invite to='{to}'><continue thread='e0ff'/></invite>"));
        invites(stage, stage.stranger, &each.concat());
        for invited in guests {
            let got = stage.got(invited);
            let direct = got[0].child("x", CONFERENCE_NS).unwrap();
            assert_eq!(direct.attr("thread").as_deref(), Some("e0ff"));
            assert_eq!(direct.attr("continue").as_deref(), Some("true"));
            assert!(got[0].to_xml().contains("<continue thread='e0ff'/>"));
        }
    });
}

#[test]
fn in_a_members_only_room_the_invited_is_a_member_before_it_hears_of_it() {
    everywhere(&[("muc#roomconfig_membersonly", "1")], |stage| {
        stage.gather(&[stage.admin]);
        for room in [stage.room, stage.far_room] {
            let invited = guest(room);
            invites(stage, stage.admin, &format!("<invite to='{invited}'/>"));
            assert_eq!(invitation(&stage.got(invited)).0, room);
            let client = format!("{invited}/broom");
            stage.world.joins(&client, &format!("{room}/hecate-{}", invited.len()));
            assert_eq!(stage.got(&client).iter().find_map(error), None, "{invited}");
        }
    });
}

#[test]
fn who_may_not_invite_and_who_cannot_be_invited() {
    let closed: &[(&str, &str)] = &[("muc#roomconfig_membersonly", "1")];
    let inviting: &[_] = &[("muc#roomconfig_membersonly", "1"), ("muc#roomconfig_allowinvites", "1")];
    let moderated: &[(&str, &str)] = &[("muc#roomconfig_moderatedroom", "1")];
    let good = "<invite to='hecate@marlowe.lit'/>";
    for (options, user, inner, expected) in [
        (closed, "member", good, Some(("forbidden", "auth"))),
        (inviting, "member", good, None),
        (moderated, "stranger", good, Some(("forbidden", "auth"))),
        (&[], "outside", good, Some(("not-acceptable", "cancel"))),
        (&[], "stranger", "<invite/>", Some(("bad-request", "modify"))),
        (&[], "stranger", "<invite to='@@'/>", Some(("jid-malformed", "modify"))),
        (
            &[],
            "stranger",
            "<invite to='hecate@marlowe.lit'/><invite to='@@'/>",
            Some(("jid-malformed", "modify")),
        ),
        (
            &[],
            "stranger",
            "<invite to='stranger@shakespeare.lit'/><invite to='stranger@macbeth.lit'/>",
            Some(("not-acceptable", "modify")),
        ),
        (&[], "stranger", "<invite to='banned@macbeth.lit'/>", Some(("not-allowed", "cancel"))),
        (&[], "stranger", &"<invite to='a@marlowe.lit'/>".repeat(21), Some(("policy-violation", "modify"))),
    ] {
        everywhere(options, |stage| {
            let who = if user == "member" { stage.member } else { stage.stranger };
            if user != "outside" {
                stage.enters(who);
            }
            stage.world.forget();
            invites(stage, who, inner);
            let refusal = stage.got(who).iter().find_map(error);
            assert_eq!(refusal, expected.map(|(c, k)| (c.to_owned(), k.to_owned())), "{user}: {inner}");
            assert_eq!(stage.got("hecate@marlowe.lit").len(), usize::from(expected.is_none()), "all or none");
        });
    }
}

#[test]
fn if_the_nearest_instance_cannot_be_reached_the_inviters_own_invites() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger]);
        let invited = guest(stage.far_room);
        stage.world.down.insert(jid(stage.far_room).domain().to_owned());
        invites(stage, stage.stranger, &format!("<invite to='{invited}'/>"));
        assert_eq!(invitation(&stage.got(invited)).0, stage.room);
        stage.world.down.clear();
        let link = (jid(stage.room).domain().to_owned(), jid(stage.far_room).domain().to_owned());
        stage.world.cut.insert(link);
        invites(stage, stage.stranger, &format!("<invite to='{invited}'/>"));
        assert_eq!(stage.got(invited), [], "not yet");
        stage.world.wait(31_000);
        assert_eq!(invitation(&stage.got(invited)).0, stage.room);
    });
}

#[test]
fn without_its_source_a_shadow_invites_nobody_to_a_members_only_room() {
    let mut stage = Stage::set(Place::Shadow, &[("muc#roomconfig_membersonly", "1")]);
    stage.gather(&[stage.admin]);
    stage.world.down.insert(CHAT.to_owned());
    let admin = stage.admin;
    invites(&mut stage, admin, "<invite to='hecate@macbeth.lit'/>");
    assert_eq!(the_error(&stage.got(stage.admin)), ("recipient-unavailable".into(), "wait".into()));
    assert_eq!(stage.got("hecate@macbeth.lit"), []);
}

#[test]
fn a_decline_reaches_the_inviter_wherever_it_is() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.far]);
        for room in [stage.room, stage.far_room] {
            let invited = guest(room);
            invites(stage, stage.stranger, &format!("<invite to='{invited}'/>"));
            let (from, inviter, ..) = invitation(&stage.got(invited));
            stage.world.send(&format!(
                "<message id='d' from='{invited}/broom' to='{from}'><x xmlns='{MUC_USER}'>\
                 <decline to='{inviter}'><reason>too busy</reason></decline></x></message>"
            ));
            let got = stage.got(stage.stranger);
            assert_eq!(got.len(), 1, "{got:?}");
            assert_eq!(got[0].from, Some(jid(stage.room)), "from the room that it knows");
            let xml = got[0].to_xml();
            assert!(
                xml.contains(&format!("<decline from='{invited}'><reason>too busy</reason></decline>")),
                "{xml}"
            );
        }
        assert_eq!(stage.got(stage.far), [], "nobody else hears of it");
    });
}

#[test]
fn an_invitation_that_comes_back_is_told_to_the_inviter() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger]);
        for room in [stage.room, stage.far_room] {
            let invited = guest(room);
            invites(stage, stage.stranger, &format!("<invite to='{invited}'/>"));
            let sent = stage.got(invited).remove(0);
            stage.world.send(&format!(
                "<message type='error' id='{}' from='{invited}' to='{room}'><error type='cancel'>\
                 <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
                sent.id.as_deref().unwrap()
            ));
            let got = stage.got(stage.stranger);
            assert_eq!(the_error(&got), ("item-not-found".into(), "cancel".into()), "{invited}");
            assert_eq!((got[0].from.clone(), got[0].id.as_deref()), (Some(jid(stage.room)), Some("m1")));
        }
    });
}
