//! Messages to one alone which may come back: private messages (XEP-0045 §7.5) and invitations (§7.8.2). Whoever wrote
//! is told so under the address that it wrote to, at whichever instance it is.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::ns;
use crate::stanza::{El, Payload, Stanza};

/// What was sent, to whom and under which id, and the message that it came from.
#[derive(Debug)]
struct Sent {
    to: Address,
    id: Arc<str>,
    written: Cause,
}

/// The last of them; known in memory only.
#[derive(Debug, Default)]
pub(crate) struct Returns(VecDeque<Sent>);

/// Most messages that are remembered.
const SENT_MAX: usize = 256;

impl Returns {
    fn remember(&mut self, sent: Sent) {
        if self.0.len() >= SENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(sent);
    }

    fn take(&mut self, from: &Address, id: &str) -> Option<Cause> {
        let at = self.0.iter().rposition(|sent| sent.to == *from && *sent.id == *id)?;
        self.0.remove(at).map(|sent| sent.written)
    }
}

impl Instance {
    /// Remembers who is to hear if what was sent to `to` comes back. What has no id cannot be known again.
    pub(crate) fn expect_return(&mut self, to: &Address, id: Option<&str>, written: Cause) {
        if let Some(id) = id {
            self.room_mut().replication.returns.remember(Sent { to: to.clone(), id: id.into(), written });
        }
    }

    /// A message came back: whoever wrote it is told; false if nobody is known to have.
    pub(crate) fn return_to_writer(&mut self, stanza: &Stanza) -> bool {
        let (Some(from), Some(id)) = (&stanza.from, stanza.id.as_deref()) else { return false };
        let Some(error) = stanza.child("error", ns::STANZA) else { return false };
        let Some(written) = self.room_mut().replication.returns.take(from, id) else { return false };
        self.turn.send_opt(written.failure(veiled(error)));
        true
    }
}

/// An error without the real address of whom it is about: who says so, and where somebody has gone.
pub(crate) fn veiled(error: &Payload) -> Payload {
    let Ok(element) = error.element() else { return El::stanza("error").attr("type", "cancel").payload() };
    let children = element.children().filter_map(|child| match (child.name(), child.ns().as_str()) {
        ("gone" | "redirect", ns::ERRORS) => Some(El::new("recipient-unavailable", ns::ERRORS).payload()),
        ("text", ns::ERRORS) => None,
        _ => Payload::parse_xml(&String::from(child)).ok(),
    });
    let children: Vec<Payload> = children.collect();
    let veiled = El::stanza("error").attr("type", element.attr("type").unwrap_or("cancel"));
    children.iter().fold(veiled, El::payload_child).payload()
}
