//! Registering with a room, and approving it (XEP-0045 §7.10, §7.12, §9.9; XEP-0077).

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

use crate::common::*;
use crate::stage::*;

const REGISTER: &str = "jabber:iq:register";
const FORM: &str = "http://jabber.org/protocol/muc#register";
const NICK_NODE: &str = "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>";
const APPROVE: &[(&str, &str)] = &[("{urn:xmpp:dmuc:sync:0}registration", "approve")];
const LOCKED: &[(&str, &str)] = &[("{urn:xmpp:dmuc:sync:0}lock_nicks", "1")];

fn query(inner: &str) -> String {
    format!("<query xmlns='{REGISTER}'>{inner}</query>")
}

fn form(ty: &str, fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = [("FORM_TYPE", FORM)].iter().chain(fields).map(field).collect();
    format!("<x xmlns='jabber:x:data' type='{ty}'>{fields}</x>")
}

fn registers(stage: &mut Stage, user: &str, nick: &str) -> Option<(String, String)> {
    let submitted = form("submit", &[("muc#register_roomnick", nick), ("muc#register_first", "Brunhilde")]);
    error(&stage.asks("set", user, &query(&submitted)))
}

fn refusal(condition: &str, kind: &str) -> Option<(String, String)> {
    Some((condition.to_owned(), kind.to_owned()))
}

/// The nick that a user has reserved, as discovery tells it.
fn reserved(stage: &mut Stage, user: &str) -> Option<String> {
    let info = stage.asks("get", user, NICK_NODE).children[0].element().unwrap();
    info.children().next().map(|identity| identity.attr("name").unwrap().to_owned())
}

/// `affiliation/role` of somebody as the last presence told.
fn shown(stanzas: &[Stanza], nick: &str) -> Option<String> {
    roster(stanzas).get(nick).map(|(affiliation, role, _)| format!("{affiliation}/{role}"))
}

/// The approval forms among what somebody got: variable and value of each field.
fn requests(stanzas: &[Stanza]) -> Vec<Vec<(String, String)>> {
    let forms =
        stanzas.iter().filter(|s| s.kind == Kind::Message).filter_map(|s| s.child("x", "jabber:x:data"));
    let read = |x: &dmuc_core::stanza::Payload| {
        let x = x.element().unwrap();
        let value = |field: &minidom::Element| field.children().next().map(minidom::Element::text);
        x.children()
            .filter(|child| child.name() == "field")
            .map(|field| (field.attr("var").unwrap().to_owned(), value(field).unwrap_or_default()))
            .collect()
    };
    forms.map(read).collect()
}

fn decides(stage: &mut Stage, admin: &str, nick: &str, allow: &str) -> Option<(String, String)> {
    let answer = form("submit", &[("muc#register_roomnick", nick), ("muc#register_allow", allow)]);
    stage.says(admin, "normal", &answer);
    let got = stage.got(admin);
    let errors = got.iter().filter_map(error).next_back();
    stage.world.inbox.insert(jid(admin), got);
    errors
}

#[test]
fn a_stranger_becomes_a_member_under_a_nick_of_its_own_everywhere() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.far, stage.owner]);
        let form = stage.asks("get", stage.stranger, &query("")).children[0].element().unwrap();
        let x = form.get_child("x", "jabber:x:data").unwrap();
        let fields: Vec<_> = x.children().filter_map(|field| field.attr("var")).collect();
        assert_eq!(fields, ["FORM_TYPE", "muc#register_roomnick"], "nobody reads more");
        assert!(String::from(x).contains("<required"));

        assert_eq!(registers(stage, stage.stranger, "stranger"), None);
        for user in [stage.stranger, stage.far, stage.owner] {
            let got = stage.got(user);
            assert_eq!(shown(&got, "stranger"), Some("member/participant".into()), "{user}: {got:?}");
        }
        assert_eq!(reserved(stage, stage.stranger), Some("stranger".into()));
        let known = stage.asks("get", stage.stranger, &query("")).children[0].element().unwrap();
        assert!(known.has_child("registered", REGISTER) && !known.has_child("x", "jabber:x:data"));
        assert_eq!(known.get_child("username", REGISTER).unwrap().text(), "stranger");

        // Nobody else gets the nick, at either instance.
        stage.world.leaves(stage.stranger, &stage.nick("stranger"));
        for user in [stage.far_owner, stage.member] {
            let to = format!("{}/Stranger", stage.at(user));
            stage.world.joins(user, &to);
            assert_eq!(the_error(&stage.got(user)), ("conflict".into(), "cancel".into()), "{user}");
        }
    });
}

