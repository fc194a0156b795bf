//! The logs read in their several orders.

use async_trait::async_trait;
use dmuc_core::Millis;
use dmuc_core::clock::Hlc;
use dmuc_core::event::{ChainDigest, EventId, Position};
use dmuc_core::storage::{ArchiveQuery, Frontier, HistoryStore, LogEntry, Page, Recent, RoomUid, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection};

use crate::SqliteStore;
use crate::append::{append, recount};
use crate::error::{corrupt, failed, signed, unsigned};

const FRONTIER: &str = "read the frontier";
const READ: &str = "read a log";
const PAGE: &str = "read a page of the archive";
const EXPIRE: &str = "expire a log";

/// What every reader needs of an entry.
struct Stored {
    event: String,
    digest: Option<Vec<u8>>,
    withheld: bool,
}

impl FromRow<'_, SqliteRow> for Stored {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            event: row.try_get("event")?,
            digest: row.try_get("digest")?,
            withheld: row.try_get("withheld")?,
        })
    }
}

impl Stored {
    fn read(self) -> Result<LogEntry, StoreError> {
        let event = serde_json::from_str(&self.event).map_err(|error| corrupt(READ)(error.into()))?;
        Ok(LogEntry { event, digest: read_digest(self.digest)?, withheld: self.withheld })
    }
}

fn read_digest(bytes: Option<Vec<u8>>) -> Result<Option<ChainDigest>, StoreError> {
    let digest = bytes.map(|bytes| <[u8; 16]>::try_from(bytes.as_slice()).map(ChainDigest)).transpose();
    digest.map_err(|error| corrupt(READ)(error.into()))
}

fn entries(stored: Vec<Stored>) -> Result<Vec<LogEntry>, StoreError> {
    stored.into_iter().map(Stored::read).collect()
}

#[async_trait]
impl HistoryStore for SqliteStore {
    async fn append(&self, room: RoomUid, entries: &[LogEntry]) -> Result<(), StoreError> {
        let uid = room.to_string();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(READ))?;
        let rows: Vec<_> = entries.iter().map(|entry| (uid.as_str(), entry)).collect();
        append(&mut transaction, &rows).await?;
        transaction.commit().await.map_err(failed(READ))
    }

    async fn frontier(&self, room: RoomUid) -> Result<Vec<Frontier>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.origin, f.incarnation, f.low, f.top, \
               CASE WHEN f.low > f.top THEN f.digest ELSE l.digest END AS digest FROM frontiers AS f \
             LEFT JOIN log AS l ON l.uid = f.uid AND l.origin = f.origin AND l.incarnation = f.incarnation \
               AND l.seq = f.top \
             WHERE f.uid = ? ORDER BY f.origin, f.incarnation",
        )
        .bind(room.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(failed(FRONTIER))?;
        rows.iter().map(read_frontier).collect()
    }

    async fn range(
        &self,
        room: RoomUid,
        from: &Position,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let stored = sqlx::query_as(
            "SELECT event, digest, withheld FROM log \
             WHERE uid = ? AND origin = ? AND incarnation = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
        )
        .bind(room.to_string())
        .bind(from.o.as_ref())
        .bind(i64::from(from.i))
        .bind(signed(from.s))
        .bind(signed(to))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(failed(READ))?;
        entries(stored)
    }

    async fn recent(&self, room: RoomUid, limits: Recent) -> Result<Vec<LogEntry>, StoreError> {
        let stored = sqlx::query_as(
            "SELECT event, digest, withheld FROM log WHERE arrival IN ( \
               SELECT arrival FROM ( \
                 SELECT arrival, SUM(bytes) OVER (ORDER BY hlc DESC, origin DESC, incarnation DESC, seq DESC \
                                                  ROWS UNBOUNDED PRECEDING) AS total FROM ( \
                   SELECT arrival, bytes, hlc, origin, incarnation, seq FROM log \
                   WHERE uid = ? AND withheld = 0 AND hlc >= ? \
                   ORDER BY hlc DESC, origin DESC, incarnation DESC, seq DESC LIMIT ?)) \
               WHERE total <= ?) \
             ORDER BY hlc, origin, incarnation, seq",
        )
        .bind(room.to_string())
        .bind(limits.since.map_or(0, stamp))
        .bind(limits.stanzas.map_or(-1, i64::from))
        .bind(limits.chars.map_or(i64::MAX, signed))
        .fetch_all(&self.readers)
        .await
        .map_err(failed(READ))?;
        entries(stored)
    }

    async fn page(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Option<Page>, StoreError> {
        let mut read = self.readers.begin().await.map_err(failed(PAGE))?;
        let uid = room.to_string();
        let Some(after) = arrival(&mut read, &uid, query.after, 0).await? else { return Ok(None) };
        let Some(before) = arrival(&mut read, &uid, query.before, i64::MAX).await? else { return Ok(None) };
        let mut selection = Selection::of(&uid, query, after, before);
        let entries = entries(selection.rows(&mut read).await?)?;
        let between = selection.count(&mut read).await?;
        let complete = entries.len() as u64 == between;
        let index = selection.before_page(&mut read, entries.len() as u64, between).await?;
        let whole = (selection.after, selection.before) == (0, i64::MAX);
        (selection.after, selection.before) = (0, i64::MAX);
        let count = if whole { between } else { selection.count(&mut read).await? };
        Ok(Some(Page { entries, complete, count, index }))
    }

    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError> {
        let uid = room.to_string();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(EXPIRE))?;
        keep_digests(&mut transaction, &uid).await?;
        let dropped = sqlx::query("DELETE FROM log WHERE uid = ? AND hlc < ?")
            .bind(&uid)
            .bind(stamp(before))
            .execute(&mut *transaction)
            .await
            .map_err(failed(EXPIRE))?
            .rows_affected();
        if dropped > 0 {
            keep_places(&mut transaction, &uid).await?;
            transaction.commit().await.map_err(failed(EXPIRE))?;
        }
        Ok(dropped)
    }
}

