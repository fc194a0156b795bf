//! Entries of the logs, as they are kept.

use std::collections::BTreeMap;

use dmuc_core::event::{ChainDigest, Event, EventId, Position};
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{LogEntry, RoomUid, StoreError};
use redis::{Cmd, cmd};
use sha2::{Digest, Sha256};

use crate::RedisStore;
use crate::error::corrupt;

const READ: &str = "read a log";
/// Places or fields in one command.
pub(crate) const CHUNK: usize = 1_000;

/// The name of a log in keys and members: origin, a zero byte, incarnation.
pub(crate) fn log_name(pos: &Position) -> Vec<u8> {
    let mut name = pos.o.as_bytes().to_vec();
    name.push(0);
    name.extend(pos.i.to_be_bytes());
    name
}

/// A position in keys and members: the log's name and the number, so that the order of bytes is that of positions.
pub(crate) fn place(pos: &Position) -> Vec<u8> {
    let mut place = log_name(pos);
    place.extend(pos.s.to_be_bytes());
    place
}

/// The beginning of an entry's member in the canonical order, within its millisecond: counter and position.
fn head(event: &Event) -> Vec<u8> {
    let mut head = (event.h.0 as u16).to_be_bytes().to_vec();
    head.extend(place(&event.pos));
    head
}

/// What the index of speakers has for a nick.
pub(crate) fn nick_key(nick: &str) -> Vec<u8> {
    speaker(b'n', nick)
}

/// What the index of speakers has for an occupant id.
pub(crate) fn oid_key(oid: &str) -> Vec<u8> {
    speaker(b'o', oid)
}

/// All of one length, so that no name is the beginning of another.
fn speaker(kind: u8, name: &str) -> Vec<u8> {
    Sha256::new().chain_update([kind]).chain_update(name).finalize()[..16].to_vec()
}

fn nick_of(event: &Event) -> Vec<u8> {
    event.nick.as_ref().map(|nick| nick_key(nick.as_str())).unwrap_or_default()
}

fn oid_of(event: &Event) -> Vec<u8> {
    event.oid.as_deref().map(oid_key).unwrap_or_default()
}

fn digit(flag: bool) -> &'static str {
    if flag { "1" } else { "0" }
}

pub(crate) fn content_json(content: &[Payload]) -> Result<String, StoreError> {
    serde_json::to_string(content).map_err(corrupt("write a log"))
}

/// Adds the change that appends an entry to a call of the commit script.
pub(crate) fn add_append(call: &mut Cmd, entry: &LogEntry) -> Result<(), StoreError> {
    let event = &entry.event;
    let content = content_json(&event.content)?;
    let bare = Event { content: Vec::new(), ..event.clone() };
    let bare = serde_json::to_string(&bare).map_err(corrupt("write a log"))?;
    let digest = entry.digest.map(|digest| digest.0.to_vec()).unwrap_or_default();
    call.arg("A").arg(event.h.millis().0).arg(head(event)).arg(nick_of(event)).arg(oid_of(event));
    call.arg(&event.id.0[..]).arg(digit(entry.withheld)).arg(bare).arg(content).arg(digest);
    Ok(())
}

/// Adds the change that withholds or reveals an event to a call of the commit script.
pub(crate) fn add_withhold(call: &mut Cmd, event: &Event, withheld: bool) {
    call.arg("W").arg(place(&event.pos)).arg(nick_of(event)).arg(oid_of(event)).arg(digit(withheld));
}

/// Adds an entry to a call of the script that drops entries.
pub(crate) fn add_drop(call: &mut Cmd, member: &Member, event: Option<&Event>) {
    call.arg(&member.0)
        .arg(event.map(nick_of).unwrap_or_default())
        .arg(event.map(oid_of).unwrap_or_default());
}

/// A member of the canonical order: counter, position, place in the order of arrival, event id.
pub(crate) struct Member(pub Vec<u8>);

impl Member {
    /// The place of its entry in the order of arrival.
    pub fn arrival(&self) -> Result<u64, StoreError> {
        let bytes = self.0.len().checked_sub(24).and_then(|at| self.0.get(at..at + 8));
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_be_bytes).ok_or_else(|| corrupt(READ)("a member of the order is too short"))
    }
}

/// The parts of an entry: event without content, content, digest.
type Parts = (Vec<u8>, Vec<u8>, Vec<u8>);
/// What `XRANGE` gives of an entry.
type Streamed = (String, Vec<Vec<u8>>);

fn read((event, content, digest): Parts, withheld: bool) -> Result<LogEntry, StoreError> {
    let mut event: Event = serde_json::from_slice(&event).map_err(corrupt(READ))?;
    event.content = serde_json::from_slice(&content).map_err(corrupt(READ))?;
    Ok(LogEntry { event, digest: read_digest(&digest)?, withheld })
}

