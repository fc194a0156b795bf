//! The logs read in their several orders, and their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use dmuc_core::Millis;
use dmuc_core::event::Position;
use dmuc_core::storage::{ArchiveQuery, Frontier, HistoryStore, LogEntry, Page, Recent, RoomUid, StoreError};
use redis::cmd;

use crate::RedisStore;
use crate::entry::{Member, add_drop, index_of_position, log_name, read_digest};
use crate::error::corrupt;
use crate::script::{EXPIRE, call};

const FRONTIER: &str = "read the frontier";
const READ: &str = "read a log";
const EXPIRING: &str = "expire a log";
/// Entries dropped by one call, which keeps the server busy for about so many times 20 us.
const DROPS: usize = 200;
/// Entries read at once where nobody says how many are wanted.
const ENTRIES: u32 = 256;

type LogKey = (Arc<str>, u32);

/// Origin and incarnation out of the name of a log.
fn read_log_name(name: &[u8]) -> Result<LogKey, StoreError> {
    let split = name.len().checked_sub(5).map(|at| name.split_at(at));
    let (origin, rest) = split.ok_or_else(|| corrupt(FRONTIER)("the name of a log is too short"))?;
    let incarnation = <[u8; 4]>::try_from(&rest[1..]).map_err(corrupt(FRONTIER))?;
    let origin = std::str::from_utf8(origin).map_err(corrupt(FRONTIER))?;
    Ok((origin.into(), u32::from_be_bytes(incarnation)))
}

/// The name of a log, and what follows it in so many numbers of eight bytes.
fn split_numbers<const N: usize>(member: &[u8]) -> Result<(&[u8], [u64; N]), StoreError> {
    let at = member.len().checked_sub(8 * N).ok_or_else(|| corrupt(FRONTIER)("a member is too short"))?;
    let (name, rest) = member.split_at(at);
    let mut numbers = [0; N];
    for (number, bytes) in numbers.iter_mut().zip(rest.chunks(8)) {
        *number = u64::from_be_bytes(bytes.try_into().map_err(corrupt(FRONTIER))?);
    }
    Ok((name, numbers))
}

#[async_trait]
impl HistoryStore for RedisStore {
    async fn append(&self, room: RoomUid, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.append_entries(room, entries).await
    }

    async fn frontier(&self, room: RoomUid) -> Result<Vec<Frontier>, StoreError> {
        let mut frontier = self.ended(room).await?;
        for (key, (low, top)) in self.first_runs(room).await? {
            let pos = Position { o: key.0.clone(), i: key.1, s: top };
            let digest = self.entry_at(room, &pos).await?.and_then(|entry| entry.digest);
            frontier.insert(key, Frontier { pos, digest, low });
        }
        Ok(frontier.into_values().collect())
    }

    async fn range(
        &self,
        room: RoomUid,
        from: &Position,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let numbers = self.held_numbers(room, from, to, limit).await?;
        let positions = numbers.into_iter().map(|s| index_of_position(&Position { s, ..from.clone() }));
        let places = self.places_of(room, &positions.collect::<Vec<_>>()).await?;
        let places: Vec<u64> = places.into_iter().flatten().collect();
        let mut entries = self.entries_at(room, &places).await?;
        Ok(places.iter().filter_map(|place| entries.remove(place)).collect())
    }

    async fn recent(&self, room: RoomUid, limits: Recent) -> Result<Vec<LogEntry>, StoreError> {
        let mut newest = Vec::new();
        let mut left = limits.stanzas.unwrap_or(u32::MAX);
        let mut chars = limits.chars.unwrap_or(u64::MAX);
        let mut offset = 0;
        while left > 0 {
            let wanted = left.min(ENTRIES);
            let places = self.newest(room, limits.since, offset, wanted).await?;
            let mut entries = self.entries_at(room, &places).await?;
            for entry in
                places.iter().filter_map(|place| entries.remove(place)).filter(|entry| !entry.withheld)
            {
                let bytes = entry.event.bytes() as u64;
                if left == 0 || bytes > chars {
                    newest.reverse();
                    return Ok(newest);
                }
                (left, chars) = (left - 1, chars - bytes);
                newest.push(entry);
            }
            if places.len() < wanted as usize {
                break;
            }
            offset += wanted;
        }
        newest.reverse();
        Ok(newest)
    }

