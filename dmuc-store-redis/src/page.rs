//! Pages of the archive, in order of arrival. Places in it are numbers without a hole; what is hidden, withheld or gone, is
//! listed. So nothing is kept for an entry that is shown, and counting all is arithmetic.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use dmuc_core::event::EventId;
use dmuc_core::storage::{ArchiveQuery, LogEntry, Page, RoomUid, StoreError};
use redis::cmd;

use crate::RedisStore;
use crate::entry::{CHUNK, Member, index_of_id, nick_key, oid_key};
use crate::error::corrupt;

const PAGE: &str = "read a page of the archive";

/// Places in the order of arrival, both ends included; empty if they are crossed.
type Places = RangeInclusive<u64>;

const ALL: Places = 1..=i64::MAX as u64;

fn within(a: &Places, b: &Places) -> Places {
    *a.start().max(b.start())..=*a.end().min(b.end())
}

/// What a query selects, in the form that answers how many and which with the least work.
enum Selection {
    /// Everything that is shown.
    All,
    /// What a speaker said, by the beginning of its members in the index of speakers.
    Speaker(Vec<u8>),
    /// These, ascending.
    Places(Vec<u64>),
}

/// The selection of one room's archive.
struct Archive<'a> {
    store: &'a RedisStore,
    room: RoomUid,
    selection: Selection,
    /// Where the selection lies.
    within: Places,
}

impl RedisStore {
    pub(crate) async fn archive_page(
        &self,
        room: RoomUid,
        query: &ArchiveQuery,
    ) -> Result<Option<Page>, StoreError> {
        let Some(bounds) = self.bounds(room, query.after_id, query.before_id).await? else { return Ok(None) };
        let Some(asked) = self.bounds(room, query.after, query.before).await? else { return Ok(None) };
        let Some(selection) = self.selection(room, query).await? else { return Ok(None) };
        let within_archive = within(&bounds, &self.archive_places(room).await?);
        let archive = Archive { store: self, room, selection, within: within_archive };
        archive.page(query, &asked).await.map(Some)
    }

    /// The places of which some may be shown.
    async fn archive_places(&self, room: RoomUid) -> Result<Places, StoreError> {
        let mut ends = cmd("HMGET");
        ends.arg(self.keys.room(room, "logs")).arg("first").arg("last");
        let (first, last): (Option<u64>, Option<u64>) = self.connection.ask(PAGE, ends).await?;
        Ok(first.unwrap_or(1)..=last.unwrap_or(0))
    }

    /// What lies after and before events; nothing if one is not held.
    async fn bounds(
        &self,
        room: RoomUid,
        after: Option<EventId>,
        before: Option<EventId>,
    ) -> Result<Option<Places>, StoreError> {
        let names: Vec<Vec<u8>> = [after, before].iter().flatten().map(index_of_id).collect();
        let mut places = self.places_of(room, &names).await?.into_iter();
        let mut place =
            |named: Option<EventId>, absent| named.map_or(Some(absent), |_| places.next().flatten());
        let after = place(after, ALL.start() - 1);
        let before = place(before, ALL.end() + 1);
        Ok(after.zip(before).map(|(after, before)| after + 1..=before - 1))
    }

    /// What the filters select; nothing if one names an event that is not held.
    async fn selection(&self, room: RoomUid, query: &ArchiveQuery) -> Result<Option<Selection>, StoreError> {
        let mut parts: Vec<BTreeSet<u64>> = Vec::new();
        if let Some(ids) = &query.ids {
            let names: Vec<Vec<u8>> = ids.iter().map(index_of_id).collect();
            let Some(places) = self.places_of(room, &names).await?.into_iter().collect() else {
                return Ok(None);
            };
            parts.push(places);
        }
        if let Some(places) = self.places_of_time(room, query).await? {
            parts.push(places);
        }
        let nick = query.nick.as_ref().map(|nick| nick_key(nick.as_str()));
        let speakers = [nick, query.oid.as_deref().map(oid_key)];
        let mut speakers: Vec<Vec<u8>> = speakers.into_iter().flatten().collect();
        if parts.is_empty() && speakers.len() < 2 {
            return Ok(Some(speakers.pop().map_or(Selection::All, Selection::Speaker)));
        }
        for speaker in speakers {
            parts.push(self.places_of_speaker(room, &speaker).await?);
        }
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        let mut common = parts.fold(first, |common, part| common.intersection(&part).copied().collect());
        for hidden in self.hidden(room, &common).await? {
            common.remove(&hidden);
        }
        Ok(Some(Selection::Places(common.into_iter().collect())))
    }

