//! The MUC service as its host sees it.

use dmuc_core::{Address, Stanza};

/// Who vouched for a stanza's sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A local session of the host.
    Session,
    /// A peer domain, authenticated by the host's server-to-server layer.
    Peer(String),
    /// A host server that routes to us as its component (XEP-0114) and vouches for every sender.
    Component,
}

/// A stanza on its way into the service.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// What was sent.
    pub stanza: Stanza,
    /// Who vouches for its `from`.
    pub origin: Origin,
}

/// What the service did with a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Accepted {
    /// It is in its room's mailbox, or already dealt with.
    Taken,
    /// The room's mailbox is full; the module has already answered or shed the stanza.
    Busy,
}

/// A MUC service, called by its host. No method ever blocks.
pub trait MucModule: Send + Sync {
    /// The domains whose stanzas belong here.
    fn domains(&self) -> Vec<Address>;

    /// Takes one stanza. Returns fast; answers come through the host's [`try_send`](crate::host::Host::try_send).
    fn handle(&self, inbound: Inbound) -> Accepted;

    /// A local session ended without saying goodbye.
    fn session_closed(&self, jid: &Address);

    /// The host's link to another domain came up or went down.
    fn peer_link(&self, domain: &str, up: bool);
}
