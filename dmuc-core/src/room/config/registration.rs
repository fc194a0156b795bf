//! Who may become a member by registering (XEP-0045 §7.10).

use serde::{Deserialize, Serialize};
use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, options, read_single};
use super::{Config, Refused, RoomOption};

const VAR: &str = "{urn:xmpp:dmuc:sync:0}registration";

/// What happens to a stranger's request to be registered. Members may always reserve a nick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// Granted, unless it would give what the room keeps from strangers: then an admin approves it first.
    #[default]
    Usual,
    /// Granted.
    Open,
    /// An admin approves it first.
    Approve,
    /// Refused.
    Closed,
}

impl Registration {
    const ALL: [Self; 4] = [Self::Usual, Self::Open, Self::Approve, Self::Closed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Open => "open",
            Self::Approve => "approve",
            Self::Closed => "closed",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Usual => "Anyone, after approval where members may do more than strangers",
            Self::Open => "Anyone",
            Self::Approve => "Anyone, after approval by an admin",
            Self::Closed => "Nobody",
        }
    }
}

impl Config {
    /// What happens to a stranger's request in a room so configured; never [`Registration::Usual`].
    #[must_use]
    pub fn registration_now(&self) -> Registration {
        // A member enters a members-only room, and speaks in a moderated one.
        let favoured = self.members_only || (self.moderated && !self.members_by_default);
        match self.registration {
            Registration::Usual if favoured => Registration::Approve,
            Registration::Usual => Registration::Open,
            chosen => chosen,
        }
    }
}

pub(super) struct RegistrationOption;
pub(super) static OPTION: RegistrationOption = RegistrationOption;

impl RoomOption for RegistrationOption {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        let values = vec![config.registration.as_str().to_owned()];
        let field = labelled(VAR, FieldType::ListSingle, "Who may register as a member", values);
        Field { options: options(Registration::ALL.map(|who| (who.as_str(), who.label()))), ..field }
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        if let Some(text) = read_single(VAR, values)? {
            let known = Registration::ALL.into_iter().find(|who| who.as_str() == text);
            let why = "must be usual, open, approve or closed";
            config.registration = known.ok_or(Refused::Invalid { var: VAR, why })?;
        }
        Ok(())
    }
}
