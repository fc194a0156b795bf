//! The moderated room (XEP-0045 §4.2, §7.4).

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "muc#roomconfig_moderatedroom",
    label: "Only occupants with voice may speak",
    get: |config| config.moderated,
    set: |config, value| config.moderated = value,
    features: Some(("muc_unmoderated", "muc_moderated")),
    told: false,
    protects: true,
};
