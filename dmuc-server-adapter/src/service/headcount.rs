//! How many occupants rooms have, without waking them: as far as they have been awake since the service started.

use std::collections::HashMap;
use std::sync::Mutex;

use dmuc_core::Address;

use super::lock;

/// Rooms with occupants. A room keeps its place when it goes to sleep with them.
#[derive(Debug, Default)]
pub(super) struct Headcount {
    rooms: Mutex<HashMap<Address, u32>>,
}

impl Headcount {
    /// A room has so many occupants now.
    pub fn note(&self, room: &Address, occupants: u32) {
        let mut rooms = lock(&self.rooms);
        if occupants == 0 {
            rooms.remove(room);
        } else {
            rooms.insert(room.clone(), occupants);
        }
    }

    /// The rooms that are known to have occupants.
    pub fn rooms(&self) -> Vec<Address> {
        lock(&self.rooms).keys().cloned().collect()
    }

    /// How many occupants all rooms have.
    pub fn total(&self) -> u64 {
        lock(&self.rooms).values().map(|occupants| u64::from(*occupants)).sum()
    }

    /// How many occupants a room has, if it is known to have any.
    pub fn of(&self, room: &Address) -> Option<u32> {
        lock(&self.rooms).get(room).copied()
    }
}
