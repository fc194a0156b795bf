//! What must be refused, and how: one line a stanza, `(condition, type)` or silence.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod room_support;

use common::*;
use room_support::*;

const KIT: &str = "kit@marlowe.lit/quill";
const SILENCE: (&str, &str) = ("", "");

fn muc(nick: &str) -> String {
    format!("<presence to='{COVEN}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
}

fn admin(items: &str) -> String {
    format!("<iq type='set' id='i' to='{COVEN}'><query xmlns='{MUC_ADMIN}'>{items}</query></iq>")
}

fn owner(ty: &str, inner: &str) -> String {
    format!("<iq type='{ty}' id='i' to='{COVEN}'><query xmlns='{MUC_OWNER}'>{inner}</query></iq>")
}

fn form(ty: &str, fields: &str) -> String {
    owner(
        "set",
        &format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/muc#{ty}</value></field>{fields}</x>"
        ),
    )
}

fn invitation(count: usize) -> String {
    let invites = "<invite to='hecate@shakespeare.lit'/>".repeat(count);
    format!("<message to='{COVEN}'><x xmlns='{MUC_USER}'>{invites}</x></message>")
}

/// Sends each line from a client; the sender gets what the line says, and nobody else gets anything.
fn table(world: &mut World, from: &str, lines: &[(String, (&str, &str))]) {
    for (xml, expected) in lines {
        world.forget();
        let head = xml.find(' ').unwrap();
        world.send(&format!("{} from='{from}'{}", &xml[..head], &xml[head..]));
        let shown: String = xml.chars().take(200).collect();
        let got = world.got(from);
        match *expected {
            SILENCE => assert!(got.is_empty(), "{shown}: {got:?}"),
            (condition, kind) => {
                assert_eq!(got.len(), 1, "{shown}: {got:?}");
                assert_eq!(error(&got[0]), of(condition, kind), "{shown}");
                let text = got[0].to_xml().replace(from, "");
                assert!(!text.contains("@shakespeare.lit") && !text.contains("<body"), "{shown}: {text}");
            }
        }
        assert!(world.inbox.is_empty(), "{shown}: nobody else hears of it: {:?}", world.inbox);
    }
}

fn no_such_room(xml: &str) -> String {
    xml.replace(COVEN, "nowhere@chat.shakespeare.lit")
}

