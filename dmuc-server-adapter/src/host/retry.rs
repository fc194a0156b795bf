//! When to try again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long to wait between attempts to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// After the first failure; doubled after each further one.
    pub first: Duration,
    /// At most.
    pub most: Duration,
    /// After the other side refused us for a reason that only an operator can remove.
    pub refused: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(60),
            refused: Duration::from_secs(120),
        }
    }
}

/// Consecutive failures.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A connection has lasted.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait now: between half and all of the nominal time, so that many who lost the same server do not
    /// come back at once.
    pub(super) fn next(&mut self, retry: &Retry, refused: bool) -> Duration {
        let nominal = retry.first.saturating_mul(1 << self.failures.min(16)).min(retry.most);
        self.failures += 1;
        let nominal = if refused { nominal.max(retry.refused) } else { nominal };
        nominal.mul_f64(0.5 + random_fraction() / 2.0)
    }
}

/// Between 0 and 1. The standard library's hash keys are random enough for jitter.
fn random_fraction() -> f64 {
    f64::from(RandomState::new().hash_one(0) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, Retry};

    #[test]
    fn waits_grow_to_a_bound_and_vary() {
        let (retry, mut backoff) = (Retry::default(), Backoff::default());
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next(&retry, false)).collect();
        assert!(waits[0] >= retry.first / 2 && waits[0] <= retry.first, "{waits:?}");
        assert!(waits[10..].iter().all(|wait| *wait >= retry.most / 2 && *wait <= retry.most), "{waits:?}");
        assert!(waits[10..].windows(2).any(|pair| pair[0] != pair[1]), "{waits:?}");
        backoff.reset();
        assert!(backoff.next(&retry, false) <= retry.first);
        assert!(backoff.next(&retry, true) >= retry.refused / 2);
    }
}