pub(crate) fn read_digest(bytes: &[u8]) -> Result<Option<ChainDigest>, StoreError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(|bytes| Some(ChainDigest(bytes))).map_err(corrupt(READ))
}

fn read_streamed((id, fields): Streamed) -> Result<(u64, Parts), StoreError> {
    let arrival = id.split('-').next().and_then(|number| number.parse().ok());
    let arrival = arrival.ok_or_else(|| corrupt(READ)("the id of an entry is no number"))?;
    let mut values = fields.into_iter().skip(1).step_by(2);
    let parts = (|| Some((values.next()?, values.next()?, values.next()?)))();
    Ok((arrival, parts.ok_or_else(|| corrupt(READ)("an entry lacks a field"))?))
}

/// Numbers that follow one another, as first and last.
fn runs(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    runs
}

impl RedisStore {
    /// The entries at places in the order of arrival, each with its place and in the order of places; those that are gone
    /// are left out.
    pub(crate) async fn entries_at(
        &self,
        room: RoomUid,
        places: &[u64],
    ) -> Result<BTreeMap<u64, LogEntry>, StoreError> {
        let mut sorted = places.to_vec();
        sorted.sort_unstable();
        let mut entries = BTreeMap::new();
        for places in sorted.chunks(CHUNK) {
            let mut parts = self.streamed(room, places).await?;
            let missing: Vec<u64> =
                places.iter().filter(|place| !parts.contains_key(place)).copied().collect();
            parts.extend(self.amended(room, &missing).await?);
            let withheld = self.withheld_among(room, places).await?;
            for (place, parts) in parts {
                entries.insert(place, read(parts, withheld.contains(&place))?);
            }
        }
        Ok(entries)
    }

    async fn streamed(&self, room: RoomUid, places: &[u64]) -> Result<BTreeMap<u64, Parts>, StoreError> {
        let key = self.keys.room(room, "log");
        let range = |(first, last): (u64, u64)| {
            let mut range = cmd("XRANGE");
            range.arg(&key).arg(first).arg(last);
            range
        };
        let commands = runs(places).into_iter().map(range).collect();
        let runs: Vec<Vec<Streamed>> = self.connection.ask_all(READ, commands).await?;
        runs.into_iter().flatten().map(read_streamed).collect()
    }

    async fn amended(&self, room: RoomUid, places: &[u64]) -> Result<BTreeMap<u64, Parts>, StoreError> {
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut fields = cmd("HMGET");
        fields.arg(self.keys.room(room, "amended"));
        for place in places {
            fields.arg(format!("e{place}")).arg(format!("c{place}")).arg(format!("d{place}"));
        }
        let values: Vec<Option<Vec<u8>>> = self.connection.ask(READ, fields).await?;
        let parts = |parts: &[Option<Vec<u8>>]| match parts {
            [Some(event), Some(content), Some(digest)] => {
                Some((event.clone(), content.clone(), digest.clone()))
            }
            _ => None,
        };
        let entries = places.iter().zip(values.chunks(3));
        Ok(entries.filter_map(|(place, values)| Some((*place, parts(values)?))).collect())
    }

    async fn withheld_among(&self, room: RoomUid, places: &[u64]) -> Result<Vec<u64>, StoreError> {
        let mut scores = cmd("ZMSCORE");
        scores.arg(self.keys.room(room, "hidden"));
        for place in places {
            scores.arg(format!("w{place}"));
        }
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let scores: Vec<Option<f64>> = self.connection.ask(READ, scores).await?;
        Ok(places.iter().zip(scores).filter(|(_, score)| score.is_some()).map(|(place, _)| *place).collect())
    }

    /// Places in the order of arrival of what the index has under these names, as many as are asked for.
    pub(crate) async fn places_of(
        &self,
        room: RoomUid,
        names: &[Vec<u8>],
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let key = self.keys.room(room, "index");
        let mut places = Vec::with_capacity(names.len());
        for names in names.chunks(CHUNK) {
            let mut fields = cmd("HMGET");
            fields.arg(&key).arg(names);
            places.extend(self.connection.ask::<Vec<Option<u64>>>(READ, fields).await?);
        }
        Ok(places)
    }

    /// The entry at a position, if it is held.
    pub(crate) async fn entry_at(
        &self,
        room: RoomUid,
        pos: &Position,
    ) -> Result<Option<LogEntry>, StoreError> {
        let places = self.places_of(room, &[index_of_position(pos)]).await?;
        let Some(place) = places.first().copied().flatten() else { return Ok(None) };
        Ok(self.entries_at(room, &[place]).await?.remove(&place))
    }
}

/// What the index has a position under.
pub(crate) fn index_of_position(pos: &Position) -> Vec<u8> {
    [b"p", &place(pos)[..]].concat()
}

/// What the index has an event id under.
pub(crate) fn index_of_id(id: &EventId) -> Vec<u8> {
    [b"i", &id.0[..]].concat()
}
