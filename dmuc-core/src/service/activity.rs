//! Telling users that something happened in rooms which they are not in (XEP-0437).

use crate::address::Address;
use crate::ns;
use crate::stanza::{El, Kind, Stanza};

/// Something happened in these rooms since the user was there.
#[must_use]
pub fn notice<'a>(domain: &Address, to: &Address, rooms: impl IntoIterator<Item = &'a Address>) -> Stanza {
    let activity = |room: &Address| El::new("activity", ns::RAI).text(room.as_str());
    let rai = El::new("rai", ns::RAI).children(rooms.into_iter().map(activity));
    Stanza::new(Kind::Message).with_from(domain).with_to(to).with(rai.payload())
}
