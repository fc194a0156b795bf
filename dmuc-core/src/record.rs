//! The durable parts of an instance, and how they become an instance again.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::clock::{Hlc, Millis};
use crate::event::EventId;
use crate::room::config::{Config, Whois};
use crate::room::vcard::VCard;
use crate::storage::{Found, RoomUid, StoreError, StoreErrorKind};

/// Part names.
pub(crate) mod part {
    pub const HEAD: &str = "head";
    pub const CONFIG: &str = "config";
    pub const SUBJECT: &str = "subject";
    pub const CLOCK: &str = "clock";
    pub const INSTANCES: &str = "instances";
    pub const OCCUPANCY: &str = "occupancy";
    pub const VCARD: &str = "vcard";
    /// What discovery shows without waking the room.
    pub const CARD: &str = "card";

    pub fn affiliation(jid: &crate::Address) -> String {
        format!("affiliation/{jid}")
    }

    pub fn occupant(id: &crate::room::occupants::OccupantId, nick: &crate::nick::Nick) -> String {
        format!("occupant/{}/{nick}", id.home)
    }

    pub const RETRACTION: &str = "retraction";

    pub fn retraction(id: &crate::event::EventId) -> String {
        format!("{RETRACTION}/{id}")
    }

    pub fn subscriber(jid: &crate::Address) -> String {
        format!("subscriber/{jid}")
    }

    pub fn placement(domain: &str) -> String {
        format!("placement/{domain}")
    }
}

/// What a room is, apart from its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub uid: RoomUid,
    /// Address of the source; our own if we are it. None while a plain XEP-0281 firsthost has yet to tell.
    pub source: Option<Address>,
    /// Service domain of the source.
    pub firsthost: Address,
    /// Authority epoch.
    pub term: u32,
    /// Versions of configuration, affiliations and instances within the term.
    pub cfg: u64,
    pub aff: u64,
    pub ins: u64,
    /// Nobody but the creator may enter yet (XEP-0045 §10.1), or the source has yet to send the configuration.
    pub locked: bool,
    /// Key of the occupant ids, the same at all instances.
    pub secret: String,
    /// Incarnation of our own log.
    pub incarnation: u32,
    pub created: Millis,
    /// Who created it here; none of a shadow.
    #[serde(default)]
    pub creator: Option<Address>,
    /// The firsthost knows nothing of `urn:xmpp:dmuc:sync:0`.
    #[serde(default)]
    pub core_only: bool,
    /// A shadow that waits for our operator's approval.
    #[serde(default)]
    pub pending: bool,
    /// A shadow that could not take what protects the room: closed until it can.
    #[serde(default)]
    pub suspended: bool,
}

/// The room's subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub text: String,
    /// The `from` resource that set it; none if nobody has.
    pub nick: Option<String>,
    pub h: Hlc,
    pub id: Option<EventId>,
    pub oid: Option<String>,
}

/// What discovery shows of a room without waking it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The room's name.
    pub name: String,
    /// Whether strangers see it.
    pub public: bool,
    /// The beginning of its description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Language of the discussion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Whether anybody may enter, without a password.
    #[serde(default)]
    pub open: bool,
    /// Whether real JIDs are kept from other occupants.
    #[serde(default)]
    pub anonymous: bool,
    /// The firsthost, if the room here is a shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firsthost: Option<Address>,
    /// Who created it here, if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<Address>,
}

/// Longest description on a card, in characters.
const DESCRIPTION_CHARS_MAX: usize = 300;

impl Card {
    /// The card of a room so configured; `listed` says whether it may be shown at all.
    pub(crate) fn of(
        config: &Config,
        listed: bool,
        firsthost: Option<Address>,
        creator: Option<Address>,
    ) -> Self {
        Self {
            name: config.name.clone(),
            public: config.public && listed,
            description: config.description.chars().take(DESCRIPTION_CHARS_MAX).collect(),
            lang: config.lang.clone(),
            open: !config.members_only && config.password.is_none(),
            anonymous: config.whois != Whois::Anyone,
            firsthost,
            creator,
        }
    }

    /// The room's name, or what stands for it.
    pub(crate) fn shown_name<'a>(&'a self, jid: &'a Address) -> &'a str {
        if self.name.is_empty() { jid.local().unwrap_or("") } else { &self.name }
    }

    /// Reads the `card` part.
    #[must_use]
    pub fn read(part: &str) -> Option<Self> {
        serde_json::from_str(part).ok()
    }
}

/// Reads the parts of a found room.
pub(crate) struct Parts<'a>(pub &'a Found);

impl Parts<'_> {
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.0.parts.get(key).map(|value| parse(value)).transpose()
    }

    pub fn need<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, StoreError> {
        self.get(key)?.ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, key))
    }

    /// All parts `prefix/...`, with what stands behind the slash.
    pub fn all<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let from = format!("{prefix}/");
        let range = self.0.parts.range(from.clone()..).take_while(|(key, _)| key.starts_with(&from));
        range.map(|(key, value)| Ok((key[from.len()..].to_owned(), parse(value)?))).collect()
    }
}

fn parse<T: DeserializeOwned>(value: &str) -> Result<T, StoreError> {
    serde_json::from_str(value)
        .map_err(|error| StoreError::caused(StoreErrorKind::Corrupt, "read a part of a room", error))
}

/// The parts that make up a room, apart from lists.
pub(crate) struct Core {
    pub head: Head,
    pub config: Arc<Config>,
    pub subject: Subject,
    pub clock: Hlc,
    pub occupancy: u64,
    pub vcard: VCard,
}

impl Core {
    pub fn read(found: &Found) -> Result<Self, StoreError> {
        let parts = Parts(found);
        Ok(Self {
            head: parts.need(part::HEAD)?,
            config: Arc::new(parts.need(part::CONFIG)?),
            subject: parts.get(part::SUBJECT)?.unwrap_or_default(),
            clock: parts.get(part::CLOCK)?.unwrap_or_default(),
            occupancy: parts.get(part::OCCUPANCY)?.unwrap_or_default(),
            vcard: parts.get(part::VCARD)?.unwrap_or_default(),
        })
    }
}
