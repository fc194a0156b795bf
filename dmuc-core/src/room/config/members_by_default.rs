//! Voice for strangers who enter a moderated room, in the place of XEP-0045 §5.1.2's "visitor".

use super::field::Flag;

pub(super) static OPTION: Flag = Flag {
    var: "{urn:xmpp:dmuc:sync:0}members_by_default",
    label: "Give newcomers voice in a moderated room",
    get: |config| config.members_by_default,
    set: |config, value| config.members_by_default = value,
    features: None,
    told: false,
    protects: false,
};
