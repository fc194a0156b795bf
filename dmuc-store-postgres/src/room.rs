//! Rooms by address.

use std::collections::BTreeMap;

use async_trait::async_trait;
use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{
    Directory, DirectoryPage, Entry, Found, Lease, Listed, Renewal, Revision, Room, RoomCommit, RoomUid,
    StoreError, StoreErrorKind, card_field,
};
use dmuc_core::{Address, Millis};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::PostgresStore;
use crate::database::column;
use crate::error::corrupt;

const LOAD: &str = "load a room";
const LIST: &str = "list rooms";
const HOLDING: &str = "look up rooms by a part";
/// Cards read at once for counting rooms.
const TALLY_ROWS: u32 = 10_000;

#[async_trait]
impl Room for PostgresStore {
    /// One statement, and so one snapshot: a room and the tombstone that follows it are never both missed.
    async fn load(&self, jid: &Address, now: Millis) -> Result<Entry, StoreError> {
        let statement = sqlx::query(
            "SELECT addresses.uid, rooms.revision, parts.key, parts.value, tombstone \
             FROM (SELECT $1 AS jid) AS asked LEFT JOIN addresses ON addresses.jid = asked.jid \
             LEFT JOIN rooms ON rooms.uid = addresses.uid LEFT JOIN parts ON parts.uid = addresses.uid \
             LEFT JOIN tombstones ON tombstones.jid = asked.jid AND blocks_until > $2",
        );
        let rows = self.database.rows(LOAD, statement.bind(jid.as_str()).bind(signed(now.0))).await?;
        let Some(first) = rows.first() else { return Ok(Entry::Vacant) };
        let tombstone: Option<String> = column(first, 4, LOAD)?;
        match (column(first, 0, LOAD)?, tombstone) {
            (Some(uid), _) => read_room(uid, &rows).map(Entry::Room),
            (None, Some(json)) => {
                serde_json::from_str(&json).map(Entry::Tombstone).map_err(|error| corrupt(LOAD)(error.into()))
            }
            (None, None) => Ok(Entry::Vacant),
        }
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
        let statement = sqlx::query(
            "SELECT page.jid, page.uid, parts.value FROM ( \
               SELECT jid, uid FROM addresses WHERE domain = $1 AND jid > $2 ORDER BY jid LIMIT $3) AS page \
             LEFT JOIN parts ON parts.uid = page.uid AND parts.key = 'card' ORDER BY page.jid",
        );
        let after = after.map_or("", Address::as_str);
        let statement = statement.bind(domain).bind(after).bind(i64::from(limit));
        self.database.rows(LIST, statement).await?.iter().map(read_listed).collect()
    }

    /// Reads the cards by pages: what is in them is not for the database, which refuses some JSON.
    async fn tally(&self, domain: &str, field: &str) -> Result<BTreeMap<String, u32>, StoreError> {
        let mut counts = BTreeMap::new();
        let mut after: Option<Address> = None;
        loop {
            let page = self.list(domain, after.as_ref(), TALLY_ROWS).await?;
            for card in page.iter().filter_map(|room| room.card.as_ref()) {
                *counts.entry(card_field(card, field)).or_default() += 1;
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.jid),
                None => return Ok(counts),
            }
        }
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
            "SELECT jid, value FROM parts JOIN addresses USING (uid) \
             WHERE key = $1 AND key >= 'subscriber/' AND key < 'subscriber0' AND domain = $2 ORDER BY jid LIMIT $3"
        } else {
            "SELECT jid, value FROM addresses JOIN parts USING (uid) \
             WHERE key = $1 AND domain = $2 ORDER BY jid LIMIT $3"
        };
        let statement = sqlx::query(by_key).bind(key).bind(domain).bind(i64::from(limit));
        let rows = self.database.rows(HOLDING, statement).await?;
        let room = |row| Ok((read_address(column(row, 0, HOLDING)?, HOLDING)?, column(row, 1, HOLDING)?));
        rows.iter().map(room).collect()
    }
}

/// A room out of its rows, one for each part, or one without a part.
fn read_room(uid: Uuid, rows: &[PgRow]) -> Result<Found, StoreError> {
    let mut revision: Option<i64> = None;
    let mut parts = BTreeMap::new();
    for row in rows {
        revision = column(row, 1, LOAD)?;
        if let (Some(key), value) = (column(row, 2, LOAD)?, column::<Option<String>>(row, 3, LOAD)?) {
            parts.insert(key, value.unwrap_or_default());
        }
    }
    match revision.map(unsigned) {
        Some(revision) if revision > 0 => {
            Ok(Found { uid: RoomUid(uid), revision: Revision(revision), parts })
        }
        _ => Err(StoreError::caused(
            StoreErrorKind::Corrupt,
            LOAD,
            "the address names a room that is not there",
        )),
    }
}

/// A listed room out of its address, uid and card.
pub(crate) fn read_listed(row: &PgRow) -> Result<Listed, StoreError> {
    let jid = read_address(column(row, 0, LIST)?, LIST)?;
    Ok(Listed { jid, uid: RoomUid(column(row, 1, LIST)?), card: column(row, 2, LIST)? })
}

pub(crate) fn read_address(jid: &str, operation: &'static str) -> Result<Address, StoreError> {
    Address::parse(jid).map_err(|error| corrupt(operation)(error.into()))
}