    async fn page(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Option<Page>, StoreError> {
        self.archive_page(room, query).await
    }

    async fn expire(&self, room: RoomUid, before: Millis) -> Result<u64, StoreError> {
        let mut dropped = 0;
        loop {
            let members = self.older(room, before).await?;
            if members.is_empty() {
                return Ok(dropped);
            }
            dropped += self.drop_entries(room, &members).await?;
        }
    }
}

impl RedisStore {
    /// The places of logs of which every entry has expired, and of others.
    async fn ended(&self, room: RoomUid) -> Result<BTreeMap<LogKey, Frontier>, StoreError> {
        let mut fields = cmd("HGETALL");
        fields.arg(self.keys.room(room, "logs"));
        let fields: BTreeMap<Vec<u8>, Vec<u8>> = self.connection.ask(FRONTIER, fields).await?;
        let mut ended = BTreeMap::new();
        for (field, value) in &fields {
            let Some(name) = field.strip_prefix(b"e") else { continue };
            let key = read_log_name(name)?;
            let (top, digest) =
                value.split_at_checked(8).ok_or_else(|| corrupt(FRONTIER)("a place is too short"))?;
            let s = u64::from_be_bytes(top.try_into().map_err(corrupt(FRONTIER))?);
            let pos = Position { o: key.0.clone(), i: key.1, s };
            ended.insert(key, Frontier { low: s + 1, digest: read_digest(digest)?, pos });
        }
        Ok(ended)
    }

    /// The lowest run of each log, as its first and last number.
    async fn first_runs(&self, room: RoomUid) -> Result<BTreeMap<LogKey, (u64, u64)>, StoreError> {
        let mut runs = cmd("ZRANGE");
        runs.arg(self.keys.room(room, "runs")).arg(0).arg(-1);
        let runs: Vec<Vec<u8>> = self.connection.ask(FRONTIER, runs).await?;
        let mut first = BTreeMap::new();
        for run in &runs {
            let (name, [low, top]) = split_numbers(run)?;
            first.entry(read_log_name(name)?).or_insert((low, top));
        }
        Ok(first)
    }

    /// Numbers of a log that are held, from a position on.
    async fn held_numbers(
        &self,
        room: RoomUid,
        from: &Position,
        to: u64,
        limit: u32,
    ) -> Result<Vec<u64>, StoreError> {
        let name = log_name(from);
        let bound = |mark: &[u8], rest: &[u8]| [mark, &name[..], rest].concat();
        let key = self.keys.room(room, "runs");
        let (mut before, mut after) = (cmd("ZREVRANGEBYLEX"), cmd("ZRANGEBYLEX"));
        let here = from.s.to_be_bytes();
        before.arg(&key).arg(bound(b"(", &here)).arg(bound(b"[", &[])).arg("LIMIT").arg(0).arg(1);
        after.arg(&key).arg(bound(b"[", &here)).arg(bound(b"(", &[255; 17])).arg("LIMIT").arg(0).arg(limit);
        let found: Vec<Vec<Vec<u8>>> = self.connection.ask_all(READ, vec![before, after]).await?;
        let mut numbers = Vec::new();
        for run in found.iter().flatten() {
            let (_, [low, top]) = split_numbers(run)?;
            let left = (limit as usize).saturating_sub(numbers.len());
            numbers.extend((low.max(from.s)..=top.min(to)).take(left));
        }
        Ok(numbers)
    }

    /// Places of the newest entries in canonical order, the newest first, without the first so many.
    async fn newest(
        &self,
        room: RoomUid,
        since: Option<Millis>,
        offset: u32,
        wanted: u32,
    ) -> Result<Vec<u64>, StoreError> {
        let mut members = cmd("ZREVRANGEBYSCORE");
        members.arg(self.keys.room(room, "order")).arg("+inf").arg(since.unwrap_or_default().0);
        members.arg("LIMIT").arg(offset).arg(wanted);
        let members: Vec<Vec<u8>> = self.connection.ask(READ, members).await?;
        members.into_iter().map(|member| Member(member).arrival()).collect()
    }

    /// Some of the entries stamped before a time.
    async fn older(&self, room: RoomUid, before: Millis) -> Result<Vec<Member>, StoreError> {
        let mut members = cmd("ZRANGEBYSCORE");
        members.arg(self.keys.room(room, "order")).arg("-inf").arg(format!("({}", before.0));
        members.arg("LIMIT").arg(0).arg(DROPS);
        let members: Vec<Vec<u8>> = self.connection.ask(EXPIRING, members).await?;
        Ok(members.into_iter().map(Member).collect())
    }

    async fn drop_entries(&self, room: RoomUid, members: &[Member]) -> Result<u64, StoreError> {
        let places = members.iter().map(Member::arrival).collect::<Result<Vec<u64>, _>>()?;
        let entries = self.entries_at(room, &places).await?;
        let mut call = call(&EXPIRE, &self.keys.of_logs(room));
        for (member, place) in members.iter().zip(places) {
            add_drop(&mut call, member, entries.get(&place).map(|entry| &entry.event));
        }
        self.connection.change_one(EXPIRING, call).await
    }
}
