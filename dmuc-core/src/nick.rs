//! Room nicknames: what may be one, and when two are the same.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Longest nick in bytes that can be the resource of a JID.
const BYTES_MAX: usize = 1023;

/// A room nickname, prepared: NFC, non-ASCII spaces mapped to a space, no control, invisible or bidi characters.
///
/// Emoji are allowed. Two nicks with the same [`key`](Self::key) are one nick to the room.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nick {
    text: Arc<str>,
}

/// What makes two nicks one: the text with letter case, width and surrounding spaces set aside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NickKey {
    folded: Arc<str>,
    look: Arc<str>,
}

impl NickKey {
    /// What nicks that look alike have in common (UTS #39 skeleton).
    #[must_use]
    pub fn look(&self) -> &Arc<str> {
        &self.look
    }
}

/// Why a text cannot be a nick; answered with `jid-malformed` or, for the policy's length, `policy-violation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NickError {
    /// Empty, blank, too long for a JID, or with control, invisible or bidi characters.
    #[error("not a nickname")]
    Malformed,
}

impl Nick {
    /// Prepares a nick.
    ///
    /// # Errors
    /// [`NickError::Malformed`] if nothing visible is left, or it is over 1 023 bytes or holds refused characters.
    pub fn parse(text: &str) -> Result<Self, NickError> {
        if text.len() > BYTES_MAX || text.chars().any(is_refused) {
            return Err(NickError::Malformed);
        }
        let prepared: String = text.nfc().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        if prepared.len() > BYTES_MAX || prepared.chars().all(|c| c == ' ') {
            return Err(NickError::Malformed);
        }
        Ok(Self { text: prepared.into() })
    }

    /// The nick as shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it is compared by.
    #[must_use]
    pub fn key(&self) -> NickKey {
        let folded = self.text.trim().nfkc().collect::<String>().to_lowercase();
        let look: String = unicode_security::skeleton(&folded).collect();
        NickKey { look: look.into(), folded: folded.into() }
    }
}

/// Characters that hide, reorder or imitate nothing: they serve only to forge another's nick.
fn is_refused(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{f0000}'..='\u{10ffff}')
}

impl fmt::Debug for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Nick {
    type Error = NickError;
    fn try_from(text: String) -> Result<Self, NickError> {
        Self::parse(&text)
    }
}

impl From<Nick> for String {
    fn from(nick: Nick) -> Self {
        nick.text.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Nick;

    #[test]
    fn spellings_are_one_nick_and_lookalikes_look_alike() {
        let admin = Nick::parse("admin").expect("plain").key();
        for text in ["Admin", "admin ", "\u{ff21}dmin"] {
            assert_eq!(Nick::parse(text).expect(text).key(), admin, "{text:?}");
        }
        let cyrillic = Nick::parse("\u{430}dmin").expect("letters").key();
        assert_ne!(cyrillic, admin);
        assert_eq!(cyrillic.look(), admin.look());
        assert_ne!(Nick::parse("adrian").expect("plain").key().look(), admin.look());
    }

    #[test]
    fn emoji_are_nicks_and_blanks_are_not() {
        assert!(Nick::parse("🧙‍♀️ witch").is_ok());
        for text in ["", " ", "\u{3164}", "\u{2800}", "a\u{202e}b", "a\u{200b}b", "a\u{7}"] {
            assert!(Nick::parse(text).is_err(), "{text:?}");
        }
    }
}