#[test]
fn addressing() {
    let mut world = gathered(&[]);
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let disco = |of: &str| format!("<query xmlns='http://jabber.org/protocol/disco#{of}'/>");
    let groupchat = format!("<message type='groupchat' to='{COVEN}'><body>x</body></message>");
    let iq = |ty: &str, to: &str, inner: &str| format!("<iq type='{ty}' id='i' to='{to}'>{inner}</iq>");
    let lines = [
        (no_such_room(&groupchat), ("item-not-found", "cancel")),
        (no_such_room(&iq("get", COVEN, &disco("info"))), ("item-not-found", "cancel")),
        (
            no_such_room(&format!("<message type='chat' to='{THIRD}'><body>x</body></message>")),
            ("item-not-found", "cancel"),
        ),
        (format!("<message to='{COVEN}'><body>x</body></message>"), ("bad-request", "modify")),
        (format!("<message type='normal' to='{COVEN}'><body>x</body></message>"), ("bad-request", "modify")),
        (format!("<message type='chat' to='{COVEN}'><body>x</body></message>"), ("bad-request", "modify")),
        (
            format!("<message type='headline' to='{COVEN}'><body>x</body></message>"),
            ("bad-request", "modify"),
        ),
        (format!("<message type='foo' to='{THIRD}'><body>x</body></message>"), ("bad-request", "modify")),
        (iq("get", COVEN, ""), ("bad-request", "modify")),
        (iq("get", COVEN, &ping.repeat(2)), ("bad-request", "modify")),
        (iq("get", CHAT, ""), ("bad-request", "modify")),
        (iq("get", CHAT, &ping.repeat(2)), ("bad-request", "modify")),
        (iq("get", COVEN, "<query xmlns='urn:example:unknown'/>"), ("service-unavailable", "cancel")),
        (iq("set", COVEN, "<query xmlns='urn:example:unknown'/>"), ("service-unavailable", "cancel")),
        (iq("get", CHAT, "<query xmlns='urn:example:unknown'/>"), ("service-unavailable", "cancel")),
        (iq("set", COVEN, ping), ("service-unavailable", "cancel")),
        (iq("foo", COVEN, ping), ("bad-request", "modify")),
        (iq("foo", CHAT, ping), ("bad-request", "modify")),
        (iq("result", COVEN, ping), SILENCE),
        (iq("result", COVEN, ""), SILENCE),
        (iq("error", THIRD, ""), SILENCE),
        (format!("<presence type='subscribe' to='{COVEN}'/>"), ("bad-request", "modify")),
        (format!("<presence type='foo' to='{COVEN}/kit'/>"), ("bad-request", "modify")),
        (format!("<presence type='unavailable' to='{COVEN}/kit'/>"), SILENCE),
        (format!("<presence type='unavailable' to='{CHAT}'/>"), SILENCE),
        (format!("<presence type='probe' to='{CHAT}'/>"), SILENCE),
        (format!("<presence type='probe' to='{COVEN}'/>"), SILENCE),
        (format!("<message to='{CHAT}'><body>x</body></message>"), ("service-unavailable", "cancel")),
        (iq("get", THIRD, &disco("items")), ("bad-request", "modify")),
        (iq("get", THIRD, &disco("info")), ("bad-request", "modify")),
        (iq("get", THIRD, "<query xmlns='jabber:iq:version'/>"), ("not-acceptable", "cancel")),
        (iq("get", COVEN, &disco("info").replace("/>", " node='x'/>")), ("item-not-found", "cancel")),
        (
            iq(
                "get",
                COVEN,
                &disco("info").replace("/>", " node='http://jabber.org/protocol/muc#traffic'/>"),
            ),
            ("service-unavailable", "cancel"),
        ),
        (iq("set", COVEN, "<roster xmlns='urn:xmpp:dmuc:0'/>"), ("service-unavailable", "cancel")),
        (iq("set", COVEN, "<config xmlns='urn:xmpp:dmuc:0'/>"), ("service-unavailable", "cancel")),
        (
            iq("set", CHAT, "<replicate xmlns='urn:xmpp:dmuc:0'><room id='x'/></replicate>"),
            ("bad-request", "modify"),
        ),
    ];
    table(&mut world, KIT, &lines);
}

#[test]
fn joining() {
    let mut world = gathered(&[]);
    world.sets(CRONE, "<item jid='hecate@shakespeare.lit' nick='admin' affiliation='member'/>");
    world.sets(CRONE, "<item jid='tom@marlowe.lit' affiliation='outcast'/>");
    world.sets(CRONE, "<item jid='evil.example' affiliation='outcast'/>");
    let conflict = ("conflict", "cancel");
    let malformed = ("jid-malformed", "modify");
    let bare = format!("<presence to='{COVEN}'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    let lines = [
        (bare.clone(), malformed),
        (no_such_room(&bare), malformed),
        (bare.replace("<x xmlns='http://jabber.org/protocol/muc'/>", ""), malformed),
        (muc(" "), malformed),
        (muc("\u{3164}"), malformed),
        (muc("\u{2800}"), malformed),
        (muc("third\u{200b}witch"), malformed),
        (muc("\u{202e}hctiwdriht"), malformed),
        (muc(&"n".repeat(65)), ("policy-violation", "modify")),
        (muc("thirdwitch"), conflict),
        (muc("ThirdWitch"), conflict),
        (muc("thirdwitch "), conflict),
        (muc(" thirdwitch"), conflict),
        (muc("thirdwit\u{441}h"), conflict),
        (muc("\u{ff54}hirdwitch"), conflict),
        (muc("admin"), conflict),
        (muc("\u{430}dmin"), conflict),
    ];
    table(&mut world, KIT, &lines);
    let forbidden = ("forbidden", "auth");
    table(&mut world, "tom@marlowe.lit/x", &[(muc("tom"), forbidden)]);
    table(&mut world, "TOM@Marlowe.lit./y", &[(muc("tom"), forbidden)]);
    table(&mut world, "user@evil.example/x", &[(muc("user"), forbidden)]);
    table(&mut world, "kit@marlowe.lit", &[(muc("kit"), ("bad-request", "modify"))]);
    world.joins(KIT, &format!("{COVEN}/🧙"));
    assert!(roster(&world.got(KIT)).contains_key("🧙"), "emoji are welcome");
}

