//! In how many rooms each user is at once. Rooms that sleep count from the time that they were last awake.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use dmuc_core::policy::ServicePolicy;
use dmuc_core::stanza::{Condition, El, Kind, StanzaError};
use dmuc_core::storage::{Change, Found};
use dmuc_core::{Address, Stanza, ns};
use serde::Deserialize;

use super::lock;

/// Rooms by the bare JID of who is in them here.
#[derive(Default)]
pub(super) struct Visits {
    rooms: Mutex<HashMap<Address, BTreeSet<Address>>>,
}

impl Visits {
    /// The answer to a wish that would bring its sender into more rooms than it may be in.
    pub fn refusal(&self, policy: &ServicePolicy, stanza: &Stanza, room: &Address) -> Option<Stanza> {
        let enters = stanza.kind == Kind::Presence && stanza.ty().is_empty();
        let user = stanza.from.as_ref().filter(|user| enters && !policy.is_admin(user))?.to_bare();
        let is_full = |entered: &BTreeSet<Address>| {
            entered.len() >= policy.rooms_at_once_max && !entered.contains(room)
        };
        if !lock(&self.rooms).get(&user).is_some_and(is_full) {
            return None;
        }
        let full = StanzaError::new(Condition::ResourceConstraint);
        let mut answer = stanza.error(&full.because("You are in as many rooms as you may be in."))?;
        // The mark of a join, as rooms put it (XEP-0045 §7.2).
        answer.children.insert(0, El::new("x", ns::MUC).payload());
        Some(answer)
    }

    fn enter(&self, user: &Address, room: &Address) {
        lock(&self.rooms).entry(user.clone()).or_default().insert(room.clone());
    }

    fn leave(&self, user: &Address, room: &Address) {
        let mut rooms = lock(&self.rooms);
        let Some(entered) = rooms.get_mut(user) else { return };
        entered.remove(room);
        if entered.is_empty() {
            rooms.remove(user);
        }
    }
}

/// What of an occupant's part matters here.
#[derive(Deserialize)]
struct Occupant {
    jid: Option<Address>,
}

/// Who is in one room here, by the keys of their parts.
pub(super) struct Inside {
    room: Address,
    prefix: String,
    users: BTreeMap<String, Address>,
}

impl Inside {
    /// Those who are in a room of the service `domain` as it is found.
    pub fn of(visits: &Visits, domain: &Address, room: &Address, found: Option<&Found>) -> Self {
        let mut inside =
            Self { room: room.clone(), prefix: format!("occupant/{domain}/"), users: BTreeMap::new() };
        for (key, value) in found.into_iter().flat_map(|found| &found.parts) {
            inside.put(visits, key, value);
        }
        inside
    }

    /// Follows what the room changes.
    pub fn note(&mut self, visits: &Visits, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put { key, value } => self.put(visits, key, value),
                Change::Delete { key } => self.delete(visits, key),
                Change::Destroy(_) => self.forget(visits),
                _ => {}
            }
        }
    }

    fn put(&mut self, visits: &Visits, key: &str, value: &str) {
        // Whoever changes its presence is in already.
        if !key.starts_with(&self.prefix) || self.users.contains_key(key) {
            return;
        }
        if let Ok(Occupant { jid: Some(user) }) = serde_json::from_str(value) {
            visits.enter(&user, &self.room);
            self.users.insert(key.to_owned(), user);
        }
    }

    fn delete(&mut self, visits: &Visits, key: &str) {
        let Some(user) = self.users.remove(key) else { return };
        if !self.users.values().any(|other| *other == user) {
            visits.leave(&user, &self.room);
        }
    }

    /// Nobody is in any more, as far as is known.
    pub fn forget(&mut self, visits: &Visits) {
        std::mem::take(&mut self.users).values().for_each(|user| visits.leave(user, &self.room));
    }
}
