//! Bytes of one stream in, stanzas out.

use dmuc_core::stanza::{Canon, Kind, Payload};
use dmuc_core::{Stanza, ns as core_ns};
use rxml::error::EndOrError;
use rxml::{Options, Parse, RawEvent, RawParser, RawQName, WithOptions};

use super::draft::{Draft, Identity, Reason, Refused, SenderRule};
use super::limits::{Budget, Excess, Limits};
use super::scope::{NotWellFormed, Scopes};
use super::stream::{StreamCondition, StreamError, StreamHeader, ns};

/// Something that a stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The stream's header.
    Opened(StreamHeader),
    /// A stanza within the limits.
    Stanza(Box<Stanza>),
    /// A stanza that was read past; the stream goes on.
    Refused(Box<Refused>),
    /// An element of stream negotiation, or the other side's `<stream:error/>`. Those in the stream's own namespace
    /// read as [`dmuc_core::ns::STANZA`].
    Element(Payload),
    /// The stream's end tag.
    Closed,
    /// The stream cannot go on; nothing more will be read.
    Failed(StreamError),
}

/// What may come at top level now. `<stream:error/>` always may.
#[derive(Debug, Clone, Copy)]
pub struct Expect {
    /// Whether stanzas are welcome; before authentication they end the stream with `not-authorized`.
    pub stanzas: bool,
    /// Other elements, as (namespace, name).
    pub elements: &'static [(&'static str, &'static str)],
}

impl Expect {
    /// Stanzas and nothing else.
    pub const STANZAS: Self = Self { stanzas: true, elements: &[] };
    /// The handshake of a component, or its empty answer (XEP-0114).
    pub const HANDSHAKE: Self = Self { stanzas: false, elements: &[(ns::COMPONENT, "handshake")] };
    /// What a client says to authenticate (RFC 6120 §6).
    pub const SASL: Self =
        Self { stanzas: false, elements: &[(ns::SASL, "auth"), (ns::SASL, "response"), (ns::SASL, "abort")] };
}

/// The element whose start tag is being read.
#[derive(Debug, Default)]
struct Head {
    name: Option<RawQName>,
    attributes: Vec<(RawQName, String)>,
    count: usize,
    /// Set if a stanza's root is over a limit; only what an answer needs is still kept.
    excess: Option<Excess>,
}

#[derive(Debug)]
enum Top {
    Between,
    Stanza(Box<Draft>),
    Element(Canon),
    /// Reading past a stanza; what there is to report of it, if anything.
    Skip(Option<Box<Refused>>),
}

/// Reads one stream. Bounded in memory and stack whatever comes in.
#[derive(Debug)]
pub struct Reader {
    parser: RawParser,
    limits: Limits,
    content_ns: &'static str,
    senders: SenderRule,
    expect: Expect,
    scopes: Scopes,
    head: Head,
    /// Open elements, the stream's root included.
    depth: usize,
    /// Bytes since the last top-level element ended.
    consumed: usize,
    top: Top,
    started: bool,
    done: bool,
}

type Step = Result<Option<Read>, StreamError>;

impl Reader {
    /// A reader for a stream whose stanzas are in `content_ns` (see [`ns`]).
    #[must_use]
    pub fn new(content_ns: &'static str, senders: SenderRule, limits: Limits) -> Self {
        let limits = limits.clamped();
        let options = Options { max_token_length: limits.token_bytes(), ..Options::default() };
        let mut parser = RawParser::with_options(options);
        parser.set_text_buffering(false);
        Self {
            parser,
            limits,
            content_ns,
            senders,
            expect: Expect::STANZAS,
            scopes: Scopes::default(),
            head: Head::default(),
            depth: 0,
            consumed: 0,
            top: Top::Between,
            started: false,
            done: false,
        }
    }

    /// Sets what may come next at top level.
    pub fn expect(&mut self, expect: Expect) {
        self.expect = expect;
    }

