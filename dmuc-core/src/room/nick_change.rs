//! Changing one's nick (XEP-0045 §7.6).

use crate::instance::Instance;
use crate::nick::{Nick, NickKey};
use crate::room::occupants::{Occupant, OccupantId};
use crate::room::presence::Notice;
use crate::stanza::{Stanza, StanzaError};

impl Instance {
    /// A client in the room asks for another nick.
    pub(crate) fn handle_nick_change(&mut self, id: &OccupantId, stanza: &Stanza) {
        match self.admit_nick(id, stanza) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok(nick) => {
                let presence = self.presence_content(stanza);
                self.room_mut().occupants.set_presence(id, stanza.from.as_ref(), presence);
                self.rename(id, &nick, &[]);
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

    /// Gives an occupant another nick and tells everybody; of our own, also the peers.
    pub(crate) fn rename(&mut self, id: &OccupantId, nick: &Nick, codes: &[u16]) {
        let claimed = self.room().occupants.get(id).map(|occupant| occupant.claimed.key());
        self.rename_only(id, nick, codes);
        claimed.into_iter().for_each(|key| self.settle_nick(&key));
    }

    /// The same, leaving it to the caller to settle who else may have the old nick.
    pub(crate) fn rename_only(&mut self, id: &OccupantId, nick: &Nick, codes: &[u16]) {
        let Some(old) = self.room_mut().occupants.remove(id) else { return };
        self.forget_occupant(&old);
        let ours = self.room().occupants.is_here(&old);
        let claim = if ours { self.claim_stamp() } else { old.claim };
        let new = Occupant { nick: nick.clone(), claimed: nick.clone(), claim, ..old.clone() };
        self.room_mut().occupants.insert(new.clone());
        self.save_occupant(&new);
        let mut leaving = Notice { gone: true, new_nick: Some(nick.clone()), ..Notice::codes(&[303]) };
        leaving.codes.extend(codes);
        self.announce(&old, &leaving);
        self.announce(&new, &Notice::codes(codes));
        self.show_twin(&id.key);
        // With the claim to the new nick: it is what the others judge the change by.
        self.push_presence(&Occupant { claim, ..old }, &leaving);
        self.push_presence(&new, &Notice::default());
    }

    /// The same user may be in at another instance under the nick that was given up: it is still there.
    fn show_twin(&mut self, key: &NickKey) {
        let twin = self.room().occupants.by_key(key).next().cloned();
        twin.iter().for_each(|twin| self.announce(twin, &Notice::default()));
    }
}
