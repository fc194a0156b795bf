//! Private messages between occupants (XEP-0045 §7.5).

use serde::{Deserialize, Serialize};
use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, options, read_single};
use super::{Config, Refused, RoomOption};
use crate::room::roles::Role;

const VAR: &str = "muc#roomconfig_allowpm";

/// Who may send private messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllowPm {
    /// Every occupant.
    #[default]
    Anyone,
    /// Those with voice.
    Participants,
    /// Moderators.
    Moderators,
    /// Nobody.
    Nobody,
}

impl AllowPm {
    const ALL: [Self; 4] = [Self::Anyone, Self::Participants, Self::Moderators, Self::Nobody];

    /// Whether an occupant of this role may send private messages.
    #[must_use]
    pub fn permits(self, sender: Role) -> bool {
        match self {
            Self::Anyone => sender >= Role::Visitor,
            Self::Participants => sender >= Role::Participant,
            Self::Moderators => sender >= Role::Moderator,
            Self::Nobody => false,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Participants => "participants",
            Self::Moderators => "moderators",
            Self::Nobody => "none",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Anyone => "Anyone",
            Self::Participants => "Anyone with voice",
            Self::Moderators => "Moderators only",
            Self::Nobody => "Nobody",
        }
    }
}

pub(super) struct AllowPmOption;
pub(super) static OPTION: AllowPmOption = AllowPmOption;

impl RoomOption for AllowPmOption {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        let values = vec![config.allow_pm.as_str().to_owned()];
        let field = labelled(VAR, FieldType::ListSingle, "Who may send private messages", values);
        Field { options: options(AllowPm::ALL.map(|who| (who.as_str(), who.label()))), ..field }
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        if let Some(text) = read_single(VAR, values)? {
            let known = AllowPm::ALL.into_iter().find(|who| who.as_str() == text);
            let why = "must be anyone, participants, moderators or none";
            config.allow_pm = known.ok_or(Refused::Invalid { var: VAR, why })?;
        }
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        vec![Field { options: Vec::new(), ..self.field(config) }]
    }
}