#[test]
fn the_room_says_that_it_registers() {
    everywhere(&[], |stage| {
        let info =
            stage.asks("get", stage.stranger, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        let info = info.to_xml();
        assert!(info.contains("var='jabber:iq:register'") && info.contains(&format!("var='{FORM}'")));
    });
}

#[test]
fn what_is_no_proper_registration_is_refused() {
    let nick = |nick: &str| query(&form("submit", &[("muc#register_roomnick", nick)]));
    let long = "x".repeat(2_000);
    for (request, condition, kind) in [
        (query(""), "bad-request", "modify"),
        (query("<x xmlns='jabber:x:data' type='submit'/>"), "bad-request", "modify"),
        (query(&form("form", &[("muc#register_roomnick", "crow")])), "bad-request", "modify"),
        (query("<remove/><nick>crow</nick>"), "bad-request", "modify"),
        (query(&form("submit", &[("muc#register_first", "Brunhilde")])), "not-acceptable", "modify"),
        (nick(" "), "not-acceptable", "modify"),
        (nick("a\u{202e}b"), "not-acceptable", "modify"),
        (nick(&"x".repeat(200)), "not-acceptable", "modify"),
        (
            query(&form("submit", &[("muc#register_roomnick", "crow"), ("muc#register_url", &long)])),
            "not-acceptable",
            "modify",
        ),
        (nick("admin"), "conflict", "cancel"),
        (nick("reserved"), "conflict", "cancel"),
        (query("<remove/>"), "registration-required", "auth"),
    ] {
        everywhere(&[], |stage| {
            stage.gather(&[stage.admin]);
            assert_eq!(registers(stage, stage.member, "reserved"), None);
            let answer = stage.asks("set", stage.stranger, &request);
            assert_eq!(error(&answer), refusal(condition, kind), "{request}");
            assert_eq!(reserved(stage, stage.stranger), None);
        });
    }
    everywhere(&[], |stage| {
        assert_eq!(registers(stage, stage.banned, "crow"), refusal("forbidden", "auth"));
        assert_eq!(error(&stage.asks("get", stage.banned, &query(""))), refusal("forbidden", "auth"));
        assert_eq!(
            error(&stage.asks("set", stage.banned, &query("<remove/>"))),
            refusal("forbidden", "auth")
        );
        let cancelled = stage.asks("set", stage.stranger, &query("<x xmlns='jabber:x:data' type='cancel'/>"));
        assert_eq!(error(&cancelled), None);
    });
}

#[test]
fn the_way_without_a_form_does_too() {
    for inner in ["<nick>crow</nick>", "<username>crow</username>"] {
        everywhere(&[], |stage| {
            assert_eq!(error(&stage.asks("set", stage.stranger, &query(inner))), None);
            assert_eq!(reserved(stage, stage.stranger), Some("crow".into()));
        });
    }
}

#[test]
fn where_registration_is_closed_members_alone_reserve_nicks() {
    everywhere(&[("{urn:xmpp:dmuc:sync:0}registration", "closed")], |stage| {
        assert_eq!(error(&stage.asks("get", stage.stranger, &query(""))), refusal("not-allowed", "cancel"));
        assert_eq!(registers(stage, stage.stranger, "crow"), refusal("not-allowed", "cancel"));
        assert_eq!(registers(stage, stage.member, "crow"), None);
        assert_eq!(reserved(stage, stage.member), Some("crow".into()));
    });
}

#[test]
fn owners_keep_their_affiliation_when_they_register_and_when_they_give_it_up() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        assert_eq!(registers(stage, stage.owner, "hecate"), None);
        assert_eq!(reserved(stage, stage.owner), Some("hecate".into()));
        assert_eq!(error(&stage.asks("set", stage.owner, &query("<remove/>"))), None);
        assert_eq!(reserved(stage, stage.owner), None);
        stage.enters(stage.stranger);
        let seen = stage.got(stage.stranger);
        assert_eq!(shown(&seen, local(stage.owner)), Some("owner/moderator".into()));
    });
}

