//! Leases with fencing tokens. They are kept with their rooms; an index of those that are held says which have expired.
//! It may hold leases that are given back, or ends that are passed by, but lacks none that is held.

use dmuc_core::storage::{Lease, Renewal, RoomUid, StoreError};
use dmuc_core::{Address, Millis};
use redis::{Cmd, cmd};
use tracing::debug;

use crate::RedisStore;
use crate::error::{conflict, corrupt};
use crate::script::{ACQUIRE, MOVE_LEASE, RELEASE, RENEW, call};

const ACQUIRING: &str = "acquire a lease";
const RENEWING: &str = "renew a lease";
const RELEASING: &str = "release a lease";
const ABANDONED: &str = "look for abandoned rooms";
/// Members of the index looked at together.
const LEASES: usize = 500;

/// What two fields of a hash hold.
type TwoFields = (Option<String>, Option<String>);

/// A member of the index, and what its room and lease say: end, whether it was given back, address.
struct Candidate {
    uid: RoomUid,
    indexed: u64,
    expires: Option<u64>,
    released: bool,
    jid: Option<String>,
}

impl RedisStore {
    pub(crate) async fn acquire_lease(
        &self,
        room: RoomUid,
        node: &str,
        now: Millis,
        ttl_ms: u64,
    ) -> Result<Lease, StoreError> {
        let expires = now.plus(ttl_ms);
        self.connection.change_one::<u64>(ACQUIRING, self.index_leases(&[room], expires)).await?;
        let mut take = call(&ACQUIRE, &[self.lease_key(room)]);
        take.arg(node).arg(now.0).arg(expires.0);
        match self.connection.change_one(ACQUIRING, take).await? {
            0 => Err(conflict(ACQUIRING, "another node holds it")),
            fence => Ok(Lease { room, fence, expires }),
        }
    }

    fn lease_key(&self, room: RoomUid) -> String {
        self.keys.room(room, "lease")
    }

    /// Notes the end of leases, unless a later one is noted.
    fn index_leases(&self, rooms: &[RoomUid], expires: Millis) -> Cmd {
        let mut note = cmd("ZADD");
        note.arg(self.keys.store("leases")).arg("GT");
        for room in rooms {
            note.arg(expires.0).arg(room.to_string());
        }
        note
    }

    pub(crate) async fn renew_leases(
        &self,
        leases: &[Lease],
        expires: Millis,
    ) -> Vec<Result<Renewal, StoreError>> {
        let prolong = |lease: &Lease| {
            let mut prolong = call(&RENEW, &[self.lease_key(lease.room)]);
            prolong.arg(lease.fence).arg(expires.0);
            prolong
        };
        let answers = self.connection.change::<u8>(RENEWING, leases.iter().map(prolong).collect()).await;
        let renewed = leases.iter().zip(answers).map(|(lease, answer)| match answer? {
            0 => Err(conflict(RENEWING, "it was taken over")),
            answer => Ok(Renewal { lease: Lease { expires, ..*lease }, wanted: answer == 2 }),
        });
        let renewed: Vec<Result<Renewal, StoreError>> = renewed.collect();
        let held: Vec<RoomUid> = renewed.iter().flatten().map(|renewal| renewal.lease.room).collect();
        self.note_renewed(&held, expires).await;
        renewed
    }

