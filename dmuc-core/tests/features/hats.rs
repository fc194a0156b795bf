//! Hats: created, given and taken by commands, shown at both instances (XEP-0317).

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

use crate::common::*;
use crate::stage::{MUC_ADMIN, Stage, everywhere};

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const HOST: &str = "http://schemas.example.com/hats#host";
const SCRIBE: &str = "http://schemas.example.com/hats#scribe";

fn form(fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>urn:xmpp:hats:commands</value></field>{fields}</x>"
    )
}

fn executes(stage: &mut Stage, user: &str, name: &str, more: &str, inner: &str) -> Stanza {
    let node = format!("urn:xmpp:hats:commands:{name}");
    stage.asks("set", user, &format!("<command xmlns='{COMMANDS}' node='{node}' {more}>{inner}</command>"))
}

/// Submits the form of a command at once; it must be carried out.
fn does(stage: &mut Stage, user: &str, name: &str, fields: &[(&str, &str)]) {
    let answer = executes(stage, user, name, "action='execute'", &form(fields));
    let command = answer.child("command", COMMANDS).unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(command.attr("status").as_deref(), Some("completed"), "{answer:?}");
}

fn creates(stage: &mut Stage, user: &str, uri: &str, title: &str) {
    does(stage, user, "create", &[("hats#uri", uri), ("hats#title", title), ("hats#hue", "327.255249")]);
}

fn bare(user: &str) -> String {
    jid(user).bare_str().to_owned()
}

/// The titles of the hats in a presence.
fn hats(presence: &Stanza) -> Vec<String> {
    let hats = presence.child("hats", "urn:xmpp:hats:0").map(|hats| hats.element().unwrap());
    let titles =
        hats.iter().flat_map(|hats| hats.children()).map(|hat| hat.attr("title").unwrap().to_owned());
    titles.collect()
}

/// The hats of a nick as a user saw them last, since asked last.
fn seen(stage: &mut Stage, user: &str, nick: &str) -> Option<Vec<String>> {
    let got = stage.got(user);
    let theirs = |stanza: &&Stanza| {
        stanza.kind == Kind::Presence && stanza.from.as_ref().and_then(|from| from.resource()) == Some(nick)
    };
    got.iter().rev().find(theirs).map(hats)
}

/// The rows of a list.
fn rows(answer: &Stanza) -> Vec<Vec<(String, String)>> {
    let command = answer.child("command", COMMANDS).unwrap().element().unwrap();
    let form = command.get_child("x", "jabber:x:data").unwrap();
    assert_eq!(form.attr("type"), Some("result"));
    let cell = |field: &minidom::Element| {
        let value = field.get_child("value", "jabber:x:data").unwrap().text();
        (field.attr("var").unwrap().to_owned(), value)
    };
    let items = form.children().filter(|child| child.name() == "item");
    items.map(|item| item.children().map(cell).collect()).collect()
}

fn row(cells: &[(&str, &str)]) -> Vec<(String, String)> {
    cells.iter().map(|(var, value)| ((*var).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn hats_are_worn_and_seen_at_both_instances() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far]);
        creates(stage, stage.admin, HOST, "Host");
        for user in [stage.owner, stage.far] {
            let got = stage.got(user);
            assert_eq!(got.iter().map(codes).collect::<Vec<_>>(), [[104]], "{user}");
        }
        let member = bare(stage.member);
        does(stage, stage.admin, "assign", &[("hats#jid", &member), ("hats#uri", HOST)]);
        for user in [stage.owner, stage.member, stage.far] {
            assert_eq!(seen(stage, user, "member"), Some(vec!["Host".to_owned()]), "{user}");
        }
        stage.enters(stage.far_owner);
        assert_eq!(seen(stage, stage.far_owner, "member"), Some(vec!["Host".to_owned()]), "who comes later");
        stage.world.forget();
        creates(stage, stage.far_owner, HOST, "Hostess");
        for user in [stage.owner, stage.far] {
            assert_eq!(seen(stage, user, "member"), Some(vec!["Hostess".to_owned()]), "changed: {user}");
        }
        stage.world.restart(stage.room);
        does(stage, stage.owner, "unassign", &[("hats#jid", &member), ("hats#uri", HOST)]);
        for user in [stage.owner, stage.far] {
            assert_eq!(seen(stage, user, "member"), Some(Vec::new()), "taken: {user}");
        }
    });
}

