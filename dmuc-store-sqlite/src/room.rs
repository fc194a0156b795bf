//! Rooms by address.

use std::collections::BTreeMap;

use async_trait::async_trait;
use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{
    Directory, DirectoryPage, Entry, Found, Lease, Listed, Renewal, Revision, Room, RoomCommit, RoomUid,
    StoreError, Tombstone,
};
use dmuc_core::{Address, Millis};
use sqlx::Row;

use crate::SqliteStore;
use crate::error::{corrupt, failed};

const LOAD: &str = "load a room";
const LIST: &str = "list rooms";
const TALLY: &str = "count rooms";
const HOLDING: &str = "look up rooms by a part";

#[async_trait]
impl Room for SqliteStore {
    async fn load(&self, jid: &Address, now: Millis) -> Result<Entry, StoreError> {
        let mut read = self.readers.begin().await.map_err(failed(LOAD))?;
        let row = sqlx::query("SELECT uid, revision FROM rooms WHERE jid = ?")
            .bind(jid.as_str())
            .fetch_optional(&mut *read)
            .await
            .map_err(failed(LOAD))?;
        if let Some(row) = row {
            let uid: String = row.try_get(0).map_err(failed(LOAD))?;
            let revision: i64 = row.try_get(1).map_err(failed(LOAD))?;
            let parts = sqlx::query_as::<_, (String, String)>("SELECT key, value FROM parts WHERE uid = ?")
                .bind(&uid)
                .fetch_all(&mut *read)
                .await
                .map_err(failed(LOAD))?;
            let parts: BTreeMap<String, String> = parts.into_iter().collect();
            return Ok(Entry::Room(Found {
                uid: read_uid(&uid)?,
                revision: Revision(unsigned(revision)),
                parts,
            }));
        }
        let tombstone: Option<String> =
            sqlx::query_scalar("SELECT tombstone FROM tombstones WHERE jid = ? AND blocks_until > ?")
                .bind(jid.as_str())
                .bind(signed(now.0))
                .fetch_optional(&mut *read)
                .await
                .map_err(failed(LOAD))?;
        let tombstone: Option<Tombstone> = tombstone
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|e| corrupt(LOAD)(e.into()))?;
        Ok(tombstone.map_or(Entry::Vacant, Entry::Tombstone))
    }

    async fn commit(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>> {
        self.commit_all(commits).await
    }

    async fn acquire(
        &self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        self.acquire_lease(room, node, now, ttl_ms).await
    }

    async fn renew(&self, leases: &[Lease], now: Millis, ttl_ms: u64) -> Vec<Result<Renewal, StoreError>> {
        let renewed = self.renew_leases(leases, now, ttl_ms).await;
        renewed.unwrap_or_else(|error| error.for_all(leases.len()))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.release_lease(lease).await
    }

    async fn abandoned(&self, domain: &str, now: Millis, limit: u32) -> Result<Vec<Address>, StoreError> {
        self.abandoned_rooms(domain, now, limit).await
    }

    async fn list(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let rows = sqlx::query_as::<_, (String, String, Option<String>)>(
            "SELECT rooms.jid, rooms.uid, parts.value FROM rooms \
             LEFT JOIN parts ON parts.uid = rooms.uid AND parts.key = 'card' \
             WHERE rooms.domain = ? AND rooms.jid > ? ORDER BY rooms.jid LIMIT ?",
        )
        .bind(domain)
        .bind(after.map_or("", Address::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(failed(LIST))?;
        rows.into_iter().map(read_listed).collect()
    }

    /// Reads the index of the cards from end to end, and nothing else of their rooms.
    async fn tally(&self, domain: &str, field: &str) -> Result<BTreeMap<String, u32>, StoreError> {
        let rows = sqlx::query_as::<_, (String, u32)>(
            "SELECT CASE WHEN json_valid(value) AND json_type(value, ?1) = 'text' \
                 THEN json_extract(value, ?1) ELSE '' END, COUNT(*) \
             FROM parts INDEXED BY cards CROSS JOIN rooms ON rooms.uid = parts.uid \
             WHERE parts.key = 'card' AND rooms.domain = ?2 GROUP BY 1",
        )
        .bind(format!("$.\"{field}\""))
        .bind(domain)
        .fetch_all(&self.readers)
        .await
        .map_err(failed(TALLY))?;
        Ok(rows.into_iter().collect())
    }

    async fn directory(&self, domain: &str, wanted: &Directory) -> Result<Option<DirectoryPage>, StoreError> {
        self.directory_page(domain, wanted).await
    }

    async fn holding(
        &self,
        domain: &str,
        key: &str,
        limit: u32,
    ) -> Result<Vec<(Address, String)>, StoreError> {
        // The index holds subscribers alone, and is used only by a query that says so.
        let by_key = if key.starts_with("subscriber/") {
            "SELECT rooms.jid, parts.value FROM parts INDEXED BY subscribers \
             CROSS JOIN rooms ON rooms.uid = parts.uid \
             WHERE parts.key = ?1 AND parts.key GLOB 'subscriber/*' AND rooms.domain = ?2 \
             ORDER BY rooms.jid LIMIT ?3"
        } else {
            "SELECT rooms.jid, parts.value FROM rooms JOIN parts ON parts.uid = rooms.uid AND parts.key = ?1 \
             WHERE rooms.domain = ?2 ORDER BY rooms.jid LIMIT ?3"
        };
        let rows = sqlx::query_as::<_, (String, String)>(by_key)
            .bind(key)
            .bind(domain)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(HOLDING))?;
        let room = |(jid, part): (String, String)| match Address::parse(&jid) {
            Ok(jid) => Ok((jid, part)),
            Err(error) => Err(corrupt(HOLDING)(error.into())),
        };
        rows.into_iter().map(room).collect()
    }
}

/// A listed room out of its address, uid and card.
pub(crate) fn read_listed((jid, uid, card): (String, String, Option<String>)) -> Result<Listed, StoreError> {
    let jid = Address::parse(&jid).map_err(|e| corrupt(LIST)(e.into()))?;
    Ok(Listed { jid, uid: read_uid(&uid)?, card })
}

pub(crate) fn read_uid(text: &str) -> Result<RoomUid, StoreError> {
    text.parse().map(RoomUid).map_err(|error: uuid::Error| corrupt("read a room's uid")(error.into()))
}
