//! Log lines that somebody else can provoke, kept from flooding the log.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Lines per key and period.
const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);
/// Most keys that are told apart; beyond that the table starts anew.
const KEYS_MAX: usize = 1000;

/// Says which lines may be logged: some per key and minute.
#[derive(Debug, Default)]
pub(super) struct Limited {
    seen: Mutex<BTreeMap<String, Seen>>,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    count: u32,
}

impl Limited {
    /// Whether a line about `key` may be logged now; if so, how many were not since the last one.
    pub fn admit(&self, key: &str) -> Option<u32> {
        let mut seen = super::lock(&self.seen);
        if seen.len() >= KEYS_MAX && !seen.contains_key(key) {
            seen.clear();
        }
        let entry = seen.entry(key.to_owned()).or_insert_with(|| Seen { since: Instant::now(), count: 0 });
        entry.count = entry.count.saturating_add(1);
        if entry.since.elapsed() >= PERIOD {
            let left_out = entry.count.saturating_sub(BURST + 1);
            *entry = Seen { since: Instant::now(), count: 1 };
            return Some(left_out);
        }
        (entry.count <= BURST).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Limited, PERIOD};

    #[tokio::test(start_paused = true)]
    async fn a_noisy_peer_is_heard_a_few_times_a_minute() {
        let limited = Limited::default();
        let heard = (0..100).filter(|_| limited.admit("evil.example").is_some()).count();
        assert_eq!(heard, BURST as usize);
        assert_eq!(limited.admit("rooms.macbeth.lit"), Some(0), "others are heard all the same");
        tokio::time::advance(PERIOD).await;
        assert_eq!(limited.admit("evil.example"), Some(90));
    }
}
