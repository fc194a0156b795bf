//! Making changes durable: one statement for the commits of many rooms. One that is refused leaves the others.

use std::collections::BTreeMap;

use dmuc_core::storage::{Revision, RoomCommit, RoomUid, StoreError, StoreErrorKind};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::PostgresStore;
use crate::append::elsewhere;
use crate::changes::Changes;
use crate::database::column;
use crate::error::{conflict, failed, is_passing, unanswered};

const COMMIT: &str = "commit";
/// How often a statement is tried while other transactions are in its way.
const TRIES: u32 = 5;
const MAKE: &str = "SELECT refused, reasons FROM commit_rooms( \
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
    $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, \
    $37, $38, $39, $40, $41, $42, $43)";

type Outcome = Result<Revision, StoreError>;

/// Rooms that are in the way of the others, and why.
type Refusals = BTreeMap<RoomUid, StoreError>;

impl PostgresStore {
    /// Commits of different rooms go together; where a room has several, they go one after another.
    pub(crate) async fn commit_all(&self, commits: &[RoomCommit]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = commits.iter().map(|_| None).collect();
        for round in rounds(commits) {
            let slice: Vec<&RoomCommit> = round.iter().map(|nth| &commits[*nth]).collect();
            for (nth, outcome) in round.iter().zip(self.commit_slice(&slice).await) {
                outcomes[*nth] = Some(outcome);
            }
        }
        outcomes.into_iter().map(|outcome| outcome.expect("each commit is in one round")).collect()
    }

    /// Commits of different rooms, in order of their rooms. Something that is wrong with one of them alone but shows
    /// only as a failure of the statement does not stop the others.
    async fn commit_slice(&self, commits: &[&RoomCommit]) -> Vec<Outcome> {
        match self.commit_together(commits).await {
            Ok(outcomes) => outcomes,
            Err(error) if error.kind == StoreErrorKind::Unavailable || commits.len() == 1 => {
                error.for_all(commits.len())
            }
            Err(_) => {
                let mut outcomes = Vec::with_capacity(commits.len());
                for commit in commits {
                    let alone = self.commit_together(&[commit]).await;
                    outcomes.extend(alone.unwrap_or_else(|error| error.for_all(1)));
                }
                outcomes
            }
        }
    }

    /// Leaves out what is refused until the rest can be made.
    async fn commit_together(&self, commits: &[&RoomCommit]) -> Result<Vec<Outcome>, StoreError> {
        let mut refusals = Refusals::new();
        loop {
            let mut changes = Changes::default();
            for commit in commits {
                let room = commit.lease.room;
                if !refusals.contains_key(&room)
                    && let Err(error) = changes.push(commit)
                {
                    refusals.insert(room, error);
                }
            }
            let more = if changes.is_empty() { Refusals::new() } else { self.make(&changes).await? };
            if more.is_empty() {
                break;
            }
            refusals.extend(more);
        }
        let outcome = |commit: &&RoomCommit| match refusals.remove(&commit.lease.room) {
            Some(error) => Err(error),
            None => Ok(Revision(commit.expected.0 + 1)),
        };
        Ok(commits.iter().map(outcome).collect())
    }

    /// Makes all changes, or none and says which are in the way.
    async fn make(&self, changes: &Changes) -> Result<Refusals, StoreError> {
        let mut tries = 1;
        loop {
            match self.database.try_rows(changes.bind(sqlx::query(MAKE))).await {
                Some(Err(error)) if is_passing(&error) && tries < TRIES => tries += 1,
                Some(answer) => return refusals(&answer.map_err(failed(COMMIT))?),
                None => return Err(unanswered(COMMIT)),
            }
        }
    }
}

/// Which commits go together: no round has two of one room, and each is in order of rooms.
fn rounds(commits: &[RoomCommit]) -> Vec<Vec<usize>> {
    let mut rounds: Vec<BTreeMap<RoomUid, usize>> = Vec::new();
    let mut earlier: BTreeMap<RoomUid, usize> = BTreeMap::new();
    for (nth, commit) in commits.iter().enumerate() {
        let round = earlier.entry(commit.lease.room).or_default();
        if rounds.len() == *round {
            rounds.push(BTreeMap::new());
        }
        rounds[*round].insert(commit.lease.room, nth);
        *round += 1;
    }
    rounds.into_iter().map(|round| round.into_values().collect()).collect()
}

fn refusals(rows: &[PgRow]) -> Result<Refusals, StoreError> {
    let Some(row) = rows.first() else { return Ok(Refusals::new()) };
    let refused: Vec<Uuid> = column(row, 0, COMMIT)?;
    let reasons: Vec<String> = column(row, 1, COMMIT)?;
    Ok(refused.into_iter().map(RoomUid).zip(reasons.iter().map(|reason| refusal(reason))).collect())
}

fn refusal(reason: &str) -> StoreError {
    match reason {
        "address" => conflict("commit: the address is occupied or blocked"),
        "id" => elsewhere(),
        _ => conflict("commit: another revision, or the lease was taken over"),
    }
}