/// Notes the digests at the ends of all logs, for those of which nothing will be left.
async fn keep_digests(db: &mut SqliteConnection, uid: &str) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE frontiers AS f SET digest = (SELECT digest FROM log AS l WHERE l.uid = f.uid \
           AND l.origin = f.origin AND l.incarnation = f.incarnation AND l.seq = f.top) \
         WHERE f.uid = ? AND f.low <= f.top",
    )
    .bind(uid)
    .execute(db)
    .await
    .map_err(failed(EXPIRE))?;
    Ok(())
}

/// Logs of which nothing is left keep their place; the frontiers of the others are counted anew.
async fn keep_places(db: &mut SqliteConnection, uid: &str) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE frontiers AS f SET low = top + 1 WHERE f.uid = ? AND NOT EXISTS (SELECT 1 FROM log AS l \
           WHERE l.uid = f.uid AND l.origin = f.origin AND l.incarnation = f.incarnation)",
    )
    .bind(uid)
    .execute(&mut *db)
    .await
    .map_err(failed(EXPIRE))?;
    let left: Vec<(String, u32)> =
        sqlx::query_as("DELETE FROM frontiers WHERE uid = ? AND low <= top RETURNING origin, incarnation")
            .bind(uid)
            .fetch_all(&mut *db)
            .await
            .map_err(failed(EXPIRE))?;
    for (origin, incarnation) in left {
        recount(db, uid, &origin, incarnation).await?;
    }
    Ok(())
}

/// The first stamp of a millisecond, as it is stored.
fn stamp(ms: Millis) -> i64 {
    /// The last millisecond of which the stamps fit SQLite's signed integers; in the year 6429.
    const LAST: Millis = Millis((1 << 47) - 1);
    if ms > LAST { i64::MAX } else { signed(Hlc::at(ms).0) }
}

