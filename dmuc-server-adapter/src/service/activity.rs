//! Who wants to hear of activity in rooms it is not in, and what there is to hear (XEP-0437).
//!
//! Kept in memory: what was said before the service started is told of by the rooms' histories when they are joined.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use dmuc_core::service::activity::notice;
use dmuc_core::stanza::{Condition, StanzaError};
use dmuc_core::{Address, Stanza};

use super::{Shared, lock};

/// Most clients that are told.
const CLIENTS_MAX: usize = 100_000;
/// Most clients of one user that are told.
const OWN_CLIENTS_MAX: usize = 20;
/// Most rooms with something to tell; more are not told of.
const ROOMS_MAX: usize = 100_000;
/// Most rooms in one notice.
const NOTICE_MAX: usize = 500;

/// The rooms in which somebody has missed something, and the clients that want to know.
#[derive(Debug, Default)]
pub(super) struct Activity {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Who has missed something, in order, by room.
    missed: HashMap<Address, Arc<[Address]>>,
    /// By user and client, the rooms it has been told of.
    clients: HashMap<Address, BTreeMap<Address, BTreeSet<Address>>>,
    count: usize,
}

impl State {
    /// If something happens in this room again, the user's clients are told again.
    fn untell(&mut self, user: &Address, room: &Address) {
        let clients = self.clients.get_mut(user).into_iter().flat_map(BTreeMap::values_mut);
        clients.for_each(|rooms| {
            rooms.remove(room);
        });
    }
}

impl Activity {
    /// A client wants to hear; gives the rooms that it has to be told of at once, or `None` if there is no place.
    pub fn follow(&self, client: &Address) -> Option<Vec<Address>> {
        let mut state = lock(&self.state);
        let user = client.to_bare();
        let own = state.clients.get(&user).map_or(0, BTreeMap::len);
        if state.count >= CLIENTS_MAX || own >= OWN_CLIENTS_MAX {
            return None;
        }
        let missed = state.missed.iter().filter(|(_, users)| users.binary_search(&user).is_ok());
        let rooms: Vec<Address> = missed.map(|(room, _)| room.clone()).take(NOTICE_MAX).collect();
        let told = rooms.iter().cloned().collect();
        if state.clients.entry(user).or_default().insert(client.clone(), told).is_none() {
            state.count += 1;
        }
        Some(rooms)
    }

    /// A client does not want to hear any more, or is gone.
    pub fn unfollow(&self, client: &Address) {
        let mut state = lock(&self.state);
        let user = client.to_bare();
        let Some(own) = state.clients.get_mut(&user) else { return };
        let was_there = own.remove(client).is_some();
        if own.is_empty() {
            state.clients.remove(&user);
        }
        state.count -= usize::from(was_there);
    }

    /// These users have missed something; gives the clients that have to be told.
    pub fn missed(&self, room: &Address, users: Arc<[Address]>) -> Vec<Address> {
        let mut state = lock(&self.state);
        let State { missed, clients, .. } = &mut *state;
        if users.is_empty() || (missed.len() >= ROOMS_MAX && !missed.contains_key(room)) {
            missed.remove(room);
            return Vec::new();
        }
        let mut told = Vec::new();
        // Usually nobody wants to know.
        let concerned: &[Address] = if clients.is_empty() { &[] } else { &users };
        for user in concerned {
            for (client, rooms) in clients.get_mut(user).into_iter().flatten() {
                if rooms.insert(room.clone()) {
                    told.push(client.clone());
                }
            }
        }
        missed.insert(room.clone(), users);
        told
    }

    /// There is nothing to tell these users of a room any more.
    pub fn caught_up(&self, room: &Address, users: &BTreeSet<Address>) {
        let mut state = lock(&self.state);
        users.iter().for_each(|user| state.untell(user, room));
        let Some(missed) = state.missed.get_mut(room) else { return };
        if missed.iter().any(|user| users.contains(user)) {
            *missed = missed.iter().filter(|user| !users.contains(*user)).cloned().collect();
        }
    }

    /// A room is no more.
    pub fn forget(&self, room: &Address) {
        let mut state = lock(&self.state);
        let Some(users) = state.missed.remove(room) else { return };
        users.iter().for_each(|user| state.untell(user, room));
    }
}

impl Shared {
    /// A client says whether it wants to hear of activity.
    pub(super) fn follow_activity(&self, stanza: &Stanza, wanted: bool) {
        let Some(client) = stanza.from.as_ref().filter(|from| !from.is_bare()) else { return };
        self.activity.unfollow(client);
        if !wanted {
            return;
        }
        match self.activity.follow(client) {
            Some(rooms) if rooms.is_empty() => {}
            Some(rooms) => self.answer(Some(notice(&self.board.now().domain, client, &rooms))),
            None => self.answer(stanza.error(&full())),
        }
    }

    /// Tells those who want to know that something was said in a room.
    pub(super) fn tell_of_activity(&self, room: &Address, users: Arc<[Address]>) {
        let domain = self.board.now().domain.clone();
        let clients = self.activity.missed(room, users);
        clients.iter().for_each(|client| self.answer(Some(notice(&domain, client, [room]))));
    }
}

fn full() -> StanzaError {
    StanzaError::new(Condition::ResourceConstraint).because("Too many clients want to hear of activity.")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use dmuc_core::Address;

    use super::{Activity, OWN_CLIENTS_MAX};

    fn jid(text: &str) -> Address {
        Address::parse(text).expect("valid")
    }

    #[test]
    fn each_client_is_told_once_of_a_room() {
        let (activity, coven) = (Activity::default(), jid("coven@chat.shakespeare.lit"));
        let [user, client, other] = ["w@s.lit", "w@s.lit/1", "w@s.lit/2"].map(jid);
        let users: Arc<[Address]> = [user.clone()].into();
        assert_eq!(activity.follow(&client), Some(Vec::new()));
        assert_eq!(activity.missed(&coven, users.clone()), std::slice::from_ref(&client));
        assert!(activity.missed(&coven, users.clone()).is_empty(), "told already");
        assert_eq!(activity.follow(&other), Some(vec![coven.clone()]), "what it missed before");
        activity.caught_up(&coven, &BTreeSet::from([user]));
        assert_eq!(activity.missed(&coven, users.clone()), [client.clone(), other.clone()]);
        activity.unfollow(&client);
        activity.forget(&coven);
        assert_eq!(activity.missed(&coven, users), [other]);
    }

    #[test]
    fn a_user_has_so_many_clients() {
        let activity = Activity::default();
        for n in 0..OWN_CLIENTS_MAX {
            assert!(activity.follow(&jid(&format!("w@s.lit/{n}"))).is_some());
        }
        assert!(activity.follow(&jid("w@s.lit/one-more")).is_none());
        activity.unfollow(&jid("w@s.lit/0"));
        assert!(activity.follow(&jid("w@s.lit/one-more")).is_some());
    }
}
