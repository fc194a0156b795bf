//! The persistent room (XEP-0045 §4.2).

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "muc#roomconfig_persistentroom",
    label: "Keep the room when its last occupant leaves",
    get: |config| config.persistent,
    set: |config, value| config.persistent = value,
    features: Some(("muc_temporary", "muc_persistent")),
    told: false,
    protects: false,
};
