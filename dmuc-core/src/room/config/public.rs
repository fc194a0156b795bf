//! The public room (XEP-0045 §4.2, §6.3).

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "muc#roomconfig_publicroom",
    label: "List the room in the directory",
    get: |config| config.public,
    set: |config, value| config.public = value,
    features: Some(("muc_hidden", "muc_public")),
    told: false,
    protects: false,
};
