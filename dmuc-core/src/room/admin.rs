//! Moderator and admin use cases (XEP-0045 §8, §9): lists, and changes of role and affiliation.

use std::collections::{BTreeMap, BTreeSet};

use minidom::Element;

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::nick::Nick;
use crate::ns;
use crate::room::occupants::Occupant;
use crate::room::presence::Notice;
use crate::room::roles::{Affiliation, Role, may_change_affiliation, may_change_role};
use crate::stanza::{Condition, El, Stanza, StanzaError};

/// Who wants something done.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub nick: Option<Nick>,
    pub jid: Address,
    pub affiliation: Affiliation,
    pub role: Role,
}

/// One `<item/>` of a change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    pub jid: Option<Address>,
    pub nick: Option<Nick>,
    /// The nick is reserved no longer (XEP-0045 §9.5).
    pub frees_nick: bool,
    pub affiliation: Option<Affiliation>,
    pub role: Option<Role>,
    pub reason: Option<String>,
}

impl Order {
    pub fn about(jid: Address) -> Self {
        Self { jid: Some(jid), ..Self::default() }
    }

    /// As an `<item/>`, for a peer.
    pub fn element(&self) -> El {
        let item = El::new("item", ns::MUC_ADMIN)
            .attr_opt("jid", self.jid.as_ref().map(Address::as_str))
            .attr_opt("nick", self.nick.as_ref().map(Nick::as_str).or(self.frees_nick.then_some("")))
            .attr_opt("affiliation", self.affiliation.map(Affiliation::as_str))
            .attr_opt("role", self.role.map(Role::as_str));
        match &self.reason {
            Some(reason) => item.child(El::new("reason", ns::MUC_ADMIN).text(reason)),
            None => item,
        }
    }

    /// Whether it puts somebody out of the room without further effect.
    pub fn is_kick(&self) -> bool {
        self.role == Some(Role::None)
    }
}

impl Instance {
    /// A `muc#admin` request of a user.
    pub(crate) fn handle_admin(&mut self, stanza: &Stanza, query: &Element) {
        let Some(from) = &stanza.from else { return };
        let actor = self.actor(from);
        let done = match stanza.ty() {
            "get" => self
                .admin_list(&actor, query)
                .map(|list| self.turn.send(stanza.result().with(list.payload()))),
            _ => self.read_orders(query).and_then(|orders| {
                self.check_orders(&actor, &orders)?;
                self.carry_out_or_propose(&actor, orders, Some(Cause::of(stanza)));
                Ok(())
            }),
        };
        if let Err(refusal) = done {
            self.turn.refuse(stanza, refusal);
        }
    }

    /// What a user is in this room, in it or not.
    pub(crate) fn actor(&self, from: &Address) -> Actor {
        let occupant = self.room().occupants.of_session(from);
        let bare = from.to_bare();
        Actor {
            nick: occupant.map(|occupant| occupant.nick.clone()),
            affiliation: self.affiliation_here(&bare),
            role: occupant.map_or(Role::None, |occupant| occupant.role),
            jid: bare,
        }
    }

    fn admin_list(&self, actor: &Actor, query: &Element) -> Result<El, StanzaError> {
        let item = query.get_child("item", ns::MUC_ADMIN).ok_or(Condition::BadRequest)?;
        let list = El::new("query", ns::MUC_ADMIN);
        match (item.attr("affiliation"), item.attr("role")) {
            (Some(affiliation), _) => {
                let affiliation = affiliation.parse().map_err(|_| Condition::BadRequest)?;
                self.may_list(actor, affiliation)?;
                Ok(list.children(self.affiliation_items(affiliation)))
            }
            (None, Some(role)) => {
                let role = role.parse().map_err(|_| Condition::BadRequest)?;
                may_list_role(actor, role)?;
                Ok(list.children(self.role_items(role)))
            }
            (None, None) => Err(Condition::BadRequest.into()),
        }
    }

    /// The lists of owners and admins are the owners' (XEP-0045 §10.5, §10.8), that of the banned is the admins' (§9.2)
    /// and that of members is shown as the room is configured (§9.5). Where everybody's address is known anyway,
    /// members see who runs the room.
    pub(crate) fn may_list(&self, actor: &Actor, affiliation: Affiliation) -> Result<(), StanzaError> {
        let may = match affiliation {
            Affiliation::Outcast | Affiliation::None => actor.affiliation >= Affiliation::Admin,
            Affiliation::Member => self.room().config.may_get_member_list(actor.affiliation, actor.role),
            Affiliation::Admin | Affiliation::Owner => {
                let least = if self.is_open_about_jids() { Affiliation::Member } else { Affiliation::Owner };
                actor.affiliation >= least
            }
        };
        if may { Ok(()) } else { Err(Condition::Forbidden.into()) }
    }

