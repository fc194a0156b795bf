//! What it takes to move everything from one store to another.

use async_trait::async_trait;

use super::{Frontier, LogEntry, RoomUid, Storage, StoreError, Tombstone};
use crate::address::Address;

/// Reads and writes what [`Storage`] has no need to: whole stores, while no room of them is awake.
///
/// Rooms themselves are found by [`list`](super::Room::list) and made by [`commit`](super::Room::commit); leases are not
/// moved.
#[async_trait]
pub trait Transfer: Storage {
    /// The service domains that have rooms or tombstones, in order.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn domains(&self) -> Result<Vec<String>, StoreError>;

    /// Tombstones of a service domain in order of address, also those that block no more, those after `after`, at most
    /// `limit`.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn tombstones(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, StoreError>;

    /// Puts a tombstone at its address, in place of another.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError>;

    /// All entries of a room, withheld ones too, in order of arrival, those after the place `after`, at most `limit`.
    /// Each comes with its place, a number above 0 that means nothing but the order.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn arrivals(
        &self,
        room: RoomUid,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LogEntry)>, StoreError>;

    /// Notes the ends of logs of which every entry has expired, `low` being one above the position. Logs of which
    /// something is held are left alone.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn put_places(&self, room: RoomUid, ended: &[Frontier]) -> Result<(), StoreError>;
}
