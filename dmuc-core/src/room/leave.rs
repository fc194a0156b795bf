//! Leaving, and being removed (XEP-0045 §7.14, §8.2, §9.1).

use crate::address::Address;
use crate::instance::Instance;
use crate::room::occupants::{Occupant, OccupantId};
use crate::room::presence::Notice;
use crate::stanza::Stanza;
use crate::storage::Change;

impl Instance {
    /// A client says that it leaves.
    pub(crate) fn handle_leave(&mut self, stanza: &Stanza) {
        let Some(from) = &stanza.from else { return };
        let last_words = self.presence_content(stanza);
        self.client_gone(from, Notice { last_words, ..Notice::default() });
    }

    /// The host says that a client is gone.
    pub(crate) fn handle_session_closed(&mut self, client: &Address) {
        if self.room.is_some() {
            self.client_gone(client, Notice::default());
        }
    }

    /// What was sent to a client came back: it is a ghost (status 333).
    pub(crate) fn handle_bounce(&mut self, stanza: &Stanza) {
        let Some(from) = &stanza.from else { return };
        let gone =
            stanza.child("error", crate::ns::STANZA).and_then(|error| error.element().ok()).is_some_and(
                |error| GHOSTLY.iter().any(|condition| error.has_child(*condition, crate::ns::ERRORS)),
            );
        if gone {
            self.client_gone(from, Notice::codes(&[333]));
        }
    }

    fn client_gone(&mut self, client: &Address, notice: Notice) {
        let Some(occupant) = self.room().occupants.of_session(client).cloned() else { return };
        let notice = Notice { gone: true, ..notice };
        if occupant.sessions.len() == 1 {
            self.remove(&occupant.id(), &notice);
        } else {
            self.one_client_less(occupant, client, &notice);
        }
        self.close_if_deserted();
    }

    /// The occupant stays; only this client hears that it is out.
    fn one_client_less(&mut self, mut occupant: Occupant, client: &Address, notice: &Notice) {
        let farewell = self.render(&occupant, &notice.and(110), true).with_to(client);
        self.turn.send(farewell);
        occupant.sessions.retain(|session| session.jid.as_ref() != Some(client));
        self.save_occupant(&occupant);
        self.room_mut().occupants.insert(occupant);
    }

    /// Takes an occupant out and tells everybody; of our own, also the peers.
    pub(crate) fn remove(&mut self, id: &OccupantId, notice: &Notice) {
        let Some(occupant) = self.room_mut().occupants.remove(id) else { return };
        self.forget_occupant(&occupant);
        let still_shown = self.room().occupants.by_key(&id.key).next().is_some();
        if still_shown {
            self.announce_to_self(&occupant, notice);
        } else {
            self.announce(&occupant, notice);
        }
        self.push_presence(&occupant, notice);
        self.settle_nick(&occupant.claimed.key());
    }

    /// A room that is not persistent ends when nobody is in it at any instance (XEP-0045 §10.9).
    pub(crate) fn close_if_deserted(&mut self) {
        let Some(room) = &self.room else { return };
        if room.occupants.is_empty() && !room.config.persistent && self.is_source() {
            self.tell_peers_of_the_end(None);
            self.turn.change(Change::Destroy(None));
            self.room = None;
        }
    }
}

/// Conditions of a bounce that mean that nobody is there.
const GHOSTLY: [&str; 8] = [
    "gone",
    "internal-server-error",
    "item-not-found",
    "jid-malformed",
    "recipient-unavailable",
    "redirect",
    "remote-server-not-found",
    "remote-server-timeout",
];
