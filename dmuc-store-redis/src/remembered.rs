//! What a node remembers of the rooms that it holds, so that it need not look them up with every commit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmuc_core::Address;
use dmuc_core::storage::{Lease, RoomUid};

/// Most rooms that are remembered; beyond that all are forgotten.
const ROOMS_MAX: usize = 100_000;

/// What was settled of a room.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    pub jid: Address,
    pub public: bool,
}

/// Rooms by uid, with the fence under which they were settled: as long as it is the highest, nobody else has changed them.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<RoomUid, (u64, Remembered)>>);

impl Memory {
    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomUid, (u64, Remembered)>> {
        // What a panic leaves behind is a map all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, lease: &Lease, jid: Address, public: bool) {
        let mut rooms = self.rooms();
        if rooms.len() >= ROOMS_MAX {
            rooms.clear();
        }
        rooms.insert(lease.room, (lease.fence, Remembered { jid, public }));
    }

    /// Looks up a room under the same lease.
    pub fn of(&self, lease: &Lease) -> Option<Remembered> {
        self.rooms().get(&lease.room).filter(|(fence, _)| *fence == lease.fence).map(|(_, room)| room.clone())
    }

    /// Until it is settled, what is announced may be so or not.
    pub fn forget(&self, room: RoomUid) {
        self.rooms().remove(&room);
    }
}