#[test]
fn a_presence_has_the_hats_as_the_specification_shows_them() {
    everywhere(&[], |stage| {
        creates(stage, stage.owner, HOST, "Host");
        does(stage, stage.owner, "create", &[("hats#uri", SCRIBE), ("hats#title", "Scribe")]);
        let far = bare(stage.far);
        for uri in [SCRIBE, HOST] {
            does(stage, stage.owner, "assign", &[("hats#jid", &far), ("hats#uri", uri)]);
        }
        stage.enters(stage.owner);
        stage.enters(stage.far);
        let got = stage.got(stage.owner);
        let seen = got.iter().find_map(|stanza| stanza.child("hats", "urn:xmpp:hats:0")).unwrap();
        let expected = format!(
            "<hats xmlns='urn:xmpp:hats:0'><hat hue='327.255249' title='Host' uri='{HOST}'/>\
             <hat title='Scribe' uri='{SCRIBE}'/></hats>"
        );
        assert_eq!(seen.as_xml(), expected);
        stage.world.forget();
        stage.world.leaves(stage.far, &format!("{}/far", stage.at(stage.far)));
        assert!(stage.got(stage.owner).iter().all(|stanza| hats(stanza).is_empty()), "nobody goes in a hat");
    });
}

#[test]
fn nobody_puts_a_hat_on_itself() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        let forged = format!("<hats xmlns='urn:xmpp:hats:0'><hat title='Host' uri='{HOST}'/></hats>");
        for user in [stage.stranger, stage.owner, stage.far] {
            let to = format!("{}/{}", stage.at(user), crate::stage::local(user));
            stage.world.send(&format!(
                "<presence from='{user}' to='{to}'><x xmlns='http://jabber.org/protocol/muc'/>{forged}</presence>"
            ));
        }
        for user in [stage.stranger, stage.owner, stage.far] {
            assert!(stage.got(user).iter().all(|stanza| hats(stanza).is_empty()), "{user}");
        }
    });
}

#[test]
fn a_hat_that_is_destroyed_is_taken_from_everybody() {
    everywhere(&[], |stage| {
        creates(stage, stage.owner, HOST, "Host");
        creates(stage, stage.owner, SCRIBE, "Scribe");
        for user in [stage.member, stage.far] {
            for uri in [HOST, SCRIBE] {
                does(stage, stage.owner, "assign", &[("hats#jid", &bare(user)), ("hats#uri", uri)]);
            }
        }
        stage.gather(&[stage.owner, stage.member, stage.far]);
        does(stage, stage.owner, "destroy", &[("hats#uri", HOST)]);
        for nick in ["member", "far"] {
            let seen = seen(stage, stage.owner, nick);
            stage.world.send(&format!(
                "<presence type='probe' from='{}' to='{}/{nick}'/>",
                stage.far,
                stage.at(stage.far)
            ));
            let at_the_other = self::seen(stage, stage.far, nick);
            assert!(
                seen.is_none_or(|seen| seen == ["Scribe"]) && at_the_other == Some(vec!["Scribe".into()])
            );
        }
        creates(stage, stage.owner, HOST, "Host");
        let list = executes(stage, stage.far_owner, "list-assigned", "", "");
        assert!(rows(&list).iter().flatten().all(|(_, value)| value != HOST), "it does not come back");
    });
}

#[test]
fn lists_and_their_hash() {
    everywhere(&[], |stage| {
        stage.enters(stage.stranger);
        creates(stage, stage.owner, HOST, "Host");
        does(stage, stage.owner, "create", &[("hats#uri", SCRIBE), ("hats#title", "Scribe")]);
        let far = bare(stage.far);
        does(stage, stage.owner, "assign", &[("hats#jid", &far), ("hats#uri", HOST)]);
        let host = [("hats#title", "Host"), ("hats#uri", HOST), ("hats#hue", "327.255249")];
        let scribe = [("hats#title", "Scribe"), ("hats#uri", SCRIBE), ("hats#hue", "")];
        for user in [stage.stranger, stage.member, stage.far_owner] {
            assert_eq!(rows(&executes(stage, user, "list", "", "")), [row(&host), row(&scribe)], "{user}");
        }
        let worn = [&[("hats#jid", far.as_str())][..], &host].concat();
        for user in [stage.admin, stage.far_owner] {
            assert_eq!(rows(&executes(stage, user, "list-assigned", "", "")), [row(&worn)], "{user}");
        }
        let query = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        let [here, there] = [stage.member, stage.far].map(|user| stage.asks("get", user, query));
        let hash = |info: &Stanza| {
            let xml = info.to_xml();
            assert!(xml.contains("<feature var='urn:xmpp:hats:0'/>"));
            xml.split_once("hats#hash").unwrap().1.split_once("<value>").unwrap().1[..40].to_owned()
        };
        assert_eq!(hash(&here), hash(&there));
    });
}

