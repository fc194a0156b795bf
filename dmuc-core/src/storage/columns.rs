//! What stores with tables have in common: how numbers and cards become columns.

use crate::clock::{Hlc, Millis};

/// For databases whose integers are signed; nothing that we count comes near the end of them.
#[must_use]
pub fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number as it was before [`signed`].
#[must_use]
pub fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// The first stamp of a millisecond, as it is stored.
#[must_use]
pub fn first_stamp(ms: Millis) -> i64 {
    /// The last millisecond of which the stamps fit signed integers; in the year 6429.
    const LAST: Millis = Millis((1 << 47) - 1);
    if ms > LAST { i64::MAX } else { signed(Hlc::at(ms).0) }
}

/// The last stamp of a millisecond, whatever its counter.
#[must_use]
pub fn last_stamp(ms: Millis) -> i64 {
    first_stamp(ms.plus(1)) - 1
}

/// Whether a `card` part makes its room one of the [`directory`](super::Room::directory).
#[must_use]
pub fn is_public(card: &str) -> bool {
    serde_json::from_str(card).is_ok_and(|card: serde_json::Value| card["public"] == true)
}
