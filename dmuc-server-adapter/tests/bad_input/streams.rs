//! XML and streams: what ends the stream, and what costs one stanza.

use dmuc_core::Stanza;
use tokio::io::AsyncWriteExt;

use crate::common::CHAT;
use crate::wire::*;

fn message(inner: &str) -> String {
    format!("<message type='groupchat' from='{HAG}' to='{COVEN}' id='bad'>{inner}</message>")
}

#[tokio::test]
async fn what_no_stream_may_hold_ends_it_and_the_rooms_live_on() {
    let mut server = Server::coven(&[]).await;
    let rows: [(&str, Vec<u8>, &str); 14] = [
        ("document type with an entity", b"<!DOCTYPE a [<!ENTITY lol 'lol'>]>".to_vec(), "restricted-xml"),
        ("entity that nobody declared", message("<body>&lol9;</body>").into(), "not-well-formed"),
        ("processing instruction", message("<?php 1 ?>").into(), "restricted-xml"),
        ("comment", message("<!-- hi -->").into(), "restricted-xml"),
        ("overlong UTF-8", b"<message><body>\xC0\xAF</body></message>".to_vec(), "not-well-formed"),
        ("surrogate", b"<message><body>\xED\xA0\x80</body></message>".to_vec(), "not-well-formed"),
        ("control character", message("<body>&#1;</body>").into(), "not-well-formed"),
        ("attribute twice", message("<x a='1' a='2'/>").into(), "not-well-formed"),
        (
            "attribute twice by two prefixes",
            message("<x xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>").into(),
            "not-well-formed",
        ),
        ("prefix that nobody declared", message("<p:x/>").into(), "not-well-formed"),
        ("unknown element", b"<letter/>".to_vec(), "unsupported-stanza-type"),
        (
            "stanza of another namespace",
            format!("<message xmlns='jabber:client' from='{HAG}' to='{COVEN}'/>").into(),
            "invalid-namespace",
        ),
        ("text between stanzas", b"hello".to_vec(), "bad-format"),
        ("100 000 levels", "<a>".repeat(100_000).replacen('a', "message", 1).into(), "policy-violation"),
    ];
    for (name, bytes, condition) in rows {
        // The component may hang up before it has read all of it.
        let _ = server.socket.write_all(&bytes).await;
        let end = server.last_words(name).await;
        let expected = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        assert!(end.contains(&expected) && end.ends_with("</stream:stream>"), "{name}: {end}");
        server.reconnect().await;
        let got = server.exchange(&groupchat(HAG, COVEN, name)).await;
        assert_eq!(got.len(), 3, "the three are still in after {name}: {got:?}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn a_stream_that_begins_badly_is_ended() {
    let mut server = Server::start(|_| {}).await;
    let stream = HEADER.trim_start_matches("<?xml version='1.0'?>");
    let rows = [
        ("utf-16", format!("<?xml version='1.0' encoding='utf-16'?>{stream}"), "unsupported-encoding"),
        (
            "document type",
            format!("<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'b'>]>{stream}"),
            "restricted-xml",
        ),
        ("another namespace", HEADER.replace("component:accept", "client"), "invalid-namespace"),
        ("a stanza before the handshake", format!("{HEADER}{}", message("")), "not-authorized"),
    ];
    server.send("</stream:stream>").await;
    for (name, begin, condition) in rows {
        let mut socket = server.next_connection().await;
        read_until(&mut socket, &format!("to='{CHAT}'>")).await;
        let _ = socket.write_all(begin.as_bytes()).await;
        let end = read_until(&mut socket, "</stream:stream>").await;
        assert!(end.contains(&format!("<{condition} ")), "{name}: {end}");
    }
    server.reconnect().await;
    server.still_serves().await;
}

/// What one stanza may cost; the stream goes on with the next.
#[tokio::test]
async fn a_stanza_over_a_limit_is_read_past() {
    let mut server = Server::coven(&[]).await;
    let nested = format!("{}{}", "<a>".repeat(5_000), "</a>".repeat(5_000));
    let attributes: String = (0..10_000).map(|n| format!(" a{n}='x'")).collect();
    let many = "<a/>".repeat(3_000);
    let deep_in_ours =
        format!("<a xmlns='urn:xmpp:dmuc:sync:0'>{}{}</a>", "<b>".repeat(20), "</b>".repeat(20));
    let say = |inner: &str| format!("<message type='groupchat' id='bad' to='{COVEN}'>{inner}</message>");
    let too_much = Some(("policy-violation", "modify"));
    let rows = [
        ("5 000 levels", say(&nested), too_much),
        ("10 000 attributes", say(&format!("<a{attributes}/>")), too_much),
        ("3 000 elements", say(&many), too_much),
        ("300 KiB", say(&format!("<body>{}</body>", "b".repeat(300 << 10))), too_much),
        ("20 levels of ours", say(&deep_in_ours), too_much),
        ("and in an error", say(&nested).replace("groupchat", "error"), None),
        ("and in a result", say(&nested).replace("message", "iq").replace("groupchat", "result"), None),
    ];
    server.table(HAG, &rows).await;
}

#[tokio::test]
async fn very_deep_nesting_is_skipped_like_any() {
    let mut server = Server::coven(&[]).await;
    let nested = format!("{}{}", "<a>".repeat(16_000), "</a>".repeat(16_000));
    let got: Vec<Stanza> = server.exchange(&message(&nested)).await;
    assert_eq!(error(&got[0]), Some(("policy-violation".to_owned(), "modify".to_owned())));
}
