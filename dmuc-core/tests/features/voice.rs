//! Asking for voice and granting it (XEP-0045 §7.13, §8.6), among moderators of both instances.

use crate::common::*;
use crate::stage::*;

const MODERATED: &[(&str, &str)] = &[("muc#roomconfig_moderatedroom", "1")];

fn form(ty: &str, fields: &[(&str, &str)]) -> String {
    let all = [("FORM_TYPE", "http://jabber.org/protocol/muc#request")];
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = all.iter().chain(fields).map(field).collect();
    format!("<x xmlns='jabber:x:data' type='{ty}'>{fields}</x>")
}

fn asks(stage: &mut Stage, user: &str) -> Option<(String, String)> {
    stage.says(user, "normal", &form("submit", &[("muc#role", "participant")]));
    stage.got(user).iter().find_map(error)
}

/// How many approval forms somebody was shown, each naming that nick and address.
fn shown(stage: &mut Stage, moderator: &str, nick: &str, client: &str) -> usize {
    let got = stage.got(moderator);
    let at = stage.at(moderator);
    for request in &got {
        let xml = request.to_xml();
        assert_eq!(request.from, Some(jid(at)), "{xml}");
        for told in [nick, client, "muc#request_allow", "type='form'"] {
            assert!(xml.contains(told), "{told} in {xml}");
        }
    }
    got.len()
}

fn grants(stage: &mut Stage, moderator: &str, nick: &str, client: &str) -> Option<(String, String)> {
    let answer = [
        ("muc#role", "participant"),
        ("muc#jid", client),
        ("muc#roomnick", nick),
        ("muc#request_allow", "true"),
    ];
    stage.says(moderator, "normal", &form("submit", &answer));
    let got = stage.got(moderator);
    let refusal = got.iter().find_map(error);
    stage.world.inbox.insert(jid(moderator), got);
    refusal
}

#[test]
fn moderators_of_both_instances_are_asked_and_either_grants_it_once() {
    for far in [true, false] {
        everywhere(MODERATED, |stage| {
            stage.gather(&[stage.owner, stage.member, stage.stranger, stage.far_owner]);
            assert_eq!(asks(stage, stage.stranger), None);
            let client = stage.stranger;
            for moderator in [stage.owner, stage.far_owner] {
                assert_eq!(shown(stage, moderator, "stranger", client), 1, "{moderator}");
            }
            assert_eq!(shown(stage, stage.member, "stranger", client), 0, "no moderator");

            let (first, second) =
                if far { (stage.far_owner, stage.owner) } else { (stage.owner, stage.far_owner) };
            assert_eq!(grants(stage, first, "stranger", client), None);
            for user in [stage.stranger, stage.owner, stage.far_owner, stage.member] {
                let role = roster(&stage.got(user)).get("stranger").map(|(_, role, _)| role.clone());
                assert_eq!(role.as_deref(), Some("participant"), "{user}");
            }
            assert_eq!(grants(stage, second, "stranger", client), None);
            assert_eq!(stage.got(stage.stranger), [], "it has it already");
            stage.says(stage.stranger, "groupchat", "<body>hi</body>");
            assert_eq!(bodies(&stage.got(stage.far_owner)), ["hi"]);
        });
    }
}

#[test]
fn a_moderator_who_refuses_or_cancels_changes_nothing() {
    for answer in [
        form("submit", &[("muc#roomnick", "stranger"), ("muc#request_allow", "0")]),
        "<x xmlns='jabber:x:data' type='cancel'/>".to_owned(),
    ] {
        everywhere(MODERATED, |stage| {
            stage.gather(&[stage.owner, stage.stranger]);
            assert_eq!(asks(stage, stage.stranger), None);
            stage.world.forget();
            stage.says(stage.owner, "normal", &answer);
            assert_eq!((stage.got(stage.owner), stage.got(stage.stranger)), (vec![], vec![]));
        });
    }
}

#[test]
fn a_visitor_has_to_wait_before_it_asks_again() {
    everywhere(MODERATED, |stage| {
        stage.gather(&[stage.stranger, stage.far_owner]);
        assert_eq!(asks(stage, stage.stranger), None);
        assert_eq!(asks(stage, stage.stranger), Some(("resource-constraint".into(), "wait".into())));
        assert_eq!(stage.got(stage.far_owner).len(), 1);
        stage.world.wait(301_000);
        assert_eq!(asks(stage, stage.stranger), None);
        assert_eq!(stage.got(stage.far_owner).len(), 1);
    });
}

#[test]
fn who_may_not_ask_for_voice() {
    let quiet: &[_] = &[("muc#roomconfig_moderatedroom", "1"), ("muc#roomconfig_allow_voice_requests", "0")];
    for (options, user, role, expected) in [
        (MODERATED, "member", "participant", ("forbidden", "auth")),
        (quiet, "stranger", "participant", ("forbidden", "auth")),
        (MODERATED, "stranger", "moderator", ("bad-request", "modify")),
        (MODERATED, "outside", "participant", ("not-acceptable", "cancel")),
    ] {
        everywhere(options, |stage| {
            let who = if user == "member" { stage.member } else { stage.stranger };
            stage.enters(stage.far_owner);
            if user != "outside" {
                stage.enters(who);
            }
            stage.world.forget();
            stage.says(who, "normal", &form("submit", &[("muc#role", role)]));
            let refusal = stage.got(who).iter().find_map(error);
            assert_eq!(refusal, Some((expected.0.to_owned(), expected.1.to_owned())), "{user}");
            assert_eq!(stage.got(stage.far_owner), [], "nobody is asked");
        });
    }
}

#[test]
fn who_may_not_grant_voice_and_to_whom() {
    everywhere(MODERATED, |stage| {
        stage.gather(&[stage.owner, stage.member, stage.stranger, stage.far]);
        let client = stage.stranger;
        for user in [stage.member, stage.far] {
            assert_eq!(grants(stage, user, "stranger", client), Some(("forbidden".into(), "auth".into())));
        }
        let other = stage.member;
        assert_eq!(
            grants(stage, stage.owner, "ghost", client),
            Some(("item-not-found".into(), "cancel".into()))
        );
        stage.world.forget();
        assert_eq!(
            grants(stage, stage.owner, "stranger", other),
            Some(("item-not-found".into(), "cancel".into()))
        );
        stage.says(stage.stranger, "groupchat", "<body>hi</body>");
        assert_eq!(the_error(&stage.got(stage.stranger)).0, "forbidden");
    });
}

#[test]
fn the_room_says_whether_voice_can_be_asked_for() {
    for (value, expected) in [("1", true), ("0", false)] {
        everywhere(&[("muc#roomconfig_allow_voice_requests", value)], |stage| {
            let info =
                stage.asks("get", stage.stranger, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
            assert_eq!(info.to_xml().contains("var='http://jabber.org/protocol/muc#request'"), expected);
        });
    }
}
