//! One nick, one user: who may be shown under a nick that was claimed at two instances at once.
//!
//! The better claim is, in this order: a registered owner's, that of an occupant of the source, the older one, that of
//! the lesser instance. Every instance finds the same from the same claims. Losers are renamed by their own instance,
//! never removed; until that is heard, the others show them under the very nick that they will get.

use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::clock::Hlc;
use crate::instance::Instance;
use crate::nick::{Nick, NickKey};
use crate::room::occupants::Occupant;

/// Hex digits of an alias; more of them if a shorter one is taken.
const ALIAS_DIGITS: [usize; 4] = [6, 12, 24, 64];
/// Bytes of a nick that stay in its alias: an alias is a nick too.
const ALIAS_BYTES_MAX: usize = 900;

impl Instance {
    /// Makes what is shown under a nick what the claims to it give: after every change to them.
    pub(crate) fn settle_nick(&mut self, key: &NickKey) {
        if self.room.is_none() {
            return;
        }
        let claimants = self.claimants(key);
        let Some(winner) = self.best(&claimants) else { return };
        self.make_room(key, &winner);
        for claimant in claimants.into_iter().filter(|claimant| same_user(claimant, &winner)) {
            if claimant.nick != claimant.claimed {
                self.show_under(&claimant, &claimant.claimed);
            }
        }
    }

    /// The nick that somebody who is not in yet, or claims a new one, is shown under; whoever has to give it up for
    /// that has done so.
    pub(crate) fn nick_for(&mut self, newcomer: &Occupant) -> Nick {
        let key = newcomer.claimed.key();
        let mut claimants = self.claimants(&key);
        claimants.push(newcomer.clone());
        match self.best(&claimants) {
            Some(winner) if !same_user(newcomer, &winner) => self.alias(newcomer),
            _ => {
                self.make_room(&key, newcomer);
                newcomer.claimed.clone()
            }
        }
    }

    /// Everybody who claims a nick, shown under it or not.
    fn claimants(&self, key: &NickKey) -> Vec<Occupant> {
        let occupants = &self.room().occupants;
        let shown = occupants.by_key(key).filter(|occupant| occupant.nick == occupant.claimed);
        let aliased = occupants.aliased().filter(|occupant| occupant.claimed.key() == *key);
        shown.chain(aliased).cloned().collect()
    }

    fn best(&self, claimants: &[Occupant]) -> Option<Occupant> {
        match claimants {
            [] => None,
            [only] => Some(only.clone()),
            several => {
                let owner = self.room().affiliations.holder_of(&several[0].claimed.key());
                several.iter().min_by_key(|claimant| self.rank(claimant, owner)).cloned()
            }
        }
    }

    fn rank<'a>(&self, claimant: &'a Occupant, owner: Option<&Address>) -> (bool, bool, Hlc, &'a str) {
        let owns = owner.is_some() && claimant.jid.as_ref() == owner;
        let at_source = *claimant.home == *self.room().head.firsthost.as_str();
        (!owns, !at_source, claimant.claim, &claimant.home)
    }

    /// Has everyone but the winner's own user give up being shown under a nick.
    fn make_room(&mut self, key: &NickKey, winner: &Occupant) {
        let losers: Vec<Occupant> = self
            .room()
            .occupants
            .by_key(key)
            .filter(|occupant| !same_user(occupant, winner))
            .cloned()
            .collect();
        for loser in losers {
            let alias = self.alias(&loser);
            if self.room().occupants.is_here(&loser) {
                self.rename_only(&loser.id(), &alias, &[210]);
            } else {
                self.show_under(&loser, &alias);
            }
        }
    }

    /// Has whoever else is in under a nick that was reserved for `owner` give it up; each instance its own.
    pub(crate) fn vacate(&mut self, nick: &Nick, owner: &Address) {
        let squatter =
            self.room().occupants.by_key(&nick.key()).find(|occupant| {
                self.room().occupants.is_here(occupant) && occupant.jid.as_ref() != Some(owner)
            });
        if let Some(squatter) = squatter.cloned() {
            let alias = self.alias(&squatter);
            self.rename_only(&squatter.id(), &alias, &[210]);
        }
        self.settle_nick(&nick.key());
    }

    /// Shows a peer's occupant under another nick, whatever it claims.
    fn show_under(&mut self, occupant: &Occupant, nick: &Nick) {
        self.rename_only(&occupant.id(), nick, &[]);
        let id = Occupant { nick: nick.clone(), ..occupant.clone() }.id();
        if let Some(shown) = self.room().occupants.get(&id).cloned() {
            self.put_occupant(Occupant { claimed: occupant.claimed.clone(), ..shown });
        }
    }

    /// A peer's occupant has taken another nick.
    pub(crate) fn rename_remote(&mut self, occupant: &Occupant, nick: &Nick, claim: Hlc) {
        let old = occupant.claimed.key();
        let wish = Occupant { claimed: nick.clone(), claim, ..occupant.clone() };
        let taken = occupant.nick == *nick;
        let shown = if taken { nick.clone() } else { self.nick_for(&wish) };
        if !taken {
            self.rename_only(&occupant.id(), &shown, &[]);
        }
        let id = Occupant { nick: shown, ..occupant.clone() }.id();
        if let Some(shown) = self.room().occupants.get(&id).cloned() {
            self.put_occupant(Occupant { claimed: nick.clone(), claim, ..shown });
        }
        self.settle_nick(&old);
        self.settle_nick(&nick.key());
    }

    /// `nick~` and hex digits out of who it is: the nick of whoever loses a conflict, the same at every instance.
    fn alias(&self, loser: &Occupant) -> Nick {
        let who = loser.jid.as_ref().map_or(loser.oid.as_str(), Address::as_str);
        let digits: String = Sha256::digest(who).iter().map(|byte| format!("{byte:02x}")).collect();
        let end = loser.claimed.as_str().floor_char_boundary(ALIAS_BYTES_MAX);
        let aliases = ALIAS_DIGITS.iter().filter_map(|n| {
            Nick::parse(&format!("{}~{}", &loser.claimed.as_str()[..end], &digits[..*n])).ok()
        });
        let taken =
            |alias: &Nick| self.room().occupants.by_key(&alias.key()).any(|holder| !same_user(holder, loser));
        let mut last = loser.claimed.clone();
        for alias in aliases {
            if !taken(&alias) {
                return alias;
            }
            last = alias;
        }
        last
    }
}

fn same_user(a: &Occupant, b: &Occupant) -> bool {
    (a.jid.is_some() && a.jid == b.jid) || (a.home == b.home && a.claimed == b.claimed)
}
