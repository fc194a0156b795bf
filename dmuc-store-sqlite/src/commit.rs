//! Making changes durable: one transaction for the commits of many rooms, each in a savepoint of its own.

use dmuc_core::storage::{Change, Revision, RoomCommit, StoreError, StoreErrorKind, Tombstone};
use dmuc_core::{Address, stanza::Payload};
use sqlx::{Connection, SqliteConnection};

use crate::SqliteStore;
use crate::append::append;
use crate::error::{conflict, corrupt, failed, signed};

const COMMIT: &str = "commit";

impl SqliteStore {
    /// The commits in one transaction. One that is refused is rolled back to its savepoint; if the transaction itself
    /// fails, none of them happened.
    pub(crate) async fn commit_all(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>> {
        match self.try_commit_all(commits).await {
            Ok(results) => results,
            Err(error) => {
                let (kind, text) =
                    (error.kind, error.source.map_or_else(String::new, |source| source.to_string()));
                commits.iter().map(|_| Err(StoreError::caused(kind, COMMIT, text.clone()))).collect()
            }
        }
    }

    async fn try_commit_all(
        &self,
        commits: &[RoomCommit],
    ) -> Result<Vec<Result<Revision, StoreError>>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(COMMIT))?;
        let mut results = Vec::with_capacity(commits.len());
        for commit in commits {
            let mut savepoint = transaction.begin().await.map_err(failed(COMMIT))?;
            let result = commit_one(&mut savepoint, commit).await;
            match result {
                Ok(_) => savepoint.commit().await.map_err(failed(COMMIT))?,
                Err(ref error) if error.kind == StoreErrorKind::Conflict => {
                    savepoint.rollback().await.map_err(failed(COMMIT))?;
                }
                Err(error) => return Err(error),
            }
            results.push(result);
        }
        transaction.commit().await.map_err(failed(COMMIT))?;
        Ok(results)
    }
}

async fn commit_one(db: &mut SqliteConnection, commit: &RoomCommit) -> Result<Revision, StoreError> {
    let uid = commit.lease.room.to_string();
    let newer: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM leases WHERE uid = ? AND fence > ?)")
        .bind(&uid)
        .bind(signed(commit.lease.fence))
        .fetch_one(&mut *db)
        .await
        .map_err(failed(COMMIT))?;
    if newer {
        return Err(conflict("commit: the lease was taken over"));
    }
    let mut changes = commit.changes.as_slice();
    if let (0, Some((Change::Create { jid }, rest))) = (commit.expected.0, changes.split_first()) {
        create(db, &uid, jid).await?;
        changes = rest;
    }
    let next = advance(db, &uid, commit.expected).await?;
    for change in changes {
        apply(db, &uid, change).await?;
    }
    Ok(next)
}

async fn create(db: &mut SqliteConnection, uid: &str, jid: &Address) -> Result<(), StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO rooms (uid, jid, domain, revision) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING",
    )
    .bind(uid)
    .bind(jid.as_str())
    .bind(jid.domain())
    .execute(&mut *db)
    .await
    .map_err(failed(COMMIT))?;
    if inserted.rows_affected() == 0 {
        return Err(conflict("commit: there is a room already"));
    }
    sqlx::query("DELETE FROM tombstones WHERE jid = ?")
        .bind(jid.as_str())
        .execute(db)
        .await
        .map_err(failed(COMMIT))?;
    Ok(())
}

async fn advance(db: &mut SqliteConnection, uid: &str, expected: Revision) -> Result<Revision, StoreError> {
    let advanced = sqlx::query("UPDATE rooms SET revision = revision + 1 WHERE uid = ? AND revision = ?")
        .bind(uid)
        .bind(signed(expected.0))
        .execute(db)
        .await
        .map_err(failed(COMMIT))?;
    match advanced.rows_affected() {
        0 => Err(conflict("commit: another revision")),
        _ => Ok(Revision(expected.0 + 1)),
    }
}

async fn apply(db: &mut SqliteConnection, uid: &str, change: &Change) -> Result<(), StoreError> {
    let query = match change {
        Change::Put { key, value } => sqlx::query(
            "INSERT INTO parts (uid, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        )
        .bind(uid)
        .bind(key)
        .bind(value),
        Change::Delete { key } => sqlx::query("DELETE FROM parts WHERE uid = ? AND key = ?").bind(uid).bind(key),
        Change::Append(entry) => return append(db, uid, entry).await,
        Change::Redact { id, content } => {
            let content = content_json(content)?;
            sqlx::query("UPDATE log SET event = json_set(event, '$.content', json(?)) WHERE uid = ? AND id = ?")
                .bind(content)
                .bind(uid)
                .bind(id.0.to_vec())
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
    let Some(tombstone) = tombstone else { return Ok(()) };
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
