//! The timers of one room.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dmuc_core::Millis;
use dmuc_core::io::Timer;
use tokio::time::Instant;

/// The wall clock, which is the core's clock.
pub(crate) fn now() -> Millis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// What a room wants to be woken for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeMap<Timer, Millis>,
}

impl Timers {
    /// Sets, moves or (without `at`) drops a timer.
    pub fn set(&mut self, timer: Timer, at: Option<Millis>) {
        match at {
            Some(at) => self.set.insert(timer, at),
            None => self.set.remove(&timer),
        };
    }

    /// Takes one that is due.
    pub fn due(&mut self, now: Millis) -> Option<Timer> {
        let timer = *self.set.iter().find(|(_, at)| **at <= now)?.0;
        self.set.remove(&timer);
        Some(timer)
    }

    /// When the next one is due.
    pub fn next(&self, now: Millis) -> Option<Instant> {
        let at = *self.set.values().min()?;
        Instant::now().checked_add(Duration::from_millis(at.since(now)))
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use dmuc_core::Millis;
    use dmuc_core::io::Timer;

    use super::Timers;

    #[test]
    fn a_timer_fires_once_and_can_be_moved() {
        let mut timers = Timers::default();
        timers.set(Timer::Retry, Some(Millis(10)));
        timers.set(Timer::Retry, Some(Millis(20)));
        assert_eq!(timers.due(Millis(19)), None);
        assert_eq!(timers.due(Millis(20)), Some(Timer::Retry));
        assert_eq!(timers.due(Millis(20)), None);
        timers.set(Timer::Retry, Some(Millis(30)));
        timers.set(Timer::Retry, None);
        assert!(timers.is_empty());
    }
}
