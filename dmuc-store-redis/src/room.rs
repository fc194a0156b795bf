//! Rooms by address.

use std::collections::BTreeMap;

use async_trait::async_trait;
use dmuc_core::storage::{
    Directory, DirectoryPage, Entry, Found, Lease, Listed, Renewal, Revision, Room, RoomCommit, RoomUid,
    StoreError, StoreErrorKind, card_field,
};
use dmuc_core::{Address, Millis};
use redis::cmd;

use crate::RedisStore;
use crate::announcement::{CARD, is_found_by, read_claim, read_stone};
use crate::error::corrupt;

const LOAD: &str = "load a room";
const LIST: &str = "list rooms";
/// How often an address is looked up again if its room ends meanwhile.
const LOOKS: usize = 4;
/// Rooms read at once.
pub(crate) const ROOMS: u32 = 1_000;

/// A room at an address, with one of its parts.
pub(crate) struct Held {
    pub jid: Address,
    pub uid: RoomUid,
    pub part: Option<String>,
}

#[async_trait]
impl Room for RedisStore {
    async fn load(&self, jid: &Address, now: Millis) -> Result<Entry, StoreError> {
        let mut claim = None;
        for _ in 0..LOOKS {
            let known = self.known_of(jid).await?;
            if let Some(token) = &known.announced {
                self.settle_for(jid, token).await?;
            }
            if let Some(claim) = &known.claim
                && let Some(found) = self.found(read_claim(claim)?, jid).await?
            {
                return Ok(Entry::Room(found));
            }
            // The room may have ended, and another one begun, since its claim was read.
            if known.claim.is_none() || known.claim == claim {
                let stone = known.stone.as_deref().map(read_stone).transpose()?;
                let blocking = stone.filter(|stone| stone.blocks_until > now);
                return Ok(blocking.map_or(Entry::Vacant, Entry::Tombstone));
            }
            claim = known.claim;
        }
        Err(StoreError::caused(StoreErrorKind::Unavailable, LOAD, "the address changes hands all the time"))
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
        self.renew_leases(leases, now.plus(ttl_ms)).await
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
        let held = self.rooms_of(domain, after, limit, CARD).await?;
        Ok(held.into_iter().map(Held::listed).collect())
    }

    async fn tally(&self, domain: &str, field: &str) -> Result<BTreeMap<String, u32>, StoreError> {
        let mut counts = BTreeMap::new();
        for room in self.rooms_of(domain, None, u32::MAX, CARD).await? {
            if let Some(card) = room.part {
                *counts.entry(card_field(&card, field)).or_default() += 1;
            }
        }
        Ok(counts)
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
        let held = if is_found_by(key) {
            self.rooms_found_by(domain, key, limit).await?
        } else {
            self.rooms_of(domain, None, u32::MAX, key).await?
        };
        let holding = held.into_iter().filter_map(|room| Some((room.jid, room.part?)));
        Ok(holding.take(limit as usize).collect())
    }
}

impl Held {
    pub fn listed(self) -> Listed {
        Listed { jid: self.jid, uid: self.uid, card: self.part }
    }
}

/// What is known of an address outside of rooms.
struct Known {
    claim: Option<String>,
    stone: Option<String>,
    announced: Option<String>,
}

impl RedisStore {
    async fn known_of(&self, jid: &Address) -> Result<Known, StoreError> {
        let field = |name| {
            let mut field = cmd("HGET");
            field.arg(self.keys.domain(jid.domain(), name)).arg(jid.as_str());
            field
        };
        let fields = ["addresses", "stones", "open"].map(field).to_vec();
        let mut answers = self.connection.ask_all::<Option<String>>(LOAD, fields).await?.into_iter();
        let mut next = || answers.next().flatten();
        Ok(Known { claim: next(), stone: next(), announced: next() })
    }

