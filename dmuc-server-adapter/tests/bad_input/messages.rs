//! Messages: to everyone, to one, and what they must not carry.

use dmuc_core::Stanza;

use crate::wire::*;

const BAD: Expected = Some(("bad-request", "modify"));
const FORBIDDEN: Expected = Some(("forbidden", "auth"));
const NOT_IN: Expected = Some(("not-acceptable", "cancel"));
const TOO_MUCH: Expected = Some(("policy-violation", "modify"));

fn say(ty: &str, to: &str, inner: &str) -> String {
    format!("<message type='{ty}' to='{to}'>{inner}</message>")
}

fn invitation(count: usize) -> String {
    let invites = "<invite to='hecate@shakespeare.lit'/>".repeat(count);
    format!("<message to='{COVEN}'><x xmlns='{MUC_USER}'>{invites}</x></message>")
}

#[tokio::test]
async fn who_may_not_speak() {
    let mut server = Server::coven(&[("moderatedroom", "1"), ("allowpm", "participants")]).await;
    server.exchange(&admin(CRONE, "<item jid='hag66@shakespeare.lit' affiliation='none'/>")).await;
    server.exchange(&admin(CRONE, "<item nick='thirdwitch' role='visitor'/>")).await;
    let (body, second) = ("<body>boo</body>", format!("{COVEN}/secondwitch"));
    let outsider = [
        ("groupchat", say("groupchat", COVEN, body), NOT_IN),
        ("subject", say("groupchat", COVEN, "<subject>boo</subject>"), NOT_IN),
        ("private", say("chat", &second, body), NOT_IN),
        ("private to nobody", say("chat", &format!("{COVEN}/nobody"), body), NOT_IN),
        ("invitation", invitation(1), NOT_IN),
    ];
    server.table(KIT, &outsider).await;
    let visitor = [
        ("groupchat", say("groupchat", COVEN, body), FORBIDDEN),
        ("subject", say("groupchat", COVEN, "<subject>boo</subject>"), FORBIDDEN),
        ("groupchat to an occupant", say("groupchat", &second, body), BAD),
        ("private", say("chat", &second, body), FORBIDDEN),
        ("invitation", invitation(1), FORBIDDEN),
    ];
    server.table(HAG, &visitor).await;
}

#[tokio::test]
async fn what_is_too_much_or_makes_no_sense() {
    let mut server = Server::coven(&[]).await;
    let body = "<body>boo</body>";
    let id = |bytes: usize| {
        say("groupchat", COVEN, body).replace(" to=", &format!(" id='{}' to=", "i".repeat(bytes)))
    };
    let second = format!("{COVEN}/secondwitch");
    let wrong_jid = format!("<message to='{COVEN}'><x xmlns='{MUC_USER}'><invite to='a b@c'/></x></message>");
    let rows = [
        ("subject without the right", say("groupchat", COVEN, "<subject>boo</subject>"), FORBIDDEN),
        ("id of 10 KB", id(10_240), TOO_MUCH),
        ("21 invitations", invitation(21), TOO_MUCH),
        ("invitation of no address", wrong_jid.clone(), Some(("jid-malformed", "modify"))),
        ("invitation of nobody", wrong_jid.replace(" to='a b@c'", ""), BAD),
        ("groupchat to an occupant", say("groupchat", &second, body), BAD),
        (
            "private to nobody",
            say("chat", &format!("{COVEN}/nobody"), body),
            Some(("item-not-found", "cancel")),
        ),
        ("private to a blank", say("chat", &format!("{COVEN}/ "), body), Some(("jid-malformed", "modify"))),
        (
            "body over the limit",
            say("groupchat", COVEN, &format!("<body>{}</body>", "b".repeat(65_537))),
            TOO_MUCH,
        ),
        (
            "33 levels",
            say("groupchat", COVEN, &format!("{}{}", "<a>".repeat(33), "</a>".repeat(33))),
            TOO_MUCH,
        ),
        ("an error of no consequence", say("error", COVEN, body), None),
    ];
    server.table(HAG, &rows).await;
    let subject = format!("<subject>{}</subject>", "s".repeat(4_097));
    server.table(CRONE, &[("subject over the limit", say("groupchat", COVEN, &subject), TOO_MUCH)]).await;
}

