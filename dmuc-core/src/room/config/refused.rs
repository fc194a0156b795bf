//! Why a configuration form is not taken.

use crate::stanza::{Condition, ErrorKind, StanzaError};

/// Why a configuration form is not taken; nothing of it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is of another `FORM_TYPE` or type, or names a field twice: `bad-request`.
    #[error("not a room configuration form")]
    NotARoomConfig,
    /// The value of a field means nothing or breaks a limit: `not-acceptable` (XEP-0045 §10.1.3).
    #[error("{var}: {why}")]
    Invalid {
        /// The field.
        var: &'static str,
        /// What it should be, for people.
        why: &'static str,
    },
}

impl Refused {
    /// The field that is at fault, if it is one.
    #[must_use]
    pub fn var(&self) -> Option<&'static str> {
        match self {
            Self::NotARoomConfig => None,
            Self::Invalid { var, .. } => Some(var),
        }
    }
}

impl From<Refused> for StanzaError {
    fn from(refused: Refused) -> Self {
        let condition = match refused {
            Refused::NotARoomConfig => Condition::BadRequest,
            Refused::Invalid { .. } => Condition::NotAcceptable,
        };
        Self::of_kind(condition, ErrorKind::Modify).because(refused.to_string())
    }
}