#[test]
fn a_form_is_asked_for_and_submitted() {
    everywhere(&[], |stage| {
        creates(stage, stage.owner, HOST, "Host");
        let asked = executes(stage, stage.admin, "assign", "action='execute'", "");
        let command = asked.child("command", COMMANDS).unwrap();
        assert_eq!(command.attr("status").as_deref(), Some("executing"));
        for told in [
            "<field type='hidden' var='FORM_TYPE'><value>urn:xmpp:hats:commands</value></field>",
            "type='jid-single' var='hats#jid'",
            "type='list-single' var='hats#uri'",
            &format!("<option label='Host'><value>{HOST}</value></option>"),
        ] {
            assert!(command.as_xml().contains(told), "{told}: {command:?}");
        }
        let session = format!("sessionid='{}'", command.attr("sessionid").unwrap());
        let fields = form(&[("hats#jid", &bare(stage.far)), ("hats#uri", HOST)]);
        let done = executes(stage, stage.admin, "assign", &session, &fields);
        assert_eq!(done.child("command", COMMANDS).unwrap().attr("status").as_deref(), Some("completed"));
        stage.enters(stage.owner);
        stage.enters(stage.far);
        assert_eq!(seen(stage, stage.owner, "far"), Some(vec!["Host".to_owned()]));
    });
}

#[test]
fn a_hat_is_no_affiliation() {
    everywhere(&[], |stage| {
        creates(stage, stage.owner, HOST, "Host");
        does(stage, stage.owner, "assign", &[("hats#jid", "hag@shakespeare.lit"), ("hats#uri", HOST)]);
        let ask = format!("<query xmlns='{MUC_ADMIN}'><item affiliation='member'/></query>");
        assert!(!stage.asks("get", stage.owner, &ask).to_xml().contains("hag@"));
        let item = format!(
            "<query xmlns='{MUC_ADMIN}'><item jid='hag@shakespeare.lit' affiliation='member'/></query>"
        );
        assert_eq!(stage.asks("set", stage.owner, &item).ty(), "result");
        let list = executes(stage, stage.owner, "list-assigned", "", "");
        assert_eq!(rows(&list).len(), 1, "and stays on whatever becomes of that");
    });
}

#[test]
fn what_is_refused() {
    let long = "x".repeat(65);
    everywhere(&[], |stage| {
        creates(stage, stage.owner, HOST, "Host");
        let member = bare(stage.member);
        let (forbidden, bad) = (("forbidden", "cancel"), ("bad-request", "modify"));
        let host = ("hats#uri", HOST);
        for (user, name, fields, (condition, kind)) in [
            (stage.member, "create", &[host, ("hats#title", "Queen")][..], forbidden),
            (stage.stranger, "list", &[], forbidden),
            (stage.member, "list-assigned", &[], forbidden),
            (stage.stranger, "assign", &[("hats#jid", &member), host], forbidden),
            (stage.admin, "create", &[host], bad),
            (stage.admin, "create", &[("hats#title", "Queen")], bad),
            (stage.admin, "create", &[host, ("hats#title", &long)], bad),
            (stage.admin, "create", &[("hats#uri", "no uri"), ("hats#title", "Queen")], bad),
            (stage.admin, "create", &[host, ("hats#title", "Host"), ("hats#hue", "red")], bad),
            (stage.admin, "destroy", &[("hats#uri", SCRIBE)], bad),
            (stage.admin, "assign", &[("hats#jid", &member), ("hats#uri", SCRIBE)], bad),
            (stage.admin, "assign", &[("hats#jid", "a@b@c"), host], bad),
            (stage.admin, "assign", &[("hats#jid", "shakespeare.lit"), host], bad),
            (stage.admin, "assign", &[host], bad),
            (stage.admin, "unassign", &[("hats#jid", &member), host], bad),
        ] {
            let answer = executes(stage, user, name, "", &form(fields));
            let expected = Some((condition.to_owned(), kind.to_owned()));
            assert_eq!(error(&answer), expected, "{user} {name} {fields:?}");
        }
        for n in 0..16 {
            creates(stage, stage.owner, &format!("urn:hat:{n}"), "Hat");
            let uri = format!("urn:hat:{n}");
            does(stage, stage.owner, "assign", &[("hats#jid", &member), ("hats#uri", &uri)]);
        }
        let one_more = executes(stage, stage.owner, "assign", "", &form(&[("hats#jid", &member), host]));
        assert_eq!(error(&one_more), Some(("bad-request".into(), "modify".into())));
    });
}
