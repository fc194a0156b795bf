//! What a room has said and the host has not taken yet.

use std::collections::VecDeque;
use std::sync::Arc;

use dmuc_core::stanza::Outbound;
use tracing::debug;

use super::Shared;
use crate::host::Delivery;

/// Hands stanzas to the host in order, and keeps them while it is full.
pub(super) struct Unsent {
    shared: Arc<Shared>,
    queue: VecDeque<Outbound>,
}

impl Unsent {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, queue: VecDeque::new() }
    }

    /// Hands `out` over, behind what waits already.
    pub fn send(&mut self, out: Outbound) {
        if !self.shared.errors.admit(&self.shared.board, &out) {
            return;
        }
        if !self.queue.is_empty() || !self.hand_over(&out) {
            self.queue.push_back(out);
        }
    }

    /// Waits until the host has room again, and hands over what it takes.
    pub async fn drain(&mut self) {
        self.shared.host.ready().await;
        while let Some(out) = self.queue.front() {
            if !self.hand_over(out) {
                // A host that is ready and full at once must not keep this thread.
                return tokio::task::yield_now().await;
            }
            self.queue.pop_front();
        }
    }

    /// Gives back whether the host is done with it. A copy costs no copy of what many receive.
    fn hand_over(&self, out: &Outbound) -> bool {
        match self.shared.host.try_send(out.clone()) {
            Delivery::Full => return false,
            Delivery::Accepted | Delivery::Queued => {}
            lost => debug!(?lost, stanzas = out.count(), "the host could not deliver"),
        }
        true
    }

    /// Whether nothing waits for the host.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
