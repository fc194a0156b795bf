//! A URL that does not show what it may hide.

use std::fmt;

/// The URL of a store, which may hold a password: shown is the scheme alone.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// Hides all but the scheme of a URL.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url)
    }

    /// The URL, for the one who opens it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(':') {
            Some((scheme, _)) => write!(f, "{scheme}:[hidden]"),
            None => f.write_str("[hidden]"),
        }
    }
}
