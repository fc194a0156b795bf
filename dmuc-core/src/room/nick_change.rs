//! Changing one's nick (XEP-0045 §7.6).

use crate::address::Address;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::room::create::is_muc_join;
use crate::room::occupants::{Occupant, OccupantId};
use crate::room::presence::Notice;
use crate::stanza::{Condition, ErrorKind, Stanza, StanzaError};

impl Instance {
    /// A client in the room asks for another nick.
    pub(crate) fn handle_nick_change(&mut self, id: &OccupantId, stanza: &Stanza) {
        match self.admit_nick(id, stanza) {
            Err(refusal) => self.refuse_entry(stanza, &refusal),
            Ok(nick) => {
                let presence = self.said_by_user(stanza);
                self.room_mut().occupants.set_presence(id, stanza.from.as_ref(), presence);
                let nick = self.spelling(id, nick);
                let respelt = stanza.to.as_ref().and_then(Address::resource) != Some(nick.as_str());
                self.rename(id, &nick, if respelt { &[210] } else { &[] });
                if is_muc_join(stanza) {
                    // It has lost track, and is told everything as on any join (XEP-0045 §17.3).
                    self.handle_join(stanza, false);
                }
            }
        }
    }

    /// A nick as another occupant of the same user spells it already.
    fn spelling(&self, id: &OccupantId, nick: Nick) -> Nick {
        let namesake = OccupantId { key: nick.key(), home: self.here() };
        let namesake = self.room().occupants.get(&namesake).filter(|_| namesake != *id);
        namesake.map_or(nick, |namesake| namesake.nick.clone())
    }

    fn admit_nick(&self, id: &OccupantId, stanza: &Stanza) -> Result<Nick, StanzaError> {
        let to = stanza.to.as_ref().ok_or(Condition::BadRequest)?;
        let nick = self.read_nick(to)?;
        if let Some(bare) = self.room().occupants.get(id).and_then(|occupant| occupant.jid.as_ref()) {
            if self.locked_nick(bare).is_some_and(|locked| locked != nick) {
                let locked = StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel);
                return Err(locked.because("You are registered under another nickname here."));
            }
            self.nick_is_free_for(&nick.key(), bare)?;
        }
        Ok(nick)
    }

    /// Gives an occupant another nick and tells everybody; of our own, also the peers. `codes` are for itself alone.
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
        let new = if ours { self.together_with_namesake(new) } else { new };
        self.room_mut().occupants.insert(new.clone());
        self.save_occupant(&new);
        let leaving = Notice { gone: true, new_nick: Some(nick.clone()), ..Notice::codes(&[303]) };
        self.announce(&old, &leaving);
        self.announce_to_others(&new, &Notice::default());
        self.announce_to_self(&new, &Notice::codes(codes));
        self.show_twin(&old, &new);
        // With the claim to the new nick: it is what the others judge the change by.
        self.push_presence(&Occupant { claim, ..old }, &leaving);
        self.push_presence(&new, &Notice::default());
    }

    /// The same user may be in at another instance under the nick that was given up: it is still there.
    fn show_twin(&mut self, old: &Occupant, new: &Occupant) {
        let twin = self.room().occupants.by_key(&old.nick.key()).find(|twin| twin.nick == old.nick).cloned();
        let twin = twin.filter(|twin| twin.id() != new.id());
        twin.iter().for_each(|twin| self.announce(twin, &Notice::default()));
    }

    /// A user who takes the nick under which another of its clients is in becomes one occupant with it.
    fn together_with_namesake(&mut self, occupant: Occupant) -> Occupant {
        let Some(namesake) = self.room_mut().occupants.remove(&occupant.id()) else { return occupant };
        self.forget_occupant(&namesake);
        let sessions = namesake.sessions.into_iter().chain(occupant.sessions).collect();
        let Occupant { nick, claimed, claim, .. } = namesake;
        Occupant { nick, claimed, claim, sessions, ..occupant }
    }
}
