//! Ad-hoc commands on a room (XEP-0050).

use dmuc_core::Stanza;

use crate::common::*;
use crate::stage::{Place, Stage, everywhere, local};

const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// Executes a command; `session` and what comes with it as they are written.
fn executes(stage: &mut Stage, user: &str, node: &str, more: &str, inner: &str) -> Stanza {
    let command = format!("<command xmlns='{COMMANDS}' node='{node}' {more}>{inner}</command>");
    stage.asks("set", user, &command)
}

/// Begins a command that asks for one form, and submits it.
fn submits(stage: &mut Stage, user: &str, node: &str, fields: &[(&str, &str)]) -> Stanza {
    let asked = executes(stage, user, node, "", "");
    let more = format!("sessionid='{}'", session(&asked));
    executes(stage, user, node, &more, &form(fields))
}

fn form(fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

fn command(answer: &Stanza) -> minidom::Element {
    let command = answer.child("command", COMMANDS).unwrap_or_else(|| panic!("no command: {answer:?}"));
    command.element().unwrap()
}

fn session(answer: &Stanza) -> String {
    command(answer).attr("sessionid").unwrap().to_owned()
}

fn status(answer: &Stanza) -> String {
    command(answer).attr("status").unwrap().to_owned()
}

fn note(answer: &Stanza) -> String {
    command(answer).get_child("note", COMMANDS).map(minidom::Element::text).unwrap_or_default()
}

/// Condition, type, and the condition of XEP-0050.
fn refusal(answer: &Stanza) -> (String, String, Option<String>) {
    let (condition, kind) = error(answer).unwrap_or_else(|| panic!("no error: {answer:?}"));
    let error = answer.child("error", "jabber:client").unwrap().element().unwrap();
    let own = error.children().find(|child| child.ns() == COMMANDS).map(|child| child.name().to_owned());
    (condition, kind, own)
}

fn bare(user: &str) -> String {
    jid(user).bare_str().to_owned()
}

fn listed(stage: &mut Stage, user: &str) -> Vec<String> {
    let query = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    let answer = stage.asks("get", user, &query);
    let query = answer.children[0].element().unwrap();
    assert_eq!(query.attr("node"), Some(COMMANDS));
    query.children().map(|item| item.attr("node").unwrap().to_owned()).collect()
}

fn info(stage: &mut Stage, user: &str, node: &str) -> Stanza {
    let query = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
    stage.asks("get", user, &query)
}

#[test]
fn everybody_is_offered_what_it_may_do() {
    everywhere(&[], |stage| {
        let moderating = ["statistics", "instances", "grant-voice", "kick-strangers", "ban", "unban"];
        let hats = ["list", "create", "destroy", "list-assigned", "assign", "unassign"]
            .map(|name| format!("urn:xmpp:hats:commands:{name}"));
        let hats = hats.each_ref().map(String::as_str);
        let owning = [&moderating[..], &["close", "open"], &hats].concat();
        let administering = [&moderating[..], &hats].concat();
        for (user, offered) in [
            (stage.owner, &owning[..]),
            (stage.admin, &administering),
            (stage.member, &hats[..1]),
            (stage.stranger, &[]),
            (stage.banned, &[]),
        ] {
            assert_eq!(listed(stage, user), offered, "{user}");
        }
        assert!(info(stage, stage.member, COMMANDS).to_xml().contains("type='command-list'"));
        let ban = info(stage, stage.admin, "ban").to_xml();
        assert!(ban.contains("type='command-node'") && ban.contains(&format!("<feature var='{COMMANDS}'/>")));
        let plain = stage.asks("get", stage.member, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(plain.to_xml().contains(&format!("<feature var='{COMMANDS}'/>")));
    });
}

#[test]
fn whoever_may_not_is_refused() {
    everywhere(&[], |stage| {
        let forbidden = ("forbidden".to_owned(), "cancel".to_owned(), None);
        let unknown = ("item-not-found".to_owned(), "cancel".to_owned(), None);
        for (user, node, expected) in [
            (stage.stranger, "ban", &forbidden),
            (stage.member, "statistics", &forbidden),
            (stage.admin, "close", &forbidden),
            (stage.owner, "no-such-command", &unknown),
            (stage.stranger, "no-such-command", &unknown),
        ] {
            assert_eq!(refusal(&executes(stage, user, node, "", "")), *expected, "{user}, {node}");
            assert_eq!(refusal(&info(stage, user, node)), *expected, "{user}, {node}");
        }
    });
}

#[test]
fn a_session_takes_what_its_stage_allows() {
    everywhere(&[], |stage| {
        let bad = |own: &str| ("bad-request".to_owned(), "modify".to_owned(), Some(own.to_owned()));
        let expired = ("not-allowed".to_owned(), "cancel".to_owned(), Some("session-expired".to_owned()));
        let first = executes(stage, stage.admin, "ban", "action='execute'", "");
        assert_eq!(status(&first), "executing");
        let actions = command(&first).get_child("actions", COMMANDS).cloned().unwrap();
        assert_eq!(actions.attr("execute"), Some("complete"));
        assert!(actions.has_child("complete", COMMANDS) && !actions.has_child("prev", COMMANDS));
        let id = session(&first);
        let filled = form(&[("jids", "iago@venice.lit")]);
        let malformed = form(&[("jids", "@")]);
        let garbled = "<x xmlns='jabber:x:data' type='nonsense'/>";
        let admin = stage.admin;
        for (user, more, inner, expected) in [
            (admin, "action='complete'".to_owned(), "", bad("bad-action")),
            (admin, format!("sessionid='{id}' action='dance'"), "", bad("malformed-action")),
            (admin, format!("sessionid='{id}' action='prev'"), "", bad("bad-action")),
            (admin, format!("sessionid='{id}'"), "", bad("bad-payload")),
            (admin, format!("sessionid='{id}'"), garbled, bad("bad-payload")),
            (admin, format!("sessionid='{id}'"), &malformed, bad("bad-payload")),
            (admin, format!("sessionid='{id}'"), &form(&[]), bad("bad-payload")),
            (admin, "sessionid='nobodys'".to_owned(), &filled, bad("bad-sessionid")),
            (stage.owner, format!("sessionid='{id}'"), &filled, bad("bad-sessionid")),
        ] {
            assert_eq!(
                refusal(&executes(stage, user, "ban", &more, inner)),
                expected,
                "{user} {more} {inner}"
            );
        }
        let own = format!("sessionid='{id}'");
        assert_eq!(refusal(&executes(stage, admin, "unban", &own, "")), bad("bad-sessionid"), "another node");
        let cancelled = executes(stage, admin, "ban", &format!("{own} action='cancel'"), "");
        assert_eq!(status(&cancelled), "canceled");
        assert_eq!(refusal(&executes(stage, admin, "ban", &own, &filled)), expired);
        let late = executes(stage, admin, "ban", "", "");
        stage.world.wait(16 * 60_000);
        let late = format!("sessionid='{}'", session(&late));
        assert_eq!(refusal(&executes(stage, admin, "ban", &late, &filled)), expired);
    });
}

#[test]
fn whatever_leads_on_from_the_last_stage_completes_it() {
    everywhere(&[], |stage| {
        for (action, who) in [("complete", "iago"), ("execute", "edmund"), ("next", "goneril")] {
            let begun = executes(stage, stage.admin, "ban", "", "");
            let more = format!("sessionid='{}' action='{action}'", session(&begun));
            let filled = form(&[("jids", &format!("{who}@venice.lit"))]);
            assert_eq!(status(&executes(stage, stage.admin, "ban", &more, &filled)), "completed", "{action}");
        }
    });
}

#[test]
fn sessions_are_bounded() {
    everywhere(&[], |stage| {
        let first = session(&executes(stage, stage.admin, "ban", "", ""));
        (0..8).for_each(|_| drop(executes(stage, stage.admin, "ban", "", "")));
        let more = format!("sessionid='{first}'");
        let answer = executes(stage, stage.admin, "ban", &more, &form(&[("jids", "iago@venice.lit")]));
        assert_eq!(refusal(&answer).2.as_deref(), Some("session-expired"));
    });
}

#[test]
fn bans_hold_at_all_instances_until_they_are_lifted() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        let (here, there) = (bare(stage.stranger), bare(stage.far));
        let answer = submits(stage, stage.admin, "ban", &[("jids", &here), ("reason", "Out, damned spot!")]);
        assert_eq!((status(&answer), note(&answer)), ("completed".into(), "Changed: 1.".into()));
        assert!(stage.got(stage.stranger).iter().any(|s| s.to_xml().contains("code='301'")));
        let answer = submits(stage, stage.admin, "ban", &[("jids", &there)]);
        assert_eq!(status(&answer), "completed");
        let out = stage.got(stage.far).iter().map(Stanza::to_xml).collect::<String>();
        assert!(out.contains("code='301'"), "{out}");
        stage.enters(stage.far);
        assert_eq!(stage.got(stage.far).iter().find_map(error).unwrap().0, "forbidden");

        let offered = executes(stage, stage.admin, "unban", "", "").to_xml();
        assert!(offered.contains(&format!("<option><value>{there}</value></option>")), "{offered}");
        assert_eq!(status(&submits(stage, stage.admin, "unban", &[("jids", &there)])), "completed");
        stage.enters(stage.far);
        assert!(stage.got(stage.far).iter().find_map(error).is_none());
        let never = submits(stage, stage.admin, "unban", &[("jids", "iago@venice.lit")]);
        assert_eq!(refusal(&never).2.as_deref(), Some("bad-payload"));
    });
}

