//! Leases with fencing tokens.

use dmuc_core::Millis;
use dmuc_core::storage::{Lease, RoomUid, StoreError};

use crate::SqliteStore;
use crate::error::{conflict, failed, signed, unsigned};

const ACQUIRE: &str = "acquire a lease";
const RENEW: &str = "renew a lease";
const RELEASE: &str = "release a lease";

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
               expires = excluded.expires, released = 0 \
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
        let fence = fence.ok_or_else(|| conflict("acquire a lease: another node holds it"))?;
        Ok(Lease { room, fence: unsigned(fence), expires })
    }

    pub(crate) async fn renew_lease(
        &self,
        lease: &Lease,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        let expires = now.plus(ttl_ms);
        let renewed =
            sqlx::query("UPDATE leases SET expires = ? WHERE uid = ? AND fence = ? AND released = 0")
                .bind(signed(expires.0))
                .bind(lease.room.to_string())
                .bind(signed(lease.fence))
                .execute(&self.writer)
                .await
                .map_err(failed(RENEW))?;
        match renewed.rows_affected() {
            0 => Err(conflict("renew a lease: it was taken over")),
            _ => Ok(Lease { expires, ..*lease }),
        }
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
}
