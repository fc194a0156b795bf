//! Stanzas written by hand, and what stanzas say.

use std::collections::BTreeMap;

use dmuc_core::stanza::{Kind, Payload};
use dmuc_core::{Address, Stanza};

pub fn jid(text: &str) -> Address {
    Address::parse(text).unwrap_or_else(|_| panic!("{text} is no JID"))
}

/// Reads a stanza as a stream would.
pub fn stanza(xml: &str) -> Stanza {
    let head = xml.find([' ', '>', '/']).unwrap();
    let (name, rest) = xml.split_at(head);
    let element: minidom::Element =
        format!("{name} xmlns='jabber:client'{rest}").parse().unwrap_or_else(|e| panic!("{e}: {xml}"));
    let mut stanza = Stanza::new(Kind::from_name(element.name()).unwrap());
    let address = |name: &str| element.attr(name).map(jid);
    stanza.from = address("from");
    stanza.to = address("to");
    stanza.id = element.attr("id").map(Into::into);
    stanza.ty = element.attr("type").map(Into::into);
    stanza.lang = element.attr_ns("http://www.w3.org/XML/1998/namespace", "lang").map(Into::into);
    stanza.children =
        element.children().map(|child| Payload::parse_xml(&String::from(child)).unwrap()).collect();
    stanza
}

pub fn payload(xml: &str) -> Payload {
    Payload::parse_xml(xml).unwrap_or_else(|_| panic!("{xml}"))
}

// What stanzas say.

pub fn body(stanza: &Stanza) -> Option<String> {
    stanza.child("body", "jabber:client").map(Payload::text)
}

pub fn bodies(stanzas: &[Stanza]) -> Vec<String> {
    stanzas.iter().filter_map(body).collect()
}

pub fn stanza_id(stanza: &Stanza) -> Option<String> {
    stanza.child("stanza-id", "urn:xmpp:sid:0").and_then(|sid| sid.attr("id"))
}

pub fn codes(stanza: &Stanza) -> Vec<u16> {
    let x = stanza.child("x", "http://jabber.org/protocol/muc#user").and_then(|x| x.element().ok());
    let Some(x) = x else { return Vec::new() };
    x.children().filter(|c| c.name() == "status").map(|c| c.attr("code").unwrap().parse().unwrap()).collect()
}

/// `(condition, type)` of an error.
pub fn error(stanza: &Stanza) -> Option<(String, String)> {
    let error = stanza.child("error", "jabber:client")?.element().ok()?;
    let condition = error.children().find(|c| c.ns() == "urn:ietf:params:xml:ns:xmpp-stanzas")?;
    Some((condition.name().to_owned(), error.attr("type")?.to_owned()))
}

pub fn the_error(stanzas: &[Stanza]) -> (String, String) {
    let found: Vec<_> = stanzas.iter().filter_map(error).collect();
    assert_eq!(found.len(), 1, "one error expected in {stanzas:#?}");
    found[0].clone()
}

/// `nick -> (affiliation, role, real JID)` of the presences in order, the last of each nick counting.
pub fn roster(stanzas: &[Stanza]) -> BTreeMap<String, (String, String, Option<String>)> {
    let mut roster = BTreeMap::new();
    for presence in stanzas.iter().filter(|s| s.kind == Kind::Presence && !s.is_error()) {
        let nick = presence.from.as_ref().and_then(|from| from.resource()).unwrap_or("").to_owned();
        let x = presence.child("x", "http://jabber.org/protocol/muc#user").and_then(|x| x.element().ok());
        let Some(item) = x.as_ref().and_then(|x| x.children().find(|c| c.name() == "item")) else { continue };
        if presence.ty() == "unavailable" {
            roster.remove(&nick);
        } else {
            let text = |name| item.attr(name).map(str::to_owned);
            roster.insert(nick, (text("affiliation").unwrap(), text("role").unwrap(), text("jid")));
        }
    }
    roster
}

/// The application-specific condition of an error.
pub fn application(stanza: &Stanza) -> Option<String> {
    let error = stanza.child("error", "jabber:client")?.element().ok()?;
    let own = error.children().find(|child| child.ns() == "urn:xmpp:dmuc:sync:0")?;
    Some(own.name().to_owned())
}

/// The nicks that somebody saw come and not go, in order.
pub fn nicks(stanzas: &[Stanza]) -> Vec<String> {
    roster(stanzas).into_keys().collect()
}
