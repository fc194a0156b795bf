//! Rooms whose node is gone: found in the store, and woken here with their occupants.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dmuc_core::Address;
use dmuc_core::storage::StoreError;
use tracing::{info, warn};

use super::{Shared, timers};

/// Rooms that are looked at for the next few to wake.
const LISTED: u32 = 512;
/// Rooms that are woken at a time.
const WOKEN: usize = 32;
/// Between two such times, so that the rooms of a dead node are spread over the others and none of them is busy with
/// nothing else.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks for ever, several times within the life of a lease; at the start too, for what a former life of this node left.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        match sweep(&shared).await {
            Ok(0) => {}
            Ok(rooms) => info!(rooms, "rooms without a node are woken here"),
            Err(error) => warn!(error = %super::chain(&error), "rooms without a node not looked for"),
        }
        tokio::time::sleep(uneven(shared.tuning.lease_ttl / 3)).await;
    }
}

/// Wakes what nobody serves; gives how many rooms that were.
async fn sweep(shared: &Arc<Shared>) -> Result<usize, StoreError> {
    let mut woken = BTreeSet::new();
    loop {
        let rooms: Vec<_> = abandoned(shared, &woken).await?;
        if rooms.is_empty() {
            return Ok(woken.len());
        }
        for room in rooms {
            if shared.rooms.rouse(shared, &room).is_err() {
                return Ok(woken.len());
            }
            woken.insert(room);
        }
        tokio::time::sleep(uneven(PAUSE)).await;
    }
}

/// A few rooms that have been without a node for a moment: a node that has stanzas for them comes first.
async fn abandoned(shared: &Shared, known: &BTreeSet<Address>) -> Result<Vec<Address>, StoreError> {
    let domain = shared.board.now().domain.clone();
    let moment = u64::try_from(shared.tuning.lease_ttl.as_millis() / 10).unwrap_or(u64::MAX);
    let since = dmuc_core::Millis(timers::now().0.saturating_sub(moment));
    let mut rooms = shared.storage.abandoned(domain.as_str(), since, LISTED).await?;
    rooms.retain(|room| !known.contains(room));
    // Other nodes see the same list.
    let start = (chance() * rooms.len() as f64) as usize;
    rooms.rotate_left(start);
    rooms.truncate(WOKEN);
    Ok(rooms)
}

/// A time that is a little shorter or longer for each node, each time.
fn uneven(time: Duration) -> Duration {
    time.mul_f64(0.75 + chance() / 2.0)
}

/// From 0 to below 1; always the same if the system has no entropy, which only makes nodes collide more.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}
