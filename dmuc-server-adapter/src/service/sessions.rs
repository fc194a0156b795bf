//! Which rooms each local session has gone to, for hosts that tell when a session ends.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use dmuc_core::stanza::Kind;
use dmuc_core::{Address, Stanza};

use super::lock;

/// Rooms by the full JID of a session. Kept only for a host that reports sessions: others send their presence.
pub(super) struct Sessions {
    rooms: Option<Mutex<HashMap<Address, BTreeSet<Address>>>>,
}

impl Sessions {
    pub fn new(reported: bool) -> Self {
        Self { rooms: reported.then(Mutex::default) }
    }

    /// Takes note of a presence on its way to `room`.
    pub fn note(&self, stanza: &Stanza, room: &Address) {
        let (Some(rooms), Some(from)) = (&self.rooms, &stanza.from) else { return };
        match (stanza.kind, stanza.ty()) {
            (Kind::Presence, "") => {
                lock(rooms).entry(from.clone()).or_default().insert(room.clone());
            }
            (Kind::Presence, "unavailable") => forget(&mut lock(rooms), from, room),
            _ => {}
        }
    }

    /// The rooms that a session was in; it is forgotten.
    pub fn close(&self, jid: &Address) -> BTreeSet<Address> {
        self.rooms.as_ref().and_then(|rooms| lock(rooms).remove(jid)).unwrap_or_default()
    }
}

fn forget(rooms: &mut HashMap<Address, BTreeSet<Address>>, from: &Address, room: &Address) {
    let Some(entered) = rooms.get_mut(from) else { return };
    entered.remove(room);
    if entered.is_empty() {
        rooms.remove(from);
    }
}

#[cfg(test)]
mod tests {
    use dmuc_core::{Address, Stanza};

    use super::Sessions;

    #[test]
    fn a_session_is_remembered_until_it_leaves() {
        let (witch, coven) = ("w@shakespeare.lit/1", "coven@chat.shakespeare.lit");
        let [witch, coven] = [witch, coven].map(|text| Address::parse(text).expect("valid"));
        let join = Stanza::presence().with_from(&witch);
        let sessions = Sessions::new(true);
        sessions.note(&join, &coven);
        assert!(sessions.close(&witch).contains(&coven));
        sessions.note(&join, &coven);
        sessions.note(&join.with_type("unavailable"), &coven);
        assert!(sessions.close(&witch).is_empty());
    }
}