    /// Sets other limits, from the next top-level element on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits.clamped();
    }

    /// Reads on in `input`, which shrinks; `None` if it is used up.
    pub fn read(&mut self, input: &mut &[u8]) -> Option<Read> {
        if !self.started {
            *input = input.trim_ascii_start();
            self.started = !input.is_empty();
        }
        while !self.done {
            let before = input.len();
            let parsed = self.parser.parse(input, false);
            self.consumed += before - input.len();
            let step = match parsed {
                Ok(Some(event)) => self.event(event),
                Ok(None) => return None,
                Err(EndOrError::NeedMoreData) => {
                    let step = self.check_bytes();
                    if step.is_ok() {
                        return None;
                    }
                    step
                }
                Err(EndOrError::Error(error)) => Err(error.into()),
            };
            match step {
                Ok(None) => {}
                Ok(Some(read)) => return Some(read),
                Err(error) => {
                    self.done = true;
                    return Some(Read::Failed(error));
                }
            }
        }
        None
    }

    fn event(&mut self, event: RawEvent) -> Step {
        let step = match event {
            RawEvent::XmlDeclaration(..) => Ok(None),
            RawEvent::ElementHeadOpen(_, name) => self.open(name),
            RawEvent::Attribute(_, name, value) => self.attribute(name, value),
            RawEvent::ElementHeadClose(_) => self.head_done(),
            RawEvent::ElementFoot(_) => self.close(),
            RawEvent::Text(_, text) => self.text(&text),
        }?;
        if step.is_none() {
            self.check_bytes()?;
        }
        Ok(step)
    }

    /// How deep we are in a top-level element, that element being 1.
    fn level(&self) -> usize {
        self.depth.saturating_sub(1)
    }

    fn check_bytes(&mut self) -> Step {
        let most = match self.top {
            Top::Skip(_) => self.limits.skip_bytes,
            _ => self.limits.stanza_bytes,
        };
        if self.consumed > most { self.refuse(Excess::Bytes) } else { Ok(None) }
    }

    /// Drops what has been built of a stanza over a limit.
    fn refuse(&mut self, excess: Excess) -> Step {
        self.top = match std::mem::replace(&mut self.top, Top::Between) {
            Top::Stanza(draft) => Top::Skip(Some(Box::new(draft.refuse(Reason::Limit(excess))))),
            Top::Between if self.level() == 1 && self.consumed <= self.limits.skip_bytes => {
                self.head.excess = Some(excess);
                self.head.attributes.retain(|(name, _)| is_identity(name));
                Top::Between
            }
            _ => return Err(StreamCondition::PolicyViolation.because(excess.to_string())),
        };
        Ok(None)
    }

    fn open(&mut self, name: RawQName) -> Step {
        self.depth += 1;
        let level = self.level();
        if matches!(self.top, Top::Skip(_)) {
            return match level > self.limits.skip_depth {
                true => Err(StreamCondition::PolicyViolation.because(Excess::Depth.to_string())),
                false => Ok(None),
            };
        }
        self.head = Head {
            name: Some(name),
            attributes: std::mem::take(&mut self.head.attributes),
            ..Head::default()
        };
        self.head.attributes.clear();
        let counted = match &mut self.top {
            Top::Stanza(draft) => draft.budget.open(level, &self.limits),
            Top::Element(_) if level > self.limits.own_depth => Err(Excess::Depth),
            _ => Ok(()),
        };
        counted.map_or_else(|excess| self.refuse(excess), |()| Ok(None))
    }

    fn attribute(&mut self, name: RawQName, value: String) -> Step {
        if matches!(self.top, Top::Skip(_)) {
            return Ok(None);
        }
        self.head.count += 1;
        if self.head.count > self.limits.attributes && self.head.excess.is_none() {
            self.refuse(Excess::Attributes)?;
        }
        if self.head.excess.is_none()
            || is_identity(&name) && self.head.attributes.iter().all(|(seen, _)| *seen != name)
        {
            self.head.attributes.push((name, value));
        }
        Ok(None)
    }

    fn head_done(&mut self) -> Step {
        let Some(name) = self.head.name.take() else { return Ok(None) };
        if matches!(self.top, Top::Skip(_)) {
            return Ok(None);
        }
        self.scopes.declare(self.depth, &mut self.head.attributes)?;
        if self.scopes.len() > self.limits.namespaces && self.head.excess.is_none() {
            self.refuse(Excess::Namespaces)?;
        }
        match self.depth {
            1 => self.opened(&name),
            2 => self.top_level(&name),
            _ => self.child(&name),
        }
    }

    fn opened(&mut self, name: &RawQName) -> Step {
        let stream_ns = self.scopes.element(name)?;
        let content_ns = self.scopes.element(&(None, name.1.clone()))?;
        if stream_ns != ns::STREAMS || content_ns != self.content_ns {
            return Err(StreamCondition::InvalidNamespace.into());
        }
        if name.1 != "stream" {
            return Err(StreamCondition::BadFormat.into());
        }
        self.consumed = 0;
        let attributes = self.scopes.attributes(&self.head.attributes)?;
        let find = |wanted: &str| {
            attributes
                .iter()
                .find(|(ns, name, _)| ns.is_empty() && *name == wanted)
                .map(|(.., value)| (*value).to_owned())
        };
        let header =
            StreamHeader { to: find("to"), from: find("from"), id: find("id"), version: find("version") };
        Ok(Some(Read::Opened(header)))
    }

    fn top_level(&mut self, name: &RawQName) -> Step {
        let ns = if self.head.excess.is_some() { self.content_ns } else { self.scopes.element(name)? };
        let kind = Kind::from_name(name.1.as_str());
        let qualified = (ns, name.1.as_str());
        let expected = self.expect.elements.contains(&qualified) || qualified == (ns::STREAMS, "error");
        let mut attributes = self.scopes.attributes(&self.head.attributes)?;
        self.top = match kind {
            None if self.head.excess.is_some() => return Err(StreamCondition::PolicyViolation.into()),
            _ if expected => {
                let mut canon = Canon::default();
                canon.start(ns, name.1.as_str(), &mut attributes);
                Top::Element(canon)
            }
            Some(_) if ns != self.content_ns => return Err(StreamCondition::InvalidNamespace.into()),
            Some(_) if !self.expect.stanzas => return Err(StreamCondition::NotAuthorized.into()),
            Some(kind) => {
                begin(Identity::read(kind, &attributes, self.senders), self.head.excess, &self.limits)
            }
            None if self.expect.stanzas => return Err(StreamCondition::UnsupportedStanzaType.into()),
            None => return Err(StreamCondition::NotAuthorized.into()),
        };
        Ok(None)
    }

    fn child(&mut self, name: &RawQName) -> Step {
        let ns = self.scopes.element(name)?;
        let mut attributes = self.scopes.attributes(&self.head.attributes)?;
        match &mut self.top {
            Top::Stanza(draft) => {
                draft.budget.named(self.depth - 1, ns);
                draft.start(ns, name.1.as_str(), &mut attributes);
            }
            Top::Element(canon) => canon.start(ns, name.1.as_str(), &mut attributes),
            Top::Between | Top::Skip(_) => {}
        }
        Ok(None)
    }

    fn text(&mut self, text: &str) -> Step {
        let level = self.level();
        match &mut self.top {
            Top::Stanza(draft) => draft.text(level, text),
            Top::Element(canon) => canon.text(text),
            Top::Skip(_) => {}
            Top::Between if text.trim_ascii().is_empty() => self.consumed = 0,
            Top::Between => return Err(StreamCondition::BadFormat.into()),
        }
        Ok(None)
    }

    fn close(&mut self) -> Step {
        let level = self.level();
        self.depth -= 1;
        self.scopes.leave(self.depth);
        match level {
            0 => {
                self.done = true;
                Ok(Some(Read::Closed))
            }
            1 => Ok(self.finish()),
            _ => self.child_closed(level),
        }
    }

    fn child_closed(&mut self, level: usize) -> Step {
        let ended = match &mut self.top {
            Top::Stanza(draft) => {
                draft.budget.close(level);
                draft.end()
            }
            Top::Element(canon) => {
                canon.end();
                Ok(())
            }
            Top::Between | Top::Skip(_) => Ok(()),
        };
        ended.map_or_else(|excess| self.refuse(excess), |()| Ok(None))
    }

    fn finish(&mut self) -> Option<Read> {
        self.consumed = 0;
        match std::mem::replace(&mut self.top, Top::Between) {
            Top::Stanza(draft) => Some(Read::Stanza(Box::new(draft.finish()))),
            Top::Skip(refused) => refused.map(Read::Refused),
            Top::Element(mut canon) => {
                canon.end();
                Payload::from_canonical(&canon.take()).ok().map(Read::Element)
            }
            Top::Between => None,
        }
    }
}

