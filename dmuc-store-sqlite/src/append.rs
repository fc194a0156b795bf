//! Appending to the logs, and keeping track of how far each is held without a hole. Many rows to a statement: each
//! statement is a message to SQLite's thread and back, which costs more than the work itself.

use dmuc_core::event::Position;
use dmuc_core::storage::columns::signed;
use dmuc_core::storage::{LogEntry, StoreError};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::error::{conflict, corrupt, failed};

const APPEND: &str = "append to a log";
/// Rows in one statement; there is a prepared statement for each number of them.
pub(crate) const ROWS_MAX: usize = 64;

/// An entry and the uid of its room.
pub(crate) type Row<'a> = (&'a str, &'a LogEntry);

/// Appends entries, leaving out those of which the position is held.
pub(crate) async fn append(db: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS_MAX) {
        if insert(db, rows).await? < rows.len() as u64 {
            for (uid, entry) in rows {
                check_held(db, uid, entry).await?;
            }
        }
        extend(db, &runs(rows)).await?;
    }
    Ok(())
}

async fn insert(db: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<u64, StoreError> {
    let json =
        rows.iter().map(|(_, entry)| serde_json::to_string(&entry.event)).collect::<Result<Vec<_>, _>>();
    let json = json.map_err(|error| corrupt(APPEND)(error.into()))?;
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO log (uid, origin, incarnation, seq, hlc, id, nick, oid, bytes, withheld, digest, event) ",
    );
    query.push_values(rows.iter().zip(json), |mut row, ((uid, entry), json)| {
        let event = &entry.event;
        row.push_bind((*uid).to_owned())
            .push_bind(event.pos.o.to_string())
            .push_bind(i64::from(event.pos.i))
            .push_bind(signed(event.pos.s))
            .push_bind(signed(event.h.0))
            .push_bind(event.id.0.to_vec())
            .push_bind(event.nick.as_ref().map(|nick| nick.as_str().to_owned()))
            .push_bind(event.oid.clone())
            .push_bind(signed(event.bytes() as u64))
            .push_bind(entry.withheld)
            .push_bind(entry.digest.map(|digest| digest.0.to_vec()))
            .push_bind(json);
    });
    query.push(" ON CONFLICT DO NOTHING");
    Ok(query.build().execute(db).await.map_err(failed(APPEND))?.rows_affected())
}

/// Something was not inserted: either just its position is held, which is well, or its id is held elsewhere.
async fn check_held(db: &mut SqliteConnection, uid: &str, entry: &LogEntry) -> Result<(), StoreError> {
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

/// Numbers of one log that follow one another.
struct Run<'a> {
    uid: &'a str,
    from: &'a Position,
    to: u64,
}

fn runs<'a>(rows: &[Row<'a>]) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for (uid, entry) in rows {
        let pos = &entry.event.pos;
        match runs.last_mut() {
            Some(run) if (run.uid, &run.from.o, run.from.i, run.to + 1) == (*uid, &pos.o, pos.i, pos.s) => {
                run.to = pos.s;
            }
            _ => runs.push(Run { uid, from: pos, to: pos.s }),
        }
    }
    runs
}

/// Moves the frontiers. In the usual case, new logs and the next numbers of logs without later entries, that is one
/// statement; whatever it leaves alone is counted anew.
async fn extend(db: &mut SqliteConnection, runs: &[Run<'_>]) -> Result<(), StoreError> {
    let mut query =
        QueryBuilder::<Sqlite>::new("INSERT INTO frontiers (uid, origin, incarnation, low, top) ");
    query.push_values(runs, |mut row, run| {
        row.push_bind(run.uid.to_owned())
            .push_bind(run.from.o.to_string())
            .push_bind(i64::from(run.from.i))
            .push_bind(signed(run.from.s))
            .push_bind(signed(run.to));
    });
    query.push(
        " ON CONFLICT DO UPDATE SET top = excluded.top WHERE top = excluded.low - 1 AND NOT EXISTS ( \
           SELECT 1 FROM log WHERE uid = excluded.uid AND origin = excluded.origin \
             AND incarnation = excluded.incarnation AND seq = excluded.top + 1)",
    );
    let moved = query.build().execute(&mut *db).await.map_err(failed(APPEND))?.rows_affected();
    if moved < runs.len() as u64 {
        for run in runs {
            recount(db, run.uid, &run.from.o, run.from.i).await?;
        }
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
