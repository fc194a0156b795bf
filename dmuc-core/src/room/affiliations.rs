//! The affiliation list: long-lived standing of users and domains, minted by the source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::nick::{Nick, NickKey};
use crate::room::roles::{Affiliation, Role};
use crate::stanza::Payload;

/// A request to be registered that waits for an admin (XEP-0045 §9.9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The nick asked for.
    pub nick: Nick,
    /// The submitted form, as far as admins are shown it.
    pub form: Payload,
}

/// What the list says of one bare JID or domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The affiliation; `none` is kept so that a removal can be told to others as a change.
    pub affiliation: Affiliation,
    /// Reserved nick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nick: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A role granted by a moderator for this visit, over the one that the affiliation gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// A request to be registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Wish>,
    /// Hats worn, by URI (XEP-0317).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hats: BTreeSet<String>,
    /// The version of the list that this entry was minted with.
    pub n: u64,
    /// The version with which its affiliation became what it is (XEP-0463).
    #[serde(default)]
    pub changed: u64,
}

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affiliations {
    entries: BTreeMap<Address, Standing>,
    /// Who has reserved a nick; asked on every join.
    nicks: BTreeMap<NickKey, Address>,
    /// The same by what the nicks look like.
    looks: BTreeMap<Arc<str>, BTreeSet<Address>>,
    /// Who waits to be registered with a nick.
    wishes: BTreeMap<NickKey, Address>,
    /// The newest `changed` of all entries.
    changed: u64,
}

impl Standing {
    fn nick_key(&self) -> Option<NickKey> {
        self.nick.as_deref().and_then(|nick| Nick::parse(nick).ok()).map(|nick| nick.key())
    }
}

impl Affiliations {
    /// Sets an entry.
    pub fn set(&mut self, jid: Address, standing: Standing) {
        let (old, new) = (self.entries.get(&jid).and_then(Standing::nick_key), standing.nick_key());
        if let Some(old) = old {
            self.looks.get_mut(old.look()).map(|alike| alike.remove(&jid));
            if self.nicks.get(&old) == Some(&jid) {
                self.nicks.remove(&old);
            }
        }
        if let Some(new) = new {
            self.looks.entry(new.look().clone()).or_default().insert(jid.clone());
            self.nicks.insert(new, jid.clone());
        }
        let wished = |standing: &Standing| standing.wish.as_ref().map(|wish| wish.nick.key());
        if let Some(old) = self.entries.get(&jid).and_then(wished) {
            self.wishes.remove(&old);
        }
        if let Some(new) = wished(&standing) {
            self.wishes.insert(new, jid.clone());
        }
        self.changed = self.changed.max(standing.changed);
        self.entries.insert(jid, standing);
    }

    /// The entry of exactly this bare JID or domain.
    #[must_use]
    pub fn entry(&self, jid: &Address) -> Option<&Standing> {
        self.entries.get(jid.bare_str())
    }

    /// What the list says of exactly this bare JID or domain.
    #[must_use]
    pub fn listed(&self, jid: &Address) -> Affiliation {
        self.entry(jid).map_or(Affiliation::None, |standing| standing.affiliation)
    }

    /// The affiliation of a user: its own entry, or an outcast's of its domain.
    #[must_use]
    pub fn of(&self, jid: &Address) -> Affiliation {
        let own = self.entries.get(jid.bare_str()).map_or(Affiliation::None, |standing| standing.affiliation);
        if own > Affiliation::None {
            return own;
        }
        match self.entries.get(jid.domain()) {
            Some(domain) if domain.affiliation == Affiliation::Outcast => Affiliation::Outcast,
            Some(domain) if own == Affiliation::None => domain.affiliation,
            _ => own,
        }
    }

    /// The role granted to a user for this visit.
    #[must_use]
    pub fn granted_role(&self, jid: &Address) -> Option<Role> {
        self.entries.get(jid.bare_str())?.role
    }

    /// Everybody of one affiliation.
    pub fn with(&self, affiliation: Affiliation) -> impl Iterator<Item = (&Address, &Standing)> {
        self.entries.iter().filter(move |(_, standing)| standing.affiliation == affiliation)
    }

    /// Every entry minted after version `since`.
    pub fn since(&self, since: u64) -> impl Iterator<Item = (&Address, &Standing)> {
        self.entries.iter().filter(move |(_, standing)| standing.n > since)
    }

    /// The version with which an affiliation has changed last (XEP-0463).
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.changed
    }

    /// Who has reserved a nick.
    #[must_use]
    pub fn holder_of(&self, key: &NickKey) -> Option<&Address> {
        self.nicks.get(key)
    }

    /// Who has reserved a nick that looks like this one, or is it.
    pub fn holders_of_lookalikes(&self, key: &NickKey) -> impl Iterator<Item = &Address> {
        self.looks.get(key.look()).into_iter().flatten()
    }

    /// Who waits to be registered with a nick.
    #[must_use]
    pub fn wisher_of(&self, key: &NickKey) -> Option<&Address> {
        self.wishes.get(key)
    }

    /// Everybody who waits to be registered.
    pub fn wishers(&self) -> impl ExactSizeIterator<Item = &Address> {
        self.wishes.values()
    }

    /// How many entries there are, whatever they say.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, &Standing)> {
        self.entries.iter()
    }
}