#[test]
fn an_admin_cannot_ban_owners_by_command_either() {
    everywhere(&[], |stage| {
        let owner = bare(stage.owner);
        let answer = submits(stage, stage.admin, "ban", &[("jids", &owner)]);
        assert_eq!(refusal(&answer).0, "not-allowed");
    });
}

#[test]
fn everyone_gets_voice_at_once() {
    everywhere(&[("muc#roomconfig_moderatedroom", "1")], |stage| {
        stage.gather(&[stage.admin, stage.stranger, stage.far]);
        let answer = executes(stage, stage.admin, "grant-voice", "", "");
        assert_eq!((status(&answer), note(&answer)), ("completed".into(), "Voice granted: 2.".into()));
        for user in [stage.stranger, stage.far] {
            let got = stage.got(user).iter().map(Stanza::to_xml).collect::<String>();
            assert!(got.contains("role='participant'"), "{user}: {got}");
            stage.says(user, "groupchat", "<body>aye</body>");
        }
        assert_eq!(bodies(&stage.got(stage.admin)), ["aye", "aye"]);
        let again = executes(stage, stage.admin, "grant-voice", "", "");
        assert_eq!(note(&again), "There is nobody whom this concerns.");
    });
}

#[test]
fn strangers_are_swept_out_of_all_instances() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.admin, stage.member, stage.stranger, stage.far]);
        let answer = submits(stage, stage.admin, "kick-strangers", &[("reason", "Away!")]);
        assert_eq!((status(&answer), note(&answer)), ("completed".into(), "Kicked: 2.".into()));
        for user in [stage.stranger, stage.far] {
            let got = stage.got(user).iter().map(Stanza::to_xml).collect::<String>();
            assert!(got.contains("code='307'") && got.contains("Away!"), "{user}: {got}");
        }
        let seen = stage.got(stage.member);
        let gone: Vec<&str> = seen.iter().filter_map(|s| s.from.as_ref()?.resource()).collect();
        assert_eq!(gone.len(), 2, "{seen:?}");
        assert!(gone.contains(&local(stage.far)) && gone.contains(&local(stage.stranger)));
    });
}

