//! The room as the store of one instance has it, and what must hold there at any time.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::Address;
use dmuc_core::nick::Nick;
use serde_json::Value;

use crate::common::{CHAT, Node, ROOMS, jid};
use crate::draw::CLIENTS;

/// The domains of users, and the service that answers for them.
const NEAR: [(&str, &str); 2] = [("shakespeare.lit", CHAT), ("macbeth.lit", ROOMS)];

/// What is shown of an occupant.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub affiliation: String,
    pub role: String,
    pub oid: String,
}

/// An occupant as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inside {
    pub nick: String,
    pub home: String,
    pub bare: String,
    pub seen: Seen,
    pub clients: Vec<Address>,
}

#[derive(Debug)]
pub struct Truth {
    pub revision: u64,
    /// Service domain of the instance.
    pub here: String,
    pub head: Value,
    pub config: Value,
    pub subject: Value,
    pub listed: BTreeMap<String, Value>,
    pub occupants: Vec<Inside>,
    /// The clients that real addresses may be shown to.
    pub seers: BTreeSet<Address>,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or("").to_owned()
}

impl Truth {
    /// None if there is no room.
    pub fn read(room: &Address, node: &Node) -> Option<Self> {
        let parts = node.parts();
        let part = |key: &str| parts.get(key).map_or(Value::Null, |part| serde_json::from_str(part).unwrap());
        let all = |prefix: &'static str| {
            let found = parts.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value)));
            found.map(|(key, value)| (key.to_owned(), serde_json::from_str::<Value>(value).unwrap()))
        };
        let mut truth = Self {
            revision: node.revision(),
            here: room.domain().to_owned(),
            head: part("head"),
            config: part("config"),
            subject: part("subject"),
            listed: all("affiliation/").collect(),
            occupants: Vec::new(),
            seers: BTreeSet::new(),
        };
        if truth.head.is_null() {
            return None;
        }
        truth.occupants = all("occupant/").map(|(_, occupant)| truth.inside(&occupant)).collect();
        truth.seers = truth.count_seers();
        Some(truth)
    }

    fn inside(&self, occupant: &Value) -> Inside {
        let bare = text(occupant, "jid");
        let sessions = occupant["sessions"].as_array().unwrap();
        Inside {
            nick: text(occupant, "nick"),
            home: text(occupant, "home"),
            seen: Seen {
                affiliation: self.shown_affiliation(&bare, &text(occupant, "home")),
                role: text(occupant, "role"),
                oid: text(occupant, "oid"),
            },
            clients: sessions.iter().map(|session| jid(&text(session, "jid"))).collect(),
            bare,
        }
    }

    pub fn affiliation(&self, bare: &str) -> String {
        let listed = |jid: &str| self.listed.get(jid).map_or("none".to_owned(), |e| text(e, "affiliation"));
        let own = listed(bare);
        if own == "none" { listed(bare.split('@').nth(1).unwrap()) } else { own }
    }

    /// Of users for whom nobody answers, a shadow tells from hearsay: that gives no more than membership.
    fn shown_affiliation(&self, bare: &str, home: &str) -> String {
        let listed = self.affiliation(bare);
        let source = self.head["firsthost"].as_str().unwrap();
        let answered_for = home == source || NEAR.contains(&(bare.split('@').nth(1).unwrap(), home));
        if !answered_for && matches!(&*listed, "admin" | "owner") { "member".to_owned() } else { listed }
    }

    pub fn is(&self, flag: &str) -> bool {
        self.config[flag] == Value::Bool(true)
    }

    pub fn is_source(&self) -> bool {
        self.head["source"].as_str().is_some_and(|source| jid(source).domain() == self.here)
    }

    pub fn local(&self) -> impl Iterator<Item = &Inside> {
        self.occupants.iter().filter(|occupant| occupant.home == self.here)
    }

    pub fn moderators(&self) -> impl Iterator<Item = &Address> {
        self.local().filter(|o| o.seen.role == "moderator").flat_map(|o| &o.clients)
    }

    fn count_seers(&self) -> BTreeSet<Address> {
        let everyone = text(&self.config, "whois") == "anyone";
        // Members read the archive without being in.
        if everyone {
            return CLIENTS.iter().map(|client| jid(client)).collect();
        }
        let seers = self.local().filter(|o| o.seen.role == "moderator");
        let mut seers: BTreeSet<Address> = seers.flat_map(|o| o.clients.iter().cloned()).collect();
        let ranking = CLIENTS.iter().map(|client| jid(client));
        seers.extend(ranking.filter(|c| matches!(&*self.affiliation(c.bare_str()), "admin" | "owner")));
        seers
    }

    /// Whether an occupant may be in, by the lists of this instance.
    pub fn may_be_in(&self, occupant: &Inside) -> bool {
        match &*occupant.seen.affiliation {
            "outcast" => false,
            "none" => !self.is("members-only"),
            _ => true,
        }
    }

    /// One nick one user, a client in one place only, nobody of ours inside who must not be, an owner, and no deserted
    /// temporary room.
    pub fn check(&self) {
        let (mut nicks, mut clients) = (BTreeMap::new(), BTreeSet::new());
        for occupant in &self.occupants {
            let holder = nicks.entry(Nick::parse(&occupant.nick).unwrap().key()).or_insert(&occupant.bare);
            assert_eq!(*holder, &occupant.bare, "one nick, one user");
            assert!(matches!(&*occupant.seen.role, "visitor" | "participant" | "moderator"));
            assert!(!occupant.clients.is_empty());
        }
        for occupant in self.local() {
            assert!(self.may_be_in(occupant), "{} must not be inside", occupant.bare);
            for client in &occupant.clients {
                assert_eq!(client.bare_str(), occupant.bare);
                assert!(clients.insert(client), "a client is one occupant's");
            }
        }
        if self.is_source() {
            let owned = self.listed.values().any(|entry| entry["affiliation"] == "owner");
            assert!(owned, "no owner is left");
            assert!(self.is("persistent") || !self.occupants.is_empty(), "a deserted temporary room");
        }
    }
}
