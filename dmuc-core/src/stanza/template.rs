//! What leaves a room: single stanzas, and one serialisation for many recipients.

use std::sync::Arc;

use super::{Stanza, escape_into};
use crate::address::Address;

/// A stanza serialised once; only `to` differs between its recipients and is spliced in between the two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    head: Box<str>,
    tail: Box<str>,
}

impl Template {
    /// Serialises `stanza`; its own `to` is ignored.
    #[must_use]
    pub fn new(stanza: &Stanza) -> Arc<Self> {
        let (mut head, mut tail) = (String::with_capacity(128), String::with_capacity(256));
        write_head(stanza, &mut head);
        write_tail(stanza, &mut tail);
        Arc::new(Self { head: head.into(), tail: tail.into() })
    }

    /// Everything before ` to='...'`.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Everything behind it.
    #[must_use]
    pub fn tail(&self) -> &str {
        &self.tail
    }

    /// Appends the stanza for one recipient.
    pub fn write(&self, to: &Address, out: &mut String) {
        out.reserve(self.head.len() + self.tail.len() + to.as_str().len() + 6);
        out.push_str(&self.head);
        out.push_str(" to='");
        escape_into(out, to.as_str());
        out.push('\'');
        out.push_str(&self.tail);
    }
}

/// Something to hand to the host.
#[derive(Debug, Clone)]
pub enum Outbound {
    /// One stanza for one addressee.
    One(Box<Stanza>),
    /// One stanza for many.
    FanOut {
        /// What they get.
        template: Arc<Template>,
        /// A snapshot of who gets it.
        to: Arc<[Address]>,
    },
    /// Many stanzas for one, in order.
    Burst {
        /// What it gets.
        templates: Vec<Arc<Template>>,
        /// Who gets it.
        to: Address,
    },
}

impl Outbound {
    /// How many stanzas this is.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::FanOut { to, .. } => to.len(),
            Self::Burst { templates, .. } => templates.len(),
        }
    }

    /// Appends all of it, for a host with one stream (a component).
    pub fn write(&self, out: &mut String) {
        match self {
            Self::One(stanza) => stanza.write(out),
            Self::FanOut { template, to } => to.iter().for_each(|to| template.write(to, out)),
            Self::Burst { templates, to } => templates.iter().for_each(|template| template.write(to, out)),
        }
    }
}

pub(super) fn write_head(stanza: &Stanza, out: &mut String) {
    out.push('<');
    out.push_str(stanza.kind.name());
    let attributes = [
        ("from", stanza.from.as_ref().map(Address::as_str)),
        ("id", stanza.id.as_deref()),
        ("type", stanza.ty.as_deref()),
        ("xml:lang", stanza.lang.as_deref()),
    ];
    for (name, value) in attributes {
        let Some(value) = value else { continue };
        out.push(' ');
        out.push_str(name);
        out.push_str("='");
        escape_into(out, value);
        out.push('\'');
    }
}

pub(super) fn write_tail(stanza: &Stanza, out: &mut String) {
    if stanza.children.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    stanza.children.iter().for_each(|child| out.push_str(child.as_xml()));
    out.push_str("</");
    out.push_str(stanza.kind.name());
    out.push('>');
}
