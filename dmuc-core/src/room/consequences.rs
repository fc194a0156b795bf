//! What follows for occupants when the list or the configuration changes, whoever changed it.
//!
//! Every instance draws the same consequences from the same list. Each removes only its own occupants; the others hear
//! of it from there.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::instance::Instance;
use crate::record::part;
use crate::room::admin::{Actor, Order};
use crate::room::affiliations::Standing;
use crate::room::occupants::{Occupant, OccupantId};
use crate::room::presence::Notice;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::Payload;

/// Who did what, as shown to the room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deed {
    pub actor: Option<String>,
    pub reason: Option<String>,
    /// The version of the affiliation lists that it makes (XEP-0463).
    pub versions: Option<Payload>,
}

/// What everybody sees of an occupant that lists and options decide, apart from its role.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    affiliation: Affiliation,
    hats: Option<Payload>,
}

impl Instance {
    /// Makes ordered changes of role and affiliation the room's, with us as its source, and tells everybody.
    pub(crate) fn mint_orders(&mut self, actor: Option<&Actor>, orders: &[Order]) {
        let nick = actor.and_then(|actor| actor.nick.as_ref());
        let welcome = nick.map(|nick| (nick, self.new_members(orders)));
        let actor = nick.map(|nick| nick.as_str().to_owned());
        let mut changed: Vec<(Address, Standing, Deed)> = Vec::new();
        for order in orders {
            let Ok(jid) = self.order_jid(order) else { continue };
            // Two items about one user add up.
            let earlier = changed.iter().position(|(other, ..)| *other == jid).map(|at| changed.remove(at).1);
            let old = earlier.as_ref().or_else(|| self.room().affiliations.entry(&jid));
            let standing = ordered_standing(old, order);
            let deed = Deed { actor: actor.clone(), reason: order.reason.clone(), versions: None };
            changed.push((jid, standing, deed));
        }
        self.mint_standings(changed);
        welcome.into_iter().for_each(|(nick, members)| self.invite_new_members(nick, members));
    }

    /// Strangers who are not in, and may come into a members-only room by such a change.
    fn new_members(&self, orders: &[Order]) -> Vec<Address> {
        if !self.room().config.members_only {
            return Vec::new();
        }
        let added = orders.iter().filter(|order| order.affiliation == Some(Affiliation::Member));
        let users = added.filter_map(|order| order.jid.clone()).filter(|jid| jid.local().is_some());
        users.filter(|jid| self.affiliation(jid) == Affiliation::None).collect()
    }

    /// Makes entries of the list the room's under a new version, with us as its source, and tells everybody.
    pub(crate) fn mint_standings(&mut self, mut changed: Vec<(Address, Standing, Deed)>) {
        let before = self.room().head.aff;
        self.room_mut().head.aff = before + 1;
        self.save_head();
        for (jid, standing, _) in &mut changed {
            let old = self.room().affiliations.entry(jid);
            let (was, since) = old.map_or_else(Default::default, |old| (old.affiliation, old.changed));
            standing.n = before + 1;
            standing.changed = if was == standing.affiliation { since } else { standing.n };
        }
        self.set_standings(changed, Some(before));
    }

    /// Puts entries into the list and draws the consequences: once for each occupant, when all entries are in. If they
    /// are `minted` here, after that version, the other instances hear of them before they hear of the consequences: so
    /// they show a banned occupant as what it is when it goes (XEP-0045 §9.1).
    pub(crate) fn set_standings(&mut self, changed: Vec<(Address, Standing, Deed)>, minted: Option<u64>) {
        let since = self.room().affiliations.changed();
        let mut concerned: BTreeMap<OccupantId, (Seen, Deed)> = BTreeMap::new();
        for (jid, _, deed) in &changed {
            for id in self.room().occupants.matching(jid) {
                let Some(occupant) = self.room().occupants.get(&id) else { continue };
                let seen = self.seen(occupant);
                concerned.entry(id).or_insert_with(|| (seen, Deed::default())).1 = deed.clone();
            }
        }
        let registered = |standing: &Standing| (standing.nick.clone(), standing.wish.clone());
        let known = |jid: &Address| self.room().affiliations.entry(jid).map(registered).unwrap_or_default();
        let news = changed.iter().filter(|(jid, standing, _)| registered(standing) != known(jid));
        let news: Vec<Address> = news.map(|(jid, ..)| jid.clone()).collect();
        let moved = changed.iter().filter(|(_, standing, _)| standing.changed > since);
        let moved: Vec<_> = moved.map(|(jid, standing, _)| (jid.clone(), standing.affiliation)).collect();
        for (jid, standing, _) in changed {
            self.turn.put(&part::affiliation(&jid), &standing);
            if standing.affiliation < Affiliation::Member {
                self.note_caught_up(&jid);
            }
            self.room_mut().affiliations.set(jid, standing);
        }
        minted.into_iter().for_each(|before| self.push_affiliations(before));
        let versions = self.version_step(since);
        versions.iter().for_each(|step| self.tell_of_absent(&moved, step));
        self.tell_others_of_absent(&moved);
        for (id, (was, deed)) in concerned {
            self.reconsider(&id, &was, &Deed { versions: versions.clone(), ..deed }, 321);
        }
        news.iter().for_each(|jid| self.enforce_registration(jid));
        self.notify_of_affiliations(&moved);
        self.reconsider_subscriptions();
    }

