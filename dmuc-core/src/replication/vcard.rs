//! The room's vCard between instances: the source mints it, shadows propose.

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::ns;
use crate::replication::gate::Peer;
use crate::replication::shadow::{Heard, tree};
use crate::replication::{Asked, InstanceInfo};
use crate::room::vcard::VCard;
use crate::stanza::{Condition, El, Payload, Stanza};

impl Instance {
    /// The vCard, to all shadows.
    pub(crate) fn push_vcard(&mut self) {
        self.shadows().iter().for_each(|shadow| self.send_vcard(shadow));
    }

    /// The vCard, if there has ever been one and the instance takes one of its size.
    pub(crate) fn send_vcard(&mut self, to: &InstanceInfo) {
        let held = &self.room().vcard;
        let vcard = El::new("vcard", ns::SYNC)
            .attr("term", self.room().head.term.to_string())
            .attr("n", held.n.to_string())
            .payload_child(&held.payload());
        if held.n > 0 && !to.core_only && vcard.bytes() <= self.list_bytes_max(to.domain()) {
            self.ask(&to.jid, "set", vcard.payload(), Asked::Told);
        }
    }

    /// The source sends the vCard.
    pub(crate) fn hear_vcard(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_source(peer)?;
        self.only_instance(peer)?;
        let request = tree(request)?;
        self.check_term_of(&request)?;
        let n = request.attr("n").and_then(|n| n.parse().ok()).ok_or(Condition::BadRequest)?;
        let vcard = request.get_child("vCard", ns::VCARD).ok_or(Condition::BadRequest)?;
        let vcard = Payload::parse_xml(&String::from(vcard)).map_err(|_| Condition::BadRequest)?;
        if vcard.as_xml().len() > self.policy.vcard_bytes_max {
            return Err(Condition::PolicyViolation.into());
        }
        let new = VCard::read(&vcard, n)?;
        self.turn.send(stanza.result());
        if n > self.room().vcard.n {
            self.adopt_vcard(new);
        }
        Ok(())
    }

    /// Sends what an owner wants the vCard to be to the source; its verdict answers the user.
    pub(crate) fn propose_vcard(&mut self, actor: &Address, vcard: &Payload, cause: Cause) {
        let base = self.room().vcard.n;
        self.propose(&actor.to_bare(), base, vcard, Some(cause));
    }
}
