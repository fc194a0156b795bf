//! Asking again what could not be asked or was not answered, later and later.

use rand_core::Rng;

use crate::instance::Instance;
use crate::io::Timer;
use crate::replication::{Again, Placement};
use crate::stanza::{Condition, Stanza, StanzaError};
use crate::{Action, Millis};

/// First wait before a peer is asked again.
const WAIT_MS: u64 = 10_000;
/// Longest wait.
const WAIT_MS_MAX: u64 = 3_600_000;

impl Instance {
    /// When to try again after so many failures: each wait twice the last, up to 20 % more so that many rooms do not
    /// ask at once, and not before the peer said.
    pub(crate) fn try_again(&mut self, tries: u32, not_before_s: u64) -> Again {
        let wait = (WAIT_MS << tries.min(16)).min(WAIT_MS_MAX).max(not_before_s.saturating_mul(1000));
        let jitter = self.rng.next_u64() % (wait / 5 + 1);
        Again { at: self.turn.now.plus(wait.saturating_add(jitter)), tries: tries.saturating_add(1) }
    }

    pub(crate) fn retry_placement(&mut self, domain: &str, tries: u32, not_before_s: u64) {
        let Again { at, tries } = self.try_again(tries, not_before_s);
        self.set_placement(domain, Placement::Waiting { at, tries });
    }

    /// Sets the timer to what is due next, if that has changed: after every input, and so after a restart too.
    pub(crate) fn keep_time(&mut self) {
        let Some(room) = &mut self.room else { return };
        let at = room.replication.next_deadline();
        if at != room.replication.timer {
            room.replication.timer = at;
            self.turn.other(Action::SetTimer { timer: Timer::Retry, at });
        }
    }

    pub(crate) fn handle_timer(&mut self, timer: Timer) {
        if self.room.is_none() || timer != Timer::Retry {
            return;
        }
        self.room_mut().replication.timer = None;
        let now = self.turn.now;
        for (id, overdue) in self.room_mut().replication.take_overdue(now) {
            let silence = StanzaError::new(Condition::RemoteServerTimeout).to_payload();
            let answer = Stanza::iq("error", &id).with_from(&overdue.from).with(silence);
            self.answered(overdue.what, &overdue.from, &answer, false);
            if self.room.is_none() {
                return;
            }
        }
        self.give_up_relays();
        self.ask_again(now);
        self.introduce_again(now);
        self.look_again();
    }

    /// The room ends: whoever waits for what another instance decides is told, since no answer finds its way any more.
    pub(crate) fn disappoint_users(&mut self) {
        let waiting = self.room_mut().replication.take_user_requests();
        let gone = StanzaError::new(Condition::ItemNotFound).because("The room has ended.");
        waiting.into_iter().for_each(|cause| self.turn.send_opt(cause.refusal(&gone)));
    }

    fn ask_again(&mut self, now: Millis) {
        let waiting = self.room().replication.placements.iter();
        let due = waiting.filter_map(|(domain, placement)| match placement {
            Placement::Waiting { at, tries } if *at <= now => Some((domain.clone(), *tries)),
            _ => None,
        });
        let due: Vec<(String, u32)> = due.collect();
        due.iter().for_each(|(domain, tries)| self.ask_capabilities(domain, *tries));
    }
}
