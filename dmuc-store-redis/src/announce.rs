//! What is known of rooms outside of them, for their domain: addresses, tombstones and indexes. It cannot change together
//! with the room, so it is announced before and settled after; see the crate's documentation.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::Address;
use dmuc_core::storage::{
    Change, Revision, RoomCommit, RoomUid, StoreError, StoreErrorKind, Tombstone, card_is_public,
};
use redis::{Cmd, Value, cmd};
use tracing::debug;

use crate::RedisStore;
use crate::commit::Job;
use crate::error::{conflict, corrupt};
use crate::script::{ANNOUNCE, SETTLE, call};

const ANNOUNCING: &str = "announce a commit";
const SETTLING: &str = "settle a commit";
/// The part that discovery shows.
pub(crate) const CARD: &str = "card";
/// Parts that rooms are found by begin so.
const FOUND_BY: &str = "subscriber/";

/// What of a commit is known outside of its room.
#[derive(Debug, Default)]
pub(crate) struct Announcement {
    /// Where the room is; unless it is created, that is looked up first.
    jid: Option<Address>,
    creates: bool,
    destroys: bool,
    tombstone: Option<Tombstone>,
    /// Whether the room is public afterwards, if the commit tells.
    public: Option<bool>,
    /// Parts that the room is to be found by afterwards, or no more.
    found: BTreeMap<String, bool>,
}

impl Announcement {
    /// Nothing, for most commits.
    pub fn of(commit: &RoomCommit) -> Option<Self> {
        let mut this = Self::default();
        for change in &commit.changes {
            match change {
                Change::Create { jid } => (this.jid, this.creates) = (Some(jid.clone()), true),
                Change::Put { key, value } if key == CARD => this.public = Some(card_is_public(value)),
                Change::Delete { key } if key == CARD => this.public = Some(false),
                Change::Put { key, .. } if is_found_by(key) => drop(this.found.insert(key.clone(), true)),
                Change::Delete { key } if is_found_by(key) => drop(this.found.insert(key.clone(), false)),
                Change::Destroy(tombstone) => this.end(tombstone.clone()),
                _ => {}
            }
        }
        let concerns = this.creates || this.destroys || this.public.is_some() || !this.found.is_empty();
        concerns.then_some(this)
    }

    fn end(&mut self, tombstone: Option<Tombstone>) {
        (self.destroys, self.tombstone, self.public) = (true, tombstone, Some(false));
        self.found.values_mut().for_each(|found| *found = false);
    }

    fn found(&self, wanted: bool) -> Vec<&str> {
        self.found.iter().filter(|(_, found)| **found == wanted).map(|(key, _)| key.as_str()).collect()
    }

    fn stone(&self) -> Result<String, StoreError> {
        match &self.tombstone {
            Some(tombstone) => stone_text(tombstone),
            None if self.destroys => Ok("-".to_owned()),
            None => Ok(String::new()),
        }
    }
}

pub(crate) fn is_found_by(key: &str) -> bool {
    key.starts_with(FOUND_BY)
}

/// A tombstone as it is kept: when it ceases to block, and all of it.
pub(crate) fn stone_text(tombstone: &Tombstone) -> Result<String, StoreError> {
    let json = serde_json::to_string(tombstone).map_err(corrupt("write a tombstone"))?;
    Ok(format!("{}:{json}", tombstone.blocks_until.0))
}

pub(crate) fn read_stone(text: &str) -> Result<Tombstone, StoreError> {
    let json = text.split_once(':').map_or("", |(_, json)| json);
    serde_json::from_str(json).map_err(corrupt("read a tombstone"))
}

fn token(uid: RoomUid, revision: u64) -> String {
    format!("{uid}:{revision}")
}

fn token_of(commit: &RoomCommit) -> String {
    token(commit.lease.room, commit.expected.0 + 1)
}

