//! Whether who has registered a nick may use no other (XEP-0045 §7.10, §7.11).

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "{urn:xmpp:dmuc:sync:0}lock_nicks",
    label: "Registered users keep to their registered nickname",
    get: |config| config.lock_nicks,
    set: |config, value| config.lock_nicks = value,
    features: None,
    told: false,
    protects: false,
};
