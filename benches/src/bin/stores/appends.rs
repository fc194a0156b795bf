//! Messages made durable: each room has one under way, all that are under way go to the store together, as the service
//! sends them.

use std::time::{Duration, Instant};

use dmuc_core::storage::{RoomCommit, Transfer};

use crate::Failure;
use crate::limit::{Limit, Row};
use crate::messages::Room;
use crate::times::median;

/// The store and its limit take turns, so that both meet the same moods of the machine.
const ROUNDS: usize = 3;

/// A backend with and without keys.
pub struct Limits {
    pub bare: Box<dyn Limit>,
    pub keyed: Box<dyn Limit>,
}

pub async fn measure(
    store: &dyn Transfer,
    limits: &mut Limits,
    speaking: usize,
    lasts: Duration,
) -> Result<(), Failure> {
    let mut rooms = Room::create(store, &format!("s{speaking}"), speaking, &[]).await?;
    // The same messages, and numbers of their own.
    let (mut bare_rooms, mut keyed_rooms) = (rooms.clone(), rooms.clone());
    let [mut ours, mut keyed, mut bare, mut single] = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        ours.push(append(store, &mut rooms, lasts).await?);
        keyed.push(insert(&mut *limits.keyed, &mut keyed_rooms, lasts, true).await?);
        bare.push(insert(&mut *limits.bare, &mut bare_rooms, lasts, true).await?);
        single.push(insert(&mut *limits.bare, &mut bare_rooms, lasts, false).await?);
    }
    let ours = median(ours);
    println!("{speaking:>4} rooms: {ours:>8.0} messages/s");
    for (how, limit) in
        [("together, with keys", keyed), ("together, rows alone", bare), ("singly, rows alone", single)]
    {
        let limit = median(limit);
        println!("            {limit:>8.0} {how}: {:.0} % of that", 100.0 * ours / limit);
    }
    Ok(())
}

/// Messages a second. What it takes to think them up is not counted.
async fn append(store: &dyn Transfer, rooms: &mut [Room], lasts: Duration) -> Result<f64, Failure> {
    let (mut took, mut made) = (Duration::ZERO, 0_u32);
    while took < lasts {
        let commits: Vec<RoomCommit> = rooms.iter_mut().map(Room::says).collect();
        let began = Instant::now();
        let results = store.commit(&commits).await;
        took += began.elapsed();
        for (room, result) in rooms.iter_mut().zip(results) {
            room.note(result?);
            made += 1;
        }
    }
    Ok(f64::from(made) / took.as_secs_f64())
}

/// The same with the backend alone.
async fn insert(
    limit: &mut dyn Limit,
    rooms: &mut [Room],
    lasts: Duration,
    together: bool,
) -> Result<f64, Failure> {
    let (mut took, mut made) = (Duration::ZERO, 0_u32);
    while took < lasts {
        let rows: Vec<Row> = rooms.iter_mut().map(row).collect::<Result<_, _>>()?;
        let began = Instant::now();
        if together {
            limit.insert_together(&rows).await?;
        } else {
            limit.insert_singly(&rows).await?;
        }
        took += began.elapsed();
        made += u32::try_from(rows.len())?;
    }
    Ok(f64::from(made) / took.as_secs_f64())
}

fn row(room: &mut Room) -> Result<Row, Failure> {
    let entry = room.next_message();
    let json = serde_json::to_string(&entry.event)?;
    Ok(Row { room: room.lease.room, entry, json })
}
