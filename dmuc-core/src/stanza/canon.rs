//! Canonical XML: one spelling for one meaning, so that bytes can be compared, digested and relayed unchanged.
//!
//! Attributes are sorted by (namespace, name) and single-quoted; a namespace is declared where it differs from the
//! parent's, always as the default one; the three stream namespaces read as one, which at the top is left out
//! (the stream supplies it). Empty elements are self-closing.

use rxml::{Event, Parse};

use crate::ns;

/// Writes canonical XML, event by event, without recursion.
#[derive(Debug, Default)]
pub struct Canon {
    out: String,
    open: Vec<Open>,
    in_head: bool,
}

#[derive(Debug)]
struct Open {
    ns: Box<str>,
    name: Box<str>,
}

fn neutral(ns: &str) -> &str {
    if ns::STREAMS.contains(&ns) { ns::STANZA } else { ns }
}

impl Canon {
    /// Opens an element; `attributes` are (namespace, name, value) in any order.
    pub fn start(&mut self, ns: &str, name: &str, attributes: &mut [(&str, &str, &str)]) {
        self.close_head();
        let ns = neutral(ns);
        let inherited = self.open.last().map_or(ns::STANZA, |parent| &parent.ns);
        self.out.push('<');
        self.out.push_str(name);
        if inherited != ns {
            self.attribute("xmlns", ns);
        }
        attributes.sort_unstable();
        for (index, (ns, name, value)) in attributes.iter().enumerate() {
            self.qualified_attribute(index, ns, name, value);
        }
        self.open.push(Open { ns: ns.into(), name: name.into() });
        self.in_head = true;
    }

    fn qualified_attribute(&mut self, index: usize, ns: &str, name: &str, value: &str) {
        match ns {
            "" => self.attribute(name, value),
            ns::XML => self.attribute(&format!("xml:{name}"), value),
            _ => {
                self.attribute(&format!("xmlns:a{index}"), ns);
                self.attribute(&format!("a{index}:{name}"), value);
            }
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("='");
        escape_into(&mut self.out, value);
        self.out.push('\'');
    }

    fn close_head(&mut self) {
        if std::mem::take(&mut self.in_head) {
            self.out.push('>');
        }
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.close_head();
            escape_into(&mut self.out, text);
        }
    }

    /// Closes the innermost element; true if that was the outermost one.
    pub fn end(&mut self) -> bool {
        let Some(open) = self.open.pop() else { return true };
        if std::mem::take(&mut self.in_head) {
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(&open.name);
            self.out.push('>');
        }
        self.open.is_empty()
    }

    /// Feeds one parser event; true if it closed the outermost element.
    pub fn event(&mut self, event: &Event) -> bool {
        match event {
            Event::XmlDeclaration(..) => false,
            Event::StartElement(_, (ns, name), attributes) => {
                let mut flat: Vec<(&str, &str, &str)> = attributes
                    .iter()
                    .map(|((ns, name), value)| (ns.as_str(), name.as_str(), value.as_str()))
                    .collect();
                self.start(ns.as_str(), name.as_str(), &mut flat);
                false
            }
            Event::Text(_, text) => {
                self.text(text);
                false
            }
            Event::EndElement(_) => self.end(),
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The text of the element just closed; the writer is empty again.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }
}

/// Appends `text` with the characters escaped that XML reserves in text and attributes.
pub fn escape_into(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['<', '>', '&', '\'', '"', '\r', '\n', '\t']) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'<' => out.push_str("&lt;"),
            b'>' => out.push_str("&gt;"),
            b'&' => out.push_str("&amp;"),
            b'\'' => out.push_str("&apos;"),
            b'"' => out.push_str("&quot;"),
            // Kept from the whitespace normalisation that every parser does to attributes and line ends.
            b'\r' => out.push_str("&#13;"),
            b'\n' => out.push_str("&#10;"),
            _ => out.push_str("&#9;"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Why a text is not one well-formed element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one well-formed XML element")]
pub struct NotXml;

/// Reads one XML element and hands out every event of it.
pub(super) fn read(xml: &str, mut each: impl FnMut(&Event)) -> Result<(), NotXml> {
    let mut parser = rxml::Parser::new();
    let mut rest = xml.as_bytes();
    loop {
        match parser.parse(&mut rest, true) {
            Ok(Some(event)) => each(&event),
            Ok(None) => return Ok(()),
            Err(_) => return Err(NotXml),
        }
    }
}

/// Brings one XML element into canonical form.
///
/// # Errors
/// [`NotXml`] if it is not exactly one well-formed element.
pub fn canonical(xml: &str) -> Result<String, NotXml> {
    let mut canon = Canon::default();
    read(xml, |event| {
        canon.event(event);
    })?;
    Ok(canon.take())
}
