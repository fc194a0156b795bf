//! The server around a MUC service.
//!
//! [`ComponentHost`] reaches any XMPP server as its external component; [`Acceptor`] is the other end of that
//! protocol; [`BalancedHost`] shares such connections with other processes. [`Router`] is for a Rust server that has us
//! in its own process.

mod acceptor;
mod balanced;
mod c2s;
mod component;
mod in_process;
mod places;
mod retry;
mod sasl;
mod secret;
mod users;

use async_trait::async_trait;
use dmuc_core::stanza::Outbound;

pub use acceptor::{Acceptor, ComponentSink};
pub use balanced::{BalancedHost, Sharing};
pub use component::{ComponentConfig, ComponentHost, LinkError, Status};
pub use in_process::{Cut, InProcessHost, Link, Router, Tap};
pub use retry::Retry;
pub use sasl::Accounts;
pub use secret::{Secret, handshake};

/// What became of something handed to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Delivery {
    /// On its way.
    Accepted,
    /// Kept until the host is back.
    Queued,
    /// The host is away and nothing more is kept for it.
    NotConnected,
    /// No room now; try again after [`Host::ready`].
    Full,
    /// The host is shutting down and takes nothing more.
    Closed,
    /// The host knows no such addressee, or can never carry this.
    NoRoute,
}

/// What a host can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Largest stanza it takes, in bytes.
    pub max_stanza_bytes: usize,
    /// Whether it has authenticated every `from` that it hands in.
    pub vouches_from: bool,
    /// Whether it tells when a local session ends ([`MucModule::session_closed`](crate::module::MucModule)).
    pub reports_sessions: bool,
    /// Whether it tells when a link to a peer domain comes or goes.
    pub reports_links: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            max_stanza_bytes: 256 * 1024,
            vouches_from: true,
            reports_sessions: false,
            reports_links: false,
        }
    }
}

/// A server that carries the service's stanzas.
///
/// To ensure correctness: stanzas from one thread to one addressee are delivered in the order of the calls, or not
/// at all.
#[async_trait]
pub trait Host: Send + Sync {
    /// Hands out stanzas. Never blocks.
    fn try_send(&self, out: Outbound) -> Delivery;

    /// Resolves when there is room again after [`Delivery::Full`].
    async fn ready(&self);

    /// What this host can do.
    fn capabilities(&self) -> Capabilities;
}