impl RedisStore {
    /// Announces whatever commits have to be; those of which the announcement is refused are over.
    pub(crate) async fn announce(&self, jobs: &mut [Job<'_>]) {
        self.complete(jobs).await;
        self.note_new_domains(jobs).await;
        let (mut waiting, mut calls) = (Vec::new(), Vec::new());
        for job in jobs.iter_mut().filter(|job| job.result.is_none()) {
            let Some(announcement) = &job.announcement else { continue };
            match self.announcing(job.commit, announcement, "") {
                Ok(call) => {
                    calls.push(call);
                    waiting.push(job);
                }
                Err(error) => job.refuse(error),
            }
        }
        let answers = self.connection.change::<Value>(ANNOUNCING, calls).await;
        for (job, answer) in waiting.into_iter().zip(answers) {
            let judged = match (answer, &job.announcement) {
                (Ok(answer), Some(announcement)) => self.judge(job.commit, announcement, answer).await,
                (answer, _) => answer.map(drop),
            };
            judged.unwrap_or_else(|error| job.refuse(error));
        }
    }

    /// Looks up where the rooms are, and what those that end are found by.
    async fn complete(&self, jobs: &mut [Job<'_>]) {
        let mut waiting: Vec<(RoomUid, &mut Job<'_>)> = Vec::new();
        let is_incomplete =
            |job: &&mut Job<'_>| job.announcement.as_ref().is_some_and(|known| known.jid.is_none());
        for job in jobs.iter_mut().filter(is_incomplete) {
            waiting.push((job.commit.lease.room, job));
        }
        let field = |(uid, job): &(RoomUid, &mut Job<'_>)| {
            let ends = job.announcement.as_ref().is_some_and(|known| known.destroys);
            let mut field = cmd(if ends { "HGETALL" } else { "HMGET" });
            field.arg(self.keys.room(*uid, "room"));
            if !ends {
                field.arg("jid");
            }
            field
        };
        let commands: Vec<Cmd> = waiting.iter().map(field).collect();
        let answers = self.connection.run(commands).await;
        for ((_, job), answer) in waiting.into_iter().zip(answers) {
            let answer = answer.map_err(crate::error::failed(ANNOUNCING));
            let completed = answer.and_then(|answer| complete_one(job, answer));
            completed.unwrap_or_else(|error| job.refuse(error));
        }
    }

    /// A domain is known before it has a room.
    async fn note_new_domains(&self, jobs: &mut [Job<'_>]) {
        let new = |job: &Job<'_>| {
            let announcement = job.announcement.as_ref().filter(|it| it.creates && job.result.is_none());
            Some(announcement?.jid.as_ref()?.domain().to_owned())
        };
        let jobs_count = jobs.len();
        let domains: BTreeSet<String> = jobs.iter().filter_map(new).collect();
        if domains.is_empty() {
            return;
        }
        if let Err(error) = self.note_domains(domains.iter().map(String::as_str)).await {
            let new = jobs.iter_mut().filter(|job| new(job).is_some()).collect::<Vec<_>>();
            for (job, failed) in new.into_iter().zip(error.for_all(jobs_count)) {
                job.result = Some(failed);
            }
        }
    }

    fn announcing(
        &self,
        commit: &RoomCommit,
        announcement: &Announcement,
        void: &str,
    ) -> Result<Cmd, StoreError> {
        let jid = announcement.jid.as_ref().ok_or_else(|| conflict(ANNOUNCING, "there is no such room"))?;
        let mut call = call(&ANNOUNCE, &self.keys.of_domain(jid.domain()));
        let claimed = if announcement.creates { commit.lease.room.to_string() } else { String::new() };
        call.arg(jid.as_str()).arg(token_of(commit)).arg(claimed).arg(commit.lease.expires.0).arg(void);
        call.arg(announcement.stone()?).arg(if announcement.public == Some(true) { "1" } else { "" });
        call.arg(announcement.found(true));
        Ok(call)
    }

    /// What an answer to an announcement means. A claim of somebody who has no room there is taken over.
    async fn judge(
        &self,
        commit: &RoomCommit,
        announcement: &Announcement,
        answer: Value,
    ) -> Result<(), StoreError> {
        let claim = match answer {
            Value::Int(0) => return Ok(()),
            Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
            _ => return Err(StoreError::new(StoreErrorKind::Unexpected, ANNOUNCING)),
        };
        let Some(jid) = announcement.jid.as_ref().filter(|_| claim != "blocked") else {
            return Err(conflict(ANNOUNCING, "a tombstone blocks the address"));
        };
        let occupied = || conflict(ANNOUNCING, "there is a room at the address");
        if self.is_at(read_claim(&claim)?, jid).await? {
            return Err(occupied());
        }
        let again = self.announcing(commit, announcement, &claim)?;
        match self.connection.change_one(ANNOUNCING, again).await? {
            Value::Int(0) => Ok(()),
            Value::BulkString(text) if text == b"blocked" => {
                Err(conflict(ANNOUNCING, "a tombstone blocks the address"))
            }
            _ => Err(occupied()),
        }
    }

    /// Whether a room exists and is at this address.
    async fn is_at(&self, uid: RoomUid, jid: &Address) -> Result<bool, StoreError> {
        let mut field = cmd("HGET");
        field.arg(self.keys.room(uid, "room")).arg("jid");
        let held: Option<String> = self.connection.ask(ANNOUNCING, field).await?;
        Ok(held.as_deref() == Some(jid.as_str()))
    }

    /// Settles what was announced and made. A room is not created before its claim is confirmed.
    pub(crate) async fn settle(&self, jobs: &mut [Job<'_>]) {
        let (mut waiting, mut calls) = (Vec::new(), Vec::new());
        for job in jobs.iter_mut().filter(|job| matches!(job.result, Some(Ok(_)))) {
            if let Some((announcement, jid)) =
                job.announcement.as_ref().and_then(|it| Some((it, it.jid.as_ref()?)))
            {
                calls.push(self.settling(job.commit, announcement, jid));
                waiting.push(job);
            }
        }
        let answers = self.connection.change::<u8>(SETTLING, calls).await;
        for (job, answer) in waiting.into_iter().zip(answers) {
            let creates = job.announcement.as_ref().is_some_and(|announcement| announcement.creates);
            match answer {
                Ok(0) if creates => job.refuse(self.take_back(job.commit).await),
                Err(error) if creates => job.refuse(error),
                // The commit is made. Who loads the room settles the rest.
                Err(error) => debug!(%error, "a commit is not settled yet"),
                Ok(_) => {}
            }
        }
    }

    fn settling(&self, commit: &RoomCommit, announcement: &Announcement, jid: &Address) -> Cmd {
        let what = match announcement {
            Announcement { destroys: true, .. } => "release",
            Announcement { creates: true, .. } => "claim",
            _ => "",
        };
        let mut call = self.settle_call(jid, &token_of(commit), commit.lease.room, what, announcement.public);
        call.arg(announcement.found(false));
        call
    }

    fn settle_call(&self, jid: &Address, token: &str, uid: RoomUid, what: &str, public: Option<bool>) -> Cmd {
        let mut call = call(&SETTLE, &self.keys.of_domain(jid.domain()));
        call.arg(jid.as_str()).arg(token).arg(uid.to_string()).arg(what);
        call.arg(if public == Some(false) { "0" } else { "" });
        call
    }

    /// Removes a room that somebody else's claim was faster than, and says so.
    async fn take_back(&self, commit: &RoomCommit) -> StoreError {
        let mut call = call(&crate::script::COMMIT, &self.keys.of_commit(commit.lease.room, true));
        call.arg(self.nonces.next()).arg(commit.expected.0 + 1).arg(commit.lease.fence).arg("X");
        match self.connection.change_one::<Value>(SETTLING, call).await {
            Ok(_) => conflict(SETTLING, "there is a room at the address"),
            Err(error) => error,
        }
    }

    /// Settles what somebody announced for an address and never came to settle, if it was made.
    pub(crate) async fn settle_for(&self, jid: &Address, token: &str) -> Result<(), StoreError> {
        let parts =
            token.split_once(':').and_then(|(uid, revision)| Some((uid, revision.parse::<u64>().ok()?)));
        let (uid, announced) = parts.ok_or_else(|| corrupt(SETTLING)("an announcement names no revision"))?;
        let uid = read_claim(uid)?;
        let mut fields = cmd("HMGET");
        fields.arg(self.keys.room(uid, "room")).arg("jid").arg("revision").arg(format!("/{CARD}"));
        let (at, revision, card): (Option<String>, Option<u64>, Option<String>) =
            self.connection.ask(SETTLING, fields).await?;
        let what = match revision {
            Some(revision)
                if at.as_deref() == Some(jid.as_str()) && Revision(revision) >= Revision(announced) =>
            {
                "claim"
            }
            // A room that was announced as new may yet come; another one has ended.
            None if announced > 1 => "release",
            _ => return Ok(()),
        };
        let public = Some(card.is_some_and(|card| card_is_public(&card)));
        let call = self.settle_call(jid, token, uid, what, public);
        self.connection.change_one::<u8>(SETTLING, call).await.map(drop)
    }
}

fn complete_one(job: &mut Job<'_>, answer: Value) -> Result<(), StoreError> {
    let Some(announcement) = &mut job.announcement else { return Ok(()) };
    let texts: Vec<Option<String>> =
        redis::from_redis_value(answer).map_err(crate::error::unreadable(ANNOUNCING))?;
    let jid = if announcement.destroys {
        let fields: BTreeMap<String, String> = pairs(texts);
        let found = fields.keys().filter_map(|field| field.strip_prefix('/')).filter(|key| is_found_by(key));
        announcement.found.extend(found.map(|key| (key.to_owned(), false)));
        fields.get("jid").cloned()
    } else {
        texts.into_iter().next().flatten()
    };
    let jid = jid.ok_or_else(|| conflict(ANNOUNCING, "there is no such room"))?;
    announcement.jid = Some(Address::parse(&jid).map_err(corrupt(ANNOUNCING))?);
    Ok(())
}

fn pairs(texts: Vec<Option<String>>) -> BTreeMap<String, String> {
    let mut texts = texts.into_iter().flatten();
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect()
}

/// Whose a claim is, confirmed or not.
pub(crate) fn read_claim(claim: &str) -> Result<RoomUid, StoreError> {
    let uid = claim.strip_suffix('?').unwrap_or(claim);
    uid.parse().map(RoomUid).map_err(corrupt("read a claim"))
}