fn is_identity(name: &RawQName) -> bool {
    name.0.is_none() && ["from", "to", "id", "type"].contains(&name.1.as_str())
}

fn begin(identity: Option<Identity>, excess: Option<Excess>, limits: &Limits) -> Top {
    let Some(identity) = identity else {
        tracing::warn!("dropped a stanza without a valid sender");
        return Top::Skip(None);
    };
    if let Some(excess) = excess {
        return Top::Skip(Some(Box::new(identity.refuse(Reason::Limit(excess)))));
    }
    let mut budget = Budget::default();
    if let Err(excess) = budget.open(1, limits) {
        return Top::Skip(Some(Box::new(identity.refuse(Reason::Limit(excess)))));
    }
    match Draft::new(identity, budget) {
        Ok(draft) => Top::Stanza(Box::new(draft)),
        Err(refused) => Top::Skip(Some(Box::new(refused))),
    }
}

impl From<NotWellFormed> for StreamError {
    fn from(NotWellFormed: NotWellFormed) -> Self {
        StreamCondition::NotWellFormed.into()
    }
}

/// Reads stanzas out of text that has no stream around it, such as what [`Outbound::write`] gives. Whatever is over
/// the limits or not well-formed is left out, and what follows it as well.
///
/// ```
/// let stanzas = dmuc_server_adapter::wire::parse_stanzas("<presence from='a@b.c/d' to='room@e.f/nick'/>");
/// assert_eq!(stanzas[0].to.as_ref().and_then(|to| to.resource()), Some("nick"));
/// ```
///
/// [`Outbound::write`]: dmuc_core::stanza::Outbound::write
#[must_use]
pub fn parse_stanzas(xml: &str) -> Vec<Stanza> {
    let header = StreamHeader::default().to_xml(core_ns::STANZA);
    let mut reader = Reader::new(ns::CLIENT, SenderRule::Required, Limits::default());
    let _ = reader.read(&mut header.as_bytes());
    let (mut input, mut stanzas) = (xml.as_bytes(), Vec::new());
    while let Some(read) = reader.read(&mut input) {
        if let Read::Stanza(stanza) = read {
            stanzas.push(*stanza);
        }
    }
    stanzas
}
