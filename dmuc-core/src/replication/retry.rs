//! Asking again what could not be asked, later and later; giving up on answers that do not come.

use crate::instance::Instance;
use crate::io::Timer;
use crate::replication::{Asked, Placement};
use crate::{Action, Millis};

/// First wait before a peerhost is asked again.
const WAIT_MS: u64 = 10_000;
/// Longest wait.
const WAIT_MS_MAX: u64 = 3_600_000;

impl Instance {
    pub(crate) fn retry_placement(&mut self, domain: &str, tries: u32) {
        let wait = (WAIT_MS << tries.min(16)).min(WAIT_MS_MAX);
        self.wait_for_placement(domain, wait, tries + 1);
    }

    /// Asks a peerhost again in `wait` milliseconds.
    pub(crate) fn wait_for_placement(&mut self, domain: &str, wait: u64, tries: u32) {
        let at = self.turn.now.plus(wait);
        self.set_placement(domain, Placement::Waiting { at, tries });
        self.set_retry_timer();
    }

    pub(crate) fn set_retry_timer(&mut self) {
        let at = self.room().replication.next_retry();
        self.turn.other(Action::SetTimer { timer: Timer::Retry, at });
    }

    pub(crate) fn handle_timer(&mut self, timer: Timer) {
        if self.room.is_none() || timer != Timer::Retry {
            return;
        }
        let now = self.turn.now;
        for (from, asked) in self.room_mut().replication.take_expired(now) {
            self.give_up(from.domain(), asked);
        }
        for (domain, tries) in self.room().replication.due_placements(now) {
            self.ask_capabilities(&domain, tries);
        }
        self.set_retry_timer();
    }

    /// No answer came, and none will.
    fn give_up(&mut self, domain: &str, asked: Asked) {
        match asked {
            Asked::Capabilities | Asked::Replicate | Asked::Config | Asked::Occupants => {
                let unfinished = self.room().replication.placements.get(domain).and_then(Placement::tries);
                unfinished.into_iter().for_each(|tries| self.retry_placement(domain, tries));
            }
            Asked::ForUser(Some(cause)) => {
                let refusal = cause.refusal(&super::propose::source_unreachable());
                self.turn.send_opt(refusal);
            }
            Asked::ForUser(None) | Asked::Told | Asked::History => {}
        }
    }

    /// After a restart: what was under way when the instance was last in memory begins anew.
    pub(crate) fn resume(&mut self) {
        let Some(room) = self.room.as_mut().filter(|room| !room.replication.resumed) else { return };
        room.replication.resumed = true;
        let unfinished: Vec<String> = room
            .replication
            .placements
            .iter()
            .filter(|(_, placement)| placement.tries().is_some())
            .map(|(domain, _)| domain.clone())
            .collect();
        unfinished.iter().for_each(|domain| self.ask_capabilities(domain, 0));
        if self.room().replication.next_retry().is_some() {
            self.set_retry_timer();
        }
    }
}

impl Placement {
    /// How often it has been tried, while it is under way.
    fn tries(&self) -> Option<u32> {
        match self {
            Self::Asking { tries } | Self::Replicating { tries, .. } => Some(*tries),
            Self::Bringing => Some(0),
            Self::Placed | Self::Refused { .. } | Self::Waiting { .. } => None,
        }
    }
}

impl super::Replication {
    /// When something has to be asked again, or given up.
    fn next_retry(&self) -> Option<Millis> {
        let waiting = self.placements.values().filter_map(|placement| match placement {
            Placement::Waiting { at, .. } => Some(*at),
            _ => None,
        });
        waiting.chain(self.awaited.values().map(|awaited| awaited.expires)).min()
    }

    fn due_placements(&self, now: Millis) -> Vec<(String, u32)> {
        let due = self.placements.iter().filter_map(|(domain, placement)| match placement {
            Placement::Waiting { at, tries } if *at <= now => Some((domain.clone(), *tries)),
            _ => None,
        });
        due.collect()
    }
}
