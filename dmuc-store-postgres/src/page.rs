//! Pages of the archive: which entries, how many the filters select, and how many of those come before.
//!
//! Speakers and single entries have indexes that hold nothing else, so that counting reads no more than what is
//! selected. All other queries select nearly everything between two places or two times; they count by chapters.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::event::EventId;
use dmuc_core::storage::columns::{first_stamp, last_stamp, signed, unsigned};
use dmuc_core::storage::{ArchiveQuery, Page, RoomUid, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::PostgresStore;
use crate::append::id;
use crate::database::column;
use crate::history::{ENTRY, read_entry};

const PAGE: &str = "read a page of the archive";

/// Places in the order of arrival between which something lies, both excluded.
type Bounds = (i64, i64);

const ALL: Bounds = (0, i64::MAX);

/// Where the events that a query names stand in the order of arrival.
struct Places(BTreeMap<Uuid, i64>);

impl Places {
    /// Where an event stands; `absent` if none is named, nothing if it is not held.
    fn of(&self, event: Option<EventId>, absent: i64) -> Option<i64> {
        event.map_or(Some(absent), |event| self.0.get(&id(event)).copied())
    }

    fn between(&self, after: Option<EventId>, before: Option<EventId>) -> Option<Bounds> {
        Some((self.of(after, ALL.0)?, self.of(before, ALL.1)?))
    }
}

impl PostgresStore {
    /// Places never change, so they may be looked up before; the page itself is one statement, and one snapshot.
    pub(crate) async fn archive_page(
        &self,
        room: RoomUid,
        query: &ArchiveQuery,
    ) -> Result<Option<Page>, StoreError> {
        let places = self.places(room, query).await?;
        let Some(selection) = Selection::of(room, query, &places) else { return Ok(None) };
        let Some(page) = places.between(query.after, query.before) else { return Ok(None) };
        let mut sql = selection.page(page);
        let rows = self.database.rows(PAGE, sql.build()).await?;
        read_page(query, &rows).map(Some)
    }

    async fn places(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Places, StoreError> {
        let bounds = [query.after_id, query.before_id, query.after, query.before];
        let named = bounds.iter().flatten().chain(query.ids.iter().flatten());
        let named: BTreeSet<Uuid> = named.map(|event| id(*event)).collect();
        if named.is_empty() {
            return Ok(Places(BTreeMap::new()));
        }
        let statement = sqlx::query("SELECT id, arrival FROM log WHERE uid = $1 AND id = ANY ($2)");
        let statement = statement.bind(room.0).bind(named.into_iter().collect::<Vec<_>>());
        let rows = self.database.rows(PAGE, statement).await?;
        let place = |row| Ok((column(row, 0, PAGE)?, column(row, 1, PAGE)?));
        rows.iter().map(place).collect::<Result<_, _>>().map(Places)
    }
}

/// A page out of rows which each hold an entry and the three counts; one without an entry if the page is empty.
fn read_page(query: &ArchiveQuery, rows: &[PgRow]) -> Result<Page, StoreError> {
    let counted = |place| rows.first().map_or(Ok(0), |row| column::<i64>(row, place, PAGE)).map(unsigned);
    let (count, between, earlier) = (counted(5)?, counted(6)?, counted(7)?);
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        if column::<Option<i64>>(row, 4, PAGE)?.is_some() {
            entries.push(read_entry(row)?);
        }
    }
    let size = entries.len() as u64;
    let skipped = query.index.unwrap_or(0).min(between);
    let complete = skipped + size == between;
    let index = earlier + if query.last { between - size } else { skipped };
    Ok(Page { entries, complete, count, index })
}

/// What the filters of an archive query select.
struct Selection<'a> {
    room: Uuid,
    query: &'a ArchiveQuery,
    /// Those of `after_id` and `before_id`.
    within: Bounds,
    /// The places of single entries.
    single: Option<Vec<i64>>,
    /// First and last stamp.
    times: (i64, i64),
}

impl<'a> Selection<'a> {
    /// The filters; nothing if one names an event that is not held.
    fn of(room: RoomUid, query: &'a ArchiveQuery, places: &Places) -> Option<Self> {
        let within = places.between(query.after_id, query.before_id)?;
        let ids = query.ids.as_ref();
        let single = ids.map(|ids| ids.iter().map(|id| places.of(Some(*id), 0)).collect::<Option<_>>());
        let single = match single {
            Some(places) => Some(places?),
            None => None,
        };
        let times = (query.start.map_or(0, first_stamp), query.end.map_or(i64::MAX, last_stamp));
        Some(Self { room: room.0, query, within, single, times })
    }

    /// Whether an index holds all that is selected, or nearly so.
    fn is_narrow(&self) -> bool {
        self.single.is_some() || self.query.oid.is_some() || self.query.nick.is_some()
    }

    fn narrowed(&self, (after, before): Bounds) -> Bounds {
        (after.max(self.within.0), before.min(self.within.1))
    }