    /// Places of what was said in a time; nothing if the query does not limit it.
    async fn places_of_time(
        &self,
        room: RoomUid,
        query: &ArchiveQuery,
    ) -> Result<Option<BTreeSet<u64>>, StoreError> {
        let key = self.keys.room(room, "order");
        let count = |from: String, to: String| {
            let mut count = cmd("ZCOUNT");
            count.arg(&key).arg(from).arg(to);
            count
        };
        let start = query.start.map_or("-inf".to_owned(), |start| start.0.to_string());
        let end = query.end.map_or("+inf".to_owned(), |end| end.0.to_string());
        let earlier = query.start.map_or("-inf".to_owned(), |start| format!("({}", start.0));
        let counts =
            vec![count("-inf".to_owned(), earlier), count(start, end), count("-inf".into(), "+inf".into())];
        let counts: Vec<u64> = self.connection.ask_all(PAGE, counts).await?;
        let (skipped, selected, all) = (counts[0], counts[1], counts[2]);
        if selected == all {
            return Ok(None);
        }
        let skipped = if query.start.is_some() { skipped } else { 0 };
        let mut places = BTreeSet::new();
        for from in (skipped..skipped + selected).step_by(CHUNK) {
            let mut members = cmd("ZRANGE");
            members.arg(&key).arg(from).arg((from + CHUNK as u64).min(skipped + selected) - 1);
            let members: Vec<Vec<u8>> = self.connection.ask(PAGE, members).await?;
            for member in members {
                places.insert(Member(member).arrival()?);
            }
        }
        Ok(Some(places))
    }

    async fn places_of_speaker(&self, room: RoomUid, speaker: &[u8]) -> Result<BTreeSet<u64>, StoreError> {
        let everything = Archive { store: self, room, selection: Selection::All, within: ALL };
        let mut places = BTreeSet::new();
        let mut from = *ALL.start();
        loop {
            let found = everything.said_by(speaker, &(from..=*ALL.end()), 0, CHUNK as u32, false).await?;
            let Some(last) = found.last() else { return Ok(places) };
            from = last + 1;
            places.extend(found);
        }
    }

    /// Which of these places are hidden.
    async fn hidden(&self, room: RoomUid, places: &BTreeSet<u64>) -> Result<Vec<u64>, StoreError> {
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(Vec::new()) };
        let mut hidden = cmd("ZRANGEBYSCORE");
        hidden.arg(self.keys.room(room, "hidden")).arg(*first).arg(*last);
        places_in(&self.connection.ask::<Vec<String>>(PAGE, hidden).await?)
    }
}

/// Places out of members of the set of what is hidden: a letter and a number.
fn places_in(hidden: &[String]) -> Result<Vec<u64>, StoreError> {
    let place = |member: &String| member.get(1..).and_then(|number| number.parse().ok());
    let places = hidden.iter().map(place).collect::<Option<Vec<u64>>>();
    places.ok_or_else(|| corrupt(PAGE)("a hidden place is no number"))
}

