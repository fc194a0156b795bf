//! Who sees real JIDs: the semi-anonymous and the non-anonymous room (XEP-0045 §7.2.3, §7.2.4).

use serde::{Deserialize, Serialize};
use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, options, read_single};
use super::{Config, Refused, RoomOption};
use crate::room::roles::Role;

pub(super) const VAR: &str = "muc#roomconfig_whois";

/// Who sees the real JIDs of occupants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whois {
    /// Moderators: the room is semi-anonymous.
    #[default]
    Moderators,
    /// Every occupant: the room is non-anonymous.
    Anyone,
}

impl Whois {
    /// Whether an occupant of this role sees real JIDs.
    #[must_use]
    pub fn shows_to(self, role: Role) -> bool {
        self == Self::Anyone || role == Role::Moderator
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Moderators => "moderators",
            Self::Anyone => "anyone",
        }
    }
}

pub(super) struct WhoisOption;
pub(super) static OPTION: WhoisOption = WhoisOption;

impl RoomOption for WhoisOption {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        let values = vec![config.whois.as_str().to_owned()];
        let field = labelled(VAR, FieldType::ListSingle, "Who may see real addresses", values);
        Field { options: options([("moderators", "Moderators only"), ("anyone", "Anyone")]), ..field }
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        match read_single(VAR, values)? {
            None => {}
            Some("moderators") => config.whois = Whois::Moderators,
            Some("anyone") => config.whois = Whois::Anyone,
            Some(_) => return Err(Refused::Invalid { var: VAR, why: "must be moderators or anyone" }),
        }
        Ok(())
    }

    fn feature(&self, config: &Config) -> Option<&'static str> {
        Some(match config.whois {
            Whois::Moderators => "muc_semianonymous",
            Whois::Anyone => "muc_nonanonymous",
        })
    }

    fn protects(&self) -> bool {
        true
    }

    fn tightens(&self, old: &Config, new: &Config) -> bool {
        (old.whois, new.whois) == (Whois::Anyone, Whois::Moderators)
    }
}
