//! The store read and written as a whole.

use async_trait::async_trait;
use dmuc_core::Address;
use dmuc_core::storage::{Frontier, LogEntry, Room, RoomUid, StoreError, Tombstone, Transfer};
use redis::cmd;

use crate::RedisStore;
use crate::announcement::{read_stone, stone_text};
use crate::entry::{CHUNK, log_name};
use crate::script::{PUT_PLACES, call};

const READ: &str = "read the store";
const WRITE: &str = "write the store";

#[async_trait]
impl Transfer for RedisStore {
    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        let mut known = cmd("SMEMBERS");
        known.arg(self.keys.store("domains"));
        let mut known: Vec<String> = self.connection.ask(READ, known).await?;
        known.sort_unstable();
        let mut domains = Vec::new();
        for domain in known {
            let is_in_use = !self.list(&domain, None, 1).await?.is_empty()
                || !self.tombstones(&domain, None, 1).await?.is_empty();
            domains.extend(Some(domain).filter(|_| is_in_use));
        }
        Ok(domains)
    }

    async fn tombstones(
        &self,
        domain: &str,
        after: Option<&Address>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, StoreError> {
        let mut stones = cmd("HGETALL");
        stones.arg(self.keys.domain(domain, "stones"));
        let stones: std::collections::BTreeMap<String, String> = self.connection.ask(READ, stones).await?;
        let after = after.map_or("", Address::as_str);
        let names: Vec<String> = stones.keys().filter(|jid| jid.as_str() > after).cloned().collect();
        let mut found = Vec::new();
        for names in names.chunks(CHUNK) {
            // A room that is announced to end still hides its tombstone.
            let rooms = self.rooms_at(domain, names, "").await?;
            let is_hidden = |name: &String| rooms.iter().any(|room| room.jid.as_str() == name);
            for name in names.iter().filter(|name| !is_hidden(name)) {
                found.push(read_stone(&stones[name])?);
            }
            if found.len() >= limit as usize {
                break;
            }
        }
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let jid = &tombstone.jid;
        self.note_domains([jid.domain()]).await?;
        let mut put = cmd("HSET");
        put.arg(self.keys.domain(jid.domain(), "stones")).arg(jid.as_str()).arg(stone_text(tombstone)?);
        self.connection.change_one::<u64>(WRITE, put).await.map(drop)
    }

    async fn arrivals(
        &self,
        room: RoomUid,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LogEntry)>, StoreError> {
        let mut last = cmd("HGET");
        last.arg(self.keys.room(room, "logs")).arg("last");
        let last: Option<u64> = self.connection.ask(READ, last).await?;
        let mut arrivals = Vec::new();
        let mut places = after + 1..=last.unwrap_or(0);
        while arrivals.len() < limit as usize && !places.is_empty() {
            let left = (limit as usize - arrivals.len()).min(CHUNK);
            let some: Vec<u64> = places.by_ref().take(left).collect();
            arrivals.extend(self.entries_at(room, &some).await?);
        }
        Ok(arrivals)
    }

    async fn put_places(&self, room: RoomUid, ended: &[Frontier]) -> Result<(), StoreError> {
        let mut put = call(&PUT_PLACES, &[self.keys.room(room, "runs"), self.keys.room(room, "logs")]);
        for log in ended {
            let digest = log.digest.map(|digest| digest.0.to_vec()).unwrap_or_default();
            put.arg(log_name(&log.pos)).arg([&log.pos.s.to_be_bytes()[..], &digest].concat());
        }
        self.connection.change_one::<u8>(WRITE, put).await.map(drop)
    }
}

impl RedisStore {
    /// Notes domains that are about to have rooms or tombstones.
    pub(crate) async fn note_domains<'a>(
        &self,
        domains: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), StoreError> {
        let mut note = cmd("SADD");
        note.arg(self.keys.store("domains"));
        for domain in domains {
            note.arg(domain);
        }
        self.connection.change_one::<u64>(WRITE, note).await.map(drop)
    }
}
