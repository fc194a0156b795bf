//! Appending to the logs, and keeping track of how far each is held without a hole.

use dmuc_core::event::Position;
use dmuc_core::storage::{LogEntry, StoreError};
use sqlx::SqliteConnection;

use crate::error::{conflict, corrupt, failed, signed};

const APPEND: &str = "append to a log";

/// Appends an entry, unless its position is held.
pub(crate) async fn append(db: &mut SqliteConnection, uid: &str, entry: &LogEntry) -> Result<(), StoreError> {
    let event = &entry.event;
    let json = serde_json::to_string(event).map_err(|error| corrupt(APPEND)(error.into()))?;
    let inserted = sqlx::query(
        "INSERT INTO log (uid, origin, incarnation, seq, hlc, id, jid, bytes, withheld, digest, event) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(uid)
    .bind(event.pos.o.as_ref())
    .bind(i64::from(event.pos.i))
    .bind(signed(event.pos.s))
    .bind(signed(event.h.0))
    .bind(&event.id.0[..])
    .bind(event.jid.as_ref().map(dmuc_core::Address::bare_str))
    .bind(signed(event.bytes() as u64))
    .bind(entry.withheld)
    .bind(entry.digest.as_ref().map(|digest| &digest.0[..]))
    .bind(json)
    .execute(&mut *db)
    .await
    .map_err(failed(APPEND))?;
    match inserted.rows_affected() {
        0 => held_already(db, uid, entry).await,
        _ => extend(db, uid, &event.pos).await,
    }
}

/// Nothing was inserted: either just the position is held, which is well, or the id is held elsewhere.
async fn held_already(db: &mut SqliteConnection, uid: &str, entry: &LogEntry) -> Result<(), StoreError> {
    let pos = &entry.event.pos;
    let elsewhere: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM log WHERE uid = ? AND id = ? \
         AND (origin, incarnation, seq) <> (?, ?, ?))",
    )
    .bind(uid)
    .bind(&entry.event.id.0[..])
    .bind(pos.o.as_ref())
    .bind(i64::from(pos.i))
    .bind(signed(pos.s))
    .fetch_one(db)
    .await
    .map_err(failed(APPEND))?;
    if elsewhere {
        Err(conflict("append to a log: the event id is held at another position"))
    } else {
        Ok(())
    }
}

/// Moves the frontier. The usual case, the next number of a log without later entries, is one statement.
async fn extend(db: &mut SqliteConnection, uid: &str, pos: &Position) -> Result<(), StoreError> {
    let extended = sqlx::query(
        "UPDATE frontiers SET top = ?4 WHERE uid = ?1 AND origin = ?2 AND incarnation = ?3 AND top = ?4 - 1 \
         AND NOT EXISTS (SELECT 1 FROM log WHERE uid = ?1 AND origin = ?2 AND incarnation = ?3 AND seq = ?4 + 1)",
    )
    .bind(uid)
    .bind(pos.o.as_ref())
    .bind(i64::from(pos.i))
    .bind(signed(pos.s))
    .execute(&mut *db)
    .await
    .map_err(failed(APPEND))?;
    if extended.rows_affected() == 0 {
        recount(db, uid, &pos.o, pos.i).await?;
    }
    Ok(())
}

/// Finds a log's lowest number and the end of what follows it without a hole. The search begins at the end that is
/// known, if the beginning is still the same.
pub(crate) async fn recount(
    db: &mut SqliteConnection,
    uid: &str,
    origin: &str,
    incarnation: u32,
) -> Result<(), StoreError> {
    sqlx::query(
        "WITH held AS (SELECT seq FROM log WHERE uid = ?1 AND origin = ?2 AND incarnation = ?3), \
              lowest AS (SELECT MIN(seq) AS low FROM held), \
              known AS (SELECT f.top FROM frontiers AS f, lowest WHERE f.uid = ?1 AND f.origin = ?2 \
                          AND f.incarnation = ?3 AND f.low = lowest.low) \
         INSERT OR REPLACE INTO frontiers (uid, origin, incarnation, low, top) \
         SELECT ?1, ?2, ?3, low, \
           (SELECT this.seq FROM log AS this WHERE uid = ?1 AND origin = ?2 AND incarnation = ?3 \
              AND this.seq >= MAX(low, COALESCE((SELECT top FROM known), low)) \
              AND NOT EXISTS (SELECT 1 FROM log WHERE uid = ?1 AND origin = ?2 AND incarnation = ?3 \
                                AND seq = this.seq + 1) \
              ORDER BY this.seq LIMIT 1) \
         FROM lowest",
    )
    .bind(uid)
    .bind(origin)
    .bind(i64::from(incarnation))
    .execute(db)
    .await
    .map_err(failed(APPEND))?;
    Ok(())
}
