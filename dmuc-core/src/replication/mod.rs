//! One room instance as XEP-0281 sees it: what instances say to each other, one use case a file.

mod gate;
mod heard;
mod history;
pub(crate) mod log;
mod occupancy;
pub mod payload;
mod propose;
mod push;
pub(crate) mod redirect;
mod retry;
mod shadow;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::clock::Millis;
use crate::io::{Cause, QueryId};
use crate::record::{Parts, part};
use crate::stanza::Stanza;
use crate::storage::StoreError;

/// Whether an instance takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    Active,
    /// It could not hold what protects the room, and gets nothing until it can.
    Suspended,
}

/// One instance of the room, as the source minted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceInfo {
    pub jid: Address,
    /// Order of succession; the source has 0.
    pub rank: u32,
    /// Domains whose users it speaks for.
    pub vouch: Vec<String>,
    pub standing: Standing,
    /// It knows only XEP-0281 as published.
    #[serde(default)]
    pub core_only: bool,
}

impl InstanceInfo {
    pub fn domain(&self) -> &str {
        self.jid.domain()
    }

    pub fn vouches_for(&self, domain: &str) -> bool {
        self.vouch.iter().any(|vouched| vouched == domain)
    }
}

/// How far the source has come with placing a shadow at a peerhost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "stage")]
pub(crate) enum Placement {
    /// Its capabilities have been asked for.
    Asking { tries: u32 },
    /// `<replicate/>` has been sent for a room named so.
    Replicating { id: String, tries: u32, core_only: bool },
    /// It is an instance; the state has been sent.
    Bringing,
    /// It is an instance in all respects.
    Placed,
    /// It will not have it, for a reason that only people change.
    Refused { why: String },
    /// It could not be asked; again at `at`.
    Waiting { at: Millis, tries: u32 },
}

/// A request that awaits its answer.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub from: Address,
    pub what: Asked,
    pub expires: Millis,
}

/// What was asked of a peer.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Capabilities,
    Replicate,
    Config,
    Occupants,
    /// Anything whose success needs no notice.
    Told,
    History,
    /// A user's request that the source or another instance decides.
    ForUser(Option<Cause>),
}

/// What replication has to know beyond the room itself.
#[derive(Debug, Default)]
pub(crate) struct Replication {
    /// All instances but ourselves.
    pub instances: Vec<InstanceInfo>,
    /// At the source, by peerhost.
    pub placements: BTreeMap<String, Placement>,
    /// Version of our own occupancy.
    pub occupancy: u64,
    awaited: BTreeMap<String, Awaited>,
    /// Requests passed on between occupants: our id, who asked, with which id.
    relays: BTreeMap<String, (Address, String)>,
    asked: u64,
    /// What a restart interrupted has been taken up again.
    pub resumed: bool,
    /// History requests of peers that wait for the store.
    pub answering: BTreeMap<QueryId, Stanza>,
    /// Users who were sent to their shadow, and when.
    pub redirected: BTreeMap<Address, Millis>,
    /// Since when a peer's occupancy is known in full.
    pub met: BTreeMap<Arc<str>, u64>,
}

/// Most requests between occupants that are remembered; the oldest is forgotten first.
const RELAYS_MAX: usize = 256;
/// Most redirected users that are remembered.
const REDIRECTED_MAX: usize = 1024;

impl Replication {
    pub fn restore(parts: &Parts<'_>, occupancy: u64) -> Result<Self, StoreError> {
        Ok(Self {
            instances: parts.get(part::INSTANCES)?.unwrap_or_default(),
            placements: parts.all("placement")?.into_iter().collect(),
            occupancy,
            ..Self::default()
        })
    }

    /// Whether no answer is awaited.
    pub fn is_quiet(&self) -> bool {
        self.awaited.is_empty() && self.answering.is_empty()
    }

    /// The next number for a request or a query.
    pub fn number(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    pub fn await_answer(&mut self, id: &str, from: &Address, what: Asked, expires: Millis) {
        self.awaited.insert(id.to_owned(), Awaited { from: from.clone(), what, expires });
    }

    /// Takes out what has been awaited too long.
    pub fn take_expired(&mut self, now: Millis) -> Vec<(Address, Asked)> {
        let expired: Vec<String> = self
            .awaited
            .iter()
            .filter(|(_, awaited)| awaited.expires <= now)
            .map(|(id, _)| id.clone())
            .collect();
        let taken = expired.iter().filter_map(|id| self.awaited.remove(id));
        taken.map(|awaited| (awaited.from, awaited.what)).collect()
    }

    /// What an answer is for; none if nothing was asked of its sender under its id.
    pub fn take_awaited(&mut self, id: &str, from: &Address) -> Option<Asked> {
        let asked_of = &self.awaited.get(id)?.from;
        if asked_of != from {
            return None;
        }
        self.awaited.remove(id).map(|awaited| awaited.what)
    }

    pub fn remember_relay(&mut self, id: String, asker: &Address, original: &str) {
        if self.relays.len() >= RELAYS_MAX {
            self.relays.pop_first();
        }
        self.relays.insert(id, (asker.clone(), original.to_owned()));
    }

    pub fn take_relay(&mut self, id: &str) -> Option<(Address, String)> {
        self.relays.remove(id)
    }

    pub fn remember_redirect(&mut self, user: Address, now: Millis) {
        if self.redirected.len() >= REDIRECTED_MAX {
            self.redirected.pop_first();
        }
        self.redirected.insert(user, now);
    }

    pub fn instance(&self, domain: &str) -> Option<&InstanceInfo> {
        self.instances.iter().find(|instance| instance.domain() == domain)
    }

    /// Those that get what happens here.
    pub fn active(&self) -> impl Iterator<Item = &InstanceInfo> {
        self.instances.iter().filter(|instance| instance.standing == Standing::Active)
    }
}
