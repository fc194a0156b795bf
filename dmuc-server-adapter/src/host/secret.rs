//! Shared secrets, and the proof of knowing one (XEP-0114 §3).

use std::fmt::{self, Write as _};

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// A secret that does not show itself in logs.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<Box<str>>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The text of the `<handshake/>` on a stream of this id.
#[must_use]
pub fn handshake(stream_id: &str, secret: &Secret) -> String {
    let digest = Sha1::new().chain_update(stream_id).chain_update(secret.expose()).finalize();
    digest.iter().fold(String::with_capacity(40), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Compares in a time that does not depend on where the two differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::{Secret, handshake, same};

    #[test]
    fn the_handshake_is_that_of_the_specification() {
        assert_eq!(handshake("3BF96D32", &Secret::new("test")), "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e");
    }

    #[test]
    fn a_secret_stays_one() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(same(secret.expose(), "hunter2") && !same(secret.expose(), "hunter3"));
    }
}