    /// What everybody sees of an occupant that lists and options decide.
    fn seen(&self, occupant: &Occupant) -> Seen {
        Seen { affiliation: self.affiliation_of(occupant), hats: self.hats_of(occupant) }
    }

    /// What everybody sees of everyone that lists and options decide.
    pub(crate) fn seen_everyone(&self) -> Vec<(OccupantId, Seen)> {
        self.room().occupants.iter().map(|occupant| (occupant.id(), self.seen(occupant))).collect()
    }

    /// Draws the consequences for one occupant: out, another role, or only shown anew. `lost_membership` is the status
    /// code for those who have to leave a members-only room.
    fn reconsider(&mut self, id: &OccupantId, was: &Seen, deed: &Deed, lost_membership: u16) {
        let Some(occupant) = self.room().occupants.get(id).cloned() else { return };
        let now = self.affiliation_of(&occupant);
        let versions = deed.versions.clone().filter(|_| now != was.affiliation);
        let notice =
            Notice { actor: deed.actor.clone(), reason: deed.reason.clone(), versions, ..Notice::default() };
        let excluded = self.room().config.members_only && now < Affiliation::Member;
        let code = match now {
            Affiliation::Outcast => Some(301),
            _ if excluded => Some(lost_membership),
            _ => None,
        };
        match (code, occupant.jid.clone()) {
            (Some(code), _) if self.speaks_for(&occupant) => {
                self.remove(id, &Notice { gone: true, codes: vec![code], ..notice });
            }
            // Its own instance tells that it goes, but not why.
            (Some(_), Some(jid)) => {
                notice.versions.iter().for_each(|step| self.tell_who_moved(&[(jid.clone(), now)], step));
            }
            (Some(_), None) => {}
            (None, _) => self.adjust(&occupant, was, &notice),
        }
    }

    fn adjust(&mut self, occupant: &Occupant, was: &Seen, notice: &Notice) {
        let (id, now) = (occupant.id(), self.seen(occupant));
        let role = occupant.jid.as_ref().map_or(occupant.role, |jid| self.role_for(jid, now.affiliation));
        if role == occupant.role && *was == now {
            return;
        }
        self.room_mut().occupants.set_role(&id, role);
        self.room_mut().occupants.refresh(&id);
        let changed = Occupant { role, ..occupant.clone() };
        self.save_occupant(&changed);
        self.announce(&changed, notice);
        let config = self.room().config.clone();
        if config.broadcasts(occupant.role) && !config.broadcasts(role) {
            self.show_or_hide(&changed, true);
        }
        let sees_more = config.whois.shows_to(role) && !config.whois.shows_to(occupant.role);
        if sees_more && self.room().occupants.is_here(&changed) {
            self.show_real_addresses_to(&changed);
        }
    }

    /// A new moderator learns the real addresses that were hidden from it.
    fn show_real_addresses_to(&mut self, moderator: &Occupant) {
        for client in moderator.sessions.iter().filter_map(|session| session.jid.as_ref()) {
            self.show_everyone_to(client, moderator.role, &moderator.id());
        }
    }

    /// Draws the consequences of a new configuration for everyone, who were seen so before (XEP-0045 §10.2, status
    /// 322).
    pub(crate) fn reconsider_everyone(&mut self, seen: &[(OccupantId, Seen)]) {
        let deed = Deed::default();
        seen.iter().for_each(|(id, was)| self.reconsider(id, was, &deed, 322));
    }

    /// A role that was granted for a visit ends with it, but for who has voice in a moderated room (XEP-0045 §5.1);
    /// only the source keeps the list.
    pub(crate) fn end_granted_role(&mut self, jid: &Address) {
        let room = self.room();
        let ends = |granted| !room.config.moderated || granted == Role::Moderator;
        let ends = room.affiliations.granted_role(jid).is_some_and(ends);
        if !ends || !self.is_source() || !self.room().occupants.matching(jid).is_empty() {
            return;
        }
        let Some(standing) = self.room().affiliations.entry(jid).cloned() else { return };
        let standing = Standing { role: None, ..standing };
        self.mint_standings(vec![(jid.clone(), standing, Deed::default())]);
    }

    /// The same for all who are not in, once the room is moderated no longer.
    pub(crate) fn end_granted_roles(&mut self) {
        let list = self.room().affiliations.iter();
        let granted = list.filter(|(_, standing)| standing.role.is_some()).map(|(jid, _)| jid.clone());
        let granted: Vec<Address> = granted.collect();
        granted.iter().for_each(|jid| self.end_granted_role(jid));
    }
}

/// What becomes of an entry of the list. An affiliation that changes takes a granted role with it; a nick stays
/// reserved as long as there is an affiliation, hats stay on. Its version is the list's, once that is minted.
fn ordered_standing(old: Option<&Standing>, order: &Order) -> Standing {
    let old = old.cloned().unwrap_or_default();
    let Some(affiliation) = order.affiliation else {
        return Standing { role: order.role, ..old };
    };
    let reserved = order.nick.as_ref().filter(|_| order.jid.is_some()).map(|nick| nick.as_str().to_owned());
    let kept = old.nick.filter(|_| !order.frees_nick);
    let nick = reserved.or(kept).filter(|_| affiliation > Affiliation::None);
    Standing { affiliation, nick, reason: order.reason.clone(), hats: old.hats, ..Standing::default() }
}
