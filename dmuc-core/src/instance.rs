//! One instance of a room: the door through which everything comes in and goes out.

use std::sync::Arc;

use crate::address::Address;
use crate::clock::Millis;
use crate::io::{Action, Input};
use crate::policy::ServicePolicy;
use crate::storage::{Found, Frontier, LogEntry, RoomUid, StoreError, Tombstone};

/// One instance of a room, source or shadow. Deterministic: the same inputs give the same actions.
#[derive(Debug)]
pub struct Instance {
    jid: Address,
    policy: Arc<ServicePolicy>,
}

impl Instance {
    /// An instance at an address that holds nothing (or a tombstone). It comes to life if an input creates a room;
    /// `seed` is 256 bits of entropy.
    #[must_use]
    pub fn vacant(jid: &Address, tombstone: Option<Tombstone>, policy: Arc<ServicePolicy>, seed: [u8; 32]) -> Self {
        let _ = (tombstone, seed);
        Self { jid: jid.clone(), policy }
    }

    /// An instance as the store has it. `recent` is the newest history, canonical order, at most
    /// `policy.history_max` entries.
    ///
    /// # Errors
    /// `Corrupt` if a part of the record is not what this version writes.
    pub fn restore(
        jid: &Address,
        found: &Found,
        frontier: &[Frontier],
        recent: Vec<LogEntry>,
        policy: Arc<ServicePolicy>,
        seed: [u8; 32],
    ) -> Result<Self, StoreError> {
        let _ = (found, frontier, recent, seed);
        Ok(Self { jid: jid.clone(), policy })
    }

    /// Takes one input; gives everything that follows from it, in order.
    pub fn handle(&mut self, now: Millis, input: Input) -> Vec<Action> {
        let _ = (now, input);
        Vec::new()
    }

    /// The room's address here.
    #[must_use]
    pub fn jid(&self) -> &Address {
        &self.jid
    }

    /// The room's name for life, once there is a room.
    #[must_use]
    pub fn uid(&self) -> Option<RoomUid> {
        None
    }

    /// Whether there is no room here (not yet, or not any more): the instance may be dropped.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        true
    }

    /// Whether nothing is under way that only memory knows: the instance may be dropped and restored later.
    #[must_use]
    pub fn may_hibernate(&self) -> bool {
        true
    }

    /// Replaces the policy, for an operator's change.
    pub fn set_policy(&mut self, policy: Arc<ServicePolicy>) {
        self.policy = policy;
    }
}
