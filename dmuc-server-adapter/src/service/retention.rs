//! Archives forget what is older than the operator wants: room after room, whether awake or not.

use std::sync::Arc;

use dmuc_core::storage::StoreError;
use tracing::{info, warn};

use super::{Shared, timers};

/// Rooms listed at a time.
const ROOMS: u32 = 100;

/// Sweeps for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(shared.tuning.expire_every).await;
        match sweep(&shared).await {
            Ok(0) => {}
            Ok(dropped) => info!(dropped, "archives have forgotten old messages"),
            Err(error) => warn!(error = %super::chain(&error), "old messages are kept until the next turn"),
        }
    }
}

async fn sweep(shared: &Shared) -> Result<u64, StoreError> {
    let policy = shared.board.now();
    let Some(horizon) = policy.archive_horizon(timers::now()) else { return Ok(0) };
    let (mut dropped, mut after) = (0, None);
    loop {
        let rooms = shared.storage.list(policy.domain.as_str(), after.as_ref(), ROOMS).await?;
        for room in &rooms {
            dropped += shared.storage.expire(room.uid, horizon).await?;
        }
        match rooms.into_iter().next_back() {
            Some(last) => after = Some(last.jid),
            None => return Ok(dropped),
        }
    }
}
