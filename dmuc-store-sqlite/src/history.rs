//! The logs read in their several orders.

use std::collections::BTreeSet;

use async_trait::async_trait;
use dmuc_core::Millis;
use dmuc_core::event::{ChainDigest, EventId, Position};
use dmuc_core::storage::columns::{first_stamp, last_stamp, signed, unsigned};
use dmuc_core::storage::{ArchiveQuery, Frontier, HistoryStore, LogEntry, Page, Recent, RoomUid, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::SqliteStore;
use crate::append::{append, recount};
use crate::error::{corrupt, failed};

const FRONTIER: &str = "read the frontier";
const READ: &str = "read a log";
const PAGE: &str = "read a page of the archive";
const EXPIRE: &str = "expire a log";

/// What every reader needs of an entry.
pub(crate) struct Stored {
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
    pub(crate) fn read(self) -> Result<LogEntry, StoreError> {
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
        .bind(limits.since.map_or(0, first_stamp))
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
        let Some(selection) = Selection::of(&mut read, &uid, query).await? else { return Ok(None) };
        let Some(page) = bounds(&mut read, &uid, query.after, query.before).await? else { return Ok(None) };
        let entries = entries(selection.rows(&mut read, page).await?)?;
        let between = selection.count(&mut read, page).await?;
        let size = entries.len() as u64;
        let skipped = query.index.unwrap_or(0).min(between);
        let complete = skipped + size == between;
        let earlier = if page == ALL { 0 } else { selection.count(&mut read, (0, page.0 + 1)).await? };
        let index = earlier + if query.last { between - size } else { skipped };
        let count = if page == ALL { between } else { selection.count(&mut read, ALL).await? };
        Ok(Some(Page { entries, complete, count, index }))
    }

    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError> {
        let uid = room.to_string();
        // Most rooms have nothing so old, and need not wait for their turn to write.
        if !self.has_older(&uid, before).await? {
            return Ok(0);
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(EXPIRE))?;
        keep_digests(&mut transaction, &uid).await?;
        let dropped = sqlx::query("DELETE FROM log WHERE uid = ? AND hlc < ?")
            .bind(&uid)
            .bind(first_stamp(before))
            .execute(&mut *transaction)
            .await
            .map_err(failed(EXPIRE))?
            .rows_affected();
        keep_places(&mut transaction, &uid).await?;
        transaction.commit().await.map_err(failed(EXPIRE))?;
        Ok(dropped)
    }
}

impl SqliteStore {
    async fn has_older(&self, uid: &str, before: Millis) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM log WHERE uid = ? AND hlc < ?)")
            .bind(uid)
            .bind(first_stamp(before))
            .fetch_one(&self.readers)
            .await
            .map_err(failed(EXPIRE))
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

/// Arrivals between which something lies, both excluded.
type Bounds = (i64, i64);

const ALL: Bounds = (0, i64::MAX);

/// What lies after and before events; nothing if one is not held.
async fn bounds(
    db: &mut SqliteConnection,
    uid: &str,
    after: Option<EventId>,
    before: Option<EventId>,
) -> Result<Option<Bounds>, StoreError> {
    let after = arrival(db, uid, after, ALL.0).await?;
    let before = arrival(db, uid, before, ALL.1).await?;
    Ok(after.zip(before))
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

/// What the filters of an archive query select. But for single entries, an index holds all that they ask for.
struct Selection<'a> {
    uid: &'a str,
    query: &'a ArchiveQuery,
    /// Those of `after_id` and `before_id`.
    within: Bounds,
    /// The single entries that are wanted, as a JSON array of hex.
    ids: Option<String>,
}

impl<'a> Selection<'a> {
    /// The filters; nothing if one names an event that is not held.
    async fn of(
        db: &mut SqliteConnection,
        uid: &'a str,
        query: &'a ArchiveQuery,
    ) -> Result<Option<Self>, StoreError> {
        let ids: Option<BTreeSet<EventId>> = query.ids.as_ref().map(|ids| ids.iter().copied().collect());
        let hex = |id: &EventId| format!("\"{:032x}\"", u128::from_be_bytes(id.0));
        let named = ids.iter().map(BTreeSet::len).sum::<usize>() as u64;
        let ids = ids.map(|ids| format!("[{}]", ids.iter().map(hex).collect::<Vec<_>>().join(",")));
        let all = ArchiveQuery::default();
        let single = Selection { uid, query: &all, within: ALL, ids };
        if single.ids.is_some() && single.count_held(db).await? < named {
            return Ok(None);
        }
        let within = bounds(db, uid, query.after_id, query.before_id).await?;
        Ok(within.map(|within| Self { uid, query, within, ids: single.ids }))
    }

    /// A statement about the single entries, withheld or not.
    async fn count_held(&self, db: &mut SqliteConnection) -> Result<u64, StoreError> {
        let mut sql = QueryBuilder::new("SELECT COUNT(*) FROM log WHERE uid = ");
        sql.push_bind(self.uid);
        self.only_ids(&mut sql);
        let count = sql.build_query_scalar().fetch_one(db).await.map_err(failed(PAGE))?;
        Ok(unsigned(count))
    }

    fn only_ids(&self, sql: &mut QueryBuilder<Sqlite>) {
        if let Some(ids) = &self.ids {
            sql.push(" AND id IN (SELECT unhex(value) FROM json_each(").push_bind(ids.clone()).push("))");
        }
    }

    /// A statement about what is selected, from its head on; its tail is up to the caller.
    fn statement(&self, head: &str, (after, before): Bounds) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new(head);
        sql.push(" FROM log WHERE withheld = 0 AND uid = ").push_bind(self.uid);
        sql.push(" AND arrival > ").push_bind(after.max(self.within.0));
        sql.push(" AND arrival < ").push_bind(before.min(self.within.1));
        if let Some(start) = self.query.start {
            sql.push(" AND hlc >= ").push_bind(first_stamp(start));
        }
        if let Some(end) = self.query.end {
            sql.push(" AND hlc <= ").push_bind(last_stamp(end));
        }
        if let Some(oid) = &self.query.oid {
            sql.push(" AND oid = ").push_bind(oid.as_str());
        }
        if let Some(nick) = &self.query.nick {
            sql.push(" AND nick = ").push_bind(nick.as_str());
        }
        self.only_ids(&mut sql);
        sql
    }

    async fn rows(&self, db: &mut SqliteConnection, page: Bounds) -> Result<Vec<Stored>, StoreError> {
        let mut sql = self.statement("SELECT event, digest, withheld", page);
        sql.push(if self.query.last { " ORDER BY arrival DESC LIMIT " } else { " ORDER BY arrival LIMIT " });
        sql.push_bind(i64::from(self.query.max));
        if let Some(index) = self.query.index {
            sql.push(" OFFSET ").push_bind(signed(index));
        }
        let mut rows: Vec<Stored> = sql.build_query_as().fetch_all(db).await.map_err(failed(PAGE))?;
        if self.query.last {
            rows.reverse();
        }
        Ok(rows)
    }

    async fn count(&self, db: &mut SqliteConnection, page: Bounds) -> Result<u64, StoreError> {
        let mut sql = self.statement("SELECT COUNT(*)", page);
        let count = sql.build_query_scalar().fetch_one(db).await.map_err(failed(PAGE))?;
        Ok(unsigned(count))
    }
}
