//! Asking again what could not be asked, later and later.

use crate::instance::Instance;
use crate::io::Timer;
use crate::replication::Placement;
use crate::{Action, Millis};

/// First wait before a peerhost is asked again.
const WAIT_MS: u64 = 10_000;
/// Longest wait.
const WAIT_MS_MAX: u64 = 3_600_000;

impl Instance {
    pub(crate) fn retry_placement(&mut self, domain: &str, tries: u32) {
        let wait = (WAIT_MS << tries.min(16)).min(WAIT_MS_MAX);
        let at = self.turn.now.plus(wait);
        self.set_placement(domain, Placement::Waiting { at, tries: tries + 1 });
        self.set_retry_timer();
    }

    fn set_retry_timer(&mut self) {
        let due = |placement: &Placement| match placement {
            Placement::Waiting { at, .. } => Some(*at),
            _ => None,
        };
        let at: Option<Millis> = self.room().replication.placements.values().filter_map(due).min();
        self.turn.other(Action::SetTimer { timer: Timer::Retry, at });
    }

    pub(crate) fn handle_timer(&mut self, timer: Timer) {
        if self.room.is_none() || timer != Timer::Retry {
            return;
        }
        let now = self.turn.now;
        let due: Vec<(String, u32)> = self
            .room()
            .replication
            .placements
            .iter()
            .filter_map(|(domain, placement)| match placement {
                Placement::Waiting { at, tries } if *at <= now => Some((domain.clone(), *tries)),
                _ => None,
            })
            .collect();
        due.iter().for_each(|(domain, tries)| self.ask_capabilities(domain, *tries));
        self.set_retry_timer();
    }
}
