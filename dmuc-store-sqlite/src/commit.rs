//! Making changes durable: one transaction for the commits of many rooms. One that is refused leaves the others.

use dmuc_core::storage::columns::signed;
use dmuc_core::storage::{Change, Lease, Revision, RoomCommit, StoreError, StoreErrorKind, Tombstone};
use dmuc_core::{Address, stanza::Payload};
use sqlx::{Connection, SqliteConnection};

use crate::SqliteStore;
use crate::append::append;
use crate::bulk::{Keyed, advance, commit_plain, divide, put};
use crate::error::{conflict, corrupt, failed};

const COMMIT: &str = "commit";
/// Locks at once, so that no transaction has to be given up half-way because another process writes.
const BEGIN: &str = "BEGIN IMMEDIATE";

impl SqliteStore {
    /// The commits in one transaction; if the transaction itself fails, so do all of them.
    pub(crate) async fn commit_all(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>> {
        let results = self.try_commit_all(commits).await;
        results.unwrap_or_else(|error| error.for_all(commits.len()))
    }

    /// Nearly always nothing is refused, and no savepoint is needed; if something is, all of it is done again with
    /// savepoints.
    async fn try_commit_all(
        &self,
        commits: &[RoomCommit],
    ) -> Result<Vec<Result<Revision, StoreError>>, StoreError> {
        match commits {
            [] => Ok(Vec::new()),
            [commit] => Ok(vec![self.commit_alone(commit).await]),
            commits => match self.commit_unguarded(commits).await? {
                Some(revisions) => Ok(revisions.into_iter().map(Ok).collect()),
                None => self.commit_guarded(commits).await,
            },
        }
    }

    async fn commit_alone(&self, commit: &RoomCommit) -> Result<Revision, StoreError> {
        let mut transaction = self.writer.begin_with(BEGIN).await.map_err(failed(COMMIT))?;
        let result = make(&mut transaction, std::slice::from_ref(commit)).await;
        let ended = if result.is_ok() { transaction.commit().await } else { transaction.rollback().await };
        ended.map_err(failed(COMMIT)).and(result.map(|()| after(commit)))
    }

    /// All of the commits, or `None` and nothing has happened.
    async fn commit_unguarded(&self, commits: &[RoomCommit]) -> Result<Option<Vec<Revision>>, StoreError> {
        let mut transaction = self.writer.begin_with(BEGIN).await.map_err(failed(COMMIT))?;
        match make(&mut transaction, commits).await {
            Ok(()) => {
                transaction.commit().await.map_err(failed(COMMIT))?;
                Ok(Some(commits.iter().map(after).collect()))
            }
            Err(error) if is_of_one_commit(&error) => {
                transaction.rollback().await.map_err(failed(COMMIT))?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Each of the commits that can be made; the others are rolled back to their savepoints.
    async fn commit_guarded(
        &self,
        commits: &[RoomCommit],
    ) -> Result<Vec<Result<Revision, StoreError>>, StoreError> {
        let mut transaction = self.writer.begin_with(BEGIN).await.map_err(failed(COMMIT))?;
        let mut results = Vec::with_capacity(commits.len());
        for commit in commits {
            let mut savepoint = transaction.begin().await.map_err(failed(COMMIT))?;
            let result = make(&mut savepoint, std::slice::from_ref(commit)).await;
            match &result {
                Ok(()) => savepoint.commit().await.map_err(failed(COMMIT))?,
                Err(error) if is_of_one_commit(error) => {
                    savepoint.rollback().await.map_err(failed(COMMIT))?;
                }
                Err(_) => return result.map(|()| results),
            }
            results.push(result.map(|()| after(commit)));
        }
        transaction.commit().await.map_err(failed(COMMIT))?;
        Ok(results)
    }
}

/// Whether an error says something about one commit only, and nothing about the store.
fn is_of_one_commit(error: &StoreError) -> bool {
    error.kind != StoreErrorKind::Unavailable
}

fn after(commit: &RoomCommit) -> Revision {
    Revision(commit.expected.0 + 1)
}

/// Makes the commits; on an error some may have been made in part, and the caller rolls back.
async fn make(db: &mut SqliteConnection, commits: &[RoomCommit]) -> Result<(), StoreError> {
    let (plain, others) = divide(commits);
    commit_plain(db, &plain).await?;
    for commit in &others {
        commit_one(db, commit).await?;
    }
    Ok(())
}

async fn commit_one(db: &mut SqliteConnection, keyed: &Keyed<'_>) -> Result<(), StoreError> {
    let (uid, commit) = keyed;
    let changes = match (commit.expected.0, commit.changes.split_first()) {
        (0, Some((Change::Create { jid }, rest))) => {
            create(db, uid, jid, &commit.lease).await?;
            rest
        }
        _ => {
            advance(db, std::slice::from_ref(keyed)).await?;
            &commit.changes
        }
    };
    for change in changes {
        apply(db, uid, change).await?;
    }
    Ok(())
}

async fn create(
    db: &mut SqliteConnection,
    uid: &str,
    jid: &Address,
    lease: &Lease,
) -> Result<(), StoreError> {
    let created = sqlx::query(
        "INSERT INTO rooms (uid, jid, domain, revision) SELECT ?1, ?2, ?3, 1 \
         WHERE NOT EXISTS (SELECT 1 FROM leases WHERE uid = ?1 AND fence > ?4) \
         AND NOT EXISTS (SELECT 1 FROM tombstones WHERE jid = ?2 AND blocks_until > ?5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(uid)
    .bind(jid.as_str())
    .bind(jid.domain())
    .bind(signed(lease.fence))
    .bind(signed(lease.expires.0))
    .execute(&mut *db)
    .await
    .map_err(failed(COMMIT))?;
    if created.rows_affected() == 0 {
        return Err(conflict("commit: the address is occupied or blocked, or the lease was taken over"));
    }
    sqlx::query("DELETE FROM tombstones WHERE jid = ?")
        .bind(jid.as_str())
        .execute(db)
        .await
        .map_err(failed(COMMIT))?;
    Ok(())
}

async fn apply(db: &mut SqliteConnection, uid: &str, change: &Change) -> Result<(), StoreError> {
    let query = match change {
        Change::Put { key, value } => return put(db, &[(uid, key, value)]).await,
        Change::Delete { key } => {
            sqlx::query("DELETE FROM parts WHERE uid = ? AND key = ?").bind(uid).bind(key)
        }
        Change::Append(entry) => return append(db, &[(uid, entry)]).await,
        Change::Redact { id, content } => {
            let bytes: usize = content.iter().map(|child| child.as_xml().len()).sum();
            sqlx::query(
                "UPDATE log SET event = json_set(event, '$.content', json(?)), bytes = ? WHERE uid = ? AND id = ?",
            )
            .bind(content_json(content)?)
            .bind(signed(bytes as u64))
            .bind(uid)
            .bind(&id.0[..])
        }
        Change::Withhold { pos, withheld } => sqlx::query(
            "UPDATE log SET withheld = ? WHERE uid = ? AND origin = ? AND incarnation = ? AND seq = ?",
        )
        .bind(withheld)
        .bind(uid)
        .bind(pos.o.as_ref())
        .bind(i64::from(pos.i))
        .bind(signed(pos.s)),
        Change::Destroy(tombstone) => return destroy(db, uid, tombstone.as_ref()).await,
        _ => return Err(conflict("commit: a change that this store does not know or that is out of place")),
    };
    query.execute(db).await.map_err(failed(COMMIT))?;
    Ok(())
}

fn content_json(content: &[Payload]) -> Result<String, StoreError> {
    serde_json::to_string(content).map_err(|error| corrupt(COMMIT)(error.into()))
}

async fn destroy(
    db: &mut SqliteConnection,
    uid: &str,
    tombstone: Option<&Tombstone>,
) -> Result<(), StoreError> {
    const DROPS: [&str; 4] = [
        "DELETE FROM rooms WHERE uid = ?",
        "DELETE FROM parts WHERE uid = ?",
        "DELETE FROM log WHERE uid = ?",
        "DELETE FROM frontiers WHERE uid = ?",
    ];
    for drop in DROPS {
        sqlx::query(drop).bind(uid).execute(&mut *db).await.map_err(failed(COMMIT))?;
    }
    match tombstone {
        Some(tombstone) => put_tombstone(db, tombstone).await,
        None => Ok(()),
    }
}

/// Puts a tombstone at its address, in place of another.
pub(crate) async fn put_tombstone(
    db: &mut SqliteConnection,
    tombstone: &Tombstone,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(tombstone).map_err(|error| corrupt(COMMIT)(error.into()))?;
    sqlx::query("INSERT OR REPLACE INTO tombstones (jid, blocks_until, tombstone) VALUES (?, ?, ?)")
        .bind(tombstone.jid.as_str())
        .bind(signed(tombstone.blocks_until.0))
        .bind(json)
        .execute(db)
        .await
        .map_err(failed(COMMIT))?;
    Ok(())
}
