//! Whether what is said is kept for those who ask for it later (XEP-0313). Public logging is another matter.

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "muc#roomconfig_enablearchiving",
    label: "Keep an archive of the conversation",
    get: |config| config.archiving,
    set: |config, value| config.archiving = value,
    features: None,
    told: false,
    protects: false,
};
