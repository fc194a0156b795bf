//! The changes of many rooms together, for those that are plain: parts set and events appended, which is nearly all
//! that ever happens.

use std::collections::BTreeMap;

use dmuc_core::storage::columns::signed;
use dmuc_core::storage::{Change, LogEntry, RoomCommit, RoomUid, StoreError};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::append::{ROWS_MAX, append};
use crate::error::{conflict, failed};

const COMMIT: &str = "commit";

/// A commit and the uid of its room as it is stored.
pub(crate) type Keyed<'a> = (String, &'a RoomCommit);

pub(crate) fn keyed(commit: &RoomCommit) -> Keyed<'_> {
    (commit.lease.room.to_string(), commit)
}

/// The plain ones among commits, and the others. Where a room has several, their order matters, so none is plain.
pub(crate) fn divide(commits: &[RoomCommit]) -> (Vec<Keyed<'_>>, Vec<Keyed<'_>>) {
    let mut counts: BTreeMap<RoomUid, u32> = BTreeMap::new();
    commits.iter().for_each(|commit| *counts.entry(commit.lease.room).or_default() += 1);
    let plain = |change: &Change| matches!(change, Change::Put { .. } | Change::Append(_));
    commits
        .iter()
        .map(keyed)
        .partition(|(_, commit)| counts[&commit.lease.room] == 1 && commit.changes.iter().all(plain))
}

/// Makes plain commits, all or none: if any is refused the transaction must be rolled back.
pub(crate) async fn commit_plain(db: &mut SqliteConnection, commits: &[Keyed<'_>]) -> Result<(), StoreError> {
    advance(db, commits).await?;
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut entries: Vec<(&str, &LogEntry)> = Vec::new();
    for (uid, commit) in commits {
        for change in &commit.changes {
            match change {
                Change::Put { key, value } => parts.push((uid, key, value)),
                Change::Append(entry) => entries.push((uid, entry)),
                _ => return Err(conflict("commit: a change that is not plain")),
            }
        }
    }
    put(db, &parts).await?;
    append(db, &entries).await
}

/// Raises the revisions, if all of them are those expected and no lease has been taken over.
pub(crate) async fn advance(db: &mut SqliteConnection, commits: &[Keyed<'_>]) -> Result<(), StoreError> {
    for commits in commits.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("WITH asked (uid, revision, fence) AS (");
        query.push_values(commits, |mut row, (uid, commit)| {
            row.push_bind(uid.clone())
                .push_bind(signed(commit.expected.0))
                .push_bind(signed(commit.lease.fence));
        });
        // CROSS JOIN keeps SQLite from going through all rooms to find the few.
        query.push(
            ") UPDATE rooms SET revision = revision + 1 WHERE uid IN ( \
               SELECT held.uid FROM asked CROSS JOIN rooms AS held ON held.uid = asked.uid \
               WHERE held.revision = asked.revision AND NOT EXISTS ( \
                 SELECT 1 FROM leases WHERE leases.uid = asked.uid AND leases.fence > asked.fence))",
        );
        let advanced = query.build().execute(&mut *db).await.map_err(failed(COMMIT))?.rows_affected();
        if advanced < commits.len() as u64 {
            return Err(conflict("commit: another revision, or the lease was taken over"));
        }
    }
    Ok(())
}

/// Room, name and value of a part.
pub(crate) type Part<'a> = (&'a str, &'a str, &'a str);

pub(crate) async fn put(db: &mut SqliteConnection, parts: &[Part<'_>]) -> Result<(), StoreError> {
    for parts in parts.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO parts (uid, key, value) ");
        query.push_values(parts, |mut row, (uid, key, value)| {
            row.push_bind((*uid).to_owned()).push_bind((*key).to_owned()).push_bind((*value).to_owned());
        });
        query.push(" ON CONFLICT DO UPDATE SET value = excluded.value");
        query.build().execute(&mut *db).await.map_err(failed(COMMIT))?;
    }
    Ok(())
}
