//! The directory of public rooms, by pages.

use dmuc_core::Address;
use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{Directory, DirectoryPage, Listed, StoreError};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::SqliteStore;
use crate::error::failed;
use crate::room::read_listed;

const READ: &str = "read the directory";
const PUBLIC: &str = "FROM rooms WHERE domain = ? AND public = 1";

impl SqliteStore {
    /// One page, as a snapshot: its rooms, their number and their place among all belong together.
    pub(crate) async fn directory_page(
        &self,
        domain: &str,
        wanted: &Directory,
    ) -> Result<Option<DirectoryPage>, StoreError> {
        let mut read = self.readers.begin().await.map_err(failed(READ))?;
        let db = &mut *read;
        for bound in [&wanted.after, &wanted.before].into_iter().flatten() {
            if count(db, domain, Some((" AND jid = ?", bound))).await? == 0 {
                return Ok(None);
            }
        }
        let count_all = count(db, domain, None).await?;
        let rooms = select(db, domain, wanted).await?;
        let index = match rooms.first() {
            Some(first) => count(db, domain, Some((" AND jid < ?", &first.jid))).await?,
            None => 0,
        };
        Ok(Some(DirectoryPage { rooms, count: count_all, index }))
    }
}

async fn count(
    db: &mut SqliteConnection,
    domain: &str,
    bound: Option<(&str, &Address)>,
) -> Result<u64, StoreError> {
    let (condition, jid) = bound.unzip();
    let sql = format!("SELECT count(*) {PUBLIC}{}", condition.unwrap_or(""));
    let query = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).bind(domain);
    let query = if let Some(jid) = jid { query.bind(jid.as_str()) } else { query };
    query.fetch_one(db).await.map(unsigned).map_err(failed(READ))
}

async fn select(
    db: &mut SqliteConnection,
    domain: &str,
    wanted: &Directory,
) -> Result<Vec<Listed>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT page.jid, page.uid, parts.value FROM (SELECT jid, uid FROM rooms WHERE public = 1 AND domain = ",
    );
    query.push_bind(domain);
    for (condition, bound) in [(" AND jid > ", &wanted.after), (" AND jid < ", &wanted.before)] {
        if let Some(bound) = bound {
            query.push(condition).push_bind(bound.as_str());
        }
    }
    query.push(if wanted.last { " ORDER BY jid DESC LIMIT " } else { " ORDER BY jid LIMIT " });
    query.push_bind(i64::from(wanted.max)).push(" OFFSET ").push_bind(signed(wanted.index.unwrap_or(0)));
    query.push(") AS page LEFT JOIN parts ON parts.uid = page.uid AND parts.key = 'card' ORDER BY page.jid");
    let rows = query.build_query_as::<(String, String, Option<String>)>();
    let rows = rows.fetch_all(db).await.map_err(failed(READ))?;
    rows.into_iter().map(read_listed).collect()
}
