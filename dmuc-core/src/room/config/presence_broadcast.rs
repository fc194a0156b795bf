//! Whose presence is shown to the others (XEP-0045 §7.2.2).

use super::Config;
use super::field::Roles;
use crate::room::roles::Role;

pub(super) static OPTION: Roles = Roles {
    var: "muc#roomconfig_presencebroadcast",
    label: "Roles whose presence is shown to others",
    get: |config| &config.presence_broadcast,
    set: |config, roles| config.presence_broadcast = roles,
};

impl Config {
    /// Whether the presence of an occupant of this role is shown to others. Its own presence is shown to everyone in
    /// any case.
    #[must_use]
    pub fn broadcasts(&self, role: Role) -> bool {
        self.presence_broadcast.contains(&role)
    }
}
