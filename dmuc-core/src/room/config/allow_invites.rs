//! Invitations to a members-only room by those below admin (XEP-0045 §7.8.2).

use super::Config;
use super::field::Flag;
use crate::room::roles::Affiliation;

pub(super) static OPTION: Flag = Flag {
    var: "muc#roomconfig_allowinvites",
    label: "Allow members to invite others to a members-only room",
    get: |config| config.allow_invites,
    set: |config, value| config.allow_invites = value,
    features: None,
    told: true,
    protects: false,
};

impl Config {
    /// Whether an occupant of this affiliation may invite. Inviting to a members-only room makes the invitee a
    /// member, which is the admins' to do unless the room is configured otherwise.
    #[must_use]
    pub fn may_invite(&self, affiliation: Affiliation) -> bool {
        !self.members_only
            || affiliation >= Affiliation::Admin
            || (self.allow_invites && affiliation >= Affiliation::Member)
    }
}
