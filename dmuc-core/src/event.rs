//! The log plane: events, their positions, and the digest chain.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::clock::Hlc;
use crate::nick::Nick;
use crate::stanza::Payload;

/// 128 bits, written as 22 characters of base64url.
macro_rules! bits128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE64.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotBits;
            fn from_str(text: &str) -> Result<Self, NotBits> {
                let bytes = BASE64.decode(text).map_err(|_| NotBits)?;
                bytes.try_into().map(Self).map_err(|_| NotBits)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl xso::FromXmlText for $name {
            fn from_xml_text(text: String) -> Result<Self, xso::error::Error> {
                text.parse().map_err(xso::error::Error::text_parse_error)
            }
        }

        impl xso::AsXmlText for $name {
            fn as_xml_text(&self) -> Result<std::borrow::Cow<'_, str>, xso::error::Error> {
                Ok(self.to_string().into())
            }
        }
    };
}

/// The text is not 22 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 128 bits of base64url")]
pub struct NotBits;

bits128!(
    /// Names an event everywhere: the `stanza-id` at every instance. Random, so that it leaks no counter (XEP-0359).
    EventId
);
bits128!(
    /// The first 128 bits of the SHA-256 chain over an origin's log.
    ChainDigest
);

impl EventId {
    /// A fresh id.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// The place of an event: origin instance (its service domain), incarnation of its log, gap-free number from 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Service domain of the origin.
    pub o: Arc<str>,
    /// Incarnation of the origin's log.
    pub i: u32,
    /// Number in that incarnation, from 1.
    pub s: u64,
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.o, self.i, self.s)
    }
}

/// One durable thing said in the room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Where it is.
    pub pos: Position,
    /// When it was, causally.
    pub h: Hlc,
    /// Its name.
    pub id: EventId,
    /// What its origin had of other origins when it wrote this, where changed since its last event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<Position>,
    /// Who said it, as shown; none for the room itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nick: Option<Nick>,
    /// The speaker's occupant id (XEP-0421).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oid: Option<String>,
    /// The speaker's real bare JID, where known here; never part of the digest and never sent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jid: Option<Address>,
    /// The `id` that the speaker gave the stanza.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stanza: Option<String>,
    /// The `xml:lang` of the stanza.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Children of the message, stripped of everything that instances add.
    pub content: Vec<Payload>,
}

impl Event {
    /// The key of the canonical order: a linear extension of causality, the same at every instance.
    #[must_use]
    pub fn order(&self) -> (Hlc, &str, u32, u64) {
        (self.h, &self.pos.o, self.pos.i, self.pos.s)
    }

    /// The digest of the origin's log up to and with this event: SHA-256 over the previous digest and every field
    /// that all instances know, each preceded by its length.
    #[must_use]
    pub fn chain(&self, previous: ChainDigest) -> ChainDigest {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(&previous.0);
        position_fields(&self.pos, &mut field);
        field(&self.h.0.to_be_bytes());
        field(&self.id.0);
        field(&(self.deps.len() as u64).to_be_bytes());
        self.deps.iter().for_each(|dep| position_fields(dep, &mut field));
        for text in [self.nick.as_ref().map(Nick::as_str), self.stanza.as_deref(), self.lang.as_deref()] {
            field(text.unwrap_or("").as_bytes());
        }
        self.content.iter().for_each(|child| field(child.as_xml().as_bytes()));
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash.finalize()[..16]);
        ChainDigest(bits)
    }

    /// Whether what was said is gone (XEP-0424 §4), and with it what the digest was made of.
    #[must_use]
    pub fn is_retracted(&self) -> bool {
        self.child("retracted", crate::ns::RETRACT).is_some()
    }

    /// The first child `{ns}name` of its content.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Payload> {
        self.content.iter().find(|child| child.is(name, ns))
    }

    /// Its size for limits counted in bytes: the content's XML.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.content.iter().map(|child| child.as_xml().len()).sum()
    }
}

fn position_fields(pos: &Position, field: &mut impl FnMut(&[u8])) {
    field(pos.o.as_bytes());
    field(&pos.i.to_be_bytes());
    field(&pos.s.to_be_bytes());
}
