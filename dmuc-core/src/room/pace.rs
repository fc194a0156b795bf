//! How fast users and peers may go on (XEP-0045 §13.6).
//!
//! Leaving, bounces and answers are never refused: they make things less. Nor are owners and admins, who may do worse
//! anyway. What is spent is kept in memory only, and forgotten with the room.

use std::sync::Arc;

use crate::address::Address;
use crate::instance::Instance;
use crate::policy::ServicePolicy;
use crate::rate::{Buckets, Rate};
use crate::room::create::is_muc_join;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, ErrorKind, Kind, Stanza, StanzaError};

/// What users are metered in; the order is that of [`rates`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metered {
    Message,
    Presence,
    Join,
    Request,
    Invitation,
}

/// One bucket for each [`Metered`], and one for bytes.
const PER_USER: usize = 6;
const BYTES: usize = 5;

fn rates(policy: &ServicePolicy) -> [Rate; PER_USER] {
    let of = &policy.rates;
    [of.messages, of.presences, of.joins, of.requests, of.invitations, of.bytes]
}

/// What everybody has spent of what the policy grants.
#[derive(Debug)]
pub(crate) struct Pace {
    users: Buckets<Address, PER_USER>,
    room: Buckets<(), 1>,
    peers: Buckets<Arc<str>, 1>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { users: Buckets::new(USERS_MAX), room: Buckets::new(1), peers: Buckets::new(PEERS_MAX) }
    }
}

/// Most users, and peers, whose spending is remembered at a time.
const USERS_MAX: usize = 20_000;
const PEERS_MAX: usize = 1_000;

impl Instance {
    /// Refuses what a user does too fast; true if it has been told so.
    pub(crate) fn refuse_haste(&mut self, stanza: &Stanza) -> bool {
        let Some(from) = &stanza.from else { return false };
        let Some(what) = self.what(stanza, from) else { return false };
        if self.affiliation(from) >= Affiliation::Admin || self.spend(from, what, stanza) {
            return false;
        }
        let refusal = StanzaError::of_kind(Condition::ResourceConstraint, ErrorKind::Wait)
            .because("That is too much at once. Please wait a little.");
        match what {
            Metered::Join => self.refuse_entry(stanza, &refusal),
            _ => self.turn.refuse(stanza, refusal),
        }
        true
    }

    fn what(&self, stanza: &Stanza, from: &Address) -> Option<Metered> {
        let to_room = stanza.to.as_ref().is_some_and(Address::is_bare);
        match (stanza.kind, stanza.ty()) {
            (_, "error" | "unavailable" | "result") => None,
            (Kind::Iq, _) => Some(Metered::Request),
            (Kind::Message, "normal" | "") if to_room => Some(Metered::Invitation),
            (Kind::Message, _) => Some(Metered::Message),
            (Kind::Presence, "") if is_muc_join(stanza) => Some(Metered::Join),
            (Kind::Presence, "") if self.room().occupants.of_session(from).is_none() => Some(Metered::Join),
            (Kind::Presence, _) => Some(Metered::Presence),
        }
    }

    /// Whether a user, and the room as a whole, may still afford this.
    fn spend(&mut self, from: &Address, what: Metered, stanza: &Stanza) -> bool {
        let (now, rates, room_rate) = (self.turn.now, rates(&self.policy), self.policy.rates.room);
        let purse = self.pace.users.of(from.to_bare(), &rates, now);
        let cost = if what == Metered::Invitation { invited(stanza) } else { 1 };
        purse[what as usize].take(rates[what as usize], now, cost).is_ok()
            && purse[BYTES].take(rates[BYTES], now, stanza.content_bytes()).is_ok()
            && self.pace.room.of((), &[room_rate], now)[0].take(room_rate, now, 1).is_ok()
    }

    /// In how many seconds a peer may go on, if it does too much; that slows down nobody else.
    pub(crate) fn haste_of(&mut self, peer: &Arc<str>, stanza: &Stanza) -> Option<u32> {
        if matches!(stanza.ty(), "error" | "unavailable" | "result") {
            return None;
        }
        let (now, rate) = (self.turn.now, self.policy.rates.peer);
        let wait_ms = self.pace.peers.of(peer.clone(), &[rate], now)[0].take(rate, now, 1).err()?;
        Some(u32::try_from(wait_ms.div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

/// One message may invite many.
fn invited(stanza: &Stanza) -> u32 {
    let x = stanza.child("x", crate::ns::MUC_USER).and_then(|x| x.element().ok());
    let invites = x.map_or(0, |x| x.children().filter(|child| child.name() == "invite").count());
    u32::try_from(invites).unwrap_or(u32::MAX).max(1)
}
