//! One child of a stanza: canonical bytes, typed on demand.

use std::fmt;
use std::sync::Arc;

use minidom::Element;
use serde::{Deserialize, Serialize};
use xso::{AsXml, FromXml};

use super::canon::{self, NotXml, canonical, escape_into};
use crate::ns;

/// A child element of a stanza in canonical form, which is how it is relayed, stored and digested.
///
/// Cheap to clone. Children in the stanza's own namespace (`body`, `show`) carry no `xmlns`.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    xml: Arc<str>,
    ns: Arc<str>,
    name_len: u16,
}

impl Payload {
    /// Takes an element that is canonical already (the wire reader's output).
    ///
    /// # Errors
    /// [`NotXml`] if it does not even begin with a start tag.
    pub fn from_canonical(xml: &str) -> Result<Self, NotXml> {
        let head = xml.strip_prefix('<').ok_or(NotXml)?;
        let name_len = head.find([' ', '/', '>']).ok_or(NotXml)?;
        let ns: Arc<str> = match head[name_len..].strip_prefix(" xmlns='") {
            Some(rest) => unescape(rest.split('\'').next().ok_or(NotXml)?).into(),
            None => ns::STANZA.into(),
        };
        Ok(Self { xml: xml.into(), ns, name_len: u16::try_from(name_len).map_err(|_| NotXml)? })
    }

    /// Reads one element, in whatever spelling.
    ///
    /// # Errors
    /// [`NotXml`] if it is not one well-formed element.
    pub fn parse_xml(xml: &str) -> Result<Self, NotXml> {
        Self::from_canonical(&canonical(xml)?)
    }

    /// Reads what [`as_xml`](Self::as_xml) wrote, and nothing else.
    fn read_back(xml: &str) -> Result<Self, NotXml> {
        let payload = Self::from_canonical(xml)?;
        if canonical(&payload.standalone())? == xml { Ok(payload) } else { Err(NotXml) }
    }

    /// `<name>text</name>` in the stanza's namespace.
    #[must_use]
    pub fn text_element(name: &str, text: &str) -> Self {
        El::stanza(name).text(text).payload()
    }

    /// Serialises a typed payload.
    pub fn of<T: AsXml>(value: &T) -> Self {
        let bytes = xso::to_vec(value).expect("typed payloads hold only what XML can express");
        let xml = std::str::from_utf8(&bytes).expect("the encoder writes UTF-8");
        Self::parse_xml(xml).expect("the encoder writes one element")
    }

    /// Local name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.xml[1..=usize::from(self.name_len)]
    }

    /// Namespace; [`ns::STANZA`] for the stanza's own.
    #[must_use]
    pub fn ns(&self) -> &str {
        &self.ns
    }

    /// Whether this is `{ns}name`.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// The canonical bytes.
    #[must_use]
    pub fn as_xml(&self) -> &str {
        &self.xml
    }

    /// How deep its elements are nested; 1 if it has none below it.
    #[must_use]
    pub fn depth(&self) -> usize {
        let (mut open, mut deepest) = (0_usize, 0);
        let bytes = self.xml.as_bytes();
        // In canonical form `<` and `>` stand for nothing but tags.
        for at in memchr::memchr2_iter(b'<', b'>', bytes) {
            match (bytes[at], bytes.get(at + 1), at.checked_sub(1).map(|before| bytes[before])) {
                (b'<', Some(b'/'), _) | (b'>', _, Some(b'/')) => open = open.saturating_sub(1),
                (b'<', ..) => open += 1,
                _ => {}
            }
            deepest = deepest.max(open);
        }
        deepest
    }

    fn standalone(&self) -> String {
        let head = 1 + usize::from(self.name_len);
        if self.xml[head..].starts_with(" xmlns='") {
            return self.xml.as_ref().to_owned();
        }
        format!("{} xmlns='{}'{}", &self.xml[..head], ns::STANZA, &self.xml[head..])
    }

    /// Reads it as `T`; `None` if it is of another shape.
    #[must_use]
    pub fn typed<T: FromXml>(&self) -> Option<T> {
        xso::from_bytes(self.standalone().as_bytes()).ok()
    }

    /// Reads it as a tree, for lenient look-ups.
    ///
    /// # Errors
    /// [`NotXml`] if the bytes are not well-formed after all.
    pub fn element(&self) -> Result<Element, NotXml> {
        self.standalone().parse().map_err(|_| NotXml)
    }

    /// The character data directly inside it and below, in document order.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let read = canon::read(&self.standalone(), |event| {
            if let rxml::Event::Text(_, part) = event {
                text.push_str(part);
            }
        });
        if read.is_err() { String::new() } else { text }
    }

    /// An attribute of the element itself.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<String> {
        self.element().ok()?.attr(name).map(str::to_owned)
    }
}

