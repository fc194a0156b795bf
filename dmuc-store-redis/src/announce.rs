//! Announcing what commits change outside of their rooms, and settling it after they are made; the crate's documentation
//! tells why.

use std::collections::BTreeSet;

use dmuc_core::Address;
use dmuc_core::storage::{RoomCommit, RoomUid, StoreError, StoreErrorKind, card_is_public};
use redis::{Cmd, Value, cmd};
use tracing::debug;

use crate::RedisStore;
use crate::announcement::{Announcement, CARD, is_found_by, read_claim, read_token, token_of};
use crate::commit::Job;
use crate::error::{conflict, corrupt};
use crate::keys::Extent;
use crate::script::{ANNOUNCE, COMMIT, SETTLE, call};

const ANNOUNCING: &str = "announce a commit";
const SETTLING: &str = "settle a commit";

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
        let is_incomplete = |job: &&mut Job<'_>| job.announcement.as_ref().is_some_and(|it| it.jid.is_none());
        let incomplete: Vec<&mut Job<'_>> = jobs.iter_mut().filter(is_incomplete).collect();
        let places = incomplete.iter().map(|job| self.record("HGET", job.commit.lease.room, Some("jid")));
        let places = self.connection.ask_each::<Option<String>>(ANNOUNCING, places.collect()).await;
        for (job, place) in incomplete.into_iter().zip(places) {
            let placed = place.and_then(|place| place_job(job, place));
            placed.unwrap_or_else(|error| job.refuse(error));
        }
        let is_ending = |job: &&mut Job<'_>| job.announcement.as_ref().is_some_and(|it| it.destroys);
        let ending: Vec<&mut Job<'_>> = jobs.iter_mut().filter(is_ending).collect();
        let parts = ending.iter().map(|job| self.record("HKEYS", job.commit.lease.room, None));
        let parts = self.connection.ask_each::<Vec<String>>(ANNOUNCING, parts.collect()).await;
        for (job, parts) in ending.into_iter().zip(parts) {
            parts.map(|parts| note_found(job, &parts)).unwrap_or_else(|error| job.refuse(error));
        }
    }

    /// A command that reads a room's record.
    fn record(&self, name: &str, room: RoomUid, field: Option<&str>) -> Cmd {
        let mut read = cmd(name);
        read.arg(self.keys.room(room, "room")).arg(field);
        read
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
        let place = self.record("HGET", uid, Some("jid"));
        let held: Option<String> = self.connection.ask(ANNOUNCING, place).await?;
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
                Ok(_) => self.remember(job),
            }
        }
    }

    /// What is settled needs not be announced again by whoever holds the same lease.
    fn remember(&self, job: &Job<'_>) {
        let Some(Announcement { jid: Some(jid), creates, destroys: false, public, .. }) = &job.announcement
        else {
            return;
        };
        // A new room without a card is not public; of others that is known only if the commit tells.
        if let Some(public) = public.or(creates.then_some(false)) {
            self.remembered.note(&job.commit.lease, jid.clone(), public);
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
        let mut call = call(&COMMIT, &self.keys.of_commit(commit.lease.room, Extent::All));
        call.arg(self.nonces.next()).arg(commit.expected.0 + 1).arg(commit.lease.fence).arg("X");
        match self.connection.change_one::<Value>(SETTLING, call).await {
            Ok(_) => conflict(SETTLING, "there is a room at the address"),
            Err(error) => error,
        }
    }

    /// Settles what somebody announced for an address and never came to settle, if it was made.
    pub(crate) async fn settle_for(&self, jid: &Address, token: &str) -> Result<(), StoreError> {
        let (uid, announced) = read_token(token)?;
        let mut fields = cmd("HMGET");
        fields.arg(self.keys.room(uid, "room")).arg("jid").arg("revision").arg(format!("/{CARD}"));
        let (at, revision, card): (Option<String>, Option<u64>, Option<String>) =
            self.connection.ask(SETTLING, fields).await?;
        let what = match revision {
            Some(revision) if at.as_deref() == Some(jid.as_str()) && revision >= announced => "claim",
            // A room that was announced as new may yet come; another one has ended.
            None if announced > 1 => "release",
            _ => return Ok(()),
        };
        let public = Some(card.is_some_and(|card| card_is_public(&card)));
        let call = self.settle_call(jid, token, uid, what, public);
        self.connection.change_one::<u8>(SETTLING, call).await.map(drop)
    }
}

fn place_job(job: &mut Job<'_>, place: Option<String>) -> Result<(), StoreError> {
    let place = place.ok_or_else(|| conflict(ANNOUNCING, "there is no such room"))?;
    let jid = Address::parse(&place).map_err(corrupt(ANNOUNCING))?;
    if let Some(announcement) = &mut job.announcement {
        announcement.jid = Some(jid);
    }
    Ok(())
}

/// The room will be found no more by any of its parts.
fn note_found(job: &mut Job<'_>, fields: &[String]) {
    let found = fields.iter().filter_map(|field| field.strip_prefix('/')).filter(|key| is_found_by(key));
    if let Some(announcement) = &mut job.announcement {
        announcement.found.extend(found.map(|key| (key.to_owned(), false)));
    }
}
