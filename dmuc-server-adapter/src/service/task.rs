//! The task of one room: asleep, woken by an input, asleep again.

use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::io::Input;
use dmuc_core::stanza::{Condition, StanzaError};
use dmuc_core::storage::{StoreError, StoreErrorKind};
use tracing::{error, warn};

use super::Shared;
use super::awake::Awake;
use super::rooms::{Mailbox, Token};

/// Runs a room until nothing waits for it.
pub(super) async fn run(shared: Arc<Shared>, jid: Address, mut mailbox: Mailbox, _alive: Token) {
    let mut owes = false;
    while (owes && !mailbox.is_closed()) || !shared.rooms.retire(&jid, &mailbox) {
        if mailbox.is_drained() {
            wait(&shared, &mut mailbox, owes).await;
        }
        match Awake::wake(&shared, &jid).await {
            Ok(awake) => owes = awake.live(&mut mailbox).await,
            Err(error) => refuse_all(&shared, &jid, &mut mailbox, &error),
        }
    }
}

/// Waits for an input; not for long if the room must do something without one.
async fn wait(shared: &Shared, mailbox: &mut Mailbox, owes: bool) {
    if owes {
        // Either way the room is woken.
        let _ = tokio::time::timeout(shared.tuning.retry_after, mailbox.fill()).await;
    } else {
        mailbox.fill().await;
    }
}

/// A room that cannot be read is neither answered for nor created anew: that would hand it to a stranger.
fn refuse_all(shared: &Shared, jid: &Address, mailbox: &mut Mailbox, error: &StoreError) {
    log_failure(shared, jid, "room not loaded", error);
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
