//! Who may retrieve the member list (XEP-0045 §7.11, §9.5).

use super::field::Roles;
use super::{Config, Whois};
use crate::room::roles::{Affiliation, Role};

pub(super) static OPTION: Roles = Roles {
    var: "muc#roomconfig_getmemberlist",
    label: "Roles that may retrieve the member list",
    get: |config| &config.get_member_list,
    set: |config, roles| config.get_member_list = roles,
};

impl Config {
    /// Whether somebody of this affiliation and role may retrieve the member list; without a role, in the one that they
    /// would enter with (XEP-0045 §9.5). Admins may always. In a semi-anonymous room nobody may who does not see real
    /// JIDs anyway, since the list is of JIDs (§5.2.1).
    #[must_use]
    pub fn may_get_member_list(&self, affiliation: Affiliation, role: Role) -> bool {
        let role = if role == Role::None { affiliation.default_role(self) } else { role };
        let sees_members =
            role == Role::Moderator || (self.whois == Whois::Anyone && affiliation >= Affiliation::Member);
        affiliation >= Affiliation::Admin || (sees_members && self.get_member_list.contains(&role))
    }
}
