//! The witches' room, and what its stories look at.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared by several story files"
)]

use dmuc_core::stanza::{Kind, Outbound};
use dmuc_core::{Action, Input, Stanza};
use minidom::Element;

use crate::common::*;

pub const COVEN: &str = "coven@chat.shakespeare.lit";
pub const CRONE: &str = "crone1@shakespeare.lit/desktop";
pub const WICCA: &str = "wiccarocks@shakespeare.lit/laptop";
pub const HAG: &str = "hag66@shakespeare.lit/pda";
pub const HECATE: &str = "hecate@shakespeare.lit/broom";

pub const FIRST: &str = "coven@chat.shakespeare.lit/firstwitch";
pub const SECOND: &str = "coven@chat.shakespeare.lit/secondwitch";
pub const THIRD: &str = "coven@chat.shakespeare.lit/thirdwitch";

pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";

/// The room with its owner in.
pub fn coven(options: &[(&str, &str)]) -> World {
    let mut world = World::with(&[CHAT]);
    world.creates(CRONE, FIRST, options);
    world.forget();
    world
}

/// The room with three witches in: an owner, a participant `secondwitch`, a participant `thirdwitch`.
pub fn gathered(options: &[(&str, &str)]) -> World {
    let mut world = coven(options);
    world.joins(WICCA, SECOND).joins(HAG, THIRD);
    world.forget();
    world
}

impl World {
    pub fn tells(&mut self, user: &str, room: &str, inner: &str) -> &mut Self {
        self.send(&format!("<message type='groupchat' id='t' from='{user}' to='{room}'>{inner}</message>"))
    }

    pub fn asks(&mut self, ty: &str, user: &str, to: &str, query: &str) -> Vec<Stanza> {
        self.send(&format!("<iq type='{ty}' id='q' from='{user}' to='{to}'>{query}</iq>"));
        let all = self.got(user);
        let (answers, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|s| s.kind == Kind::Iq && s.id.as_deref() == Some("q"));
        self.inbox.insert(jid(user), others);
        answers
    }

    /// Hands a stanza that no parser would let pass to a room; gives the single stanzas that come of it.
    pub fn handles(&mut self, room: &str, stanza: Stanza) -> Vec<Stanza> {
        let room = jid(room);
        let node = self.sites.get_mut(room.domain()).unwrap().rooms.get_mut(&room).unwrap();
        let actions = node.instance.handle(self.now, Input::Stanza(stanza));
        let single = |action| match action {
            Action::Send { out: Outbound::One(one), .. } => Some(*one),
            _ => None,
        };
        actions.into_iter().filter_map(single).collect()
    }

    /// A `muc#admin` set; the answer's `(condition, type)`, or nothing if it went well.
    pub fn sets(&mut self, user: &str, items: &str) -> Option<(String, String)> {
        let query = format!("<query xmlns='{MUC_ADMIN}'>{items}</query>");
        let answers = self.asks("set", user, COVEN, &query);
        assert_eq!(answers.len(), 1, "one answer: {answers:?}");
        error(&answers[0])
    }

    /// A `muc#owner` configuration; the answer likewise.
    pub fn submits(&mut self, user: &str, fields: &str) -> Option<(String, String)> {
        let query = format!(
            "<query xmlns='{MUC_OWNER}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/muc#roomconfig</value></field>{fields}</x></query>"
        );
        let answers = self.asks("set", user, COVEN, &query);
        assert_eq!(answers.len(), 1, "one answer: {answers:?}");
        error(&answers[0])
    }

    /// A list: `jid` or `nick` of each item, or the refusal's condition.
    pub fn lists(&mut self, user: &str, item: &str) -> Result<Vec<String>, String> {
        let query = format!("<query xmlns='{MUC_ADMIN}'><item {item}/></query>");
        let answers = self.asks("get", user, COVEN, &query);
        assert_eq!(answers.len(), 1, "one answer: {answers:?}");
        match error(&answers[0]) {
            Some((condition, _)) => Err(condition),
            None => {
                let query = answers[0].child("query", MUC_ADMIN).unwrap().element().unwrap();
                let name = if item.contains("role=") { "nick" } else { "jid" };
                Ok(query.children().map(|item| item.attr(name).unwrap().to_owned()).collect())
            }
        }
    }

    pub fn destroys(&mut self, user: &str, destroy: &str) -> Option<(String, String)> {
        let answers = self.asks("set", user, COVEN, &format!("<query xmlns='{MUC_OWNER}'>{destroy}</query>"));
        assert_eq!(answers.len(), 1, "one answer: {answers:?}");
        error(&answers[0])
    }
}

pub fn of(condition: &str, kind: &str) -> Option<(String, String)> {
    Some((condition.to_owned(), kind.to_owned()))
}

/// The `muc#user` extension; there must be exactly one.
pub fn x(stanza: &Stanza) -> Element {
    let found: Vec<_> = stanza.children.iter().filter(|child| child.is("x", MUC_USER)).collect();
    assert_eq!(found.len(), 1, "{}", stanza.to_xml());
    found[0].element().unwrap()
}

/// An attribute of its `<item/>`.
pub fn item(stanza: &Stanza, attribute: &str) -> Option<String> {
    x(stanza).get_child("item", MUC_USER)?.attr(attribute).map(str::to_owned)
}

pub fn item_text(stanza: &Stanza, child: &str) -> Option<String> {
    x(stanza).get_child("item", MUC_USER)?.get_child(child, MUC_USER).map(Element::text)
}

pub fn actor(stanza: &Stanza) -> Option<String> {
    let x = x(stanza);
    let actor = x.get_child("item", MUC_USER)?.get_child("actor", MUC_USER)?;
    actor.attr("nick").map(str::to_owned)
}

/// A line for each stanza: what it is, of whom, with which role and codes.
pub fn told(stanzas: &[Stanza]) -> Vec<String> {
    stanzas.iter().map(line).collect()
}

fn line(stanza: &Stanza) -> String {
    let who = stanza.from.as_ref().and_then(|from| from.resource()).unwrap_or("room").to_owned();
    if let Some((condition, kind)) = error(stanza) {
        return format!("{} error {condition} {kind}", stanza.kind.name());
    }
    let codes: String = codes(stanza).iter().map(|code| format!(" {code}")).collect();
    match stanza.kind {
        Kind::Presence => {
            let gone = if stanza.ty() == "unavailable" { "-" } else { "+" };
            let item = |name| item(stanza, name).unwrap_or_default();
            format!("{gone}{who} {}/{}{codes}", item("affiliation"), item("role"))
        }
        Kind::Message => match (body(stanza), stanza.child("subject", "jabber:client")) {
            (Some(body), _) => {
                let late = if stanza.child("delay", "urn:xmpp:delay").is_some() { "~" } else { "" };
                format!("{who}{late}: {body}")
            }
            (None, Some(subject)) => format!("{who} subject: {}", subject.text()),
            (None, None) => format!("{who} message{codes}"),
        },
        Kind::Iq => format!("iq {}", stanza.ty()),
    }
}