fn read_frontier(row: &SqliteRow) -> Result<Frontier, StoreError> {
    let number = |column: &str| row.try_get::<i64, _>(column).map(unsigned).map_err(failed(FRONTIER));
    let origin: String = row.try_get("origin").map_err(failed(FRONTIER))?;
    let incarnation =
        u32::try_from(number("incarnation")?).map_err(|error| corrupt(FRONTIER)(error.into()))?;
    let digest = row.try_get("digest").map_err(failed(FRONTIER))?;
    Ok(Frontier {
        pos: Position { o: origin.into(), i: incarnation, s: number("top")? },
        digest: read_digest(digest)?,
        low: number("low")?,
    })
}

/// Where an event stands in the order of arrival; `absent` if none is named, nothing if it is not held.
async fn arrival(
    db: &mut SqliteConnection,
    uid: &str,
    id: Option<EventId>,
    absent: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(id) = id else { return Ok(Some(absent)) };
    sqlx::query_scalar("SELECT arrival FROM log WHERE uid = ? AND id = ?")
        .bind(uid)
        .bind(&id.0[..])
        .fetch_optional(db)
        .await
        .map_err(failed(PAGE))
}

/// The filters of an archive query; every statement takes them in the same places.
struct Selection<'a> {
    uid: &'a str,
    start: i64,
    end: i64,
    with: Option<String>,
    after: i64,
    before: i64,
    last: bool,
    max: u32,
}

/// The filters as SQL, with a statement's head and tail around them. An index holds all that they ask for.
macro_rules! selecting {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM log WHERE uid = ?1 AND withheld = 0 AND hlc >= ?2 AND hlc <= ?3 AND (?4 IS NULL OR jid = ?4) \
             AND arrival > ?5 AND arrival < ?6 ",
            $tail
        )
    };
}

impl<'a> Selection<'a> {
    fn of(uid: &'a str, query: &ArchiveQuery, after: i64, before: i64) -> Self {
        Self {
            uid,
            start: query.start.map_or(0, stamp),
            // The whole of the last millisecond, whatever its counter.
            end: query.end.map_or(i64::MAX, |end| stamp(end.plus(1)) - 1),
            with: query.with.as_ref().map(|with| with.bare_str().to_owned()),
            after,
            before,
            last: query.last,
            max: query.max,
        }
    }

    async fn rows(&self, db: &mut SqliteConnection) -> Result<Vec<Stored>, StoreError> {
        const FORWARD: &str = selecting!("SELECT event, digest, withheld", "ORDER BY arrival LIMIT ?7");
        const BACKWARD: &str = selecting!("SELECT event, digest, withheld", "ORDER BY arrival DESC LIMIT ?7");
        let sql = if self.last { BACKWARD } else { FORWARD };
        let query = sqlx::query_as(sql).bind(self.uid).bind(self.start).bind(self.end).bind(&self.with);
        let query = query.bind(self.after).bind(self.before).bind(i64::from(self.max));
        let mut rows: Vec<Stored> = query.fetch_all(db).await.map_err(failed(PAGE))?;
        if self.last {
            rows.reverse();
        }
        Ok(rows)
    }

    async fn count(&self, db: &mut SqliteConnection) -> Result<u64, StoreError> {
        const COUNT: &str = selecting!("SELECT COUNT(*)", "");
        let query = sqlx::query_scalar(COUNT).bind(self.uid).bind(self.start).bind(self.end).bind(&self.with);
        let query = query.bind(self.after).bind(self.before);
        Ok(unsigned(query.fetch_one(db).await.map_err(failed(PAGE))?))
    }

    /// How many that the filters select, paging aside, lie before the page of `size` out of `between`.
    async fn before_page(
        &self,
        db: &mut SqliteConnection,
        size: u64,
        between: u64,
    ) -> Result<u64, StoreError> {
        let skipped = if self.last { between - size } else { 0 };
        let earlier = Selection { after: 0, before: self.after + 1, with: self.with.clone(), ..*self };
        let earlier = if self.after == 0 { 0 } else { earlier.count(db).await? };
        Ok(earlier + skipped)
    }
}