    /// The whole statement. Of the whole archive, nothing is counted twice.
    fn page(&self, page: Bounds) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(ENTRY).push(", arrival, count_all, count_between, count_earlier FROM (SELECT ");
        self.push_count(&mut sql, ALL);
        sql.push(" AS count_all");
        if page != ALL {
            sql.push(", ");
            self.push_count(&mut sql, page);
            sql.push(" AS count_between, ");
            // Up to and with the one that the page begins after.
            self.push_count(&mut sql, (ALL.0, page.0 + 1));
            sql.push(" AS count_earlier");
        }
        sql.push(") AS counts");
        if page == ALL {
            sql.push(
                " CROSS JOIN LATERAL (SELECT count_all AS count_between, 0::bigint AS count_earlier) AS same",
            );
        }
        sql.push(" LEFT JOIN LATERAL (");
        self.push_rows(&mut sql, page);
        sql.push(") AS page ON true ORDER BY arrival");
        sql
    }

    fn push_rows(&self, sql: &mut QueryBuilder<Postgres>, page: Bounds) {
        let by_chapter = !self.is_narrow();
        if let Some(index) = self.query.index.filter(|_| by_chapter) {
            self.push_start(sql, page, index);
        }
        sql.push("SELECT ").push(ENTRY).push(", arrival FROM log");
        self.push_conditions(sql, page);
        match self.query.index {
            Some(_) if by_chapter => drop(sql.push(" AND arrival >= (SELECT chapter * 1024 FROM start)")),
            None if by_chapter => self.push_span(sql, page),
            _ => {}
        }
        sql.push(if self.query.last { " ORDER BY arrival DESC LIMIT " } else { " ORDER BY arrival LIMIT " });
        sql.push_bind(i64::from(self.query.max));
        if let Some(index) = self.query.index {
            sql.push(" OFFSET ").push_bind(signed(index));
            if by_chapter {
                sql.push(" - (SELECT skipped FROM start)");
            }
        }
    }

    /// Finds the chapter where a page at an index begins, and how many are selected in those before.
    fn push_start(&self, sql: &mut QueryBuilder<Postgres>, page: Bounds, index: u64) {
        sql.push("WITH start AS (SELECT chapter, skipped FROM (SELECT chapter, ");
        sql.push("sum(entries) OVER (ORDER BY chapter)::bigint - entries AS skipped FROM ");
        self.push_chapters(sql, page);
        sql.push(" AS chapters) AS summed WHERE skipped <= ").push_bind(signed(index));
        sql.push(" ORDER BY chapter DESC LIMIT 1) ");
    }

    /// Leaves out the chapters before the first and after the last that can have anything.
    fn push_span(&self, sql: &mut QueryBuilder<Postgres>, page: Bounds) {
        for (condition, end) in [(" AND arrival >= ", "min"), (" AND arrival <= 1023 + ", "max")] {
            sql.push(condition).push("(SELECT ").push(end).push("(chapter) * 1024 FROM ");
            self.push_chapters(sql, page);
            sql.push(" AS chapters WHERE entries > 0)");
        }
    }

    fn push_chapters(&self, sql: &mut QueryBuilder<Postgres>, bounds: Bounds) {
        let (after, before) = self.narrowed(bounds);
        sql.push("shown_by_chapter(").push_bind(self.room);
        for number in [after, before, self.times.0, self.times.1] {
            sql.push(", ").push_bind(number);
        }
        sql.push(")");
    }

    fn push_count(&self, sql: &mut QueryBuilder<Postgres>, bounds: Bounds) {
        if self.is_narrow() {
            sql.push("(SELECT count(*) FROM log");
            self.push_conditions(sql, bounds);
        } else {
            sql.push("(SELECT coalesce(sum(entries), 0)::bigint FROM ");
            self.push_chapters(sql, bounds);
        }
        sql.push(")");
    }

    fn push_conditions(&self, sql: &mut QueryBuilder<Postgres>, bounds: Bounds) {
        let (after, before) = self.narrowed(bounds);
        sql.push(" WHERE NOT withheld AND uid = ").push_bind(self.room);
        sql.push(" AND arrival > ").push_bind(after).push(" AND arrival < ").push_bind(before);
        if self.times != (0, i64::MAX) {
            // IS TRUE keeps the planner from the index of stamps: what it finds there would have to be sorted.
            sql.push(" AND (hlc BETWEEN ").push_bind(self.times.0);
            sql.push(" AND ").push_bind(self.times.1).push(") IS TRUE");
        }
        if let Some(oid) = &self.query.oid {
            sql.push(" AND oid = ").push_bind(oid.clone());
        }
        if let Some(nick) = &self.query.nick {
            sql.push(" AND nick = ").push_bind(nick.as_str().to_owned());
        }
        if let Some(places) = &self.single {
            sql.push(" AND arrival = ANY (").push_bind(places.clone()).push(")");
        }
    }
}
