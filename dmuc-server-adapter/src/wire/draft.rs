//! One stanza in the making, and what is left of one that was refused.

use std::sync::Arc;

use dmuc_core::ns::XML;
use dmuc_core::stanza::{Canon, Condition, Kind, Payload, StanzaError, escape_into};
use dmuc_core::{Address, Stanza};

use super::limits::{Budget, Excess};
use super::scope::Flat;

/// What a stream says about the senders of its stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderRule {
    /// Every stanza names its sender; one that does not is dropped (component and server streams).
    Required,
    /// `from` is not read; the stream's owner is the sender (streams of clients).
    Ignored,
}

/// Why a stanza was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It broke a limit: `policy-violation` (modify).
    Limit(Excess),
    /// Its `to` is no JID: `jid-malformed` (modify).
    Addressee,
}

/// A stanza that was read past. Only what an answer needs is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Message, presence or iq.
    pub kind: Kind,
    /// Sender; `None` on streams of clients.
    pub from: Option<Address>,
    /// Addressee as it was spelt; perhaps no JID at all.
    pub to: Option<String>,
    /// The `id` attribute.
    pub id: Option<Arc<str>>,
    /// The `type` attribute.
    pub ty: Option<Arc<str>>,
    /// What was wrong.
    pub reason: Reason,
}

impl Refused {
    /// What to answer.
    #[must_use]
    pub fn error(&self) -> StanzaError {
        match self.reason {
            Reason::Limit(excess) => StanzaError::new(Condition::PolicyViolation).because(excess.to_string()),
            Reason::Addressee => Condition::JidMalformed.into(),
        }
    }

    /// Whether an answer is allowed: never to an error or a result (RFC 6120 §8.3.1).
    #[must_use]
    pub fn is_answerable(&self) -> bool {
        !matches!((self.kind, self.ty.as_deref()), (_, Some("error")) | (Kind::Iq, Some("result")))
    }

    /// The error answer, ready for the stream: from the addressee as it was spelt, or from `instead` if that is no JID,
    /// with which a server may end the stream. `None` where answering is forbidden.
    #[must_use]
    pub fn answer(&self, instead: &str) -> Option<String> {
        if !self.is_answerable() {
            return None;
        }
        let mut out = format!("<{} from='", self.kind.name());
        let addressee = self.to.as_deref().filter(|to| Address::parse(to).is_ok());
        escape_into(&mut out, addressee.unwrap_or(instead));
        let attributes = [
            ("id", self.id.as_deref()),
            ("to", self.from.as_ref().map(Address::as_str)),
            ("type", Some("error")),
        ];
        for (name, value) in attributes {
            let Some(value) = value else { continue };
            out.push_str("' ");
            out.push_str(name);
            out.push_str("='");
            escape_into(&mut out, value);
        }
        out.push_str("'>");
        out.push_str(self.error().to_payload().as_xml());
        out.push_str("</");
        out.push_str(self.kind.name());
        out.push('>');
        Some(out)
    }
}

/// The attributes of a stanza's root.
#[derive(Debug)]
pub(super) struct Identity {
    kind: Kind,
    from: Option<Address>,
    to: Option<String>,
    id: Option<Arc<str>>,
    ty: Option<Arc<str>>,
    lang: Option<Arc<str>>,
}

fn find<'a>(attributes: &[Flat<'a>], ns: &str, name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|(found_ns, found, _)| *found_ns == ns && *found == name)
        .map(|(_, _, value)| *value)
}

impl Identity {
    /// Reads the root; `None` if the sender is missing or no JID, and then nobody can be answered.
    pub(super) fn read(kind: Kind, attributes: &[Flat<'_>], senders: SenderRule) -> Option<Self> {
        let from = match senders {
            SenderRule::Ignored => None,
            SenderRule::Required => Some(Address::parse(find(attributes, "", "from")?).ok()?),
        };
        let shared = |name| find(attributes, "", name).map(Arc::from);
        Some(Self {
            kind,
            from,
            to: find(attributes, "", "to").map(str::to_owned),
            id: shared("id"),
            ty: shared("type"),
            lang: find(attributes, XML, "lang").map(Arc::from),
        })
    }

    pub(super) fn refuse(self, reason: Reason) -> Refused {
        Refused { kind: self.kind, from: self.from, to: self.to, id: self.id, ty: self.ty, reason }
    }

    fn addressee(&self) -> Result<Option<Address>, ()> {
        self.to.as_deref().map(Address::parse).transpose().map_err(|_| ())
    }
}

/// A stanza whose root has been read.
#[derive(Debug)]
pub(super) struct Draft {
    identity: Identity,
    to: Option<Address>,
    children: Vec<Payload>,
    canon: Canon,
    pub(super) budget: Budget,
}

impl Draft {
    /// Goes on from a root; gives it back refused if its addressee is no JID.
    pub(super) fn new(identity: Identity, budget: Budget) -> Result<Self, Refused> {
        match identity.addressee() {
            Ok(to) => Ok(Self { identity, to, children: Vec::new(), canon: Canon::default(), budget }),
            Err(()) => Err(identity.refuse(Reason::Addressee)),
        }
    }

    pub(super) fn start(&mut self, ns: &str, name: &str, attributes: &mut [Flat<'_>]) {
        self.canon.start(ns, name, attributes);
    }

    /// Text directly inside the stanza means nothing and is left out.
    pub(super) fn text(&mut self, level: usize, text: &str) {
        if level > 1 {
            self.canon.text(text);
        }
    }

    /// An element inside the stanza ends.
    pub(super) fn end(&mut self) -> Result<(), Excess> {
        if self.canon.end() {
            self.children.push(Payload::from_canonical(&self.canon.take()).map_err(|_| Excess::Name)?);
        }
        Ok(())
    }

    pub(super) fn refuse(self, reason: Reason) -> Refused {
        self.identity.refuse(reason)
    }

    pub(super) fn finish(self) -> Stanza {
        let Identity { kind, from, id, ty, lang, .. } = self.identity;
        Stanza { kind, from, to: self.to, id, ty, lang, children: self.children }
    }
}
