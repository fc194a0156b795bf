//! One room instance as XEP-0281 sees it: what instances say to each other, one use case a file.

mod approval;
mod asides;
mod gate;
mod heard;
mod history;
mod introduction;
pub(crate) mod log;
mod nick_conflict;
mod occupancy;
mod pages;
pub mod payload;
mod propose;
mod push;
pub(crate) mod redirect;
mod retry;
mod shadow;
pub(crate) mod source;
mod vcard;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::clock::Millis;
use crate::io::Cause;
use crate::record::{Parts, part};
use crate::room::invite::Invitation;
use crate::room::occupant_iq::Relays;
use crate::room::returns::Returns;
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
    /// It has acknowledged our list of our own occupants.
    #[serde(default)]
    pub introduced: bool,
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
    /// It waits for its operator.
    Pending { id: String },
    /// It is an instance; the state has been sent.
    Bringing,
    /// It is an instance in all respects.
    Placed,
    /// It will not have it, for a reason that only people change.
    Refused { why: String },
    /// It could not be asked, or did not answer; again at `at`.
    Waiting { at: Millis, tries: u32 },
    /// It knows nothing of distributed rooms, as far as was known then; worth another question after `until`.
    Unsupported { until: Millis },
}

impl Placement {
    /// As it is after a restart: whatever was under way has lost its answers and is begun anew at once. Every step may
    /// be repeated.
    fn resumed(self) -> Self {
        match self {
            Self::Asking { tries } | Self::Replicating { tries, .. } => {
                Self::Waiting { at: Millis(0), tries }
            }
            Self::Bringing => Self::Waiting { at: Millis(0), tries: 0 },
            settled => settled,
        }
    }
}

/// A request that awaits its answer.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub from: Address,
    pub what: Asked,
    /// An answer later than this counts for nothing.
    pub until: Millis,
}

/// When something that failed is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    pub at: Millis,
    pub tries: u32,
}

/// What was asked of a peer.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Capabilities,
    Replicate,
    Config,
    Affiliations,
    Occupants,
    /// Anything whose success needs no notice.
    Told,
    History,
    /// A user's request that the source or another instance decides.
    ForUser(Option<Cause>),
    /// That the source lets somebody in who is to be invited.
    Admission(Box<Invitation>),
    /// That the instance nearest to somebody invites it.
    Inviting(Box<Invitation>),
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
    /// Requests passed on between occupants.
    pub relays: Relays,
    /// When visitors asked for voice, by occupant id.
    pub voice_asked: BTreeMap<String, Millis>,
    /// Messages that may come back.
    pub returns: Returns,
    /// Instances that have yet to hear of our occupants, and could not be told.
    introductions: BTreeMap<String, Again>,
    /// What the retry timer is set to.
    timer: Option<Millis>,
    asked: u64,
    /// Users who were sent to their shadow, and when.
    pub redirected: BTreeMap<Address, Millis>,
    /// Since when a peer's occupancy is known in full.
    pub met: BTreeMap<Arc<str>, u64>,
}

/// How long an answer of a peer is awaited.
const ANSWER_MS: u64 = 30_000;
/// Most redirected users that are remembered.
const REDIRECTED_MAX: usize = 1024;

impl Replication {
    pub fn restore(parts: &Parts<'_>, occupancy: u64) -> Result<Self, StoreError> {
        let instances: Vec<InstanceInfo> = parts.get(part::INSTANCES)?.unwrap_or_default();
        let strangers = instances.iter().filter(|instance| !instance.introduced && !instance.core_only);
        let introductions = strangers
            .map(|instance| (instance.domain().to_owned(), Again { at: Millis(0), tries: 0 }))
            .collect();
        let placements: Vec<(String, Placement)> = parts.all("placement")?;
        Ok(Self {
            instances,
            placements: placements.into_iter().map(|(domain, was)| (domain, was.resumed())).collect(),
            introductions,
            occupancy,
            ..Self::default()
        })
    }

    /// Whether no answer is awaited.
    pub fn is_quiet(&self) -> bool {
        self.awaited.is_empty() && self.relays.is_empty()
    }

    /// The next number for a request or a query.
    pub fn number(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    pub fn await_answer(&mut self, id: &str, from: &Address, what: Asked, now: Millis) {
        let until = now.plus(ANSWER_MS);
        self.awaited.insert(id.to_owned(), Awaited { from: from.clone(), what, until });
    }

    /// The questions that will not be answered any more.
    pub fn take_overdue(&mut self, now: Millis) -> Vec<(String, Awaited)> {
        let overdue = self.awaited.extract_if(.., |_, awaited| awaited.until <= now);
        overdue.collect()
    }

    /// The requests of users that others have yet to decide.
    pub fn take_user_requests(&mut self) -> Vec<Cause> {
        let causes =
            std::mem::take(&mut self.awaited).into_values().filter_map(|awaited| match awaited.what {
                Asked::ForUser(cause) => cause,
                _ => None,
            });
        causes.collect()
    }

    /// When there is something to do although nothing happens.
    pub fn next_deadline(&self) -> Option<Millis> {
        let placements = self.placements.values().filter_map(|placement| match placement {
            Placement::Waiting { at, .. } => Some(*at),
            _ => None,
        });
        let answers = self.awaited.values().map(|awaited| awaited.until);
        let introductions = self.introductions.values().map(|again| again.at);
        placements.chain(answers).chain(self.relays.next_deadline()).chain(introductions).min()
    }

    /// What an answer is for; none if nothing was asked of its sender under its id.
    pub fn take_awaited(&mut self, id: &str, from: &Address) -> Option<Asked> {
        let asked_of = &self.awaited.get(id)?.from;
        if asked_of != from {
            return None;
        }
        self.awaited.remove(id).map(|awaited| awaited.what)
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

    pub fn instance_mut(&mut self, domain: &str) -> Option<&mut InstanceInfo> {
        self.instances.iter_mut().find(|instance| instance.domain() == domain)
    }

    /// Whether a peer has yet to answer our list of occupants.
    pub fn is_being_introduced(&self, to: &Address) -> bool {
        self.awaited.values().any(|asked| asked.from == *to && matches!(asked.what, Asked::Occupants))
    }

    /// Drops the plans to introduce ourselves to what is no instance any more.
    pub fn forget_strangers(&mut self) {
        let Self { introductions, instances, .. } = self;
        introductions.retain(|domain, _| instances.iter().any(|instance| instance.domain() == domain));
    }

    /// Those that get what happens here.
    pub fn active(&self) -> impl Iterator<Item = &InstanceInfo> {
        self.instances.iter().filter(|instance| instance.standing == Standing::Active)
    }
}
