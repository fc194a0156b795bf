//! What the operator decided: the service's policy and its peers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::clock::Millis;
use crate::rate::Rates;
use crate::room::config::Config;

/// Which way a replication would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A firsthost wants a shadow of its room here.
    HostShadow,
    /// A room of ours wants a shadow at a peerhost.
    PlaceShadow,
}

/// What an operator allows one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerRule {
    /// Domain of its MUC service.
    pub domain: String,
    /// It may place shadows of its rooms here.
    pub host: bool,
    /// Our rooms may place shadows there.
    pub place: bool,
    /// New shadows wait for an operator's approval.
    pub ask: bool,
    /// Most shadows that it may have here.
    pub rooms_max: u32,
    /// Largest stanza to send it, in bytes.
    pub bytes_max: u32,
    /// Domains whose users it may speak for; empty means the parent domain of its service.
    pub vouch: Vec<String>,
}

impl Default for PeerRule {
    fn default() -> Self {
        Self {
            domain: String::new(),
            host: false,
            place: false,
            ask: false,
            rooms_max: 1000,
            bytes_max: 65_536,
            vouch: Vec::new(),
        }
    }
}

impl PeerRule {
    /// A rule that allows everything both ways.
    #[must_use]
    pub fn allow(domain: &str) -> Self {
        Self { domain: domain.to_owned(), host: true, place: true, ..Self::default() }
    }

    /// The domains whose users this peer vouches for.
    #[must_use]
    pub fn vouched(&self) -> Vec<String> {
        if self.vouch.is_empty() { vec![parent_domain(&self.domain).to_owned()] } else { self.vouch.clone() }
    }
}

/// `macbeth.lit` for `rooms.macbeth.lit`; the domain itself if that would leave a single label.
#[must_use]
pub fn parent_domain(domain: &str) -> &str {
    match domain.split_once('.') {
        Some((_, parent)) if parent.contains('.') => parent,
        _ => domain,
    }
}

/// The answer to "may we peer?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow,
    /// Yes, once an operator has approved this room.
    Ask,
    /// No.
    Deny,
    /// Not now: the peer has as many rooms as it may.
    Full,
}

/// A snapshot of the peer rules. What is not allowed is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerRules {
    rules: BTreeMap<String, PeerRule>,
}

impl FromIterator<PeerRule> for PeerRules {
    fn from_iter<I: IntoIterator<Item = PeerRule>>(rules: I) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule.domain.clone(), rule)).collect() }
    }
}

impl PeerRules {
    /// Decides about one more room with `domain`, which has `rooms` here already.
    #[must_use]
    pub fn decide(&self, domain: &str, direction: Direction, rooms: u32) -> Decision {
        let Some(rule) = self.rules.get(domain) else { return Decision::Deny };
        match direction {
            Direction::PlaceShadow if rule.place => Decision::Allow,
            Direction::HostShadow if rule.host && rooms >= rule.rooms_max => Decision::Full,
            Direction::HostShadow if rule.host && rule.ask => Decision::Ask,
            Direction::HostShadow if rule.host => Decision::Allow,
            _ => Decision::Deny,
        }
    }

    /// The rule for a domain.
    #[must_use]
    pub fn get(&self, domain: &str) -> Option<&PeerRule> {
        self.rules.get(domain)
    }

    /// Every rule, in order of domain.
    pub fn iter(&self) -> impl Iterator<Item = &PeerRule> {
        self.rules.values()
    }
}

/// Who may create rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MayCreate {
    /// Anyone who can reach the service.
    #[default]
    Anyone,
    /// Users of the service's own user domains.
    Local,
    /// Administrators of the service.
    Admins,
}

/// What becomes of presence that enters a room as groupchat 1.0 did, without an extension that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Groupchat1 {
    /// It comes from a client that has lost track, and is told so (XEP-0045 §7.2.17).
    #[default]
    Refuse,
    /// It is a wish to enter.
    Accept,
}

/// Which rooms are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribute {
    /// None; the option is not offered.
    Never,
    /// Those whose owner asks for it by `muc#roomconfig_distributed`.
    #[default]
    Owner,
    /// All of them, by service policy (XEP-0281 "Creating a Room").
    All,
}

