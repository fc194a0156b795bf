//! Leases with fencing tokens.

use std::collections::BTreeMap;

use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{Lease, Renewal, RoomUid, StoreError};
use dmuc_core::{Address, Millis};
use uuid::Uuid;

use crate::PostgresStore;
use crate::database::{column, first_column};
use crate::error::conflict;
use crate::room::read_address;

const ACQUIRE: &str = "acquire a lease";
const RENEW: &str = "renew a lease";
const RELEASE: &str = "release a lease";
const ABANDONED: &str = "look for abandoned rooms";

impl PostgresStore {
    /// A lease that cannot be had has the wish noted instead, once.
    pub(crate) async fn acquire_lease(
        &self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        const FREE: &str = "acquire a lease: another node holds it";
        let expires = now.plus(ttl_ms);
        let statement = sqlx::query(
            "INSERT INTO rooms AS held (uid, holder, fence, expires, released) VALUES ($1, $2, 1, $3, false) \
             ON CONFLICT (uid) DO UPDATE SET ( \
               fence, holder, expires, released, wanted) = (SELECT \
               CASE WHEN free THEN held.fence + (held.holder <> excluded.holder)::integer ELSE held.fence END, \
               CASE WHEN free THEN excluded.holder ELSE held.holder END, \
               CASE WHEN free THEN excluded.expires ELSE held.expires END, \
               CASE WHEN free THEN false ELSE held.released END, NOT free \
               FROM (SELECT held.holder = excluded.holder OR held.released OR held.expires <= $4 AS free) AS is_it) \
             WHERE NOT held.wanted OR held.holder = excluded.holder OR held.released OR held.expires <= $4 \
             RETURNING CASE WHEN NOT wanted THEN fence END",
        );
        let statement = statement.bind(room.0).bind(node).bind(signed(expires.0)).bind(signed(now.0));
        let rows = self.database.rows(ACQUIRE, statement).await?;
        let fence: Option<i64> = rows.first().map_or(Ok(None), |row| column(row, 0, ACQUIRE))?;
        let fence = fence.ok_or_else(|| conflict(FREE))?;
        Ok(Lease { room, fence: unsigned(fence), expires })
    }

    /// One statement, however many there are.
    pub(crate) async fn renew_leases(
        &self,
        leases: &[Lease],
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Vec<Result<Renewal, StoreError>>, StoreError> {
        let expires = now.plus(ttl_ms);
        let asked: BTreeMap<Uuid, i64> =
            leases.iter().map(|lease| (lease.room.0, signed(lease.fence))).collect();
        let (uids, fences): (Vec<Uuid>, Vec<i64>) = asked.into_iter().unzip();
        let statement = sqlx::query(
            "UPDATE rooms SET expires = $3 FROM unnest($1::uuid[], $2::bigint[]) AS asked (uid, fence) \
             WHERE rooms.uid = asked.uid AND rooms.fence = asked.fence AND NOT rooms.released \
             RETURNING rooms.uid, rooms.fence, wanted",
        );
        let rows =
            self.database.rows(RENEW, statement.bind(uids).bind(fences).bind(signed(expires.0))).await?;
        let mut renewed: BTreeMap<(RoomUid, u64), bool> = BTreeMap::new();
        for row in &rows {
            let fence = unsigned(column(row, 1, RENEW)?);
            renewed.insert((RoomUid(column(row, 0, RENEW)?), fence), column(row, 2, RENEW)?);
        }
        let result = |lease: &Lease| match renewed.get(&(lease.room, lease.fence)) {
            Some(wanted) => Ok(Renewal { lease: Lease { expires, ..*lease }, wanted: *wanted }),
            None => Err(conflict("renew a lease: it was taken over")),
        };
        Ok(leases.iter().map(result).collect())
    }

    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE rooms SET released = true WHERE uid = $1 AND fence = $2");
        self.database.rows(RELEASE, statement.bind(lease.room.0).bind(signed(lease.fence))).await.map(drop)
    }

    pub(crate) async fn abandoned_rooms(
        &self,
        domain: &str,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<Address>, StoreError> {
        let statement = sqlx::query(
            "SELECT jid FROM rooms JOIN addresses USING (uid) \
             WHERE NOT released AND expires <= $1 AND domain = $2 ORDER BY expires LIMIT $3",
        );
        let statement = statement.bind(signed(now.0)).bind(domain).bind(i64::from(limit));
        let jids: Vec<String> = first_column(&self.database.rows(ABANDONED, statement).await?, ABANDONED)?;
        jids.iter().map(|jid| read_address(jid, ABANDONED)).collect()
    }
}
