//! Counting the stanzas of a stream by reading the stream itself.

use rxml::parser::{RawEvent, RawParser};
use rxml::{Options, Parse, WithOptions};

/// One top-level element that went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaSeen {
    /// The element name: `message`, `presence`, `iq`, or something of the stream.
    pub name: String,
    /// The `from` attribute.
    pub from: String,
    /// The `to` attribute.
    pub to: String,
    /// The `type` attribute.
    pub kind: String,
    /// The stanza as it was written.
    pub xml: String,
}

/// Reads one direction of an XMPP stream and finds the elements at depth 1.
#[derive(Debug)]
pub struct StanzaCounter {
    parser: RawParser,
    depth: usize,
    unread: Vec<u8>,
    current: Vec<u8>,
    stanza: Option<StanzaSeen>,
}

impl Default for StanzaCounter {
    fn default() -> Self {
        let options = Options { max_token_length: 1 << 20, ..Options::default() };
        let parser = RawParser::with_options(options);
        Self { parser, depth: 0, unread: Vec::new(), current: Vec::new(), stanza: None }
    }
}

impl StanzaCounter {
    /// Takes the next bytes of the stream and returns the stanzas they complete.
    ///
    /// # Errors
    /// When the stream is not XML; nothing can be counted on it from there.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<StanzaSeen>, String> {
        let mut seen = Vec::new();
        let mut input = bytes;
        self.unread.extend_from_slice(bytes);
        loop {
            match self.parser.parse(&mut input, false) {
                Ok(Some(event)) => seen.extend(self.event(event)),
                Ok(None) | Err(rxml::error::EndOrError::NeedMoreData) => return Ok(seen),
                Err(rxml::error::EndOrError::Error(error)) => return Err(error.to_string()),
            }
        }
    }

    fn event(&mut self, event: RawEvent) -> Option<StanzaSeen> {
        let consumed = self.unread.drain(..event.metrics().len());
        if self.depth > 0 {
            self.current.extend(consumed);
        } else {
            drop(consumed);
        }
        match event {
            RawEvent::ElementHeadOpen(_, (_, name)) => self.open(name.as_str()),
            RawEvent::Attribute(_, (prefix, name), value) if prefix.is_none() => self.attribute(&name, value),
            RawEvent::ElementFoot(_) => return self.close(),
            _ => {}
        }
        None
    }

    fn open(&mut self, name: &str) {
        self.depth += 1;
        if self.depth == 2 {
            self.stanza = Some(StanzaSeen {
                name: name.to_owned(),
                from: String::new(),
                to: String::new(),
                kind: String::new(),
                xml: String::new(),
            });
        } else if self.depth == 1 {
            self.current.clear();
        }
    }

    fn attribute(&mut self, name: &str, value: String) {
        let (2, Some(stanza)) = (self.depth, self.stanza.as_mut()) else { return };
        match name {
            "from" => stanza.from = value,
            "to" => stanza.to = value,
            "type" => stanza.kind = value,
            _ => {}
        }
    }

    fn close(&mut self) -> Option<StanzaSeen> {
        self.depth = self.depth.saturating_sub(1);
        if self.depth != 1 {
            return None;
        }
        let mut stanza = self.stanza.take()?;
        let written = std::mem::take(&mut self.current);
        let written = String::from_utf8_lossy(&written).into_owned();
        // Before the stanza lie the end of the stream header and the white space that keeps connections alive.
        let start = written.find(&format!("<{}", stanza.name)).unwrap_or(0);
        stanza.xml = written[start..].to_owned();
        Some(stanza)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
        xmlns:stream='http://etherx.jabber.org/streams' to='b' from='a'> \n\
        <db:result xmlns:db='jabber:server:dialback'>k</db:result>\
        <message from='r@a/n' to='r@b/n' type='groupchat'><body>&lt;message/></body><message from='x'/></message> \
        <presence from='r@a/n' to='r@b/n'/><iq type='get' to='b'><q><iq/></q></iq></stream:stream>";

    fn check(chunk: usize) {
        let mut counter = StanzaCounter::default();
        let mut seen = Vec::new();
        for bytes in STREAM.as_bytes().chunks(chunk) {
            seen.extend(counter.read(bytes).unwrap());
        }
        let names: Vec<_> = seen.iter().map(|stanza| stanza.name.as_str()).collect();
        assert_eq!(names, ["result", "message", "presence", "iq"], "in chunks of {chunk}");
        assert_eq!(seen[1].from, "r@a/n");
        assert!(seen[1].xml.starts_with("<message from='r@a/n'") && seen[1].xml.ends_with("</message>"));
        assert_eq!(seen[3].xml, "<iq type='get' to='b'><q><iq/></q></iq>");
    }

    #[test]
    fn nested_stanzas_are_not_counted_whatever_the_chunks() {
        for chunk in [1, 2, 3, 7, 64, 1_000] {
            check(chunk);
        }
    }

    #[test]
    fn what_is_not_xml_is_an_error() {
        let mut counter = StanzaCounter::default();
        assert!(counter.read(b"<stream><<").is_err());
    }
}
