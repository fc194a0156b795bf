//! What one stanza may cost, counted event by event before anything is built.

/// Namespaces of ours, whose payloads never nest deeply.
const OWN: &str = "urn:xmpp:dmuc:";

/// Limits on one stanza. The default is the most that is ever allowed; a configuration can only lower it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on the wire.
    pub stanza_bytes: usize,
    /// Nesting, the stanza itself being 1.
    pub depth: usize,
    /// Nesting inside a payload of a `urn:xmpp:dmuc:` namespace, that payload being 1.
    pub own_depth: usize,
    /// Elements, the stanza itself included.
    pub elements: usize,
    /// Attributes of one element, namespace declarations included.
    pub attributes: usize,
    /// Namespace declarations in scope at one place.
    pub namespaces: usize,
    /// Bytes of a refused stanza that are read past, without being kept, before the stream is given up.
    pub skip_bytes: usize,
    /// Nesting of a refused stanza up to which it is read past.
    pub skip_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stanza_bytes: 256 * 1024,
            depth: 64,
            own_depth: 16,
            elements: 2_000,
            attributes: 64,
            namespaces: 128,
            skip_bytes: 16 * 1024 * 1024,
            skip_depth: 16_384,
        }
    }
}

impl Limits {
    /// What someone who has not authenticated may send.
    #[must_use]
    pub fn before_login() -> Self {
        Self { stanza_bytes: 8 * 1024, depth: 8, elements: 32, attributes: 32, ..Self::default() }
            .without_skipping()
    }

    /// Gives up the stream instead of reading past what is over the limits.
    #[must_use]
    pub fn without_skipping(self) -> Self {
        Self { skip_bytes: self.stanza_bytes, skip_depth: self.depth, ..self }
    }

    /// These limits, none above the default.
    #[must_use]
    pub fn clamped(self) -> Self {
        let most = Self::default();
        Self {
            stanza_bytes: self.stanza_bytes.min(most.stanza_bytes),
            depth: self.depth.min(most.depth),
            own_depth: self.own_depth.min(most.own_depth),
            elements: self.elements.min(most.elements),
            attributes: self.attributes.min(most.attributes),
            namespaces: self.namespaces.min(most.namespaces),
            skip_bytes: self.skip_bytes.min(most.skip_bytes),
            skip_depth: self.skip_depth.min(most.skip_depth),
        }
    }

    /// Longest name or attribute value that the parser buffers. Above `stanza_bytes`, so that a stanza refused for a
    /// long attribute can still be read past.
    pub(super) fn token_bytes(&self) -> usize {
        self.stanza_bytes.saturating_mul(4).min(self.skip_bytes)
    }
}

/// Which limit a stanza broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// [`Limits::stanza_bytes`]
    #[error("too many bytes")]
    Bytes,
    /// [`Limits::depth`] or [`Limits::own_depth`]
    #[error("nested too deeply")]
    Depth,
    /// [`Limits::elements`]
    #[error("too many elements")]
    Elements,
    /// [`Limits::attributes`]
    #[error("too many attributes")]
    Attributes,
    /// [`Limits::namespaces`]
    #[error("too many namespace declarations")]
    Namespaces,
    /// A child's name is longer than a payload can carry (65 535 bytes).
    #[error("element name too long")]
    Name,
}

/// The count for the stanza being read.
#[derive(Debug, Default)]
pub(super) struct Budget {
    elements: usize,
    /// Level of the outermost open payload of ours.
    own_since: Option<usize>,
}

impl Budget {
    /// An element opens at `level` (the stanza is 1).
    pub(super) fn open(&mut self, level: usize, limits: &Limits) -> Result<(), Excess> {
        self.elements += 1;
        if self.elements > limits.elements {
            return Err(Excess::Elements);
        }
        let too_deep_in_own = self.own_since.is_some_and(|since| level - since >= limits.own_depth);
        if level > limits.depth || too_deep_in_own { Err(Excess::Depth) } else { Ok(()) }
    }

    /// The namespace of the element at `level` is known.
    pub(super) fn named(&mut self, level: usize, ns: &str) {
        if self.own_since.is_none() && ns.starts_with(OWN) {
            self.own_since = Some(level);
        }
    }

    /// The element at `level` is closed.
    pub(super) fn close(&mut self, level: usize) {
        if self.own_since == Some(level) {
            self.own_since = None;
        }
    }
}
