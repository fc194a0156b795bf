//! Time as the core knows it: milliseconds that come in with each input, and the hybrid logical clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// `self` and `ms` milliseconds.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`, 0 if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// XEP-0082 date and time in UTC with milliseconds, as `2026-08-21T10:14:02.000Z`.
    #[must_use]
    pub fn to_stamp(self) -> String {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        let time =
            chrono::DateTime::from_timestamp_millis(ms).unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC);
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    /// Reads a XEP-0082 date and time, with or without fractions, with any offset; also the legacy
    /// `20021013T23:58:37` of XEP-0091.
    #[must_use]
    pub fn from_stamp(stamp: &str) -> Option<Self> {
        let legacy = stamp.len() == 17 && stamp.as_bytes()[8] == b'T';
        let text = if legacy {
            format!("{}-{}-{}Z", stamp.get(..4)?, stamp.get(4..6)?, stamp.get(6..)?)
        } else {
            stamp.to_owned()
        };
        let time: xmpp_parsers::date::DateTime = text.parse().ok()?;
        u64::try_from(time.0.timestamp_millis()).ok().map(Self)
    }
}

/// A hybrid logical time stamp: 48 bits of milliseconds, 16 bits of counter, written as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first stamp of a millisecond.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self(now.0 << 16)
    }

    /// The wall-clock part.
    #[must_use]
    pub fn millis(self) -> Millis {
        Millis(self.0 >> 16)
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hybrid logical time stamp")]
pub struct NotHlc;

impl FromStr for Hlc {
    type Err = NotHlc;
    fn from_str(text: &str) -> Result<Self, NotHlc> {
        let plain =
            text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !plain {
            return Err(NotHlc);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotHlc)
    }
}

impl Serialize for Hlc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hlc {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl xso::FromXmlText for Hlc {
    fn from_xml_text(text: String) -> Result<Self, xso::error::Error> {
        text.parse().map_err(xso::error::Error::text_parse_error)
    }
}

impl xso::AsXmlText for Hlc {
    fn as_xml_text(&self) -> Result<std::borrow::Cow<'_, str>, xso::error::Error> {
        Ok(self.to_string().into())
    }
}

/// How far ahead of the last stamp a reservation reaches.
const RESERVE_MS: u64 = 5_000;

/// The hybrid logical clock of one instance, with its durable reservation.
///
/// No stamp at or above the reservation may be used before a higher one is durable: after a crash the clock goes on
/// above everything that it can have used.
#[derive(Debug, Clone)]
pub struct Clock {
    last: Hlc,
    reserved: Hlc,
}

impl Clock {
    /// A clock that starts above `reserved`, the durable reservation of its former life (zero for a new one).
    #[must_use]
    pub fn restore(reserved: Hlc) -> Self {
        Self { last: reserved, reserved }
    }

    /// The next stamp, and the reservation to be made durable with it, if a new one is due.
    pub fn tick(&mut self, now: Millis) -> (Hlc, Option<Hlc>) {
        self.last = Hlc(Hlc::at(now).0.max(self.last.0 + 1));
        if self.last < self.reserved {
            return (self.last, None);
        }
        self.reserved = Hlc::at(self.last.millis().plus(RESERVE_MS));
        (self.last, Some(self.reserved))
    }

    /// Takes note of a peer's stamp, so that later ones of ours are above it.
    pub fn observe(&mut self, other: Hlc) {
        self.last = self.last.max(other);
    }

    /// The last stamp given or seen.
    #[must_use]
    pub fn last(&self) -> Hlc {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Hlc, Millis};

    #[test]
    fn stamps_rise_even_if_the_wall_clock_falls() {
        let mut clock = Clock::restore(Hlc::default());
        let (first, reserve) = clock.tick(Millis(10_000));
        assert!(reserve.is_some_and(|limit| limit > first));
        let (second, again) = clock.tick(Millis(9_000));
        assert!(second > first);
        assert_eq!(again, None);
        clock.observe(Hlc::at(Millis(20_000)));
        assert!(clock.tick(Millis(10_001)).0 > Hlc::at(Millis(20_000)));
    }

    #[test]
    fn a_restart_never_reuses_a_stamp() {
        let mut clock = Clock::restore(Hlc::default());
        let (used, reserved) = clock.tick(Millis(10_000));
        let mut restarted = Clock::restore(reserved.expect("first tick reserves"));
        let (next, reserved_anew) = restarted.tick(Millis(10_000));
        assert!(next > used);
        assert!(reserved_anew.is_some(), "a second crash must not reuse it either");
    }

    #[test]
    fn stamps_have_one_spelling() {
        assert_eq!(Millis(1_787_307_242_000).to_stamp(), "2026-08-21T10:14:02.000Z");
        assert_eq!(Millis::from_stamp("2026-08-21T10:14:02Z"), Some(Millis(1_787_307_242_000)));
        assert_eq!(Millis::from_stamp("2026-08-21T12:14:02.5+02:00"), Some(Millis(1_787_307_242_500)));
        assert_eq!(Millis::from_stamp("20260821T10:14:02"), Some(Millis(1_787_307_242_000)));
        assert_eq!(Millis::from_stamp("soon"), None);
        assert_eq!(
            "0198f3a2b1c40001".parse::<Hlc>().map(|h| h.to_string()).ok().as_deref(),
            Some("0198f3a2b1c40001")
        );
    }
}
