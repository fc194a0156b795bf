//! Public logging (XEP-0045 §7.2.12).

use super::field::Flag;

pub(super) const VAR: &str = "muc#roomconfig_enablelogging";

pub(super) static OPTION: Flag = Flag {
    var: VAR,
    label: "Log the conversation publicly",
    get: |config| config.logging,
    set: |config, value| config.logging = value,
    features: None,
    told: false,
    protects: false,
};