/// Whatever only servers and rooms may say is taken away, all of it, and the room's own put there once.
#[tokio::test]
async fn forged_marks_are_stripped() {
    let mut server = Server::coven(&[]).await;
    let forged = format!(
        "<stanza-id xmlns='urn:xmpp:sid:0' by='{COVEN}' id='forged'/>\
         <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>\
         <delay xmlns='urn:xmpp:delay' from='{COVEN}' stamp='1970-01-01T00:00:00Z'/>\
         <x xmlns='{MUC_USER}'><item affiliation='owner' role='moderator'/></x>\
         <hats xmlns='urn:xmpp:hats:0'><hat uri='urn:forged' title='King'/></hats>\
         <addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='forged@x.lit'/></addresses>\
         <ev xmlns='urn:xmpp:dmuc:sync:0' s='1' i='1' h='forged' id='forged'/>\
         <at xmlns='urn:xmpp:dmuc:sync:0' oid='forged'/>"
    );
    let body = "<body>boo</body>";
    let got = server
        .exchange(&sent_by(HAG, &say("groupchat", COVEN, &format!("{forged}{body}{forged}{forged}"))))
        .await;
    assert_eq!(got.len(), 3, "everybody gets it: {got:?}");
    let private = say("chat", &format!("{COVEN}/secondwitch"), &format!("{forged}{body}{forged}"));
    let private = server.exchange(&sent_by(HAG, &private)).await;
    assert_eq!(private.len(), 1, "{private:?}");
    let presence = server
        .exchange(&sent_by(HAG, &format!("<presence to='{COVEN}/thirdwitch'>{forged}</presence>")))
        .await;
    assert_eq!(presence.len(), 3, "{presence:?}");
    for stanza in got.iter().chain(&private).chain(&presence) {
        let xml = stanza.to_xml();
        assert!(!["forged", "1970", "King", "urn:xmpp:dmuc"].iter().any(|mark| xml.contains(mark)), "{xml}");
        assert_eq!(count(stanza, "urn:xmpp:occupant-id:0"), 1, "{xml}");
    }
    assert!(got.iter().all(|stanza| count(stanza, "urn:xmpp:sid:0") == 1), "{got:?}");
}

fn count(stanza: &Stanza, ns: &str) -> usize {
    stanza.children.iter().filter(|child| child.ns() == ns).count()
}

#[tokio::test]
async fn a_subject_with_a_body_is_a_message() {
    let mut server = Server::coven(&[]).await;
    let both = say("groupchat", COVEN, "<subject>boo</subject><body>boo</body>");
    assert_eq!(server.exchange(&sent_by(HAG, &both)).await.len(), 3);
    let got = server.exchange(&join(KIT, COVEN, "kit")).await;
    let subject =
        got.iter().rfind(|stanza| stanza.has("subject") && !stanza.has("body")).expect("always sent");
    assert!(!subject.to_xml().contains("boo"), "the subject is as it was: {subject:?}");
}

/// A client that cannot be reached is a ghost: removed once, with 333, and nothing is answered.
#[tokio::test]
async fn what_bounces_is_removed_once() {
    for condition in ["remote-server-not-found", "gone", "recipient-unavailable"] {
        let mut server = Server::coven(&[]).await;
        let bounce = format!(
            "<message type='error' from='{HAG}' to='{COVEN}'><error type='cancel'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        );
        let got = server.exchange(&bounce.repeat(5)).await;
        assert_eq!(got.len(), 3, "{condition}: each of the three hears once: {got:?}");
        assert!(got.iter().all(|stanza| stanza.to_xml().contains("<status code='333'/>")), "{got:?}");
        server.still_serves().await;
    }
}

#[tokio::test]
async fn two_hundred_messages_at_once() {
    let mut server = Server::coven(&[]).await;
    let flood: String = (0..200).map(|n| groupchat(HAG, COVEN, &format!("flood {n}"))).collect();
    let got = server.exchange(&flood).await;
    let refused: Vec<_> = got.iter().filter(|stanza| stanza.is_error()).collect();
    // The burst, and what comes back while it lasts.
    assert!((20..=100).contains(&refused.len()), "{}", refused.len());
    for answer in &refused {
        assert_eq!(error(answer), Some(("resource-constraint".to_owned(), "wait".to_owned())));
        echoes_nothing("flood", HAG, answer);
    }
    assert_eq!(got.len(), refused.len() + 3 * (200 - refused.len()));
    let other = server.exchange(&groupchat(WICCA, COVEN, "undisturbed")).await;
    assert_eq!(other.len(), 3, "{other:?}");
}
