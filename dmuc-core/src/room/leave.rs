//! Leaving, and being removed (XEP-0045 §7.14, §8.2, §9.1).

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::replication::source::error_condition;
use crate::room::occupants::{Occupant, OccupantId};
use crate::room::presence::Notice;
use crate::stanza::{El, Kind, Stanza};
use crate::storage::Change;

impl Instance {
    /// A client says that it leaves.
    pub(crate) fn handle_leave(&mut self, stanza: &Stanza) {
        let Some(from) = &stanza.from else { return };
        let last_words = if self.is_bulky_presence(stanza) { Vec::new() } else { self.said_by_user(stanza) };
        self.client_gone(from, Notice { last_words, id: stanza.id.clone(), ..Notice::default() });
        if self.room().head.locked && self.room().occupants.is_empty() {
            self.turn.send(self.word_of_its_end().with_to(from));
        }
    }

    /// To whoever leaves a room without having said what it should be (XEP-0045 §10.1.3): it is gone. The room says so
    /// itself, besides the farewell: in the occupant's name a widespread client library would take it for the end of a
    /// room that it has entered meanwhile.
    fn word_of_its_end(&self) -> Stanza {
        let item = El::new("item", ns::MUC_USER).attr("affiliation", "none").attr("role", "none");
        let x = El::new("x", ns::MUC_USER).child(item).child(El::new("destroy", ns::MUC_USER));
        Stanza::presence().with_type("unavailable").with_from(&self.jid).with(x.payload())
    }

    /// The host says that a client is gone.
    pub(crate) fn handle_session_closed(&mut self, client: &Address) {
        if self.room.is_some() {
            self.client_gone(client, Notice::default());
        }
    }

    /// What was sent to a client came back: it is a ghost (status 333), unless the error is of another kind.
    pub(crate) fn handle_bounce(&mut self, stanza: &Stanza) {
        self.remove_ghost(stanza, &GHOSTLY);
    }

    /// The same of a private message, which may be unwelcome: whoever blocks its sender says `service-unavailable` as
    /// well (XEP-0191 §3.1).
    pub(crate) fn handle_unwelcome(&mut self, stanza: &Stanza) {
        self.remove_ghost(stanza, GHOSTLY.split_last().map_or(&[], |(_, lost)| lost));
    }

    fn remove_ghost(&mut self, stanza: &Stanza, conditions: &[&str]) {
        let Some(from) = &stanza.from else { return };
        let gone = match error_condition(stanza) {
            Some(condition) => conditions.contains(&condition.as_str()),
            // Some clients say so little, and mean that they are gone.
            None => stanza.kind == Kind::Presence && stanza.child("error", crate::ns::STANZA).is_none(),
        };
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
    }

    /// The occupant stays; only this client hears that it is out. If it was the one that the others saw, they see the
    /// next one.
    fn one_client_less(&mut self, mut occupant: Occupant, client: &Address, notice: &Notice) {
        let mut farewell = self.render(&occupant, &notice.and(110), true).with_to(client);
        farewell.id.clone_from(&notice.id);
        self.turn.send(farewell);
        let seen = occupant.shown_jid() == Some(client);
        occupant.sessions.retain(|session| session.jid.as_ref() != Some(client));
        self.save_occupant(&occupant);
        self.room_mut().occupants.insert(occupant.clone());
        if seen {
            self.announce(&occupant, &Notice::default());
            self.push_presence(&occupant, &Notice::default());
        }
    }

    /// Takes an occupant out and tells everybody; of our own, also the peers.
    pub(crate) fn remove(&mut self, id: &OccupantId, notice: &Notice) {
        if let Some(occupant) = self.put_out(id, notice) {
            self.tell_departure(&occupant, notice);
        }
    }

    /// Takes an occupant out; only itself is told as yet.
    pub(crate) fn put_out(&mut self, id: &OccupantId, notice: &Notice) -> Option<Occupant> {
        let occupant = self.room_mut().occupants.remove(id)?;
        self.forget_occupant(&occupant);
        self.announce_to_self(&occupant, notice);
        Some(occupant)
    }

    /// Tells everybody else that an occupant was taken out. A role that it was granted goes with it.
    pub(crate) fn tell_departure(&mut self, occupant: &Occupant, notice: &Notice) {
        // The same user may be in at another instance, under this very nick; spelt otherwise it is another one to see.
        let still_shown =
            self.room().occupants.by_key(&occupant.nick.key()).any(|twin| twin.nick == occupant.nick);
        if !still_shown {
            self.announce_to_others(occupant, notice);
        }
        self.push_presence(occupant, notice);
        self.settle_nick(&occupant.claimed.key());
        if let Some(jid) = &occupant.jid {
            self.end_granted_role(jid);
        }
    }

    /// Everyone at this instance has to leave since the service stops (status 332).
    pub(crate) fn handle_service_stops(&mut self) {
        if self.room.is_none() {
            return;
        }
        let everyone: Vec<OccupantId> = self.room().occupants.local().map(Occupant::id).collect();
        let notice = Notice { gone: true, ..Notice::codes(&[332]) };
        everyone.iter().for_each(|id| self.remove(id, &notice));
    }

    /// A room that is not persistent ends when nobody is in it at any instance (XEP-0045 §10.9) nor subscribes here, and so does one whose
    /// creator never said what it should be (§10.1.3).
    pub(crate) fn close_if_deserted(&mut self) {
        let Some(room) = &self.room else { return };
        let stays = (room.config.persistent || !room.subscribers.is_empty()) && !room.head.locked;
        if room.occupants.is_empty() && !stays && self.is_source() {
            self.tell_peers_of_the_end(None);
            self.disappoint_users();
            self.turn.change(Change::Destroy(None));
            self.room = None;
        }
    }
}

/// Conditions of a bounce that mean that nobody is there (XEP-0045 §17.2); `service-unavailable` is what a server
/// says of a client that has gone (RFC 6121 §8.5.2.2).
const GHOSTLY: [&str; 9] = [
    "gone",
    "internal-server-error",
    "item-not-found",
    "jid-malformed",
    "recipient-unavailable",
    "redirect",
    "remote-server-not-found",
    "remote-server-timeout",
    "service-unavailable",
];
