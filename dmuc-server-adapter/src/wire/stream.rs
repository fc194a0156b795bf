//! The stream around the stanzas: its header and its errors (RFC 6120 §4).

use std::fmt::Write as _;

use dmuc_core::stanza::{Payload, escape_into};

/// Namespaces of streams.
pub mod ns {
    /// The stream element itself.
    pub const STREAMS: &str = "http://etherx.jabber.org/streams";
    /// Conditions of stream errors.
    pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
    /// Stanzas between a client and its server.
    pub const CLIENT: &str = "jabber:client";
    /// Stanzas between servers.
    pub const SERVER: &str = "jabber:server";
    /// Stanzas between a server and its component (XEP-0114).
    pub const COMPONENT: &str = "jabber:component:accept";
    /// SASL negotiation (RFC 6120 §6).
    pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// Resource binding (RFC 6120 §7).
    pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
    /// Session establishment, long a no-op (RFC 3921 §3).
    pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
}

/// The attributes of a stream's root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamHeader {
    /// Whom the stream is for.
    pub to: Option<String>,
    /// Who opened it.
    pub from: Option<String>,
    /// Its id, given by the accepting side.
    pub id: Option<String>,
    /// `1.0`, or nothing.
    pub version: Option<String>,
}

impl StreamHeader {
    /// The header as text, in the stream's content namespace.
    #[must_use]
    pub fn to_xml(&self, content_ns: &str) -> String {
        let mut out = format!(
            "<?xml version='1.0'?><stream:stream xmlns='{content_ns}' xmlns:stream='{}'",
            ns::STREAMS
        );
        let attributes =
            [("from", &self.from), ("id", &self.id), ("to", &self.to), ("version", &self.version)];
        for (name, value) in attributes {
            let Some(value) = value else { continue };
            let _ = write!(out, " {name}='");
            escape_into(&mut out, value);
            out.push('\'');
        }
        out.push('>');
        out
    }
}

macro_rules! conditions {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// Defined conditions of stream errors (RFC 6120 §4.9.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are the specification's")]
        #[non_exhaustive]
        pub enum StreamCondition { $($variant),+ }

        impl StreamCondition {
            /// Element name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// By element name; an unknown one reads as `undefined-condition`.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name { $($name => Self::$variant,)+ _ => Self::UndefinedCondition }
            }
        }
    };
}

conditions! {
    BadFormat = "bad-format",
    Conflict = "conflict",
    ConnectionTimeout = "connection-timeout",
    HostGone = "host-gone",
    HostUnknown = "host-unknown",
    InternalServerError = "internal-server-error",
    InvalidFrom = "invalid-from",
    InvalidNamespace = "invalid-namespace",
    NotAuthorized = "not-authorized",
    NotWellFormed = "not-well-formed",
    PolicyViolation = "policy-violation",
    ResourceConstraint = "resource-constraint",
    RestrictedXml = "restricted-xml",
    SystemShutdown = "system-shutdown",
    UndefinedCondition = "undefined-condition",
    UnsupportedEncoding = "unsupported-encoding",
    UnsupportedStanzaType = "unsupported-stanza-type",
}

/// Why a stream ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream error {}{}{}", .condition.name(), if .text.is_empty() { "" } else { ": " }, .text)]
pub struct StreamError {
    /// What is wrong.
    pub condition: StreamCondition,
    /// For people; may be empty.
    pub text: String,
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self { condition, text: String::new() }
    }
}

impl From<rxml::Error> for StreamError {
    fn from(error: rxml::Error) -> Self {
        let condition = match error {
            // The parser has one error for three conditions and tells them apart by text alone; tests hold it to that.
            rxml::Error::RestrictedXml(what) if what.contains("encoding") => {
                StreamCondition::UnsupportedEncoding
            }
            rxml::Error::RestrictedXml(what) if what.contains("long") => StreamCondition::PolicyViolation,
            rxml::Error::RestrictedXml(_) => StreamCondition::RestrictedXml,
            // `<!` that begins neither a comment nor a CDATA section: a document type declaration.
            rxml::Error::InvalidSyntax(what) if what.contains("cdata or comment") => {
                StreamCondition::RestrictedXml
            }
            _ => StreamCondition::NotWellFormed,
        };
        condition.because(error.to_string())
    }
}

impl StreamCondition {
    /// An error of this condition with a text for people.
    #[must_use]
    pub fn because(self, text: impl Into<String>) -> StreamError {
        StreamError { condition: self, text: text.into() }
    }
}

impl StreamError {
    /// `<stream:error/>` for a stream that declares the prefix `stream`. The text stays with us: it is for logs.
    #[must_use]
    pub fn to_xml(&self) -> String {
        format!("<stream:error><{} xmlns='{}'/></stream:error>", self.condition.name(), ns::STREAM_ERRORS)
    }

    /// Reads a `<stream:error/>` that the other side sent.
    #[must_use]
    pub fn from_payload(payload: &Payload) -> Option<Self> {
        if !payload.is("error", ns::STREAMS) {
            return None;
        }
        let element = payload.element().ok()?;
        let condition = element.children().find(|child| child.name() != "text")?;
        let text = element.get_child("text", ns::STREAM_ERRORS).map(|text| text.text()).unwrap_or_default();
        Some(StreamCondition::from_name(condition.name()).because(text))
    }
}
