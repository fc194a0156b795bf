//! The directory of public rooms, by pages.

use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{Directory, DirectoryPage, StoreError};
use sqlx::{Postgres, QueryBuilder};

use crate::PostgresStore;
use crate::database::column;
use crate::room::read_listed;

const READ: &str = "read the directory";

impl PostgresStore {
    /// One page in one statement: its rooms, their number and their place among all belong together.
    pub(crate) async fn directory_page(
        &self,
        domain: &str,
        wanted: &Directory,
    ) -> Result<Option<DirectoryPage>, StoreError> {
        let mut sql = select(domain, wanted);
        let rows = self.database.rows(READ, sql.build()).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        if !column::<bool>(first, 5, READ)? {
            return Ok(None);
        }
        let index: Option<i64> = column(first, 4, READ)?;
        let count = unsigned(column(first, 3, READ)?);
        let rooms = if index.is_some() { &rows[..] } else { &[] };
        let rooms = rooms.iter().map(read_listed).collect::<Result<_, _>>()?;
        Ok(Some(DirectoryPage { rooms, count, index: index.map_or(0, unsigned) }))
    }
}

/// A row for each room of the page, or one without a room: the room, how many there are in all, how many come before, and
/// whether the bounds are public rooms.
fn select(domain: &str, wanted: &Directory) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "WITH public AS NOT MATERIALIZED (SELECT jid, uid FROM addresses WHERE public AND domain = ",
    );
    sql.push_bind(domain.to_owned());
    sql.push("), page AS (SELECT jid, uid FROM public WHERE true");
    for (condition, bound) in [(" AND jid > ", &wanted.after), (" AND jid < ", &wanted.before)] {
        if let Some(bound) = bound {
            sql.push(condition).push_bind(bound.as_str().to_owned());
        }
    }
    sql.push(if wanted.last { " ORDER BY jid DESC LIMIT " } else { " ORDER BY jid LIMIT " });
    sql.push_bind(i64::from(wanted.max)).push(" OFFSET ").push_bind(signed(wanted.index.unwrap_or(0)));
    sql.push(
        ") SELECT page.jid, page.uid, parts.value, (SELECT count(*) FROM public), CASE WHEN page.jid IS NOT NULL THEN \
           (SELECT count(*) FROM public WHERE jid < (SELECT min(jid) FROM page)) END, true",
    );
    for bound in [&wanted.after, &wanted.before].into_iter().flatten() {
        sql.push(" AND EXISTS (SELECT FROM public WHERE jid = ")
            .push_bind(bound.as_str().to_owned())
            .push(")");
    }
    sql.push(
        " FROM (SELECT) AS always LEFT JOIN page ON true \
         LEFT JOIN parts ON parts.uid = page.uid AND parts.key = 'card' ORDER BY page.jid",
    );
    sql
}
