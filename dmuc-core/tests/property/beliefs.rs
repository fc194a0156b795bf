//! What the clients were told, and so believe; and what must not be told them.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::stanza::{Kind, Payload};
use dmuc_core::{Address, Stanza};

use crate::common::codes;
use crate::truth::{Inside, Seen, Truth};

const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

/// The occupants that a client sees.
type View = BTreeMap<String, Seen>;

/// The views of those who believe to be in, by client and room.
#[derive(Default)]
pub struct Beliefs(BTreeMap<(Address, Address), View>);

impl Beliefs {
    /// One client hears one stanza of a room; `enters` if it has just asked to come in.
    pub fn hear(&mut self, stanza: &Stanza, enters: bool) {
        let (client, from) = (stanza.to.clone().unwrap(), stanza.from.as_ref().unwrap());
        let place = (client, from.to_bare());
        let inside = enters || self.0.contains_key(&place);
        match stanza.kind {
            _ if stanza.is_error() => {}
            Kind::Message => {
                // Requests to register go to admins wherever they are.
                let for_admins = stanza.id.as_deref().is_some_and(|id| id.starts_with("registration-"));
                let asked_for =
                    for_admins || is_invitation(stanza) || stanza.child("result", "urn:xmpp:mam:2").is_some();
                assert!(inside || asked_for, "said to somebody who is not in: {stanza:?}");
            }
            Kind::Iq => {
                let known = inside || !stanza.is_request() || self.has_account(&place);
                assert!(known, "asked of somebody who is not in: {stanza:?}");
            }
            Kind::Presence => self.believe(place, from.resource(), stanza, inside),
        }
    }

    /// Whether this is the account of somebody who is in.
    fn has_account(&self, (account, room): &(Address, Address)) -> bool {
        self.0.keys().any(|(client, place)| client.to_bare() == *account && place == room)
    }

    fn believe(&mut self, place: (Address, Address), nick: Option<&str>, stanza: &Stanza, inside: bool) {
        let (Some(nick), Some(x)) = (nick, muc_user(stanza)) else { return };
        let codes = codes(stanza);
        // Whoever is told that it is not in was not, or not under this nick.
        let lost = codes.contains(&307) && codes.contains(&333);
        if stanza.ty() == "unavailable" && codes.contains(&110) && !codes.contains(&303) {
            if !lost {
                self.0.remove(&place);
            }
            return;
        }
        assert!(inside, "shown to somebody who is not in: {stanza:?}");
        let view = self.0.entry(place).or_default();
        if stanza.ty() == "unavailable" {
            view.remove(nick);
            return;
        }
        let item = x.children().find(|child| child.name() == "item").unwrap();
        let oid = stanza.child("occupant-id", "urn:xmpp:occupant-id:0").and_then(|oid| oid.attr("id"));
        let text = |name| item.attr(name).unwrap().to_owned();
        let seen = Seen { affiliation: text("affiliation"), role: text("role"), oid: oid.unwrap() };
        view.insert(nick.to_owned(), seen);
    }

    /// Every client inside believes exactly what is true and shown to it; nobody else believes to be inside.
    pub fn check(&self, truths: &BTreeMap<Address, Truth>) {
        let mut inside = BTreeSet::new();
        for (room, truth) in truths {
            for occupant in truth.local() {
                let expected = shown_to(&occupant.nick, truth);
                for client in &occupant.clients {
                    let place = (client.clone(), room.clone());
                    let believed = self.0.get(&place).map(|view| but_for_the_doomed(view, truth));
                    assert_sees(&believed.unwrap_or_default(), &expected, &format!("{client} in {room}"));
                    inside.insert(place);
                }
            }
        }
        assert_eq!(self.0.keys().cloned().collect::<BTreeSet<_>>(), inside, "who believes to be inside");
    }
}

/// Whom the occupant of a nick sees: itself, and those whose roles are broadcast. One user at two instances may be seen
/// as it is at either.
fn shown_to(nick: &str, truth: &Truth) -> BTreeMap<String, Vec<Seen>> {
    let shown = truth.config["presence-broadcast"].as_array().cloned().unwrap_or_default();
    let visible = |o: &&Inside| o.nick == nick || shown.iter().any(|shown| shown == &*o.seen.role);
    let mut view = BTreeMap::<String, Vec<Seen>>::new();
    for occupant in truth.occupants.iter().filter(|o| truth.may_be_in(o)).filter(visible) {
        view.entry(occupant.nick.clone()).or_default().push(occupant.seen.clone());
    }
    view
}

fn assert_sees(view: &View, expected: &BTreeMap<String, Vec<Seen>>, who: &str) {
    let agrees = |(nick, seen): (&String, &Seen)| expected.get(nick).is_some_and(|may| may.contains(seen));
    assert!(
        view.len() == expected.len() && view.iter().all(agrees),
        "{who} believes {view:?}, not {expected:?}"
    );
}

/// Whom another instance has yet to send out, since it is banned, is as good as gone: nobody is told anything any more.
fn but_for_the_doomed(view: &View, truth: &Truth) -> View {
    let doomed = |nick: &str| truth.occupants.iter().any(|o| o.nick == nick && !truth.may_be_in(o));
    view.iter().filter(|(nick, _)| !doomed(nick)).map(|(nick, seen)| (nick.clone(), seen.clone())).collect()
}

fn muc_user(stanza: &Stanza) -> Option<minidom::Element> {
    stanza.child("x", MUC_USER).and_then(|x| x.element().ok())
}

fn is_invitation(message: &Stanza) -> bool {
    muc_user(message).is_some_and(|x| x.has_child("invite", MUC_USER) || x.has_child("decline", MUC_USER))
}

/// Whoever asked to come in and was let in hears of the others, then of itself, then what was said, the subject last
/// (XEP-0045 §7.2).
pub fn check_entry(heard: &[&Stanza]) {
    let own = |s: &&&Stanza| s.kind == Kind::Presence && !s.is_error() && s.id.as_deref() == Some("j");
    let Some(at) = heard.iter().position(|stanza| own(&stanza)) else { return };
    // Whoever was in already under another nick hears of that change first.
    if heard.iter().any(|stanza| codes(stanza).contains(&303)) {
        return;
    }
    let is_self = |s: &&&Stanza| s.kind == Kind::Presence && codes(s).contains(&110);
    assert_eq!(heard.iter().filter(is_self).count(), 1, "one self-presence: {heard:?}");
    assert!(codes(heard[at]).contains(&110));
    assert!(heard[..at].iter().all(|s| s.kind == Kind::Presence), "something is said before: {heard:?}");
    assert!(heard[at + 1..].iter().all(|s| s.kind == Kind::Message), "somebody comes after: {heard:?}");
    let last = heard.iter().rfind(|stanza| stanza.ty() == "groupchat").unwrap();
    assert!(last.has("subject"), "the subject ends it: {heard:?}");
}

/// A real address is shown to those who may see it, and to its own user. Whoever declines an invitation tells its own.
pub fn check_addresses(stanza: &Stanza, users: &[&str], seers: &BTreeSet<Address>) {
    let to = stanza.to.as_ref().unwrap();
    let sees = seers.iter().any(|seer| seer.bare_str() == to.bare_str());
    if sees || muc_user(stanza).is_some_and(|x| x.has_child("decline", MUC_USER)) {
        return;
    }
    let own = to.bare_str();
    for other in users.iter().filter(|other| **other != own) {
        let tells = |child: &Payload| child.as_xml().contains(other);
        assert!(!stanza.children.iter().any(tells), "{other} is shown to {to}: {stanza:?}");
    }
}
