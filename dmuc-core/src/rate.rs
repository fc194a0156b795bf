//! How much of something may be done in what time: token buckets in whole numbers, by the time that they are told.

use std::collections::BTreeMap;

use crate::clock::Millis;

/// So much at once, and so much more each time that a period has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Most at once.
    pub burst: u32,
    /// What each period gives back.
    pub refill: u32,
    /// Length of a period, in milliseconds.
    pub every_ms: u32,
}

impl Rate {
    /// `burst` at once, `refill` a second in the long run.
    #[must_use]
    pub const fn per_second(burst: u32, refill: u32) -> Self {
        Self { burst, refill, every_ms: 1000 }
    }

    /// `burst` at once, `refill` a minute in the long run.
    #[must_use]
    pub const fn per_minute(burst: u32, refill: u32) -> Self {
        Self { burst, refill, every_ms: 60_000 }
    }
}

/// What an operator lets others do in what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Messages of one user to one room and its occupants.
    pub messages: Rate,
    /// Changes of presence and nick of one user in one room.
    pub presences: Rate,
    /// Joins of one user to one room.
    pub joins: Rate,
    /// Requests of one user to one room and its occupants.
    pub requests: Rate,
    /// Invitations and requests of voice of one user in one room.
    pub invitations: Rate,
    /// Bytes of all that one user sends to one room.
    pub bytes: Rate,
    /// Stanzas of all users of this instance to one room.
    pub room: Rate,
    /// Stanzas of one peer to one room.
    pub peer: Rate,
    /// Errors that one sender is told by the whole service; further ones are swallowed, except those that answer an iq.
    pub errors: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            messages: Rate::per_second(100, 20),
            presences: Rate::per_second(100, 5),
            joins: Rate::per_minute(100, 100),
            requests: Rate::per_second(1000, 50),
            invitations: Rate::per_minute(100, 60),
            bytes: Rate::per_second(4 << 20, 256 << 10),
            room: Rate::per_second(10_000, 2_000),
            peer: Rate::per_second(10_000, 2_000),
            errors: Rate::per_second(200, 20),
        }
    }
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    tokens: u32,
    since: Millis,
}

impl Bucket {
    /// Nothing has been taken yet.
    #[must_use]
    pub fn full(rate: Rate, now: Millis) -> Self {
        Self { tokens: rate.burst, since: now }
    }

    /// Takes `cost` out. What costs more than a whole burst may pass once nothing is missing.
    ///
    /// # Errors
    /// In how many milliseconds there will be enough.
    pub fn take(&mut self, rate: Rate, now: Millis, cost: u32) -> Result<(), u64> {
        self.refill(rate, now);
        let cost = cost.min(rate.burst);
        match self.tokens.checked_sub(cost) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => {
                let periods = u64::from((cost - self.tokens).div_ceil(rate.refill.max(1)));
                Err((periods * period(rate)).saturating_sub(now.since(self.since)))
            }
        }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_full(mut self, rate: Rate, now: Millis) -> bool {
        self.refill(rate, now);
        self.tokens == rate.burst
    }

    fn refill(&mut self, rate: Rate, now: Millis) {
        let periods = now.since(self.since) / period(rate);
        let gained = periods.saturating_mul(u64::from(rate.refill));
        let tokens = u64::from(self.tokens).saturating_add(gained).min(u64::from(rate.burst));
        self.tokens = u32::try_from(tokens).unwrap_or(rate.burst);
        // Of a full bucket the first period begins now; and a clock that was set back must not stop it.
        let begins_now = self.tokens == rate.burst || self.since > now;
        self.since = if begins_now { now } else { self.since.plus(periods * period(rate)) };
    }
}

fn period(rate: Rate) -> u64 {
    u64::from(rate.every_ms.max(1))
}

/// Buckets by who takes out of them. Bounded: the full ones are forgotten, and if none is, all are.
#[derive(Debug)]
pub struct Buckets<K, const N: usize> {
    held: BTreeMap<K, [Bucket; N]>,
    max: usize,
}

impl<K: Ord, const N: usize> Buckets<K, N> {
    /// For at most `max` at a time.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { held: BTreeMap::new(), max }
    }

    /// The buckets of `who`, one for each of `rates`.
    pub fn of(&mut self, who: K, rates: &[Rate; N], now: Millis) -> &mut [Bucket; N] {
        if self.held.len() >= self.max && !self.held.contains_key(&who) {
            self.forget(rates, now);
        }
        self.held.entry(who).or_insert_with(|| rates.map(|rate| Bucket::full(rate, now)))
    }

    fn forget(&mut self, rates: &[Rate; N], now: Millis) {
        let full = |(bucket, rate): (&Bucket, &Rate)| bucket.is_full(*rate, now);
        self.held.retain(|_, buckets| !buckets.iter().zip(rates).all(full));
        if self.held.len() >= self.max {
            self.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Buckets, Rate};
    use crate::clock::Millis;

    const RATE: Rate = Rate::per_second(3, 2);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (mut now, mut taken) = (Millis(1_000_000), 0);
        let mut bucket = Bucket::full(RATE, now);
        for _ in 0..100 {
            taken += u32::from(bucket.take(RATE, now, 1).is_ok());
            now = now.plus(100);
        }
        assert_eq!(taken, 3 + 9 * 2, "ten seconds less one step");
    }

    #[test]
    fn whoever_waits_as_told_gets_it() {
        for cost in 1..=9 {
            let now = Millis(5_000);
            let mut bucket = Bucket::full(RATE, now);
            bucket.take(RATE, now, 3).expect("the burst");
            let wait = bucket.take(RATE, now.plus(300), cost).expect_err("too early");
            assert!(bucket.take(RATE, now.plus(300 + wait - 1), cost).is_err(), "{cost}");
            assert_eq!(bucket.take(RATE, now.plus(300 + wait), cost), Ok(()), "{cost}");
        }
    }

    #[test]
    fn a_clock_set_back_stops_nobody_for_long() {
        let mut bucket = Bucket::full(RATE, Millis(9_000_000));
        bucket.take(RATE, Millis(9_000_000), 3).expect("the burst");
        assert!(bucket.take(RATE, Millis(5), 1).is_err());
        assert_eq!(bucket.take(RATE, Millis(1005), 1), Ok(()));
    }

    #[test]
    fn odd_rates_harm_nothing() {
        for rate in [
            Rate { burst: 0, refill: 0, every_ms: 0 },
            Rate { burst: u32::MAX, refill: u32::MAX, every_ms: 1 },
        ] {
            let mut bucket = Bucket::full(rate, Millis(0));
            let _ = bucket.take(rate, Millis(0), 1);
            let _ = bucket.take(rate, Millis(u64::MAX), u32::MAX);
            let _ = bucket.take(rate, Millis(1), u32::MAX);
        }
    }

    #[test]
    fn the_idle_are_forgotten_and_the_busy_are_not() {
        let now = Millis(0);
        let mut buckets = Buckets::<u32, 1>::new(10);
        for who in 0..9 {
            buckets.of(who, &[RATE], now);
        }
        buckets.of(9, &[RATE], now)[0].take(RATE, now, 3).expect("the burst");
        buckets.of(10, &[RATE], now);
        assert_eq!(buckets.held.len(), 2);
        assert!(buckets.of(9, &[RATE], now)[0].take(RATE, now, 1).is_err(), "9 has not got off");
        for who in 11..1000 {
            buckets.of(who, &[RATE], now)[0].take(RATE, now, 1).expect("the first");
            assert!(buckets.held.len() <= 10);
        }
    }
}
