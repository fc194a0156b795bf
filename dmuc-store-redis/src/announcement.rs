//! What of a commit is known outside of its room, for the room's domain: addresses, tombstones and indexes.

use std::collections::BTreeMap;

use dmuc_core::Address;
use dmuc_core::storage::{Change, RoomCommit, RoomUid, StoreError, Tombstone, card_is_public};

use crate::error::corrupt;
use crate::remembered::Remembered;

/// The part that discovery shows.
pub(crate) const CARD: &str = "card";
/// Parts that rooms are found by begin so.
const FOUND_BY: &str = "subscriber/";

/// What of a commit is known outside of its room.
#[derive(Debug, Default)]
pub(crate) struct Announcement {
    /// Where the room is; unless it is created or remembered, that is looked up first.
    pub jid: Option<Address>,
    pub creates: bool,
    pub destroys: bool,
    pub tombstone: Option<Tombstone>,
    /// Whether the room is public afterwards, if the commit tells.
    pub public: Option<bool>,
    /// Parts that the room is to be found by afterwards, or no more.
    pub found: BTreeMap<String, bool>,
}

impl Announcement {
    /// Nothing, for most commits: also if the room is remembered as public or not, and stays so.
    pub fn of(commit: &RoomCommit, remembered: Option<Remembered>) -> Option<Self> {
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
        if !this.creates
            && let Some(Remembered { jid, public }) = remembered
        {
            this.jid = Some(jid);
            this.public = this.public.filter(|becomes| *becomes != public || this.destroys);
        }
        let concerns = this.creates || this.destroys || this.public.is_some() || !this.found.is_empty();
        concerns.then_some(this)
    }

    fn end(&mut self, tombstone: Option<Tombstone>) {
        (self.destroys, self.tombstone, self.public) = (true, tombstone, Some(false));
        self.found.values_mut().for_each(|found| *found = false);
    }

    pub fn found(&self, wanted: bool) -> Vec<&str> {
        self.found.iter().filter(|(_, found)| **found == wanted).map(|(key, _)| key.as_str()).collect()
    }

    /// The tombstone as it is kept, or what stands for none and for no change.
    pub fn stone(&self) -> Result<String, StoreError> {
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

/// Names the announcement of a commit: the room and its coming revision.
pub(crate) fn token_of(commit: &RoomCommit) -> String {
    format!("{}:{}", commit.lease.room, commit.expected.0 + 1)
}

/// Room and revision of an announcement.
pub(crate) fn read_token(token: &str) -> Result<(RoomUid, u64), StoreError> {
    let parts = token.split_once(':').and_then(|(uid, revision)| Some((uid, revision.parse::<u64>().ok()?)));
    let (uid, revision) = parts.ok_or_else(|| corrupt("read an announcement")("it names no revision"))?;
    Ok((read_claim(uid)?, revision))
}

/// Whose a claim is, confirmed or not.
pub(crate) fn read_claim(claim: &str) -> Result<RoomUid, StoreError> {
    let uid = claim.strip_suffix('?').unwrap_or(claim);
    uid.parse().map(RoomUid).map_err(corrupt("read a claim"))
}