#[test]
fn closed_doors() {
    let required = ("registration-required", "auth");
    table(&mut gathered(&[("muc#roomconfig_membersonly", "1")]), KIT, &[(muc("kit"), required)]);
    let full = ("service-unavailable", "wait");
    table(&mut coven(&[("muc#roomconfig_maxusers", "1")]), KIT, &[(muc("kit"), full)]);
    let mut world = World::with(&[CHAT]);
    world.joins(CRONE, FIRST);
    let lines = [
        (muc("kit"), ("item-not-found", "cancel")),
        (owner("get", ""), ("item-not-found", "cancel")),
        (invitation(1), ("item-not-found", "cancel")),
    ];
    table(&mut world, KIT, &lines);
    let mut world = World::with(&[CHAT]);
    world.policy(CHAT).may_create = dmuc_core::policy::MayCreate::Local;
    table(&mut world, KIT, &[(muc("kit"), ("not-allowed", "cancel"))]);
    world.joins(CRONE, FIRST);
    assert_eq!(codes(&world.got(CRONE)[0]), [110, 201]);
}

#[test]
fn messages() {
    let mut world =
        gathered(&[("muc#roomconfig_moderatedroom", "1"), ("muc#roomconfig_allowpm", "participants")]);
    let say = |ty: &str, to: &str, inner: &str| format!("<message type='{ty}' to='{to}'>{inner}</message>");
    let body = "<body>x</body>";
    let outside = ("not-acceptable", "cancel");
    let outsider = [
        (say("groupchat", COVEN, body), outside),
        (say("groupchat", COVEN, "<subject>x</subject>"), outside),
        (say("chat", SECOND, body), outside),
        (say("chat", &format!("{COVEN}/nobody"), body), outside),
        (invitation(1), outside),
        (say("error", COVEN, body), SILENCE),
    ];
    table(&mut world, KIT, &outsider);
    let forbidden = ("forbidden", "auth");
    let visitor = [
        (say("groupchat", COVEN, body), forbidden),
        (say("groupchat", COVEN, "<composing xmlns='http://jabber.org/protocol/chatstates'/>"), forbidden),
        (say("groupchat", COVEN, "<subject>x</subject>"), forbidden),
        (say("groupchat", SECOND, body), ("bad-request", "modify")),
        (say("chat", SECOND, body), forbidden),
        (say("chat", &format!("{COVEN}/nobody"), body), ("item-not-found", "cancel")),
        (invitation(1), forbidden),
        (say("error", COVEN, body), SILENCE),
    ];
    table(&mut world, HAG, &visitor);
    table(&mut world, CRONE, &[(invitation(21), ("policy-violation", "modify"))]);
}