/// When a source asks a peerhost for a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replicate {
    /// As soon as the room is distributed.
    #[default]
    AtOnce,
    /// When the first user of the peerhost's domains joins.
    FirstUser,
}

/// Whether a source sends users of a peerhost's domains to their shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirect {
    /// They may join here.
    Never,
    /// Each of them is redirected.
    #[default]
    Always,
    /// Once so many of that peerhost's users are in the room here.
    After(u32),
}

/// How a room is called at its shadows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShadowName {
    /// As at the source, if the peerhost has that name free.
    #[default]
    Readable,
    /// By its uid, opaque and unique (XEP-0281 "Approach").
    Uid,
}

/// How many rooms there are already when somebody wants a new one; counted by whoever hosts the rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// In the whole service, shadows included.
    pub rooms: u32,
    /// Created by the one who asks.
    pub created: u32,
}

/// What people turn to a service's operators for (XEP-0157 §3).
pub const CONTACT_PURPOSES: [&str; 7] =
    ["abuse", "admin", "feedback", "sales", "security", "status", "support"];

/// Everything that an operator decides about one MUC service. Shared by its rooms.
#[derive(Debug, Clone)]
pub struct ServicePolicy {
    /// The service's domain, as `chat.shakespeare.lit`.
    pub domain: Address,
    /// Its name in discovery.
    pub name: String,
    /// Domains whose users are ours; the service vouches for them.
    pub user_domains: Vec<String>,
    /// Bare JIDs that are owners of every room.
    pub admins: Vec<Address>,
    /// Whom to turn to, addresses (URIs) by purpose, one of [`CONTACT_PURPOSES`] (XEP-0157).
    pub contacts: BTreeMap<String, Vec<String>>,
    /// Who may create rooms.
    pub may_create: MayCreate,
    /// What a new room starts with.
    pub defaults: Config,
    /// New rooms are locked until configured (XEP-0045 §10.1); otherwise every room is an instant room.
    pub lock_new_rooms: bool,
    /// Where the logs of a room with public logging are read, `{room}` standing for its name.
    pub logs_url: Option<String>,
    /// Whether clients that speak groupchat 1.0 may enter.
    pub groupchat_1: Groupchat1,
    /// Which rooms are distributed.
    pub distribute: Distribute,
    /// When shadows are asked for.
    pub replicate: Replicate,
    /// Whether users are sent to their shadow.
    pub redirect: Redirect,
    /// How rooms are called at shadows.
    pub shadow_name: ShadowName,
    /// The peers.
    pub peers: PeerRules,
    /// Shadows in this service by the peer they came from; counted by whoever hosts the rooms.
    pub shadows_here: BTreeMap<String, u32>,
    /// Most rooms of the service, shadows included.
    pub rooms_max: u32,
    /// Most rooms that one user may have created (XEP-0045 §13.6).
    pub rooms_per_user_max: u32,
    /// Most rooms that one user may be in at once.
    pub rooms_at_once_max: usize,
    /// How fast others may go on.
    pub rates: Rates,
    /// Longest nick in characters.
    pub nick_chars_max: usize,
    /// Most occupants of one room, over all instances.
    pub occupants_max: u32,
    /// Longest `id` attribute of a stanza in bytes.
    pub id_bytes_max: usize,
    /// Most clients of one user under one nick.
    pub sessions_max: usize,
    /// Longest text of a message, in bytes.
    pub body_bytes_max: usize,
    /// Longest subject, in bytes.
    pub subject_bytes_max: usize,
    /// Largest presence, in bytes of XML.
    pub presence_bytes_max: usize,
    /// Most entries of a room's affiliation lists, taken together.
    pub affiliations_max: usize,
    /// Most messages of history that a room keeps at hand for joins.
    pub history_max: u32,
    /// Most subscribers of one room at this service.
    pub subscribers_max: usize,
    /// Largest vCard of a room, avatar included, in bytes of XML.
    pub vcard_bytes_max: usize,
    /// Most bytes of such messages, taken together.
    pub history_bytes_max: usize,
    /// Most messages in one page of an archive.
    pub archive_page_max: u32,
    /// How long archives keep messages, in milliseconds; 0 for ever.
    pub archive_ms: u64,
    /// Most items in one affiliation list change.
    pub items_max: usize,
    /// Lets a user who was redirected in at the second try within this time, in milliseconds.
    pub redirect_retry_ms: u64,
    /// Joins to a destroyed room are refused for so long, in milliseconds.
    pub tombstone_ms: u64,
}

