//! Making changes durable: one call of a script for each commit, all of a slice sent together.

use std::sync::atomic::{AtomicU64, Ordering};

use dmuc_core::event::{Event, Position};
use dmuc_core::storage::{Change, LogEntry, Revision, RoomCommit, RoomUid, StoreError, StoreErrorKind};
use redis::{Cmd, Value};
use uuid::Uuid;

use crate::RedisStore;
use crate::announcement::Announcement;
use crate::entry::{add_append, add_withhold, content_json};
use crate::error::{conflict, corrupt};
use crate::keys::Extent;
use crate::remembered::Memory;
use crate::script::{COMMIT, call};

const MAKE: &str = "commit";
const APPEND: &str = "append to a log";

/// Names commits, so that one which is asked for twice is made once.
#[derive(Debug)]
pub(crate) struct Nonces {
    store: Uuid,
    next: AtomicU64,
}

impl Nonces {
    pub fn new() -> Self {
        Self { store: Uuid::new_v4(), next: AtomicU64::new(0) }
    }

    pub fn next(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        [&self.store.as_bytes()[..8], &number.to_be_bytes()[..]].concat()
    }
}

/// A commit on its way.
pub(crate) struct Job<'a> {
    pub commit: &'a RoomCommit,
    /// What of it is known outside of the room.
    pub announcement: Option<Announcement>,
    /// What became of it, once that is known.
    pub result: Option<Result<Revision, StoreError>>,
}

impl<'a> Job<'a> {
    fn new(commit: &'a RoomCommit, memory: &Memory) -> Self {
        let result = refused_by_shape(commit).map(|why| Err(conflict(MAKE, why)));
        let announcement = match result {
            None => Announcement::of(commit, memory.of(&commit.lease)),
            Some(_) => None,
        };
        if announcement.is_some() {
            memory.forget(commit.lease.room);
        }
        Self { commit, announcement, result }
    }

    pub fn refuse(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn end(self) -> Result<Revision, StoreError> {
        self.result.unwrap_or_else(|| Err(StoreError::new(StoreErrorKind::Unexpected, MAKE)))
    }
}

/// Whatever the changes themselves tell about their being refused: a room begins with its creation and ends with its
/// destruction.
fn refused_by_shape(commit: &RoomCommit) -> Option<&'static str> {
    let creates = |change: &Change| matches!(change, Change::Create { .. });
    let ends = |change: &Change| matches!(change, Change::Destroy(_));
    let (first, rest) = match commit.changes.split_first() {
        Some((first, rest)) => (Some(first), rest),
        None => (None, &[][..]),
    };
    if (commit.expected == Revision(0)) != first.is_some_and(creates) {
        Some("there is a room already, or none")
    } else if rest.iter().any(creates) || commit.changes.iter().rev().skip(1).any(ends) {
        Some("a change that is out of place")
    } else {
        None
    }
}

impl RedisStore {
    /// What has to be known outside of rooms is announced first and settled afterwards; most commits have nothing of it.
    pub(crate) async fn commit_all(&self, commits: &[RoomCommit]) -> Vec<Result<Revision, StoreError>> {
        let mut jobs: Vec<Job<'_>> =
            commits.iter().map(|commit| Job::new(commit, &self.remembered)).collect();
        self.announce(&mut jobs).await;
        self.make(&mut jobs).await;
        self.settle(&mut jobs).await;
        jobs.into_iter().map(Job::end).collect()
    }

    async fn make(&self, jobs: &mut [Job<'_>]) {
        let (mut waiting, mut calls) = (Vec::new(), Vec::new());
        for job in jobs.iter_mut().filter(|job| job.result.is_none()) {
            match self.call_of(job.commit).await {
                Ok(call) => {
                    calls.push(call);
                    waiting.push(job);
                }
                Err(error) => job.refuse(error),
            }
        }
        let answers = self.connection.change::<Value>(MAKE, calls).await;
        for (job, answer) in waiting.into_iter().zip(answers) {
            job.result = Some(answer.and_then(|answer| read_answer(MAKE, answer)));
        }
    }

    async fn call_of(&self, commit: &RoomCommit) -> Result<Cmd, StoreError> {
        let extent = commit.changes.iter().map(extent_of).max().unwrap_or(Extent::Record);
        let mut call = call(&COMMIT, &self.keys.of_commit(commit.lease.room, extent));
        call.arg(self.nonces.next()).arg(commit.expected.0).arg(commit.lease.fence);
        for change in &commit.changes {
            self.add_change(&mut call, commit, change).await?;
        }
        Ok(call)
    }

    async fn add_change(
        &self,
        call: &mut Cmd,
        commit: &RoomCommit,
        change: &Change,
    ) -> Result<(), StoreError> {
        match change {
            Change::Create { jid } => call.arg("C").arg(jid.as_str()),
            Change::Put { key, value } => call.arg("P").arg(key).arg(value),
            Change::Delete { key } => call.arg("D").arg(key),
            Change::Append(entry) => return add_append(call, entry),
            Change::Redact { id, content } => call.arg("R").arg(&id.0[..]).arg(content_json(content)?),
            Change::Withhold { pos, withheld } => {
                if let Some(event) = self.event_of(commit, pos).await? {
                    add_withhold(call, &event, *withheld);
                }
                call
            }
            Change::Destroy(_) => call.arg("X"),
            _ => return Err(conflict(MAKE, "a change that this store does not know")),
        };
        Ok(())
    }

    /// The event at a position, appended by the commit itself or held.
    async fn event_of(&self, commit: &RoomCommit, pos: &Position) -> Result<Option<Event>, StoreError> {
        if let Some(held) = self.entry_at(commit.lease.room, pos).await? {
            return Ok(Some(held.event));
        }
        let appended = commit.changes.iter().find_map(|change| match change {
            Change::Append(entry) if entry.event.pos == *pos => Some(entry.event.clone()),
            _ => None,
        });
        Ok(appended)
    }

    /// Appends entries, whether there is a room or not.
    pub(crate) async fn append_entries(&self, room: RoomUid, entries: &[LogEntry]) -> Result<(), StoreError> {
        let mut call = call(&COMMIT, &self.keys.of_commit(room, Extent::All));
        call.arg("").arg("").arg("");
        entries.iter().try_for_each(|entry| add_append(&mut call, entry))?;
        let answer = self.connection.change_one(APPEND, call).await?;
        read_answer(APPEND, answer).map(drop)
    }
}

/// Which of a room's keys a change concerns.
fn extent_of(change: &Change) -> Extent {
    match change {
        Change::Create { .. } | Change::Put { .. } | Change::Delete { .. } => Extent::Record,
        Change::Append(entry) if !entry.withheld => Extent::Growth,
        _ => Extent::All,
    }
}

/// The revision, or the reason of a refusal.
fn read_answer(operation: &'static str, answer: Value) -> Result<Revision, StoreError> {
    match answer {
        Value::Int(revision) => u64::try_from(revision).map(Revision).map_err(corrupt(operation)),
        Value::BulkString(why) => Err(conflict(operation, String::from_utf8_lossy(&why))),
        _ => Err(StoreError::new(StoreErrorKind::Unexpected, operation)),
    }
}
