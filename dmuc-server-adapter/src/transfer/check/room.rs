//! One room: its record, its logs, its archive.

use std::sync::Arc;

use dmuc_core::policy::ServicePolicy;
use dmuc_core::record::Card;
use dmuc_core::storage::{Entry, Found, Frontier, Recent, StoreError, Transfer};
use dmuc_core::{Address, Instance};

use super::archive;
use super::arrived::Arrived;
use super::finding::What;
use super::logged::Logged;
use crate::service::now;
use crate::transfer::Progress;

/// How often a room is read that changes meanwhile.
const ATTEMPTS: u32 = 3;

/// What came of one room.
#[derive(Default)]
pub(super) struct RoomChecked {
    pub entries: u64,
    pub found: Vec<What>,
}

/// Checks the room at an address, if there still is one.
pub(super) async fn check(
    store: &dyn Transfer,
    jid: &Address,
    progress: &dyn Progress,
) -> Result<RoomChecked, StoreError> {
    for _ in 0..ATTEMPTS {
        match attempt(store, jid, progress).await {
            Ok(Some(checked)) => return Ok(checked),
            Ok(None) => {}
            Err(error) => return Ok(RoomChecked { entries: 0, found: vec![What::of(error)?] }),
        }
    }
    Ok(RoomChecked { entries: 0, found: vec![What::Busy] })
}

/// Nothing, if the room has changed meanwhile.
async fn attempt(
    store: &dyn Transfer,
    jid: &Address,
    progress: &dyn Progress,
) -> Result<Option<RoomChecked>, StoreError> {
    let Some(before) = read(store, jid).await? else { return Ok(Some(RoomChecked::default())) };
    let (room, frontier) = &before;
    let mut found = check_record(store, jid, room, frontier).await?;
    let arrived = Arrived::read(store, room.uid, progress, &mut found).await?;
    let logged = Logged::read(store, room.uid, jid.domain(), frontier, &mut found).await?;
    if arrived.sum != logged.sum {
        found.push(What::OtherEntries { arrived: arrived.sum.count, logged: logged.sum.count });
    }
    archive::check(store, room.uid, &arrived, &mut found).await?;
    let is_same = read(store, jid).await? == Some(before);
    Ok(is_same.then_some(RoomChecked { entries: arrived.sum.count, found }))
}

async fn read(store: &dyn Transfer, jid: &Address) -> Result<Option<(Found, Vec<Frontier>)>, StoreError> {
    match store.load(jid, now()).await? {
        Entry::Room(room) => {
            let frontier = store.frontier(room.uid).await?;
            Ok(Some((room, frontier)))
        }
        _ => Ok(None),
    }
}

/// Makes an instance of the record, as a service does.
async fn check_record(
    store: &dyn Transfer,
    jid: &Address,
    room: &Found,
    frontier: &[Frontier],
) -> Result<Vec<What>, StoreError> {
    let policy = ServicePolicy::new(&jid.to_domain());
    let limits = Recent { stanzas: Some(policy.history_max), ..Recent::default() };
    let recent = store.recent(room.uid, limits).await?;
    let instance = match Instance::restore(jid, room, frontier, recent, Arc::new(policy), [0; 32]) {
        Ok(instance) => instance,
        Err(error) => return Ok(vec![What::of(error)?]),
    };
    let is_other = (instance.uid() != Some(room.uid)).then_some(What::OtherRoom);
    let card = room.parts.get("card").and_then(|card| Card::read(card));
    let is_wrong = (instance.card() != card).then_some(What::WrongCard);
    Ok(is_other.into_iter().chain(is_wrong).collect())
}
