//! What is never taken from a user: everything that instances assert.

use crate::address::Address;
use crate::ns;
use crate::stanza::Payload;

/// Whether a child of a user's stanza claims what only an instance may say, in the room at `room`.
///
/// All of a kind are removed, not only the first. Forged `<delay/>` and `<stanza-id/>` are those that speak in the
/// room's name; of other entities they pass.
#[must_use]
pub(crate) fn is_reserved(child: &Payload, room: &Address) -> bool {
    match child.ns() {
        ns::SYNC | ns::DMUC | ns::OCCUPANT_ID | ns::MUC_USER | ns::MUC | ns::HATS | ns::ADDRESSES => true,
        ns::SID if child.name() == "stanza-id" => speaks_for(child, "by", room),
        ns::DELAY => speaks_for(child, "from", room),
        _ => false,
    }
}

/// An attribute that names the room, its service, or nobody who could be told apart from it.
fn speaks_for(child: &Payload, attribute: &str, room: &Address) -> bool {
    match child.attr(attribute).map(|jid| Address::parse(&jid)) {
        Some(Ok(jid)) => jid.bare_str() == room.bare_str() || jid.as_str() == room.domain(),
        Some(Err(_)) => true,
        None => true,
    }
}

/// Whether a groupchat's content lives only in the moment: typing notices and the like are never logged.
#[must_use]
pub(crate) fn is_ephemeral(content: &[Payload]) -> bool {
    let passing = |child: &Payload| {
        matches!(
            child.ns(),
            ns::CHAT_STATES
                | "urn:xmpp:hints"
                | "urn:xmpp:receipts"
                | "urn:xmpp:chat-markers:0"
                | ns::SID
                | ns::DELAY
        ) || child.is("thread", ns::STANZA)
    };
    content.iter().all(passing)
}