    fn affiliation_items(&self, affiliation: Affiliation) -> Vec<El> {
        let listed = self.room().affiliations.with(affiliation);
        // Who has reserved no nick is known by the one that they are in with (XEP-0045 §9.5).
        let occupants = self.room().occupants.iter();
        let shown: BTreeMap<&Address, &str> =
            occupants.filter_map(|occupant| Some((occupant.jid.as_ref()?, occupant.nick.as_str()))).collect();
        let item = |(jid, standing): (&Address, &super::affiliations::Standing)| {
            let item = El::new("item", ns::MUC_ADMIN)
                .attr("affiliation", affiliation.as_str())
                .attr("jid", jid.as_str())
                .attr_opt("nick", standing.nick.as_deref().or_else(|| shown.get(jid).copied()));
            match &standing.reason {
                Some(reason) => item.child(El::new("reason", ns::MUC_ADMIN).text(reason)),
                None => item,
            }
        };
        if affiliation == Affiliation::None { Vec::new() } else { listed.map(item).collect() }
    }

    fn role_items(&self, role: Role) -> Vec<El> {
        let listed = self.room().occupants.iter().filter(|occupant| occupant.role == role);
        listed
            .map(|occupant| {
                El::new("item", ns::MUC_ADMIN)
                    .attr("affiliation", self.affiliation_of(occupant).as_str())
                    .attr("role", role.as_str())
                    .attr("nick", occupant.nick.as_str())
                    .attr_opt("jid", occupant.shown_jid().map(Address::as_str))
            })
            .collect()
    }

    /// Reads the items of a change.
    pub(crate) fn read_orders(&self, query: &Element) -> Result<Vec<Order>, StanzaError> {
        let items: Vec<&Element> = query.children().filter(|child| child.is("item", ns::MUC_ADMIN)).collect();
        if items.is_empty() {
            return Err(Condition::BadRequest.into());
        }
        if items.len() > self.policy.items_max {
            return Err(
                StanzaError::new(Condition::PolicyViolation).because("Too many items in one request.")
            );
        }
        items.into_iter().map(read_order).collect()
    }

    /// Whether all of a change is allowed; one refusal refuses it whole (XEP-0045 §9.2 and others).
    pub(crate) fn check_orders(&self, actor: &Actor, orders: &[Order]) -> Result<(), StanzaError> {
        orders.iter().try_for_each(|order| match (order.affiliation, order.role) {
            (Some(affiliation), None) => self.check_affiliation(actor, order, affiliation),
            (None, Some(role)) => self.check_role(actor, order, role),
            // Both at once may not be changed, nor nothing (XEP-0045 §17.4).
            _ => Err(Condition::BadRequest.into()),
        })?;
        self.keep_lists_sound(orders)
    }

    /// Whether the lists may become what they would be.
    pub(crate) fn keep_lists_sound(&self, orders: &[Order]) -> Result<(), StanzaError> {
        self.keep_an_owner(orders)?;
        let lists = &self.room().affiliations;
        let adds = |order: &&Order| {
            order.affiliation.is_some_and(|to| to != Affiliation::None)
                && self.order_jid(order).is_ok_and(|jid| lists.entry(&jid).is_none())
        };
        let added = orders.iter().filter(adds).count();
        if added > 0 && lists.len() + added > self.policy.affiliations_max {
            return Err(
                StanzaError::new(Condition::ResourceConstraint).because("The lists of this room are full.")
            );
        }
        Ok(())
    }

    fn check_affiliation(&self, actor: &Actor, order: &Order, to: Affiliation) -> Result<(), StanzaError> {
        let jid = self.order_jid(order)?;
        if jid == actor.jid && to == Affiliation::Outcast {
            return Err(StanzaError::new(Condition::Conflict).because("You cannot ban yourself."));
        }
        may_change_affiliation(actor.affiliation, self.affiliation(&jid), to)?;
        if self.policy.is_admin(&jid) && to < Affiliation::Owner {
            return Err(StanzaError::new(Condition::NotAllowed).because("They administer the service."));
        }
        self.check_reservation(order, &jid)
    }

    /// A nick is reserved for one user.
    fn check_reservation(&self, order: &Order, jid: &Address) -> Result<(), StanzaError> {
        let Some(nick) = order.nick.as_ref().filter(|_| order.jid.is_some()) else { return Ok(()) };
        match self.room().affiliations.holder_of(&nick.key()) {
            Some(holder) if holder != jid => {
                Err(StanzaError::new(Condition::Conflict).because("That nickname is reserved."))
            }
            _ => Ok(()),
        }
    }

    fn check_role(&self, actor: &Actor, order: &Order, to: Role) -> Result<(), StanzaError> {
        let target = self.order_occupant(order)?;
        let (affiliation, role) = (self.affiliation_of(target), target.role);
        may_change_role(actor.role, actor.affiliation, affiliation, role, to).map_err(StanzaError::from)
    }

    /// A room never loses its last owner (XEP-0045 §10.4).
    fn keep_an_owner(&self, orders: &[Order]) -> Result<(), StanzaError> {
        let owners = self.room().affiliations.with(Affiliation::Owner);
        let mut owners: BTreeSet<Address> = owners.map(|(jid, _)| jid.clone()).collect();
        let had = !owners.is_empty();
        for order in orders {
            let (Some(affiliation), Ok(jid)) = (order.affiliation, self.order_jid(order)) else { continue };
            if affiliation == Affiliation::Owner {
                owners.insert(jid);
            } else {
                owners.remove(&jid);
            }
        }
        if had && owners.is_empty() {
            return Err(StanzaError::new(Condition::Conflict).because("A room needs an owner."));
        }
        Ok(())
    }

