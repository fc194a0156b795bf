//! A host that spreads the stanzas of one domain over a fixed number of connections, as ejabberd does with
//! `domain_balancing`; several processes share them.
//!
//! Such a host keeps each address to one connection, and drops what is meant for a connection that is missing. So the
//! processes see to it that none is: where one of them is gone, another opens its connection too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dmuc_core::stanza::{Kind, Outbound};
use dmuc_core::storage::Storage;
use dmuc_core::{Address, Stanza};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::component::{ComponentConfig, ComponentHost, Status};
use super::places::Places;
use super::{Capabilities, Delivery, Host};
use crate::module::{Accepted, Inbound, MucModule};
use crate::service::now;

/// Turns after which a connection that brought nothing is tried, and after which it is made anew.
const SILENT_TURNS: (u32, u32) = (5, 7);
/// Stanzas to ourselves for each connection, to see that all of them bring something: one brings nothing of these by
/// mere chance once in some thousand times.
const TRIALS: usize = 8;

/// How the connections of a domain are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// How many there are: with ejabberd its `component_number`. With one, a process serves and the others stand by.
    pub connections: usize,
    /// The name of this process in the store.
    pub node: String,
    /// How long the connections of a process that died stay missing, at most.
    pub ttl: Duration,
}

/// A [`Host`] that is reached by our share of its connections. What goes out takes one of them, to stay in order.
pub struct BalancedHost {
    config: ComponentConfig,
    main: Arc<ComponentHost>,
    storage: Arc<dyn Storage>,
    sharing: Sharing,
}

impl BalancedHost {
    /// A host that is not connected yet; [`run`](Self::run) connects it.
    #[must_use]
    pub fn new(config: ComponentConfig, storage: Arc<dyn Storage>, sharing: Sharing) -> Arc<Self> {
        Arc::new(Self { main: ComponentHost::new(config.clone()), config, storage, sharing })
    }

    /// Keeps our share of the connections, handing what comes in to `module`, until `shutdown` resolves; then ends them
    /// and gives their places back. A host runs once.
    pub async fn run(self: Arc<Self>, module: Arc<dyn MucModule>, shutdown: impl Future<Output = ()> + Send) {
        let Sharing { connections, node, ttl } = &self.sharing;
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let places = Places::new(self.storage.clone(), &self.config.domain, *connections, node, ttl_ms);
        let mut share = Share { host: self.clone(), module, places, main: None, others: BTreeMap::new() };
        let mut shutdown = std::pin::pin!(shutdown);
        let mut turns = tokio::time::interval(*ttl / 5);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turns.tick() => share.turn().await,
                () = shutdown.as_mut() => break,
            }
        }
        share.end().await;
    }
}

#[async_trait]
impl Host for BalancedHost {
    fn try_send(&self, out: Outbound) -> Delivery {
        self.main.try_send(out)
    }

    async fn ready(&self) {
        self.main.ready().await;
    }

    fn capabilities(&self) -> Capabilities {
        self.main.capabilities()
    }
}

/// The connections that are ours at present.
struct Share {
    host: Arc<BalancedHost>,
    module: Arc<dyn MucModule>,
    places: Places,
    main: Option<Line>,
    others: BTreeMap<usize, Line>,
}

impl Share {
    async fn turn(&mut self) {
        for place in self.places.turn(now()).await {
            info!(place, "making way for a process that has come");
            self.close(place).await;
            self.places.release(place).await;
        }
        if self.main.is_none() && self.places.own().is_some() {
            self.main = Some(Line::open(self.host.main.clone(), &self.module));
        }
        self.follow_places().await;
        self.watch();
    }

    /// Opens and closes what stands in for others, as places have come and gone.
    async fn follow_places(&mut self) {
        let due: Vec<_> = self.places.others().collect();
        let over: Vec<_> = self.others.keys().copied().filter(|place| !due.contains(place)).collect();
        for place in over {
            self.close(place).await;
        }
        for place in due {
            let open = || Line::open(ComponentHost::new(self.host.config.clone()), &self.module);
            self.others.entry(place).or_insert_with(open);
        }
    }

    async fn close(&mut self, place: usize) {
        if let Some(line) = self.others.remove(&place) {
            line.close().await;
        }
    }

    /// A host does not tell a connection that it has no use for it, as when another was there in its place.
    fn watch(&mut self) {
        let is_connected = *self.host.main.status().borrow() == Status::Connected;
        if self.host.sharing.connections < 2 || !is_connected {
            return;
        }
        let (trial, hopeless) = SILENT_TURNS;
        let longest = self.main.iter_mut().chain(self.others.values_mut()).map(Line::watch).max();
        if longest == Some(trial) {
            self.try_all();
        }
        for line in
            self.main.iter_mut().chain(self.others.values_mut()).filter(|line| line.silent >= hopeless)
        {
            warn!("a connection brings nothing, it is made anew");
            line.silent = 0;
            line.host.reconnect();
        }
    }

    /// Sends to addresses of our own that come back by all connections.
    fn try_all(&self) {
        let domain = &self.host.config.domain;
        for _ in 0..TRIALS * self.host.sharing.connections {
            let Ok(address) = Address::parse(&format!("{}@{domain}", uuid::Uuid::new_v4().simple())) else {
                return;
            };
            let trial = Stanza::new(Kind::Message).with_type("error").with_from(domain).with_to(&address);
            let _ = self.host.main.try_send(Outbound::One(Box::new(trial)));
        }
    }

    async fn end(mut self) {
        let lines = self.main.take().into_iter().chain(std::mem::take(&mut self.others).into_values());
        for line in lines {
            line.close().await;
        }
        let places: Vec<_> = self.places.own().into_iter().chain(self.places.others()).collect();
        for place in places {
            self.places.release(place).await;
        }
    }
}

/// One connection.
struct Line {
    host: Arc<ComponentHost>,
    /// Ends it when dropped.
    end: oneshot::Sender<()>,
    running: JoinHandle<()>,
    module: Arc<Counting>,
    seen: u64,
    silent: u32,
}

impl Line {
    fn open(host: Arc<ComponentHost>, module: &Arc<dyn MucModule>) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let module = Arc::new(Counting { module: module.clone(), stanzas: AtomicU64::new(0) });
        let ended = async move { drop(ended.await) };
        let running = tokio::spawn(host.clone().run(module.clone(), ended));
        Self { host, end, running, module, seen: 0, silent: 0 }
    }

    /// For how many turns it has brought nothing.
    fn watch(&mut self) -> u32 {
        let seen = self.module.stanzas.load(Ordering::Relaxed);
        self.silent = if seen == self.seen { self.silent + 1 } else { 0 };
        self.seen = seen;
        self.silent
    }

    async fn close(self) {
        drop(self.end);
        if self.running.await.is_err() {
            warn!("a connection ended badly");
        }
    }
}

/// Counts what comes in.
struct Counting {
    module: Arc<dyn MucModule>,
    stanzas: AtomicU64,
}

impl MucModule for Counting {
    fn domains(&self) -> Vec<Address> {
        self.module.domains()
    }

    fn handle(&self, inbound: Inbound) -> Accepted {
        self.stanzas.fetch_add(1, Ordering::Relaxed);
        self.module.handle(inbound)
    }

    fn session_closed(&self, jid: &Address) {
        self.module.session_closed(jid);
    }

    fn peer_link(&self, domain: &str, up: bool) {
        self.module.peer_link(domain, up);
    }
}
