//! Changing one's nick (XEP-0045 §7.6).

use crate::address::Address;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::room::occupants::{Occupant, OccupantId};
use crate::room::presence::Notice;
use crate::stanza::{Stanza, StanzaError};

impl Instance {
    /// A client in the room asks for another nick.
    pub(crate) fn handle_nick_change(&mut self, id: &OccupantId, stanza: &Stanza) {
        match self.admit_nick(id, stanza) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok(nick) => {
                let presence = self.said_by_user(stanza);
                self.room_mut().occupants.set_presence(id, stanza.from.as_ref(), presence);
                let respelt = stanza.to.as_ref().and_then(Address::resource) != Some(nick.as_str());
                self.rename(id, &nick, if respelt { &[210] } else { &[] });
            }
        }
    }

    fn admit_nick(&self, id: &OccupantId, stanza: &Stanza) -> Result<Nick, StanzaError> {
        let to = stanza.to.as_ref().ok_or(crate::stanza::Condition::BadRequest)?;
        let nick = self.read_nick(to)?;
        if let Some(bare) = self.room().occupants.get(id).and_then(|occupant| occupant.jid.as_ref()) {
            self.nick_is_free_for(&nick.key(), bare)?;
        }
        Ok(nick)
    }

    /// Gives an occupant another nick and tells everybody; of our own, also the peers. `codes` are for itself alone.
    pub(crate) fn rename(&mut self, id: &OccupantId, nick: &Nick, codes: &[u16]) {
        let Some(old) = self.room_mut().occupants.remove(id) else { return };
        self.forget_occupant(&old);
        let ours = self.room().occupants.is_here(&old);
        let claim = if ours { self.claim_stamp() } else { old.claim };
        let new = Occupant { nick: nick.clone(), claimed: nick.clone(), claim, ..old.clone() };
        let new = if ours { self.together_with_namesake(new) } else { new };
        self.room_mut().occupants.insert(new.clone());
        self.save_occupant(&new);
        let leaving = Notice { gone: true, new_nick: Some(nick.clone()), ..Notice::codes(&[303]) };
        self.announce(&old, &leaving);
        self.announce_to_others(&new, &Notice::default());
        self.announce_to_self(&new, &Notice::codes(codes));
        if ours {
            self.push_presence(&old, &leaving);
            self.push_presence(&new, &Notice::default());
        }
    }

    /// A user who takes the nick under which another of its clients is in becomes one occupant with it.
    fn together_with_namesake(&mut self, occupant: Occupant) -> Occupant {
        let Some(namesake) = self.room_mut().occupants.remove(&occupant.id()) else { return occupant };
        self.forget_occupant(&namesake);
        let sessions = namesake.sessions.into_iter().chain(occupant.sessions).collect();
        Occupant { sessions, claim: namesake.claim, ..occupant }
    }
}
