//! What a client received, as plain data.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An XML element as the client library parsed it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
pub struct Element {
    /// Local name.
    #[serde(rename = "n")]
    pub name: String,
    /// Namespace, empty when there is none.
    #[serde(rename = "ns")]
    pub namespace: String,
    /// Attributes without a namespace by their name, `xml:lang` under that name.
    #[serde(rename = "a")]
    pub attributes: BTreeMap<String, String>,
    /// The text before the first child.
    #[serde(rename = "t")]
    pub text: String,
    /// Child elements in order.
    #[serde(rename = "c")]
    pub children: Vec<Element>,
}

impl Element {
    /// The value of an attribute, empty when absent.
    pub fn attr(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The `from` address.
    pub fn from(&self) -> &str {
        self.attr("from")
    }

    /// The resource of the `from` address: the nick, for a stanza from a room.
    pub fn nick(&self) -> &str {
        self.from().split_once('/').map_or("", |(_, nick)| nick)
    }

    /// The `type` attribute.
    pub fn kind(&self) -> &str {
        self.attr("type")
    }

    /// The first child of this name and namespace.
    pub fn child(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name && child.namespace == namespace)
    }

    /// The first descendant of this local name, in any namespace, in document order.
    pub fn find(&self, name: &str) -> Option<&Element> {
        self.children.iter().find_map(|child| if child.name == name { Some(child) } else { child.find(name) })
    }

    /// Every descendant of this local name, in document order.
    pub fn all(&self, name: &str) -> Vec<&Element> {
        let mut found = Vec::new();
        for child in &self.children {
            if child.name == name {
                found.push(child);
            }
            found.extend(child.all(name));
        }
        found
    }

    /// The text of the `<body/>`, if there is one.
    pub fn body(&self) -> Option<&str> {
        self.children.iter().find(|child| child.name == "body").map(|body| body.text.as_str())
    }

    /// The text of the `<subject/>`, if there is one.
    pub fn subject(&self) -> Option<&str> {
        self.children.iter().find(|child| child.name == "subject").map(|subject| subject.text.as_str())
    }

    /// The id that `by` gave to the stanza (XEP-0359).
    pub fn stanza_id(&self, by: &str) -> Option<&str> {
        self.children
            .iter()
            .find(|child| {
                child.name == "stanza-id" && child.namespace == "urn:xmpp:sid:0" && child.attr("by") == by
            })
            .map(|id| id.attr("id"))
    }

    /// The XEP-0045 status codes.
    pub fn statuses(&self) -> Vec<&str> {
        self.child("x", "http://jabber.org/protocol/muc#user")
            .map(|x| {
                x.children
                    .iter()
                    .filter(|child| child.name == "status")
                    .map(|status| status.attr("code"))
                    .collect()
            })
            .unwrap_or_default()
    }

    /// An attribute of the `<item/>` in the muc#user extension, empty when absent.
    pub fn muc_item(&self, attribute: &str) -> &str {
        self.child("x", "http://jabber.org/protocol/muc#user")
            .and_then(|x| x.children.iter().find(|child| child.name == "item"))
            .map_or("", |item| item.attr(attribute))
    }

    /// The defined condition of a stanza error.
    pub fn condition(&self) -> Option<&str> {
        let error = self.children.iter().find(|child| child.name == "error")?;
        error
            .children
            .iter()
            .find(|child| child.namespace == "urn:ietf:params:xml:ns:xmpp-stanzas" && child.name != "text")
            .map(|condition| condition.name.as_str())
    }

    /// The values of a field in the first data form below this element.
    pub fn form_values(&self, var: &str) -> Option<Vec<&str>> {
        let field = self.all("field").into_iter().find(|field| field.attr("var") == var)?;
        Some(
            field
                .children
                .iter()
                .filter(|child| child.name == "value")
                .map(|value| value.text.as_str())
                .collect(),
        )
    }
}

impl fmt::Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<{}", self.name)?;
        if self.name != "message" && self.name != "presence" && self.name != "iq" {
            write!(out, " xmlns='{}'", self.namespace)?;
        }
        for (name, value) in &self.attributes {
            write!(out, " {name}='{value}'")?;
        }
        write!(out, ">{}", self.text)?;
        for child in &self.children {
            write!(out, "{child}")?;
        }
        write!(out, "</{}>", self.name)
    }
}
