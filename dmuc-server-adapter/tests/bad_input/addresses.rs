//! Addresses and identity: whom a stanza is for, what it is, and who sends it.

use crate::common::CHAT;
use crate::wire::*;

const BAD: Expected = Some(("bad-request", "modify"));
const MALFORMED: Expected = Some(("jid-malformed", "modify"));
const NOT_FOUND: Expected = Some(("item-not-found", "cancel"));
const NOT_OFFERED: Expected = Some(("service-unavailable", "cancel"));
const NOT_IN: Expected = Some(("not-acceptable", "cancel"));

fn iq(ty: &str, to: &str, inner: &str) -> String {
    format!("<iq type='{ty}' id='i' to='{to}'>{inner}</iq>")
}

fn message(ty: &str, to: &str) -> String {
    format!("<message type='{ty}' to='{to}'><body>boo</body></message>")
}

#[tokio::test]
async fn a_stranger_is_told_what_is_wrong() {
    let mut server = Server::coven(&[]).await;
    let (ping, unknown) = ("<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='urn:example:unknown'/>");
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let items = info.replace("info", "items");
    let third = format!("{COVEN}/thirdwitch");
    let nowhere = format!("nowhere@{CHAT}");
    let mut rows = vec![
        ("groupchat to no room", message("groupchat", &nowhere), NOT_FOUND),
        ("private to no room", message("chat", &format!("{nowhere}/x")), NOT_FOUND),
        ("request to no room", iq("get", &nowhere, info), NOT_FOUND),
        ("no localpart", message("groupchat", &format!("@{CHAT}")), MALFORMED),
        ("space in the localpart", message("groupchat", &format!("ro om@{CHAT}")), MALFORMED),
        ("apostrophe in the localpart", message("groupchat", &format!("room&apos;@{CHAT}")), MALFORMED),
        ("long localpart", message("groupchat", &format!("{}@{CHAT}", "r".repeat(1024))), MALFORMED),
        ("malformed, in a request", iq("get", &format!("ro om@{CHAT}"), ping), MALFORMED),
        ("malformed, in an error", message("error", &format!("ro om@{CHAT}")), None),
        ("malformed, in a result", iq("result", &format!("ro om@{CHAT}"), ping), None),
        ("no type", message("", COVEN).replace(" type=''", ""), BAD),
        ("normal, of no use", message("normal", COVEN), BAD),
        ("chat to the room", message("chat", COVEN), BAD),
        ("headline to the room", message("headline", COVEN), BAD),
        ("unknown type of message", message("foo", COVEN), BAD),
        ("no child", iq("get", COVEN, ""), BAD),
        ("two children", iq("get", COVEN, &ping.repeat(2)), BAD),
        ("no child, set", iq("set", COVEN, ""), BAD),
        ("unknown namespace", iq("get", COVEN, unknown), NOT_OFFERED),
        ("unknown namespace, set", iq("set", COVEN, unknown), NOT_OFFERED),
        ("unknown type of iq", iq("foo", COVEN, ping), BAD),
        ("iq without a type", iq("", COVEN, ping).replace(" type=''", ""), BAD),
        ("result that nobody asked for", iq("result", COVEN, ping), None),
        ("error that nobody asked for", iq("error", COVEN, ""), None),
        ("result for an occupant", iq("result", &third, ping), None),
        ("subscription", format!("<presence type='subscribe' to='{COVEN}'/>"), BAD),
        ("unknown type of presence", format!("<presence type='foo' to='{third}'/>"), BAD),
        ("presence of type error", format!("<presence type='error' to='{third}'/>"), None),
        ("probe", format!("<presence type='probe' to='{third}'/>"), NOT_IN),
        ("leaving without being in", format!("<presence type='unavailable' to='{COVEN}/kit'/>"), None),
        ("discovery of an occupant", iq("get", &third, info), BAD),
        ("discovery of an occupant's items", iq("get", &third, &items), BAD),
        ("request to an occupant", iq("get", &third, "<query xmlns='jabber:iq:version'/>"), NOT_IN),
        ("unknown node", iq("get", COVEN, &info.replace("/>", " node='x'/>")), NOT_FOUND),
    ];
    rows.extend([
        ("service: no child", iq("get", CHAT, ""), BAD),
        ("service: two children", iq("get", CHAT, &ping.repeat(2)), BAD),
        ("service: unknown namespace", iq("get", CHAT, unknown), NOT_OFFERED),
        ("service: unknown type of iq", iq("foo", CHAT, ping), BAD),
        ("service: result", iq("result", CHAT, ping), None),
        ("service: message", message("normal", CHAT), NOT_OFFERED),
        ("service: groupchat", message("groupchat", CHAT), NOT_OFFERED),
        ("service: error", message("error", CHAT), None),
        ("service: leaving", format!("<presence type='unavailable' to='{CHAT}'/>"), None),
        ("service: error presence", format!("<presence type='error' to='{CHAT}'/>"), None),
        (
            "service: rooms after nonsense",
            iq(
                "get",
                CHAT,
                &items.replace(
                    "/>",
                    "><set xmlns='http://jabber.org/protocol/rsm'><max>many</max></set></query>",
                ),
            ),
            BAD,
        ),
    ]);
    server.table(KIT, &rows).await;
}

/// Who sends something is what the server says; without that nobody is answered, and nothing happens.
#[tokio::test]
async fn a_stanza_of_nobody_is_dropped() {
    let mut server = Server::coven(&[]).await;
    let boo = "<body>boo</body>";
    for xml in [
        format!("<message type='groupchat' id='x' to='{COVEN}'>{boo}</message>"),
        format!("<message type='groupchat' id='x' from='' to='{COVEN}'>{boo}</message>"),
        format!("<message type='groupchat' id='x' from='a b@c' to='{COVEN}'>{boo}</message>"),
        format!("<message type='groupchat' id='x' from='@shakespeare.lit/x' to='{COVEN}'>{boo}</message>"),
        format!("<iq type='get' id='x' to='{COVEN}'><ping xmlns='urn:xmpp:ping'/></iq>"),
        format!("<iq type='get' id='x' from='{KIT}'><ping xmlns='urn:xmpp:ping'/></iq>"),
        format!("<iq type='get' id='x' from='{KIT}' to='other.example'><ping xmlns='urn:xmpp:ping'/></iq>"),
    ] {
        let got = server.exchange(&xml).await;
        assert!(got.is_empty(), "{xml}: {got:?}");
    }
    server.still_serves().await;
}