#[test]
fn power() {
    let mut world = gathered(&[]);
    world.sets(CRONE, "<item jid='wiccarocks@shakespeare.lit' affiliation='admin'/>");
    let (forbidden, not_allowed) = (("forbidden", "auth"), ("not-allowed", "cancel"));
    let (malformed, bad) = (("jid-malformed", "modify"), ("bad-request", "modify"));
    let participant = [
        (admin("<item nick='secondwitch' role='none'/>"), forbidden),
        (admin("<item nick='secondwitch' role='visitor'/>"), forbidden),
        (admin("<item jid='x@y.lit' affiliation='member'/>"), forbidden),
        (admin("<item jid='hag66@shakespeare.lit' affiliation='owner'/>"), forbidden),
        (owner("get", ""), forbidden),
        (owner("set", "<destroy/>"), forbidden),
        (form("roomconfig", ""), forbidden),
    ];
    table(&mut world, HAG, &participant);
    let an_admin = [
        (admin("<item nick='firstwitch' role='none'/>"), not_allowed),
        (admin("<item nick='firstwitch' role='visitor'/>"), not_allowed),
        (admin("<item jid='crone1@shakespeare.lit' affiliation='outcast'/>"), not_allowed),
        (admin("<item jid='crone1@shakespeare.lit' affiliation='none'/>"), forbidden),
        (admin("<item jid='x@y.lit' affiliation='admin'/>"), forbidden),
        (admin("<item nick='thirdwitch' affiliation='owner'/>"), forbidden),
        (admin("<item jid='wiccarocks@shakespeare.lit' affiliation='outcast'/>"), ("conflict", "cancel")),
        (admin("<item nick='secondwitch' affiliation='outcast'/>"), ("conflict", "cancel")),
        (admin("<item jid='wiccarocks@shakespeare.lit/x' affiliation='outcast'/>"), ("conflict", "cancel")),
        (admin("<item jid='x y@z' affiliation='outcast'/>"), malformed),
        (admin("<item jid='x@y.lit' affiliation='superowner'/>"), bad),
        (admin("<item nick='thirdwitch' role='king'/>"), bad),
        (admin("<item nick='thirdwitch' role='none' affiliation='outcast'/>"), bad),
        (admin("<item jid='x@y.lit'/>"), bad),
        (admin("<item affiliation='outcast'/>"), bad),
        (admin("<item role='none'/>"), bad),
        (admin(""), bad),
        (admin("<item nick='nobody' role='none'/>"), ("item-not-found", "cancel")),
        (admin("<item nick='nobody' affiliation='member'/>"), ("item-not-found", "cancel")),
        (admin(&"<item jid='x@y.lit' affiliation='member'/>".repeat(10_000)), ("policy-violation", "modify")),
        (
            admin("<item jid='x@y.lit' affiliation='member'/>")
                .replace("'set'", "'get'")
                .replace("member", "x"),
            bad,
        ),
        (owner("get", ""), forbidden),
        (owner("set", "<destroy/>"), forbidden),
        (form("roomconfig", ""), forbidden),
    ];
    table(&mut world, WICCA, &an_admin);
    let value =
        |var: &str, value: &str| format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>");
    let unacceptable = ("not-acceptable", "modify");
    let an_owner = [
        (admin("<item jid='crone1@shakespeare.lit' affiliation='outcast'/>"), ("conflict", "cancel")),
        (admin("<item jid='crone1@shakespeare.lit' affiliation='admin'/>"), ("conflict", "cancel")),
        (form("register", ""), bad),
        (owner("set", ""), bad),
        (owner("set", "<x xmlns='jabber:x:data' type='form'/>"), bad),
        (owner("set", "<x xmlns='jabber:x:data' type='wish'/>"), bad),
        (owner("set", "<destroy jid='a b@c'/>"), malformed),
        (form("roomconfig", &value("passwordprotectedroom", "1")), unacceptable),
        (form("roomconfig", &value("maxusers", "0")), unacceptable),
        (form("roomconfig", &value("whois", "nobody")), unacceptable),
        (form("roomconfig", &value("membersonly", "maybe")), unacceptable),
        (form("roomconfig", &value("roomname", &"n".repeat(256))), unacceptable),
        (form("roomconfig", &value("membersonly", "1").repeat(2)), bad),
    ];
    table(&mut world, CRONE, &an_owner);
    assert!(!world.instance(COVEN).config().unwrap().members_only);
}

#[test]
fn ids_have_a_limit() {
    let mut world = gathered(&[]);
    let lines = [
        muc("kit"),
        format!("<message type='groupchat' to='{COVEN}'><body>x</body></message>"),
        format!("<message type='chat' to='{SECOND}'><body>x</body></message>"),
        format!("<iq type='get' to='{COVEN}'><ping xmlns='urn:xmpp:ping'/></iq>"),
    ];
    for xml in lines {
        for (length, refused) in [(1024, false), (1025, true), (10_240, true)] {
            let mut long = stanza(&xml).with_from(&jid(HAG)).with_id(&"i".repeat(length));
            long.to = long.to.map(|to| if to.resource() == Some("kit") { jid(THIRD) } else { to });
            let actions = world.handles(COVEN, long);
            let errors: Vec<_> = actions.iter().filter_map(error).collect();
            let expected: Vec<_> = of("policy-violation", "modify").into_iter().filter(|_| refused).collect();
            assert_eq!(errors, expected, "{length} {xml}");
        }
    }
}