impl Archive<'_> {
    async fn page(&self, query: &ArchiveQuery, asked: &Places) -> Result<Page, StoreError> {
        let all = self.within.clone();
        let between = within(&all, asked);
        let count = self.count(&all).await?;
        let inside = if between == all { count } else { self.count(&between).await? };
        let earlier = self.count(&within(&all, &(1..=asked.start() - 1))).await?;
        let skipped = query.index.unwrap_or(0).min(inside);
        let places = self.places(&between, skipped, query.max, query.last).await?;
        let entries = self.store.entries_at(self.room, &places).await?;
        let size = places.len() as u64;
        let complete = skipped + size == inside;
        let index = earlier + if query.last { inside - size } else { skipped };
        let entries: Vec<LogEntry> = entries.into_values().collect();
        Ok(Page { entries, complete, count, index })
    }

    /// How many are selected among places.
    async fn count(&self, places: &Places) -> Result<u64, StoreError> {
        if places.is_empty() {
            return Ok(0);
        }
        match &self.selection {
            Selection::Places(selected) => {
                Ok(selected.iter().filter(|place| places.contains(place)).count() as u64)
            }
            Selection::Speaker(speaker) => {
                let mut count = cmd("ZLEXCOUNT");
                count
                    .arg(self.key("speakers"))
                    .arg(spoken(speaker, *places.start()))
                    .arg(spoken(speaker, *places.end()));
                self.store.connection.ask(PAGE, count).await
            }
            Selection::All => Ok(places.end() - places.start() + 1 - self.hidden_in(places).await?),
        }
    }

    fn key(&self, name: &str) -> String {
        self.store.keys.room(self.room, name)
    }

    async fn hidden_in(&self, places: &Places) -> Result<u64, StoreError> {
        let mut count = cmd("ZCOUNT");
        count.arg(self.key("hidden")).arg(*places.start()).arg(*places.end());
        self.store.connection.ask(PAGE, count).await
    }

    /// The first of those selected among places, without so many, or the last.
    async fn places(
        &self,
        among: &Places,
        skipped: u64,
        max: u32,
        last: bool,
    ) -> Result<Vec<u64>, StoreError> {
        if among.is_empty() || max == 0 {
            return Ok(Vec::new());
        }
        match &self.selection {
            Selection::Places(selected) => Ok(pick(selected, among, skipped, max, last)),
            Selection::Speaker(speaker) => self.said_by(speaker, among, skipped, max, last).await,
            Selection::All if last => self.last_shown(among, max).await,
            Selection::All => self.first_shown(among, skipped, max).await,
        }
    }

    async fn said_by(
        &self,
        speaker: &[u8],
        among: &Places,
        skipped: u64,
        max: u32,
        last: bool,
    ) -> Result<Vec<u64>, StoreError> {
        let (low, high) = (spoken(speaker, *among.start()), spoken(speaker, *among.end()));
        let (name, first, second) =
            if last { ("ZREVRANGEBYLEX", high, low) } else { ("ZRANGEBYLEX", low, high) };
        let mut members = cmd(name);
        members.arg(self.key("speakers")).arg(first).arg(second).arg("LIMIT").arg(skipped).arg(max);
        let members: Vec<Vec<u8>> = self.store.connection.ask(PAGE, members).await?;
        let mut places = Vec::with_capacity(members.len());
        for member in members {
            let bytes = member.get(16..).unwrap_or_default().try_into();
            places.push(bytes.map(u64::from_be_bytes).map_err(corrupt(PAGE))?);
        }
        if last {
            places.reverse();
        }
        Ok(places)
    }

    async fn first_shown(&self, among: &Places, skipped: u64, max: u32) -> Result<Vec<u64>, StoreError> {
        let mut from = self.nth(among, skipped).await?;
        let mut places = Vec::new();
        while from <= *among.end() && places.len() < max as usize {
            let to = from.saturating_add(u64::from(max) - 1).min(*among.end());
            let left = max as usize - places.len();
            places.extend(self.shown(from..=to).await?.into_iter().take(left));
            from = to + 1;
        }
        Ok(places)
    }

    async fn last_shown(&self, among: &Places, max: u32) -> Result<Vec<u64>, StoreError> {
        let mut to = *among.end();
        let mut places = Vec::new();
        while to >= *among.start() && places.len() < max as usize {
            let from = to.saturating_sub(u64::from(max) - 1).max(*among.start());
            let left = max as usize - places.len();
            places.extend(self.shown(from..=to).await?.into_iter().rev().take(left));
            to = from - 1;
        }
        places.reverse();
        Ok(places)
    }

    /// The place of the shown entry with so many shown ones before it: as far beyond as there are hidden ones.
    async fn nth(&self, among: &Places, skipped: u64) -> Result<u64, StoreError> {
        let mut place = among.start().saturating_add(skipped);
        loop {
            let hidden = self.hidden_in(&(*among.start()..=place)).await?;
            let farther = among.start().saturating_add(skipped).saturating_add(hidden);
            if farther == place || place > *among.end() {
                return Ok(place);
            }
            place = farther;
        }
    }

    async fn shown(&self, places: Places) -> Result<Vec<u64>, StoreError> {
        let mut hidden = cmd("ZRANGEBYSCORE");
        hidden.arg(self.key("hidden")).arg(*places.start()).arg(*places.end());
        let hidden = places_in(&self.store.connection.ask::<Vec<String>>(PAGE, hidden).await?)?;
        Ok(places.filter(|place| !hidden.contains(place)).collect())
    }
}

/// A bound in the index of speakers, included.
fn spoken(speaker: &[u8], place: u64) -> Vec<u8> {
    [b"[", speaker, &place.to_be_bytes()].concat()
}

fn pick(selected: &[u64], among: &Places, skipped: u64, max: u32, last: bool) -> Vec<u64> {
    let inside: Vec<u64> = selected.iter().copied().filter(|place| among.contains(place)).collect();
    let (skipped, max) = (usize::try_from(skipped).unwrap_or(usize::MAX), max as usize);
    if last {
        inside[inside.len().saturating_sub(max)..].to_vec()
    } else {
        inside.into_iter().skip(skipped).take(max).collect()
    }
}
