//! Leases with fencing tokens.

use std::collections::BTreeMap;

use dmuc_core::storage::columns::{signed, unsigned};
use dmuc_core::storage::{Lease, Renewal, RoomUid, StoreError};
use dmuc_core::{Address, Millis};

use crate::SqliteStore;
use crate::error::{conflict, corrupt, failed};

const ACQUIRE: &str = "acquire a lease";
const RENEW: &str = "renew a lease";
const RELEASE: &str = "release a lease";
const ABANDONED: &str = "look for abandoned rooms";

impl SqliteStore {
    pub(crate) async fn acquire_lease(
        &self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        let expires = now.plus(ttl_ms);
        let fence: Option<i64> = sqlx::query_scalar(
            "INSERT INTO leases (uid, holder, fence, expires, released) VALUES (?1, ?2, 1, ?3, 0) \
             ON CONFLICT (uid) DO UPDATE SET \
               fence = fence + (holder <> excluded.holder), holder = excluded.holder, \
               expires = excluded.expires, released = 0, wanted = 0 \
             WHERE holder = excluded.holder OR released <> 0 OR expires <= ?4 \
             RETURNING fence",
        )
        .bind(room.to_string())
        .bind(node)
        .bind(signed(expires.0))
        .bind(signed(now.0))
        .fetch_optional(&self.writer)
        .await
        .map_err(failed(ACQUIRE))?;
        match fence {
            Some(fence) => Ok(Lease { room, fence: unsigned(fence), expires }),
            None => {
                self.note_wish(room).await?;
                Err(conflict("acquire a lease: another node holds it"))
            }
        }
    }

    async fn note_wish(&self, room: RoomUid) -> Result<(), StoreError> {
        sqlx::query("UPDATE leases SET wanted = 1 WHERE uid = ? AND wanted = 0")
            .bind(room.to_string())
            .execute(&self.writer)
            .await
            .map_err(failed(ACQUIRE))?;
        Ok(())
    }

    /// One statement, however many there are.
    pub(crate) async fn renew_leases(
        &self,
        leases: &[Lease],
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Vec<Result<Renewal, StoreError>>, StoreError> {
        let expires = now.plus(ttl_ms);
        let asked: Vec<_> = leases.iter().map(|lease| (lease.room, lease.fence)).collect();
        let renewed: Vec<(String, i64, bool)> = sqlx::query_as(
            "UPDATE leases SET expires = ?1 FROM json_each(?2) AS asked \
             WHERE leases.uid = asked.value ->> 0 AND leases.fence = asked.value ->> 1 AND released = 0 \
             RETURNING leases.uid, leases.fence, wanted",
        )
        .bind(signed(expires.0))
        .bind(serde_json::to_string(&asked).map_err(|error| corrupt(RENEW)(error.into()))?)
        .fetch_all(&self.writer)
        .await
        .map_err(failed(RENEW))?;
        let renewed: BTreeMap<(String, i64), bool> =
            renewed.into_iter().map(|(uid, fence, wanted)| ((uid, fence), wanted)).collect();
        let result = |lease: &Lease| match renewed.get(&(lease.room.to_string(), signed(lease.fence))) {
            Some(wanted) => Ok(Renewal { lease: Lease { expires, ..*lease }, wanted: *wanted }),
            None => Err(conflict("renew a lease: it was taken over")),
        };
        Ok(leases.iter().map(result).collect())
    }

    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query("UPDATE leases SET released = 1 WHERE uid = ? AND fence = ?")
            .bind(lease.room.to_string())
            .bind(signed(lease.fence))
            .execute(&self.writer)
            .await
            .map_err(failed(RELEASE))?;
        Ok(())
    }

    pub(crate) async fn abandoned_rooms(
        &self,
        domain: &str,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<Address>, StoreError> {
        let jids: Vec<String> = sqlx::query_scalar(
            "SELECT rooms.jid FROM leases INDEXED BY leases_held CROSS JOIN rooms ON rooms.uid = leases.uid \
             WHERE leases.released = 0 AND leases.expires <= ? AND rooms.domain = ? \
             ORDER BY leases.expires LIMIT ?",
        )
        .bind(signed(now.0))
        .bind(domain)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(failed(ABANDONED))?;
        jids.iter().map(|jid| Address::parse(jid).map_err(|e| corrupt(ABANDONED)(e.into()))).collect()
    }
}
