//! What an option promises holds for the users of both instances, whichever of them it was changed at (XEP-0045 §10.2).

use dmuc_core::stanza::Kind;

use crate::common::*;
use crate::stage::*;

const SECRET: &[(&str, &str)] =
    &[("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "cauldronburn")];

fn configures(stage: &mut Stage, user: &str, options: &[(&str, &str)]) {
    let room = stage.at(user);
    stage.world.configures(user, room, options);
    assert_eq!(stage.got(user).iter().find_map(error), None);
}

fn enters_with(stage: &mut Stage, user: &str, password: &str) -> Option<(String, String)> {
    let to = format!("{}/{}", stage.at(user), local(user));
    stage.world.send(&format!(
        "<presence from='{user}' to='{to}'><x xmlns='http://jabber.org/protocol/muc'>\
         <password>{password}</password></x></presence>"
    ));
    stage.got(user).iter().find_map(error)
}

fn refusal(condition: &str, kind: &str) -> Option<(String, String)> {
    Some((condition.to_owned(), kind.to_owned()))
}

#[test]
fn a_password_is_asked_of_the_users_of_both() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        configures(stage, stage.owner, SECRET);
        for user in [stage.member, stage.stranger, stage.far] {
            stage.enters(user);
            let got = stage.got(user);
            assert_eq!(got.iter().find_map(error), refusal("not-authorized", "auth"), "{user}");
            assert_eq!(enters_with(stage, user, "wrong"), refusal("not-authorized", "auth"), "{user}");
            assert_eq!(enters_with(stage, user, "cauldronburn"), None, "{user}");
        }
        configures(stage, stage.owner, &[("muc#roomconfig_passwordprotectedroom", "0")]);
        stage.world.leaves(stage.far, &format!("{}/far", stage.far_room));
        stage.world.forget();
        stage.enters(stage.far);
        assert_eq!(stage.got(stage.far).iter().find_map(error), None);
    });
}

#[test]
fn a_room_that_becomes_members_only_puts_strangers_out_at_both() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.stranger, stage.far]);
        configures(stage, stage.owner, &[("muc#roomconfig_membersonly", "1")]);
        for user in [stage.stranger, stage.far] {
            let got = stage.got(user);
            assert!(got.iter().any(|s| s.ty() == "unavailable" && codes(s) == [322, 110]), "{user}: {got:?}");
            stage.enters(user);
            assert_eq!(
                stage.got(user).iter().find_map(error),
                refusal("registration-required", "auth"),
                "{user}"
            );
        }
        let got = stage.got(stage.member);
        assert_eq!(got.iter().filter(|s| s.ty() == "unavailable").count(), 2, "it stays: {got:?}");
        stage.says(stage.member, "groupchat", "<body>alone</body>");
        assert_eq!(bodies(&stage.got(stage.member)), ["alone"]);
    });
}

/// The nicks whose real addresses somebody who enters is shown, but for its own.
fn addresses_shown_to(stage: &mut Stage, user: &str) -> Vec<String> {
    stage.enters(user);
    let shown = roster(&stage.got(user));
    let own = local(user);
    let known = shown.into_iter().filter(|(nick, (.., address))| nick != own && address.is_some());
    known.map(|(nick, _)| nick).collect()
}

#[test]
fn real_addresses_are_shown_to_whom_the_room_says_at_both() {
    for whois in ["moderators", "anyone"] {
        everywhere(&[("muc#roomconfig_whois", whois)], |stage| {
            stage.gather(&[stage.member]);
            for (user, moderates) in
                [(stage.far, false), (stage.stranger, false), (stage.owner, true), (stage.far_owner, true)]
            {
                let shown = addresses_shown_to(stage, user);
                let all = moderates || whois == "anyone";
                assert_eq!(shown.contains(&"member".to_owned()), all, "{user} in {whois}: {shown:?}");
                assert_eq!(shown.is_empty(), !all);
            }
        });
    }
}

#[test]
fn occupants_of_both_hear_that_addresses_are_shown_from_now_on() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        for (whois, code) in [("anyone", 172), ("moderators", 173)] {
            configures(stage, stage.owner, &[("muc#roomconfig_whois", whois)]);
            for user in [stage.stranger, stage.far] {
                let got = stage.got(user);
                assert!(got.iter().any(|s| s.kind == Kind::Message && codes(s) == [code]), "{user}: {got:?}");
            }
        }
    });
}

