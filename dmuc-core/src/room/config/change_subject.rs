//! The subject in the hands of occupants (XEP-0045 §7.3, §8.1).

use xmpp_parsers::data_forms::Field;

use super::field::{boolean, read_boolean};
use super::{Config, Refused, RoomOption};
use crate::room::roles::Role;

const VAR: &str = "muc#roomconfig_changesubject";

pub(super) struct ChangeSubject;
pub(super) static OPTION: ChangeSubject = ChangeSubject;

impl RoomOption for ChangeSubject {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        boolean(VAR, "Allow participants to change the subject", config.change_subject)
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        config.change_subject = read_boolean(VAR, values)?.unwrap_or(config.change_subject);
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        // Two names: the registry's, and the one of the example in §6.4, which clients ask for.
        let registered = Field { var: Some("muc#roominfo_subjectmod".to_owned()), ..self.field(config) };
        vec![registered, self.field(config)]
    }
}

impl Config {
    /// Whether an occupant of this role may change the subject (XEP-0045 §5.1.1, §8.1).
    #[must_use]
    pub fn may_change_subject(&self, role: Role) -> bool {
        role == Role::Moderator || (self.change_subject && role == Role::Participant)
    }
}