fn unescape(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", "\""), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.xml)
    }
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.xml)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let xml = String::deserialize(deserializer)?;
        Self::read_back(&xml).map_err(serde::de::Error::custom)
    }
}

/// Builds an element for sending.
#[derive(Debug, Clone)]
pub struct El {
    ns: &'static str,
    name: String,
    attributes: Vec<(String, String)>,
    inner: String,
}

impl El {
    /// An element in a namespace.
    #[must_use]
    pub fn new(name: &str, ns: &'static str) -> Self {
        Self { ns, name: name.to_owned(), attributes: Vec::new(), inner: String::new() }
    }

    /// An element in the stanza's namespace.
    #[must_use]
    pub fn stanza(name: &str) -> Self {
        Self::new(name, ns::STANZA)
    }

    /// Adds an attribute; `xml:lang` is allowed.
    #[must_use]
    pub fn attr(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.attributes.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Adds an attribute if there is a value.
    #[must_use]
    pub fn attr_opt(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        escape_into(&mut self.inner, text);
        self
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, child: El) -> Self {
        let inherited = self.ns;
        child.write(inherited, &mut self.inner);
        self
    }

    /// Adds children.
    #[must_use]
    pub fn children(self, children: impl IntoIterator<Item = El>) -> Self {
        children.into_iter().fold(self, El::child)
    }

    /// Adds a payload as a child.
    #[must_use]
    pub fn payload_child(mut self, child: &Payload) -> Self {
        if child.ns() == ns::STANZA && self.ns != ns::STANZA {
            self.inner.push_str(&child.standalone());
        } else {
            self.inner.push_str(child.as_xml());
        }
        self
    }

    fn write(mut self, inherited: &str, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        if inherited != self.ns {
            push_attribute(out, "xmlns", self.ns);
        }
        self.attributes.sort_unstable();
        for (name, value) in &self.attributes {
            push_attribute(out, name, value);
        }
        if self.inner.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(&self.inner);
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }

    /// About how many bytes it makes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes: usize =
            self.attributes.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        2 * self.name.len() + self.ns.len() + attributes + self.inner.len() + 16
    }

    /// The finished payload.
    #[must_use]
    pub fn payload(self) -> Payload {
        let (ns, name_len) = (self.ns, self.name.len());
        let mut xml = String::with_capacity(64 + self.inner.len());
        self.write(ns::STANZA, &mut xml);
        Payload {
            xml: xml.into(),
            ns: ns.into(),
            name_len: u16::try_from(name_len).expect("short literal names"),
        }
    }
}

fn push_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape_into(out, value);
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::{El, Payload};
    use crate::ns;

    #[test]
    fn depth_is_counted_in_elements() {
        let depth = |xml| Payload::parse_xml(xml).expect("well-formed").depth();
        assert_eq!(depth("<a xmlns='x'/>"), 1);
        assert_eq!(depth("<a xmlns='x'>/&gt;</a>"), 1);
        assert_eq!(depth("<a xmlns='x'><b/><c><d>text</d><e/></c></a>"), 3);
    }

    #[test]
    fn what_is_stored_comes_back_the_same() {
        let foreign =
            El::new("x", ns::MUC_USER).child(El::new("item", ns::MUC_USER).attr("nick", "o'<&>")).payload();
        for payload in
            [Payload::text_element("body", "a <b> & 'c'\n"), Payload::text_element("subject", ""), foreign]
        {
            let json = serde_json::to_string(&payload).expect("plain text");
            let back: Payload = serde_json::from_str(&json).expect("own text");
            assert_eq!(back, payload);
            assert_eq!(back.ns(), payload.ns());
        }
        assert!(serde_json::from_str::<Payload>("\"<body xmlns:a='x' a:b='c' z=''>\"").is_err());
    }
}
