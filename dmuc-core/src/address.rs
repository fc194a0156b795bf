//! Canonical XMPP addresses.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A JID in canonical form: equal addresses are equal strings.
///
/// The bare part is normalised by the `jid` crate; on top of that one trailing dot of the domain is dropped and
/// A-labels are folded to U-labels, so that `user@evil.example.` cannot evade a ban of `user@evil.example`. The
/// resource is kept as it came (RFC 7622 resources may hold what stringprep refuses, emoji for example).
/// Cloning is cheap.
#[derive(Clone)]
pub struct Address {
    text: Arc<str>,
    domain_at: u16,
    slash_at: u16,
}

/// Why a text is not an address; answered with `jid-malformed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A part is empty, too long (over 1 023 bytes) or holds a forbidden character.
    #[error("malformed JID")]
    Malformed,
}

impl Address {
    /// Parses and canonicalises a full or bare JID.
    ///
    /// # Errors
    /// [`AddressError::Malformed`] if any part breaks RFC 7622.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        let bare = canonical_bare(bare)?;
        match resource {
            Some(resource) if !is_resource(resource) => Err(AddressError::Malformed),
            Some(resource) => Ok(Self::assemble(&bare, Some(resource))),
            None => Ok(Self::assemble(&bare, None)),
        }
    }

    fn assemble(bare: &str, resource: Option<&str>) -> Self {
        let domain_at = bare.find('@').map_or(0, |at| at + 1);
        let text: Arc<str> = match resource {
            Some(resource) => format!("{bare}/{resource}").into(),
            None => bare.into(),
        };
        // Both fit: a bare JID has at most 2 047 bytes.
        Self { text, domain_at: domain_at as u16, slash_at: bare.len() as u16 }
    }

    /// The whole address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The localpart, if there is one.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        (self.domain_at > 0).then(|| &self.text[..usize::from(self.domain_at) - 1])
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.domain_at)..usize::from(self.slash_at)]
    }

    /// The resource, if there is one.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.text.get(usize::from(self.slash_at) + 1..)
    }

    /// Whether the address has no resource.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.text.len() == usize::from(self.slash_at)
    }

    /// The bare part as text.
    #[must_use]
    pub fn bare_str(&self) -> &str {
        &self.text[..usize::from(self.slash_at)]
    }

    /// The address without its resource.
    #[must_use]
    pub fn to_bare(&self) -> Self {
        if self.is_bare() { self.clone() } else { Self::assemble(self.bare_str(), None) }
    }

    /// The domain as an address of its own.
    #[must_use]
    pub fn to_domain(&self) -> Self {
        Self::assemble(self.domain(), None)
    }

    /// This bare address with `resource` behind it.
    ///
    /// # Errors
    /// [`AddressError::Malformed`] if the resource is empty, over 1 023 bytes or holds control characters.
    pub fn with_resource(&self, resource: &str) -> Result<Self, AddressError> {
        if is_resource(resource) {
            Ok(Self::assemble(self.bare_str(), Some(resource)))
        } else {
            Err(AddressError::Malformed)
        }
    }

    /// `local@domain` out of its parts.
    ///
    /// # Errors
    /// [`AddressError::Malformed`] if `local` is no localpart.
    pub fn room(local: &str, domain: &str) -> Result<Self, AddressError> {
        if local.is_empty() || local.contains(['@', '/']) {
            return Err(AddressError::Malformed);
        }
        Self::parse(&format!("{local}@{domain}"))
    }
}

fn is_resource(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1023 && !text.chars().any(char::is_control)
}

fn is_plainly_canonical(bare: &str) -> bool {
    bare.len() <= 255
        && bare.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._@".contains(&b))
        && !bare.contains("xn--")
        && !bare.contains("..")
        && !bare.ends_with('.')
        && bare.bytes().filter(|b| *b == b'@').count() <= 1
        && !bare.starts_with('@')
        && !bare.ends_with('@')
        && !bare.rsplit('@').next().unwrap_or("").starts_with(['.', '-'])
        && !bare.is_empty()
        && !bare.rsplit('@').next().unwrap_or("").contains('_')
}

fn canonical_bare(bare: &str) -> Result<String, AddressError> {
    if is_plainly_canonical(bare) {
        return Ok(bare.to_owned());
    }
    let (local, domain) = match bare.split_once('@') {
        Some((local, domain)) => (Some(local), domain),
        None => (None, bare),
    };
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_empty() || domain.contains("..") || domain.starts_with('.') || domain.ends_with('.') {
        return Err(AddressError::Malformed);
    }
    let (domain, folded) = idna::domain_to_unicode(domain);
    if folded.is_err() && domain.contains("xn--") {
        return Err(AddressError::Malformed);
    }
    let rebuilt = match local {
        Some(local) => format!("{local}@{domain}"),
        None => domain,
    };
    jid::BareJid::new(&rebuilt).map(|jid| jid.to_string()).map_err(|_| AddressError::Malformed)
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Address {}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn spellings_of_one_address_are_one_address() {
        for text in ["User@Evil.Example", "user@evil.example.", "uſer@evil.example"] {
            assert_eq!(Address::parse(text).expect(text).as_str(), "user@evil.example", "{text}");
        }
        assert_eq!(Address::parse("a@xn--bcher-kva.example").expect("A-label").domain(), "bücher.example");
    }

    #[test]
    fn parts_are_found() {
        let jid = Address::parse("coven@chat.shakespeare.lit/first/witch 🧙").expect("valid");
        assert_eq!(jid.local(), Some("coven"));
        assert_eq!(jid.domain(), "chat.shakespeare.lit");
        assert_eq!(jid.resource(), Some("first/witch 🧙"));
        assert_eq!(jid.to_bare().as_str(), "coven@chat.shakespeare.lit");
        assert_eq!(jid.to_domain().as_str(), "chat.shakespeare.lit");
    }

    #[test]
    fn malformed_ones_are_refused() {
        for text in ["", "@x.y", "ro om@x.y", "room'@x.y", "a@", "a@b@c", "a@x..y", "x.y/", "a@x.y/\u{1}"] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
        assert!(Address::parse(&format!("{}@x.y", "a".repeat(1024))).is_err());
    }
}
