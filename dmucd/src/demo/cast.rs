//! The players of the demonstration: users whose clients are this program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmuc_core::stanza::{El, Kind, Outbound, Payload};
use dmuc_core::{Address, Stanza, ns};
use dmuc_server_adapter::host::Host;
use dmuc_server_adapter::module::{Accepted, Inbound, MucModule};
use tokio::sync::Notify;

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A domain of users who all are in this process.
pub struct Cast {
    domain: Address,
    got: Mutex<BTreeMap<Address, Vec<Stanza>>>,
    news: Notify,
}

impl Cast {
    /// The users of a domain.
    #[must_use]
    pub fn new(domain: &Address) -> Arc<Self> {
        Arc::new(Self { domain: domain.clone(), got: Mutex::default(), news: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, Vec<Stanza>>> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MucModule for Cast {
    fn domains(&self) -> Vec<Address> {
        vec![self.domain.clone()]
    }

    fn handle(&self, inbound: Inbound) -> Accepted {
        if let Some(to) = inbound.stanza.to.clone() {
            self.lock().entry(to).or_default().push(inbound.stanza);
            self.news.notify_waiters();
        }
        Accepted::Taken
    }

    fn session_closed(&self, _: &Address) {}

    fn peer_link(&self, _: &str, _: bool) {}
}

/// What was waited for did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("{who} waited in vain for {what}")]
pub struct InVain {
    who: Address,
    what: String,
}

/// One user with one client.
#[derive(Clone)]
pub struct Player {
    /// Its full JID.
    pub jid: Address,
    cast: Arc<Cast>,
    host: Arc<dyn Host>,
}

impl Player {
    /// A user of the cast; `host` carries what it sends.
    #[must_use]
    pub fn new(jid: Address, cast: &Arc<Cast>, host: &Arc<dyn Host>) -> Self {
        Self { jid, cast: cast.clone(), host: host.clone() }
    }

    fn send(&self, stanza: Stanza, to: &Address) {
        let stanza = stanza.with_from(&self.jid).with_to(to);
        // A stanza that is lost is missed by whoever waits for its effect.
        let _ = self.host.try_send(Outbound::One(Box::new(stanza)));
    }

    /// Wishes to enter under the nick in `occupant`.
    pub fn join(&self, occupant: &Address) {
        self.send(Stanza::presence().with(El::new("x", ns::MUC).payload()), occupant);
    }

    /// Leaves.
    pub fn leave(&self, occupant: &Address) {
        self.send(Stanza::presence().with_type("unavailable"), occupant);
    }

    /// Says something to everyone.
    pub fn say(&self, room: &Address, text: &str) {
        self.send(Stanza::message("groupchat").with_id(text).with(Payload::text_element("body", text)), room);
    }

    /// Asks for something, and waits for the answer.
    ///
    /// # Errors
    /// [`InVain`] if none comes.
    pub async fn ask(&self, ty: &str, id: &str, request: Payload, to: &Address) -> Result<Stanza, InVain> {
        self.send(Stanza::iq(ty, id).with(request), to);
        self.wait(&format!("the answer to {id}"), |stanza| {
            stanza.kind == Kind::Iq && stanza.id.as_deref() == Some(id)
        })
        .await
    }

    /// Waits for a stanza, past or to come, that `wanted` accepts; it and all before it count as seen.
    ///
    /// # Errors
    /// [`InVain`] if none comes.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&Stanza) -> bool) -> Result<Stanza, InVain> {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let news = self.cast.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if let Some(stanza) = self.take(&wanted) {
                    return stanza;
                }
                news.await;
            }
        });
        found.await.map_err(|_| InVain { who: self.jid.clone(), what: what.to_owned() })
    }

    fn take(&self, wanted: impl Fn(&Stanza) -> bool) -> Option<Stanza> {
        let mut got = self.cast.lock();
        let own = got.get_mut(&self.jid)?;
        let at = own.iter().position(wanted)?;
        own.drain(..=at).next_back()
    }

    /// Everything not seen yet.
    #[must_use]
    pub fn rest(&self) -> Vec<Stanza> {
        self.cast.lock().remove(&self.jid).unwrap_or_default()
    }
}