#[test]
fn whoever_gives_up_its_membership_leaves_a_members_only_room() {
    everywhere(&[("muc#roomconfig_membersonly", "1")], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far_owner]);
        assert_eq!(error(&stage.asks("set", stage.member, &query("<remove/>"))), None);
        for user in [stage.member, stage.owner, stage.far_owner] {
            let got = stage.got(user);
            let gone =
                got.iter().find(|s| s.ty() == "unavailable").unwrap_or_else(|| panic!("{user}: {got:?}"));
            let own: &[u16] = if user == stage.member { &[321, 110] } else { &[321] };
            assert_eq!(codes(gone), own, "{user}");
        }
        stage.enters(stage.member);
        assert_eq!(the_error(&stage.got(stage.member)), ("registration-required".into(), "auth".into()));
    });
}

#[test]
fn admins_of_both_instances_are_asked_and_either_decides_once() {
    for (far, allow) in [(true, "1"), (false, "true"), (true, "0"), (false, "false")] {
        everywhere(APPROVE, |stage| {
            stage.gather(&[stage.owner, stage.admin, stage.member, stage.far_owner]);
            let fields = stage.asks("get", stage.stranger, &query("")).to_xml();
            assert!(fields.contains("muc#register_email") && fields.contains("muc#register_faqentry"));
            assert_eq!(registers(stage, stage.stranger, "crow"), None);
            assert_eq!(reserved(stage, stage.stranger), None, "not yet");
            let expected = [
                ("FORM_TYPE", FORM),
                ("muc#jid", stage.stranger.split('/').next().unwrap()),
                ("muc#register_first", "Brunhilde"),
                ("muc#register_roomnick", "crow"),
                ("muc#register_allow", "0"),
            ];
            let expected: Vec<_> = expected.map(|(var, value)| (var.to_owned(), value.to_owned())).into();
            for admin in [stage.owner, stage.admin, stage.far_owner] {
                assert_eq!(requests(&stage.got(admin)), std::slice::from_ref(&expected), "{admin}");
            }
            assert_eq!(requests(&stage.got(stage.member)), Vec::<Vec<_>>::new(), "no admin");
            assert_eq!(
                registers(stage, stage.member, "crow"),
                refusal("conflict", "cancel"),
                "asked for already"
            );

            let (first, second) =
                if far { (stage.far_owner, stage.admin) } else { (stage.admin, stage.far_owner) };
            assert_eq!(decides(stage, first, "crow", allow), None);
            let granted = matches!(allow, "1" | "true");
            assert_eq!(reserved(stage, stage.stranger), granted.then(|| "crow".to_owned()));
            assert_eq!(decides(stage, second, "crow", "1"), refusal("item-not-found", "cancel"), "decided");
            assert_eq!(reserved(stage, stage.stranger), granted.then(|| "crow".to_owned()));
        });
    }
}

#[test]
fn an_admin_who_comes_later_is_asked_on_entering_and_one_who_is_away_by_mail() {
    everywhere(APPROVE, |stage| {
        assert_eq!(registers(stage, stage.stranger, "crow"), None);
        for away in ["crone1@shakespeare.lit", "crone2@macbeth.lit", "admin@macbeth.lit"] {
            assert_eq!(requests(&stage.got(away)).len(), 1, "{away}");
        }
        stage.world.forget();
        for admin in [stage.admin, stage.far_owner] {
            stage.enters(admin);
            assert_eq!(requests(&stage.got(admin)).len(), 1, "{admin}");
        }
        stage.enters(stage.member);
        assert_eq!(requests(&stage.got(stage.member)).len(), 0);
        stage.world.restart(stage.room);
        assert_eq!(decides(stage, stage.admin, "crow", "1"), None, "it survives");
        assert_eq!(reserved(stage, stage.stranger), Some("crow".into()));
    });
}