    /// The record of a room, if it exists at this address.
    async fn found(&self, uid: RoomUid, jid: &Address) -> Result<Option<Found>, StoreError> {
        let mut fields = cmd("HGETALL");
        fields.arg(self.keys.room(uid, "room"));
        let mut fields: BTreeMap<String, String> = self.connection.ask(LOAD, fields).await?;
        if fields.remove("jid").as_deref() != Some(jid.as_str()) {
            return Ok(None);
        }
        let revision = fields.remove("revision").and_then(|revision| revision.parse().ok());
        let revision = revision.ok_or_else(|| corrupt(LOAD)("the room has no revision"))?;
        let parts = fields
            .into_iter()
            .filter_map(|(field, value)| Some((field.strip_prefix('/')?.to_owned(), value)));
        Ok(Some(Found { uid, revision: Revision(revision), parts: parts.collect() }))
    }

    /// Rooms of a domain in order of address, each with a part.
    async fn rooms_of(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
        part: &str,
    ) -> Result<Vec<Held>, StoreError> {
        let key = self.keys.domain(domain, "rooms");
        let mut held = Vec::new();
        let mut from = after.map_or("-".to_owned(), |after| format!("({after}"));
        loop {
            let wanted = ROOMS.min(limit.saturating_sub(u32::try_from(held.len()).unwrap_or(u32::MAX)));
            if wanted == 0 {
                return Ok(held);
            }
            let mut names = cmd("ZRANGEBYLEX");
            names.arg(&key).arg(&from).arg("+").arg("LIMIT").arg(0).arg(wanted);
            let names: Vec<String> = self.connection.ask(LIST, names).await?;
            let Some(last) = names.last() else { return Ok(held) };
            from = format!("({last}");
            held.extend(self.rooms_at(domain, &names, part).await?);
        }
    }

    /// The rooms that exist at addresses, each with a part.
    pub(crate) async fn rooms_at(
        &self,
        domain: &str,
        names: &[String],
        part: &str,
    ) -> Result<Vec<Held>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut claims = cmd("HMGET");
        claims.arg(self.keys.domain(domain, "addresses")).arg(names);
        let claims: Vec<Option<String>> = self.connection.ask(LIST, claims).await?;
        let claimed = names.iter().zip(claims).filter_map(|(name, claim)| Some((name, claim?)));
        let claimed = claimed
            .map(|(name, claim)| Ok((name, read_claim(&claim)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let fields = claimed.iter().map(|(_, uid)| {
            let mut fields = cmd("HMGET");
            fields.arg(self.keys.room(*uid, "room")).arg("jid").arg(format!("/{part}"));
            fields
        });
        let answers: Vec<(Option<String>, Option<String>)> =
            self.connection.ask_all(LIST, fields.collect()).await?;
        let rooms =
            claimed.into_iter().zip(answers).filter(|((name, _), (at, _))| at.as_ref() == Some(*name));
        let room = |((name, uid), (_, part)): ((&String, RoomUid), (_, Option<String>))| {
            Ok(Held { jid: Address::parse(name).map_err(corrupt(LIST))?, uid, part })
        };
        rooms.map(room).collect()
    }

    /// Rooms of a domain that may have a part, as the index of such parts has them.
    async fn rooms_found_by(&self, domain: &str, key: &str, limit: u32) -> Result<Vec<Held>, StoreError> {
        let index = self.keys.domain(domain, "holding");
        let mut held: Vec<Held> = Vec::new();
        let mut from = format!("[{key}\0");
        while held.len() < limit as usize {
            let mut members = cmd("ZRANGEBYLEX");
            members.arg(&index).arg(&from).arg(format!("({key}\x01")).arg("LIMIT").arg(0).arg(ROOMS);
            let members: Vec<String> = self.connection.ask(LIST, members).await?;
            let Some(last) = members.last() else { break };
            from = format!("({last}");
            let names = members.iter().filter_map(|member| Some(member.rsplit_once('\0')?.1.to_owned()));
            let rooms = self.rooms_at(domain, &names.collect::<Vec<_>>(), key).await?;
            held.extend(rooms.into_iter().filter(|room| room.part.is_some()));
        }
        Ok(held)
    }
}
