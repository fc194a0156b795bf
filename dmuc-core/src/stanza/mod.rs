//! The neutral stanza: what the core reads and writes, whatever stream carries it.

mod canon;
mod error;
mod form;
mod payload;
mod template;

use std::sync::Arc;

pub use canon::{Canon, NotXml, canonical, escape_into};
pub use error::{Condition, ErrorKind, StanzaError};
pub use payload::{El, Payload};
pub use template::{Outbound, Template};

use crate::address::Address;
use crate::ns;

/// The three kinds of stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// `<iq/>`
    Iq,
}

impl Kind {
    /// Element name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }

    /// By element name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Message, Self::Presence, Self::Iq].into_iter().find(|kind| kind.name() == name)
    }
}

/// A stanza with canonical addresses and its children in order, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// Message, presence or iq.
    pub kind: Kind,
    /// Sender.
    pub from: Option<Address>,
    /// Addressee.
    pub to: Option<Address>,
    /// The `id` attribute.
    pub id: Option<Arc<str>>,
    /// The `type` attribute.
    pub ty: Option<Arc<str>>,
    /// The `xml:lang` attribute.
    pub lang: Option<Arc<str>>,
    /// Children in document order.
    pub children: Vec<Payload>,
}

impl Stanza {
    /// An empty stanza.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, from: None, to: None, id: None, ty: None, lang: None, children: Vec::new() }
    }

    /// A message of a type (`groupchat`, `normal` ...).
    #[must_use]
    pub fn message(ty: &str) -> Self {
        Self::new(Kind::Message).with_type(ty)
    }

    /// An available presence.
    #[must_use]
    pub fn presence() -> Self {
        Self::new(Kind::Presence)
    }

    /// An iq request: `get` or `set`.
    #[must_use]
    pub fn iq(ty: &str, id: &str) -> Self {
        Self::new(Kind::Iq).with_type(ty).with_id(id)
    }

    /// Sets the sender.
    #[must_use]
    pub fn with_from(mut self, from: &Address) -> Self {
        self.from = Some(from.clone());
        self
    }

    /// Sets the addressee.
    #[must_use]
    pub fn with_to(mut self, to: &Address) -> Self {
        self.to = Some(to.clone());
        self
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the type.
    #[must_use]
    pub fn with_type(mut self, ty: &str) -> Self {
        self.ty = Some(ty.into());
        self
    }

    /// Appends a child.
    #[must_use]
    pub fn with(mut self, child: Payload) -> Self {
        self.children.push(child);
        self
    }

    /// Appends a child if there is one.
    #[must_use]
    pub fn with_opt(mut self, child: Option<Payload>) -> Self {
        self.children.extend(child);
        self
    }

    /// Appends children.
    #[must_use]
    pub fn with_all(mut self, children: impl IntoIterator<Item = Payload>) -> Self {
        self.children.extend(children);
        self
    }

    /// The `type` attribute, empty if absent.
    #[must_use]
    pub fn ty(&self) -> &str {
        self.ty.as_deref().unwrap_or("")
    }

    /// Whether this is an error, which must never be answered.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.ty() == "error"
    }

    /// Whether this is an iq `get` or `set`, which must be answered.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.kind == Kind::Iq && !matches!(self.ty(), "result" | "error")
    }

    /// How many bytes it carries, as far as others get to see them.
    #[must_use]
    pub fn content_bytes(&self) -> u32 {
        let bytes: usize = self.children.iter().map(|child| child.as_xml().len()).sum();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// The first child `{ns}name`.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Payload> {
        self.children.iter().find(|child| child.is(name, ns))
    }

    /// The first child in a namespace.
    #[must_use]
    pub fn child_in(&self, ns: &str) -> Option<&Payload> {
        self.children.iter().find(|child| child.ns() == ns)
    }

    /// Whether the stanza has a `body` (or, by another name, such a text child).
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.child(name, ns::STANZA).is_some()
    }

    /// An empty `result` for an iq, addressed back to its sender.
    #[must_use]
    pub fn result(&self) -> Self {
        self.answer("result")
    }

    /// The error answer to this stanza; `None` where answering is forbidden (an error, a result).
    #[must_use]
    pub fn error(&self, error: &StanzaError) -> Option<Self> {
        if self.is_error() || (self.kind == Kind::Iq && self.ty() == "result") {
            return None;
        }
        let payload = self.to.as_ref().map_or_else(|| error.to_payload(), |by| error.to_payload_by(by));
        Some(self.answer("error").with(payload))
    }

    fn answer(&self, ty: &str) -> Self {
        Self {
            kind: self.kind,
            from: self.to.clone(),
            to: self.from.clone(),
            id: self.id.clone(),
            ty: Some(ty.into()),
            lang: None,
            children: Vec::new(),
        }
    }

    /// Appends the bytes of the stanza, without a namespace declaration on its root (the stream's applies).
    pub fn write(&self, out: &mut String) {
        template::write_head(self, out);
        if let Some(to) = &self.to {
            out.push_str(" to='");
            escape_into(out, to.as_str());
            out.push('\'');
        }
        template::write_tail(self, out);
    }

    /// The bytes of the stanza as text.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut out = String::with_capacity(256);
        self.write(&mut out);
        out
    }
}