    /// Without this, who looks for abandoned rooms finds the leases well and notes it.
    async fn note_renewed(&self, held: &[RoomUid], expires: Millis) {
        let notes: Vec<Cmd> = held.chunks(LEASES).map(|rooms| self.index_leases(rooms, expires)).collect();
        if let Err(error) = self.connection.ask_all::<u64>(RENEWING, notes).await {
            debug!(%error, "the ends of renewed leases are not noted");
        }
    }

    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut give_back = call(&RELEASE, &[self.lease_key(lease.room)]);
        give_back.arg(lease.fence);
        if self.connection.change_one::<u8>(RELEASING, give_back).await? == 1 {
            let forget = self.move_lease(lease.room, lease.expires.0, None);
            self.connection.ask::<u8>(RELEASING, forget).await?;
        }
        Ok(())
    }

    /// Corrects the index, unless it has changed meanwhile.
    fn move_lease(&self, room: RoomUid, indexed: u64, expires: Option<u64>) -> Cmd {
        let mut correct = call(&MOVE_LEASE, &[self.keys.store("leases")]);
        let expires = expires.map(|expires| expires.to_string()).unwrap_or_default();
        correct.arg(room.to_string()).arg(indexed).arg(expires);
        correct
    }

    pub(crate) async fn abandoned_rooms(
        &self,
        domain: &str,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<Address>, StoreError> {
        let mut abandoned = Vec::new();
        let mut skipped = 0;
        while abandoned.len() < limit as usize {
            let candidates = self.candidates(now, skipped).await?;
            let (expired, wrong): (Vec<_>, Vec<_>) =
                candidates.into_iter().partition(|candidate| candidate.is_expired(now));
            if expired.is_empty() && wrong.is_empty() {
                break;
            }
            skipped += expired.len();
            self.correct(&wrong).await?;
            for jid in expired.into_iter().filter_map(|candidate| candidate.jid) {
                let jid = Address::parse(&jid).map_err(corrupt(ABANDONED))?;
                abandoned.extend(Some(jid).filter(|jid| jid.domain() == domain));
            }
        }
        abandoned.truncate(limit as usize);
        Ok(abandoned)
    }

    /// Leases that have expired as far as the index knows, without the first so many.
    async fn candidates(&self, now: Millis, skipped: usize) -> Result<Vec<Candidate>, StoreError> {
        let mut expired = cmd("ZRANGEBYSCORE");
        expired.arg(self.keys.store("leases")).arg("-inf").arg(now.0).arg("WITHSCORES");
        expired.arg("LIMIT").arg(skipped).arg(LEASES);
        let expired: Vec<(String, u64)> = self.connection.ask(ABANDONED, expired).await?;
        let read = |(uid, indexed): &(String, u64)| {
            Ok((uid.parse().map(RoomUid).map_err(corrupt(ABANDONED))?, *indexed))
        };
        let expired = expired.iter().map(read).collect::<Result<Vec<(RoomUid, u64)>, StoreError>>()?;
        let fields = expired.iter().flat_map(|(uid, _)| {
            let (mut lease, mut room) = (cmd("HMGET"), cmd("HMGET"));
            lease.arg(self.lease_key(*uid)).arg("expires").arg("released");
            room.arg(self.keys.room(*uid, "room")).arg("jid").arg("revision");
            [lease, room]
        });
        let fields: Vec<TwoFields> = self.connection.ask_all(ABANDONED, fields.collect()).await?;
        let candidate = |((uid, indexed), fields): ((RoomUid, u64), &[TwoFields])| {
            let [(expires, released), (jid, _)] = fields else { return None };
            let expires = expires.as_ref().and_then(|expires| expires.parse().ok());
            Some(Candidate {
                uid,
                indexed,
                expires,
                released: released.as_deref() == Some("1"),
                jid: jid.clone(),
            })
        };
        Ok(expired.into_iter().zip(fields.chunks(2)).filter_map(candidate).collect())
    }

    async fn correct(&self, wrong: &[Candidate]) -> Result<(), StoreError> {
        let held = |candidate: &Candidate| {
            candidate.expires.filter(|_| !candidate.released && candidate.jid.is_some())
        };
        let correct =
            |candidate: &Candidate| self.move_lease(candidate.uid, candidate.indexed, held(candidate));
        self.connection.ask_all::<u8>(ABANDONED, wrong.iter().map(correct).collect()).await.map(drop)
    }
}

impl Candidate {
    /// Whether a room is there of which the lease has expired and was not given back.
    fn is_expired(&self, now: Millis) -> bool {
        self.jid.is_some() && !self.released && self.expires.is_some_and(|expires| expires <= now.0)
    }
}
