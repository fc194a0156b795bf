//! What users may not say of themselves, and what only instances assert.

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::room::retraction::is_rooms_own;
use crate::stanza::{Payload, Stanza};

/// Whether a child of a user's stanza claims what only an instance may say, in the room at `room`.
///
/// All of a kind are removed, not only the first. A `<stanza-id/>` is removed whoever it names, since a client has none
/// to give and another instance of the room might be meant; a `<delay/>` if it speaks in the room's name.
#[must_use]
pub(crate) fn is_reserved(child: &Payload, room: &Address) -> bool {
    match child.ns() {
        ns::SYNC | ns::DMUC | ns::OCCUPANT_ID | ns::MUC_USER | ns::MUC | ns::HATS | ns::ADDRESSES => true,
        ns::SID => child.name() == "stanza-id",
        ns::DELAY => {
            speaks_for(child, |jid| jid.bare_str() == room.bare_str() || jid.as_str() == room.domain())
        }
        _ => false,
    }
}

/// The same for what comes in, where nothing can be the room's own word yet: it claims too that something was
/// moderated, or taken back.
#[must_use]
pub(crate) fn is_forged(child: &Payload, room: &Address) -> bool {
    is_reserved(child, room) || is_rooms_own(child)
}

/// Whether the `from` of a `<delay/>` names one of `those`, or nobody who could be told apart from them.
fn speaks_for(delay: &Payload, those: impl Fn(&Address) -> bool) -> bool {
    match delay.attr("from").map(|jid| Address::parse(&jid)) {
        Some(Ok(jid)) => those(&jid),
        Some(Err(_)) | None => true,
    }
}

impl Instance {
    /// What a user's stanza says, without what only instances may say.
    pub(crate) fn said_by_user(&self, stanza: &Stanza) -> Vec<Payload> {
        let forged = |child: &Payload| is_forged(child, &self.jid) || self.speaks_for_another_instance(child);
        stanza.children.iter().filter(|child| !forged(child)).cloned().collect()
    }

    fn speaks_for_another_instance(&self, child: &Payload) -> bool {
        let instances = &self.room().replication.instances;
        child.ns() == ns::DELAY
            && speaks_for(child, |jid| {
                instances.iter().any(|i| i.jid.as_str() == jid.bare_str() || i.domain() == jid.as_str())
            })
    }
}