impl ServicePolicy {
    /// The defaults for a service, with no peers.
    #[must_use]
    pub fn new(domain: &Address) -> Self {
        Self {
            domain: domain.clone(),
            name: "Chatrooms".to_owned(),
            user_domains: vec![parent_domain(domain.as_str()).to_owned()],
            admins: Vec::new(),
            contacts: BTreeMap::new(),
            may_create: MayCreate::default(),
            defaults: Config::default(),
            lock_new_rooms: true,
            logs_url: None,
            groupchat_1: Groupchat1::default(),
            distribute: Distribute::default(),
            replicate: Replicate::default(),
            redirect: Redirect::default(),
            shadow_name: ShadowName::default(),
            peers: PeerRules::default(),
            shadows_here: BTreeMap::new(),
            rooms_max: 1_000_000,
            rooms_per_user_max: 1000,
            rooms_at_once_max: 500,
            rates: Rates::default(),
            nick_chars_max: 64,
            occupants_max: 10_000,
            id_bytes_max: 1024,
            sessions_max: 20,
            body_bytes_max: 65_536,
            subject_bytes_max: 4096,
            presence_bytes_max: 16_384,
            affiliations_max: 20_000,
            history_max: 100,
            subscribers_max: 10_000,
            vcard_bytes_max: 49_152,
            history_bytes_max: 512 << 10,
            archive_page_max: 250,
            archive_ms: 365 * 86_400_000,
            items_max: 500,
            redirect_retry_ms: 60_000,
            tombstone_ms: 365 * 86_400_000,
        }
    }

    /// Whether `jid` administers the service.
    #[must_use]
    pub fn is_admin(&self, jid: &Address) -> bool {
        self.admins.iter().any(|admin| admin.as_str() == jid.bare_str())
    }

    /// Before when archives keep nothing, if they forget at all.
    #[must_use]
    pub fn archive_horizon(&self, now: Millis) -> Option<Millis> {
        (self.archive_ms > 0).then(|| Millis(now.0.saturating_sub(self.archive_ms)))
    }

    /// Whether `domain` is one of ours.
    #[must_use]
    pub fn is_ours(&self, domain: &str) -> bool {
        domain == self.domain.as_str() || self.user_domains.iter().any(|own| own == domain)
    }

    /// Whether `jid` may create a room here.
    #[must_use]
    pub fn allows_creation(&self, jid: &Address) -> bool {
        match self.may_create {
            MayCreate::Anyone => true,
            MayCreate::Local => self.is_ours(jid.domain()) || self.is_admin(jid),
            MayCreate::Admins => self.is_admin(jid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Direction, PeerRule, PeerRules, parent_domain};

    #[test]
    fn what_is_not_allowed_is_denied() {
        let rules: PeerRules = [
            PeerRule::allow("rooms.macbeth.lit"),
            PeerRule {
                place: true,
                ..PeerRule { domain: "conference.marlowe.lit".into(), ..PeerRule::default() }
            },
        ]
        .into_iter()
        .collect();
        assert_eq!(rules.decide("rooms.macbeth.lit", Direction::HostShadow, 0), Decision::Allow);
        assert_eq!(rules.decide("rooms.macbeth.lit", Direction::HostShadow, 1000), Decision::Full);
        assert_eq!(rules.decide("conference.marlowe.lit", Direction::HostShadow, 0), Decision::Deny);
        assert_eq!(rules.decide("conference.marlowe.lit", Direction::PlaceShadow, 0), Decision::Allow);
        assert_eq!(rules.decide("evil.example", Direction::HostShadow, 0), Decision::Deny);
    }

    #[test]
    fn a_service_vouches_for_its_parent_domain() {
        assert_eq!(PeerRule::allow("rooms.macbeth.lit").vouched(), ["macbeth.lit"]);
        assert_eq!(parent_domain("macbeth.lit"), "macbeth.lit");
    }
}
