//! Those who want to hear of the room without being in it, as ejabberd's MUC/Sub has it: for clients that are not always
//! there. A subscription is the instance's where it was made.

mod delivery;
mod requests;

pub(crate) use requests::subscriptions_of;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::nick::{Nick, NickKey};
use crate::room::occupants::Occupants;

/// What one can hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Node {
    /// Who comes, goes and changes.
    Presence,
    /// What is said to everyone.
    Messages,
    /// Changes of affiliation.
    Affiliations,
    /// Who subscribes.
    Subscribers,
    /// Changes of configuration.
    Config,
    /// The subject.
    Subject,
    /// The end of the room.
    System,
}

impl Node {
    const ALL: [Self; 7] = [
        Self::Presence,
        Self::Messages,
        Self::Affiliations,
        Self::Subscribers,
        Self::Config,
        Self::Subject,
        Self::System,
    ];

    /// Its name on the wire.
    fn uri(self) -> &'static str {
        match self {
            Self::Presence => "urn:xmpp:mucsub:nodes:presence",
            Self::Messages => "urn:xmpp:mucsub:nodes:messages",
            Self::Affiliations => "urn:xmpp:mucsub:nodes:affiliations",
            Self::Subscribers => "urn:xmpp:mucsub:nodes:subscribers",
            Self::Config => "urn:xmpp:mucsub:nodes:config",
            Self::Subject => "urn:xmpp:mucsub:nodes:subject",
            Self::System => "urn:xmpp:mucsub:nodes:system",
        }
    }

    fn of(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|node| node.uri() == uri)
    }
}

/// What one user wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    /// Kept for it at this instance.
    pub nick: Nick,
    pub events: BTreeSet<Node>,
}

/// The subscriptions of this instance.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    all: BTreeMap<Address, Subscription>,
    nicks: BTreeMap<NickKey, Address>,
    /// Who of them is to be told, by node, as long as nobody comes or goes.
    told: BTreeMap<Node, Arc<[Address]>>,
    /// The state of the occupants that `told` goes by.
    as_of: u64,
}

impl Subscribers {
    /// Adds or replaces a subscription.
    pub fn insert(&mut self, jid: Address, subscription: Subscription) {
        self.remove(&jid);
        self.nicks.insert(subscription.nick.key(), jid.clone());
        self.all.insert(jid, subscription);
        self.told.clear();
    }

    /// Takes one out.
    pub fn remove(&mut self, jid: &Address) -> Option<Subscription> {
        let gone = self.all.remove(jid)?;
        self.nicks.remove(&gone.nick.key());
        self.told.clear();
        Some(gone)
    }

    pub fn get(&self, jid: &Address) -> Option<&Subscription> {
        self.all.get(jid)
    }

    /// For whom a nick is kept.
    pub fn holder_of(&self, key: &NickKey) -> Option<&Address> {
        self.nicks.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Address, &Subscription)> {
        self.all.iter()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those who are to be told something: none of them is in the room, where it would be heard anyway.
    pub fn told(&mut self, node: Node, occupants: &Occupants) -> Arc<[Address]> {
        if self.as_of != occupants.generation() {
            self.as_of = occupants.generation();
            self.told.clear();
        }
        let all = &self.all;
        let told = || {
            let present: BTreeSet<&Address> = occupants.iter().filter_map(|o| o.jid.as_ref()).collect();
            let wanting = all.iter().filter(|(_, subscription)| subscription.events.contains(&node));
            wanting.map(|(jid, _)| jid).filter(|jid| !present.contains(jid)).cloned().collect()
        };
        self.told.entry(node).or_insert_with(told).clone()
    }
}
