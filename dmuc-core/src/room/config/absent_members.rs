//! Whether members who are not in are shown among the occupants (statuses 102 and 103).

use super::field::Flag;

pub(super) const VAR: &str = "{urn:xmpp:dmuc:sync:0}absent_members";

pub(super) static OPTION: Flag = Flag {
    var: VAR,
    label: "Show registered members who are not in the room, as unavailable",
    get: |config| config.absent_members,
    set: |config, value| config.absent_members = value,
    features: None,
    told: false,
    protects: false,
};