#[test]
fn private_messages_are_for_whom_the_room_says_at_both() {
    // Whether a visitor, a participant and a moderator may write.
    for (allowed, may) in [
        ("anyone", [true, true, true]),
        ("participants", [false, true, true]),
        ("moderators", [false, false, true]),
        ("none", [false, false, false]),
    ] {
        everywhere(&[("muc#roomconfig_moderatedroom", "1"), ("muc#roomconfig_allowpm", allowed)], |stage| {
            stage.gather(&[stage.owner, stage.member, stage.stranger, stage.admin, stage.far]);
            for (user, may) in [stage.stranger, stage.member, stage.owner].into_iter().zip(may) {
                for (client, nick) in [(stage.admin, "admin"), (stage.far, "far")] {
                    let to = stage.nick(nick);
                    stage.world.send(&format!(
                        "<message type='chat' id='pm' from='{user}' to='{to}'><body>psst</body></message>"
                    ));
                    assert_eq!(
                        bodies(&stage.got(client)).len(),
                        usize::from(may),
                        "{user} to {nick}: {allowed}"
                    );
                    let refused = (!may).then(|| ("forbidden".to_owned(), "auth".to_owned()));
                    assert_eq!(
                        stage.got(user).iter().find_map(error),
                        refused,
                        "{user} to {nick}: {allowed}"
                    );
                }
            }
        });
    }
}

#[test]
fn presence_of_roles_that_are_not_broadcast_is_shown_at_neither() {
    everywhere(&[("muc#roomconfig_presencebroadcast", "moderator")], |stage| {
        stage.gather(&[stage.owner, stage.far_owner]);
        for user in [stage.stranger, stage.far] {
            stage.enters(user);
            let own = stage.got(user);
            let expected = [local(stage.owner), local(stage.far_owner), local(user)];
            let mut expected: Vec<String> = expected.map(str::to_owned).into();
            expected.sort();
            assert_eq!(nicks(&own), expected, "{user} sees moderators and itself");
        }
        let to = stage.nick("stranger");
        stage
            .world
            .send(&format!("<presence from='{}' to='{to}'><show>away</show></presence>", stage.stranger));
        for user in [stage.owner, stage.far_owner, stage.far] {
            assert!(stage.got(user).iter().all(|s| s.kind != Kind::Presence), "{user}");
        }
        stage.world.leaves(stage.owner, &format!("{}/{}", stage.room, local(stage.owner)));
        for user in [stage.stranger, stage.far] {
            let got = stage.got(user);
            assert!(
                got.iter().any(|s| s.ty() == "unavailable"
                    && s.from == Some(jid(&format!("{}/{}", stage.at(user), local(stage.owner))))),
                "{user}: {got:?}"
            );
        }
    });
}

/// Who is shown to a user as belonging here without being in, with its real address if that is shown.
fn absent_shown_to(stage: &mut Stage, user: &str) -> Vec<(String, Option<String>)> {
    let got = stage.got(user);
    let absent =
        got.iter().filter(|s| s.kind == Kind::Presence && s.ty() == "unavailable" && codes(s).is_empty());
    let item = |s: &dmuc_core::Stanza| {
        let x = s.child("x", "http://jabber.org/protocol/muc#user").unwrap().element().unwrap();
        let item = x.get_child("item", "http://jabber.org/protocol/muc#user").unwrap();
        assert_eq!((item.attr("affiliation"), item.attr("role")), (Some("member"), Some("none")));
        (s.from.as_ref().unwrap().resource().unwrap().to_owned(), item.attr("jid").map(str::to_owned))
    };
    absent.map(item).collect()
}

#[test]
fn members_who_are_not_in_are_shown_if_the_room_wants_it() {
    const ABSENT: &str = "{urn:xmpp:dmuc:sync:0}absent_members";
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far_owner]);
        let member = bare(stage.member).to_owned();
        let room = stage.at(stage.owner);
        stage.world.orders(stage.owner, room, &format!("jid='{member}' affiliation='member' nick='crow'"));
        stage.world.forget();
        stage.enters(stage.far);
        assert!(stage.got(stage.far).iter().all(|s| s.ty() != "unavailable"), "nobody wants it");
        stage.world.forget();
        configures(stage, stage.owner, &[(ABSENT, "1")]);
        let shown = vec![("crow".to_owned(), Some(member))];
        let turned_on = stage.got(stage.far_owner);
        assert!(turned_on.iter().any(|s| codes(s) == [102]), "{turned_on:?}");
        stage.world.inbox.insert(jid(stage.far_owner), turned_on);
        assert_eq!(absent_shown_to(stage, stage.far_owner), shown);
        assert_eq!(absent_shown_to(stage, stage.stranger), [], "who must not see the list does not see them");
        for (user, expected) in [(stage.far_owner, shown), (stage.stranger, Vec::new())] {
            stage.world.leaves(user, &format!("{}/{}", stage.at(user), local(user)));
            stage.world.forget();
            stage.enters(user);
            assert_eq!(absent_shown_to(stage, user), expected, "{user}");
        }
        stage.world.joins(stage.member, &stage.nick("crow"));
        stage
            .world
            .leaves(stage.far_owner, &format!("{}/{}", stage.at(stage.far_owner), local(stage.far_owner)));
        stage.world.forget();
        stage.enters(stage.far_owner);
        assert_eq!(absent_shown_to(stage, stage.far_owner), [], "who is in is not absent");
        configures(stage, stage.owner, &[(ABSENT, "0")]);
        assert!(stage.got(stage.far_owner).iter().any(|s| codes(s) == [103]));
    });
}