#[test]
fn a_members_only_room_lets_nobody_in_by_registering_alone() {
    everywhere(&[("muc#roomconfig_membersonly", "1")], |stage| {
        stage.gather(&[stage.far_owner]);
        assert_eq!(registers(stage, stage.stranger, "crow"), None);
        stage.enters(stage.stranger);
        assert_eq!(the_error(&stage.got(stage.stranger)), ("registration-required".into(), "auth".into()));
        assert_eq!(decides(stage, stage.far_owner, "crow", "1"), None);
        stage.enters(stage.stranger);
        assert_eq!(shown(&stage.got(stage.stranger), "stranger"), Some("member/participant".into()));
    });
}

#[test]
fn only_admins_approve() {
    everywhere(APPROVE, |stage| {
        stage.gather(&[stage.member, stage.far]);
        assert_eq!(registers(stage, stage.stranger, "crow"), None);
        for user in [stage.member, stage.far, stage.stranger] {
            assert_eq!(decides(stage, user, "crow", "1"), refusal("forbidden", "auth"), "{user}");
        }
        assert_eq!(reserved(stage, stage.stranger), None);
        // A request can be taken back.
        assert_eq!(error(&stage.asks("set", stage.stranger, &query("<remove/>"))), None);
        stage.enters(stage.admin);
        assert_eq!(requests(&stage.got(stage.admin)).len(), 0);
    });
}

#[test]
fn an_admin_who_cancels_the_form_decides_nothing() {
    everywhere(APPROVE, |stage| {
        stage.gather(&[stage.admin]);
        assert_eq!(registers(stage, stage.stranger, "crow"), None);
        stage.world.forget();
        stage.says(stage.admin, "normal", "<x xmlns='jabber:x:data' type='cancel'/>");
        assert_eq!(stage.got(stage.admin), []);
        assert_eq!(decides(stage, stage.admin, "crow", "1"), None);
    });
}

#[test]
fn locked_nicks_are_kept_on_entering_and_cannot_be_changed() {
    everywhere(LOCKED, |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        assert_eq!(registers(stage, stage.stranger, "crow"), None);
        let own = stage.got(stage.stranger);
        let renamed = own.iter().rfind(|s| s.kind == Kind::Presence && s.ty().is_empty()).unwrap();
        assert_eq!((renamed.from.clone(), codes(renamed)), (Some(jid(&stage.nick("crow"))), vec![210, 110]));
        for user in [stage.owner, stage.far] {
            assert_eq!(nicks(&stage.got(user)), ["crow"], "{user}");
        }
        let to = stage.nick("raven");
        stage.world.send(&format!("<presence from='{}' to='{to}'/>", stage.stranger));
        assert_eq!(the_error(&stage.got(stage.stranger)), ("not-acceptable".into(), "cancel".into()));

        stage.world.leaves(stage.stranger, &stage.nick("crow"));
        stage.world.forget();
        stage.world.joins(stage.stranger, &to);
        let got = stage.got(stage.stranger);
        let own = got.iter().rfind(|s| s.kind == Kind::Presence).unwrap();
        assert_eq!((own.from.clone(), codes(own)), (Some(jid(&stage.nick("crow"))), vec![110, 210]));
        assert_eq!(nicks(&stage.got(stage.far)), ["crow"]);
    });
}

#[test]
fn nicks_are_free_unless_they_are_locked() {
    everywhere(&[], |stage| {
        assert_eq!(registers(stage, stage.stranger, "crow"), None);
        stage.enters(stage.stranger);
        assert_eq!(nicks(&stage.got(stage.stranger)), ["stranger"]);
    });
}

#[test]
fn a_nick_that_an_admin_reserves_is_given_up_by_whoever_has_it() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.admin, stage.stranger, stage.far]);
        for squatter in [stage.stranger, stage.far] {
            let nick = local(squatter);
            let order = format!("jid='crow@{}' affiliation='member' nick='{nick}'", jid(squatter).domain());
            let room = stage.room;
            stage.world.orders(stage.admin, room, &order);
            let own = stage.got(squatter);
            assert!(own.iter().any(|s| codes(s) == [303, 110]), "{squatter}: {own:?}");
        }
        stage.enters(stage.owner);
        let seen = nicks(&stage.got(stage.owner));
        assert!(
            seen.iter().any(|nick| nick.starts_with("far~")) && !seen.contains(&"far".to_owned()),
            "{seen:?}"
        );
        assert!(seen.iter().any(|nick| nick.starts_with("stranger~")), "{seen:?}");
    });
}
