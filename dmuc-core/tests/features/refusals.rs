//! The same bad input has the same answer at every instance.

use crate::common::*;
use crate::stage::{MUC_ADMIN, MUC_OWNER, MUC_USER, Stage, everywhere, local};

type Expected = Option<(&'static str, &'static str)>;

const BAD: Expected = Some(("bad-request", "modify"));
const CONFLICT: Expected = Some(("conflict", "cancel"));
const FORBIDDEN: Expected = Some(("forbidden", "auth"));
const MALFORMED: Expected = Some(("jid-malformed", "modify"));
const NOT_ALLOWED: Expected = Some(("not-allowed", "cancel"));
const NOT_FOUND: Expected = Some(("item-not-found", "cancel"));
const NOT_IN: Expected = Some(("not-acceptable", "cancel"));
const NOT_OFFERED: Expected = Some(("service-unavailable", "cancel"));
const UNACCEPTABLE: Expected = Some(("not-acceptable", "modify"));

fn message(ty: &str, to: &str) -> String {
    format!("<message type='{ty}' {to}><body>boo</body></message>")
}

fn iq(ty: &str, to: &str, inner: &str) -> String {
    format!("<iq type='{ty}' id='i' {to}>{inner}</iq>")
}

fn set(item: &str) -> String {
    iq("set", "TO", &format!("<query xmlns='{MUC_ADMIN}'><item {item}/></query>"))
}

fn owner(ty: &str, inner: &str) -> String {
    iq(ty, "TO", &format!("<query xmlns='{MUC_OWNER}'>{inner}</query>"))
}

fn option(var: &str, value: &str) -> String {
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let form = field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig");
    let option = field(&format!("muc#roomconfig_{var}"), value);
    owner("set", &format!("<x xmlns='jabber:x:data' type='submit'>{form}{option}</x>"))
}

/// TO stands for the room, OTHER for an occupant's address there, NICK= for a nick of that room.
fn play(rows: &[(String, Expected)], user: fn(&Stage) -> &'static str, inside: bool) {
    everywhere(&[], |stage| {
        let user = user(stage);
        let (owner, far) = (stage.owner, stage.far);
        stage.gather(&[owner, far]);
        if inside && user != owner {
            stage.gather(&[user]);
        }
        for (xml, expected) in rows {
            let (room, other) = (stage.room, local(owner));
            let xml = xml
                .replace("OTHER", &format!("from='{user}' to='{room}/{other}'"))
                .replace("TO", &format!("from='{user}' to='{room}'"))
                .replace("OWNER", other)
                .replace("NICK=", &format!("from='{user}' to='{room}/"));
            stage.world.send(&xml);
            let got = stage.got(user);
            match expected {
                None => assert!(got.is_empty(), "{xml}: {got:?}"),
                Some((condition, kind)) => {
                    assert_eq!(got.len(), 1, "{xml}: {got:?}");
                    assert_eq!(error(&got[0]), Some(((*condition).to_owned(), (*kind).to_owned())), "{xml}");
                    let text = got[0].to_xml().replace(user, "");
                    assert!(
                        !text.contains("boo") && !text.contains(&owner[..owner.find('/').unwrap()]),
                        "{text}"
                    );
                }
            }
            assert!(stage.got(far).is_empty() && stage.got(owner).is_empty(), "nobody else hears of {xml}");
        }
    });
}

#[test]
fn of_a_stranger() {
    let (ping, unknown) = ("<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='urn:example:unknown'/>");
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let join =
        |nick: &str| format!("<presence NICK={nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    let rows = [
        (message("groupchat", "TO"), NOT_IN),
        (message("chat", "OTHER"), NOT_IN),
        (message("normal", "TO"), BAD),
        (message("chat", "TO"), BAD),
        (message("foo", "TO"), BAD),
        (message("error", "TO"), None),
        (format!("<message TO><x xmlns='{MUC_USER}'><invite to='x@y.lit'/></x></message>"), NOT_IN),
        (iq("get", "TO", ""), BAD),
        (iq("get", "TO", &ping.repeat(2)), BAD),
        (iq("foo", "TO", ping), BAD),
        (iq("get", "TO", unknown), NOT_OFFERED),
        (iq("result", "TO", ping), None),
        (iq("get", "OTHER", info), BAD),
        (iq("get", "OTHER", "<query xmlns='jabber:iq:version'/>"), NOT_IN),
        ("<presence type='foo' OTHER/>".to_owned(), BAD),
        ("<presence type='error' OTHER/>".to_owned(), None),
        ("<presence TO><x xmlns='http://jabber.org/protocol/muc'/></presence>".to_owned(), MALFORMED),
        (join(" "), MALFORMED),
        (join("\u{3164}"), MALFORMED),
        (join(&"n".repeat(65)), Some(("policy-violation", "modify"))),
        (join("OWNER"), CONFLICT),
        (join("far"), CONFLICT),
        (join("F\u{430}r "), CONFLICT),
        (set("nick='OWNER' role='none'"), FORBIDDEN),
        (set("jid='x@y.lit' affiliation='member'"), FORBIDDEN),
        (owner("get", ""), FORBIDDEN),
        (owner("set", "<destroy/>"), FORBIDDEN),
    ];
    play(&rows, |stage| stage.stranger, false);
}

#[test]
fn of_an_admin() {
    let rows = [
        (message("groupchat", "OTHER"), BAD),
        (message("chat", "NICK=nobody'"), NOT_FOUND),
        (set("nick='OWNER' role='none'"), NOT_ALLOWED),
        (set("jid='crone1@shakespeare.lit' affiliation='outcast'"), NOT_ALLOWED),
        (set("jid='x@y.lit' affiliation='owner'"), FORBIDDEN),
        (set("jid='x y@z' affiliation='outcast'"), MALFORMED),
        (set("jid='x@y.lit' affiliation='superowner'"), BAD),
        (set("nick='OWNER' role='king'"), BAD),
        (set("nick='far' role='none' affiliation='outcast'"), BAD),
        (set("jid='x@y.lit'"), BAD),
        (set("nick='nobody' role='none'"), NOT_FOUND),
        (owner("get", ""), FORBIDDEN),
        (option("moderatedroom", "1"), FORBIDDEN),
        (owner("set", "<destroy/>"), FORBIDDEN),
    ];
    play(&rows, |stage| stage.admin, true);
}

#[test]
fn of_an_owner() {
    let rows = [
        (owner("set", ""), BAD),
        (owner("set", "<destroy jid='a b@c'/>"), MALFORMED),
        (option("passwordprotectedroom", "1"), UNACCEPTABLE),
        (option("maxusers", "0"), UNACCEPTABLE),
        (option("whois", "nobody"), UNACCEPTABLE),
        (option("membersonly", "maybe"), UNACCEPTABLE),
        (option("roomname", &"n".repeat(256)), UNACCEPTABLE),
    ];
    everywhere(&[], |stage| {
        let (owner, far) = (stage.owner, stage.far);
        stage.gather(&[owner, far]);
        for (xml, expected) in &rows {
            stage.world.send(&xml.replace("TO", &format!("from='{owner}' to='{}'", stage.room)));
            let refused = stage.got(owner).iter().find_map(error);
            let expected = expected.map(|(condition, kind)| (condition.to_owned(), kind.to_owned()));
            assert_eq!(refused, expected, "{xml}");
            assert!(stage.got(far).is_empty(), "nobody else hears of {xml}");
        }
    });
}