#[test]
fn an_owner_closes_and_opens_the_room_everywhere() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.member, stage.far]);
        let answer = executes(stage, stage.owner, "close", "", "");
        assert_eq!(
            (status(&answer), note(&answer)),
            ("completed".into(), "Only members may enter now.".into())
        );
        let out = stage.got(stage.far).iter().map(Stanza::to_xml).collect::<String>();
        assert!(out.contains("code='322'"), "{out}");
        stage.enters(stage.far);
        assert_eq!(stage.got(stage.far).iter().find_map(error).unwrap().0, "registration-required");
        assert_eq!(status(&executes(stage, stage.owner, "open", "", "")), "completed");
        stage.enters(stage.far);
        assert!(stage.got(stage.far).iter().find_map(error).is_none());
    });
}

#[test]
fn those_who_run_the_room_see_what_it_is_made_of() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.admin, stage.stranger, stage.far]);
        let statistics = executes(stage, stage.admin, "statistics", "", "");
        let facts = command(&statistics).get_child("x", "jabber:x:data").cloned().unwrap();
        let value = |var: &str| {
            let field = facts.children().find(|field| field.attr("var") == Some(var)).unwrap();
            field.get_child("value", "jabber:x:data").unwrap().text()
        };
        let counted = ["occupants", "here", "moderators", "participants", "outcasts"].map(value);
        assert_eq!(counted, ["3", "2", "1", "2", "2"]);

        let instances = executes(stage, stage.admin, "instances", "", "");
        let table = command(&instances).get_child("x", "jabber:x:data").cloned().unwrap();
        let rows: Vec<Vec<String>> = table
            .children()
            .filter(|child| child.name() == "item")
            .map(|item| {
                item.children().flat_map(minidom::Element::children).map(minidom::Element::text).collect()
            })
            .collect();
        let (here, there) = match stage.place {
            Place::Source => ("source", "shadow"),
            Place::Shadow => ("shadow", "source"),
        };
        assert_eq!(rows, [[stage.room, here, "here", "2"], [stage.far_room, there, "active", "1"]]);
    });
}
