//! Nicknames that look like another's (XEP-0045 §13.6): refused unless the owners want them.

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "{urn:xmpp:dmuc:sync:0}lookalike_nicks",
    label: "Allow nicknames that look like another's",
    get: |config| config.lookalike_nicks,
    set: |config, value| config.lookalike_nicks = value,
    features: None,
    told: false,
    protects: false,
};