    /// The bare JID (or domain) that an order is about, directly or by nick.
    pub(crate) fn order_jid(&self, order: &Order) -> Result<Address, StanzaError> {
        if let Some(jid) = &order.jid {
            return Ok(jid.clone());
        }
        self.order_occupant(order)?.jid.clone().ok_or_else(|| Condition::ItemNotFound.into())
    }

    /// The occupant that an order is about.
    pub(crate) fn order_occupant(&self, order: &Order) -> Result<&Occupant, StanzaError> {
        let nick = order.nick.as_ref().ok_or(Condition::BadRequest)?;
        self.room().occupants.by_nick(nick).ok_or_else(|| Condition::ItemNotFound.into())
    }

    /// Does what was ordered and checked: removals where the occupant is, all else through the source. `cause` is
    /// answered when all is done: after those kicked have heard of it, before the others do (XEP-0045 §8.2, §9).
    pub(crate) fn carry_out_or_propose(&mut self, actor: &Actor, orders: Vec<Order>, cause: Option<Cause>) {
        let (kicks, mints): (Vec<Order>, Vec<Order>) = orders.into_iter().partition(Order::is_kick);
        let (here, elsewhere): (Vec<Order>, Vec<Order>) =
            kicks.into_iter().partition(|kick| self.is_for_us(kick));
        let kicked: Vec<_> = here.iter().filter_map(|kick| self.put_out_by(actor, kick)).collect();
        let mut waits = false;
        for kick in elsewhere {
            waits |= self.forward_kick(actor, &kick, cause.clone().filter(|_| !waits));
        }
        let proposed = !mints.is_empty() && !self.is_source();
        if proposed {
            self.propose_orders(actor, &mints, cause.clone().filter(|_| !waits));
        }
        if let Some(cause) = cause.filter(|_| !waits && !proposed) {
            self.turn.send_opt(cause.result());
        }
        if !mints.is_empty() && !proposed {
            self.mint_orders(Some(actor), &mints);
        }
        kicked.iter().for_each(|(occupant, notice)| self.tell_departure(occupant, notice));
    }

    /// Whether whoever is kicked is here, or nowhere any more, or at an instance that we speak for.
    fn is_for_us(&self, kick: &Order) -> bool {
        self.order_occupant(kick).map_or(true, |target| self.speaks_for(target))
    }

    fn put_out_by(&mut self, actor: &Actor, kick: &Order) -> Option<(Occupant, Notice)> {
        let id = self.order_occupant(kick).ok()?.id();
        let actor = actor.nick.as_ref().map(|nick| nick.as_str().to_owned());
        let notice = Notice { gone: true, actor, reason: kick.reason.clone(), ..Notice::codes(&[307]) };
        Some((self.put_out(&id, &notice)?, notice))
    }

    /// Removes an occupant of this instance (XEP-0045 §8.2); false if it is at another.
    pub(crate) fn kick_here(&mut self, actor: &Actor, kick: &Order) -> bool {
        if !self.is_for_us(kick) {
            return false;
        }
        if let Some((occupant, notice)) = self.put_out_by(actor, kick) {
            self.tell_departure(&occupant, &notice);
        }
        true
    }
}

/// Moderators see who has voice (XEP-0045 §8.5); who moderates is for admins to manage (§9.8).
fn may_list_role(actor: &Actor, role: Role) -> Result<(), StanzaError> {
    let moderates = actor.role == Role::Moderator && role < Role::Moderator;
    if moderates || actor.affiliation >= Affiliation::Admin {
        Ok(())
    } else {
        Err(Condition::Forbidden.into())
    }
}

/// Longest reason, which is kept with the list and shown to everybody.
const REASON_BYTES_MAX: usize = 2048;

fn read_order(item: &Element) -> Result<Order, StanzaError> {
    let jid = item.attr("jid").map(|jid| Address::parse(jid).map_err(|_| Condition::JidMalformed));
    let nick = item.attr("nick").filter(|nick| !nick.is_empty());
    let nick = nick.map(|nick| Nick::parse(nick).map_err(|_| Condition::JidMalformed)).transpose()?;
    let affiliation = item.attr("affiliation").map(str::parse::<Affiliation>).transpose();
    let role = item.attr("role").map(str::parse::<Role>).transpose();
    let reason = item.get_child("reason", ns::MUC_ADMIN).map(Element::text);
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(StanzaError::new(Condition::PolicyViolation).because("The reason is too long."));
    }
    Ok(Order {
        // Affiliations belong to bare JIDs (XEP-0045 §10.3).
        jid: jid.transpose()?.map(|jid| jid.to_bare()),
        nick,
        frees_nick: item.attr("nick") == Some(""),
        affiliation: affiliation.map_err(|_| Condition::BadRequest)?,
        role: role.map_err(|_| Condition::BadRequest)?,
        reason,
    })
}
