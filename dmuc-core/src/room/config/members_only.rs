//! The members-only room (XEP-0045 §7.2.6).

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "muc#roomconfig_membersonly",
    label: "Only members may enter",
    get: |config| config.members_only,
    set: |config, value| config.members_only = value,
    features: Some(("muc_open", "muc_membersonly")),
    told: false,
    protects: true,
};
