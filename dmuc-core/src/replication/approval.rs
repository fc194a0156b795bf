//! Shadows that wait for an operator (`accept` with `pending`), and what happens when it has approved.

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::policy::{Decision, Direction};
use crate::replication::gate::{Peer, peer_denied};
use crate::replication::payload::Terms;
use crate::replication::shadow::{Heard, tree};
use crate::replication::{Asked, Placement};
use crate::stanza::{Condition, Payload, Stanza};

impl Instance {
    /// Our operator lets the shadow here come to life: its source is told, and brings it up. Telling it again does no
    /// harm, so an operator may approve again if the source could not be reached.
    pub(crate) fn handle_approval(&mut self) {
        let waits = self.room.as_ref().is_some_and(|room| room.head.pending || room.head.locked);
        let source = self.room.as_ref().and_then(|room| room.head.source.clone());
        let Some(source) = source.filter(|_| waits && !self.is_source()) else { return };
        self.room_mut().head.pending = false;
        self.save_head();
        let bytes = self.bytes_max(source.domain());
        let accept = self.terms(false).element("accept", bytes).payload();
        self.ask_as(&self.policy.domain.clone(), &source, "set", accept, Asked::Told);
    }

    /// An operator also approves by changing the peer's rule: a shadow that waited finds that it need not any more.
    pub(crate) fn approve_by_rule(&mut self) {
        let Some(head) = self.room.as_ref().map(|room| &room.head).filter(|head| head.pending) else {
            return;
        };
        let decision = self.policy.peers.decide(head.firsthost.as_str(), Direction::HostShadow, 0);
        if decision == Decision::Allow {
            self.handle_approval();
        }
    }

    /// A peerhost's operator has approved the shadow that it was asked for.
    pub(crate) fn hear_accept(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        if self.room.is_none() || peer.room.is_some() {
            return Err(peer_denied());
        }
        let terms = Terms::read(&tree(request)?).ok_or(Condition::BadRequest)?;
        if !self.are_ours(&terms) {
            return Err(Condition::ItemNotFound.into());
        }
        let domain = Address::parse(&peer.domain).map_err(|_| Condition::JidMalformed)?;
        let placement = self.placement(&peer.domain);
        let pending = match &placement {
            Some(Placement::Pending { id }) => Some(id),
            Some(Placement::Bringing | Placement::Placed) => None,
            _ => return Err(peer_denied()),
        };
        self.turn.send(stanza.result());
        pending.into_iter().for_each(|id| self.bring(&domain, id, false));
        Ok(())
    }

    /// Whether terms are about this room and its present source.
    pub(crate) fn are_ours(&self, terms: &Terms) -> bool {
        let ours = self.terms(false);
        (&terms.uid, &terms.source, terms.term) == (&ours.uid, &ours.source, ours.term)
    }
}

/// Whether a request of a service as a whole is an approval.
pub(crate) fn is_accept(stanza: &Stanza) -> bool {
    stanza.child("accept", ns::SYNC).is_some()
}
