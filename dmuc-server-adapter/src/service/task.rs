//! The task of one room: asleep, woken by an input, asleep again.

use std::sync::Arc;
use std::time::Duration;

use dmuc_core::Address;
use dmuc_core::io::Input;
use dmuc_core::stanza::{Condition, StanzaError};
use dmuc_core::storage::{StoreError, StoreErrorKind};
use tokio::time::{Instant, sleep};
use tracing::{debug, error, warn};

use super::Shared;
use super::awake::Awake;
use super::rooms::{Mailbox, Token};

/// Runs a room until nothing waits for it.
pub(super) async fn run(shared: Arc<Shared>, jid: Address, mut mailbox: Mailbox, _alive: Token) {
    let mut contest = Contest::new(shared.tuning.lease_ttl);
    loop {
        if mailbox.is_drained() {
            mailbox.gather();
        }
        match Awake::wake(&shared, &jid).await {
            Ok(awake) => {
                contest.is_over();
                let handed_over = awake.live(&mut mailbox).await;
                if handed_over && !mailbox.is_empty() {
                    // The other node first.
                    contest.pause(&jid).await;
                }
            }
            Err(error) if contest.goes_on(&error, &mailbox) => contest.pause(&jid).await,
            Err(error) => {
                contest.is_over();
                refuse_all(&shared, &jid, &mut mailbox, &error);
            }
        }
        if shared.rooms.retire(&jid, &mailbox) {
            return;
        }
    }
}

/// A room that another node has, while stanzas for it wait here. The other node learns of it by our tries, or is dead.
struct Contest {
    lease_ttl: Duration,
    began: Option<Instant>,
}

impl Contest {
    fn new(lease_ttl: Duration) -> Self {
        Self { lease_ttl, began: None }
    }

    /// Whether to try again. Half a time to live more than the other's lease can last, for clocks that differ.
    fn goes_on(&mut self, error: &StoreError, mailbox: &Mailbox) -> bool {
        if error.kind != StoreErrorKind::Conflict || mailbox.is_empty() || mailbox.is_ending() {
            return false;
        }
        self.began.get_or_insert_with(Instant::now).elapsed() < self.lease_ttl.mul_f64(1.5)
    }

    fn is_over(&mut self) {
        self.began = None;
    }

    /// Until the next try; if the room was handed over, the other node tries in less.
    async fn pause(&self, jid: &Address) {
        debug!(room = %jid, "another node has the room, trying again");
        let (handed_over, refused) = (self.lease_ttl / 10, self.lease_ttl / 20);
        sleep(if self.began.is_none() { handed_over } else { refused }).await;
    }
}

/// A room that cannot be read is neither answered for nor created anew: that would hand it to a stranger.
fn refuse_all(shared: &Shared, jid: &Address, mailbox: &mut Mailbox, error: &StoreError) {
    if mailbox.is_empty() && error.kind == StoreErrorKind::Conflict {
        return debug!(room = %jid, "another node was faster to take the room over");
    }
    log_failure(shared, jid, "room not loaded", error);
    mailbox.gather();
    for input in mailbox.take_all() {
        if let Input::Stanza(stanza) = input {
            shared.answer(stanza.error(&try_later()));
        }
    }
}

/// Logs what the store did to a room, as loudly as it deserves.
pub(super) fn log_failure(shared: &Shared, jid: &Address, what: &str, error: &StoreError) {
    let Some(left_out) = shared.limited.admit("store") else { return };
    let reason = super::chain(error);
    match error.kind {
        StoreErrorKind::Unavailable => {
            warn!(room = %jid, error = %reason, left_out, "{what}: the store is away");
        }
        StoreErrorKind::Conflict => {
            error!(room = %jid, error = %reason, left_out, "{what}: ANOTHER NODE HAS THE ROOM");
        }
        _ => error!(room = %jid, error = %reason, left_out, "{what}"),
    }
}

/// The answer while the store is away or there is too much to do.
pub(super) fn try_later() -> StanzaError {
    StanzaError::new(Condition::ResourceConstraint).because("The room cannot do this now; try again later")
}
