//! One MUC service: stanza in, room found or woken, actions carried out.
//!
//! [`Service`] is the whole of it for an embedder: give it a store, a host and a policy, and call it as the
//! [`MucModule`] that it is.
//!
//! ```
//! use std::sync::Arc;
//!
//! use dmuc_core::{Address, Stanza, policy::ServicePolicy};
//! use dmuc_server_adapter::host::Host;
//! use dmuc_server_adapter::module::{Inbound, MucModule, Origin};
//! use dmuc_server_adapter::service::{Service, Tuning, open_storage};
//!
//! async fn serve(host: Arc<dyn Host>, joins: Vec<Stanza>) -> Result<(), Box<dyn std::error::Error>> {
//!     let policy = ServicePolicy::new(&Address::parse("chat.shakespeare.lit")?);
//!     let service = Service::start(open_storage("memory:").await?, host, policy, Tuning::default()).await?;
//!     for stanza in joins {
//!         let _taken = service.handle(Inbound { stanza, origin: Origin::Session });
//!     }
//!     service.shutdown().await;
//!     Ok(())
//! }
//! ```

mod activity;
mod admin;
mod asks;
mod awake;
mod board;
mod committer;
mod directory;
mod errors;
mod headcount;
mod leases;
mod ledger;
mod limited;
mod open;
mod retention;
mod rooms;
mod sessions;
mod takeover;
mod task;
mod timers;
mod tuning;
mod unsent;
mod visits;

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dmuc_core::io::{Cause, Input};
use dmuc_core::policy::ServicePolicy;
use dmuc_core::service::{Clock, Route, route};
use dmuc_core::stanza::Outbound;
use dmuc_core::storage::{Storage, StoreError};
use dmuc_core::{Address, Millis, Stanza};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use crate::host::{Delivery, Host};
use crate::module::{Accepted, Inbound, MucModule, Origin};

pub use open::{OpenError, StoreOptions, check_store_url, open_storage, open_storage_with};
pub(crate) use timers::now;
pub use tuning::Tuning;

/// A MUC service: the rooms of one domain.
pub struct Service {
    shared: Arc<Shared>,
    ended: Mutex<Option<mpsc::Receiver<std::convert::Infallible>>>,
    background: Vec<AbortHandle>,
}

/// What all rooms of a service use.
struct Shared {
    storage: Arc<dyn Storage>,
    host: Arc<dyn Host>,
    tuning: Tuning,
    runtime: Handle,
    board: board::Board,
    rooms: rooms::Rooms,
    sessions: sessions::Sessions,
    visits: visits::Visits,
    leases: Arc<leases::Leases>,
    committer: mpsc::Sender<committer::Job>,
    lists: Semaphore,
    limited: limited::Limited,
    errors: errors::Errors,
    headcount: headcount::Headcount,
    activity: activity::Activity,
    admin: admin::Desk,
    /// An administrator wants the service to end.
    stop_asked: Notify,
    started: Millis,
}

impl Service {
    /// Starts a service in the current tokio runtime. Rooms are woken by their first stanza.
    ///
    /// # Errors
    /// Any [`StoreError`] of reading the peer rules or counting the shadows: without them nobody can be let in.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(
        storage: Arc<dyn Storage>,
        host: Arc<dyn Host>,
        policy: ServicePolicy,
        tuning: Tuning,
    ) -> Result<Self, StoreError> {
        let runtime = Handle::current();
        let board = board::Board::read(policy, &*storage).await?;
        let leases = leases::Leases::new(storage.clone(), &tuning.node, tuning.lease_ttl);
        let (token, ended) = mpsc::channel(1);
        let (committer, jobs) = mpsc::channel(tuning.group_max.max(1));
        let committing = runtime.spawn(committer::run(storage.clone(), jobs, tuning.group_max.max(1)));
        let shared = Arc::new(Shared {
            rooms: rooms::Rooms::new(token, tuning.mailbox_max, tuning.rooms_awake_max),
            sessions: sessions::Sessions::new(host.capabilities().reports_sessions),
            visits: visits::Visits::default(),
            lists: Semaphore::new(tuning.lists_max),
            limited: limited::Limited::default(),
            errors: errors::Errors::default(),
            headcount: headcount::Headcount::default(),
            activity: activity::Activity::default(),
            admin: admin::Desk::new()?,
            stop_asked: Notify::default(),
            started: timers::now(),
            storage,
            host,
            tuning,
            runtime: runtime.clone(),
            board,
            leases: leases.clone(),
            committer,
        });
        let keeping = runtime.spawn(leases.keep());
        let following = runtime.spawn(follow_rules(shared.clone()));
        let forgetting = runtime.spawn(retention::run(shared.clone()));
        let taking_over = runtime.spawn(takeover::run(shared.clone()));
        let counting = runtime.spawn(count_rooms(shared.clone()));
        let background = [committing, keeping, following, forgetting, taking_over, counting]
            .map(|task| task.abort_handle())
            .into();
        info!(domain = %shared.board.now().domain, "service started");
        Ok(Self { shared, ended: Mutex::new(Some(ended)), background })
    }

    /// The policy in force: the one given at the start with the peer rules of the store over it.
    #[must_use]
    pub fn policy(&self) -> Arc<ServicePolicy> {
        self.shared.board.now()
    }

    /// How many rooms are in memory.
    #[must_use]
    pub fn rooms_awake(&self) -> usize {
        self.shared.rooms.len()
    }

    /// Reads the peer rules from the store now rather than at the next turn.
    pub async fn refresh_peers(&self) {
        self.shared.board.refresh(&*self.shared.storage).await;
    }

    /// Resolves when an administrator has told the service to end, by command; it is up to the caller to do so.
    pub async fn stop_asked(&self) {
        self.shared.stop_asked.notified().await;
    }

    /// Stops: takes nothing more, deals with what has been taken, waits for the store and the host, gives the rooms
    /// back. A second call waits for nothing.
    pub async fn shutdown(&self) {
        self.shared.rooms.close();
        let ended = lock(&self.ended).take();
        if let Some(mut ended) = ended {
            // Nothing is ever sent; it closes when the last task is gone.
            ended.recv().await;
        }
        info!("service stopped");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.rooms.close();
        self.background.iter().for_each(AbortHandle::abort);
    }
}

impl MucModule for Service {
    fn domains(&self) -> Vec<Address> {
        vec![self.shared.board.now().domain.clone()]
    }

    fn handle(&self, inbound: Inbound) -> Accepted {
        let Inbound { stanza, origin } = inbound;
        let policy = self.shared.board.now();
        if let Some(fault) = inadmissible(&stanza, &origin, &policy) {
            if let Some(left_out) = self.shared.limited.admit(fault) {
                warn!(fault, left_out, "stanza dropped");
            }
            return Accepted::Taken;
        }
        let clock = Clock { now: timers::now(), started: self.shared.started };
        match route(&stanza, &policy, clock) {
            Route::Answer(answers) => answers.into_iter().for_each(|answer| self.shared.answer(Some(answer))),
            Route::Rooms(wanted) => self.shared.list(stanza, wanted),
            Route::Search(search) => self.shared.search(stanza, *search),
            Route::Command => self.shared.command(stanza),
            Route::Activity { wanted } => self.shared.follow_activity(&stanza, wanted),
            Route::Subscriptions { part, max } => self.shared.list_subscriptions(stanza, part, max),
            Route::Room(room) => return self.shared.post(&room, stanza),
        }
        Accepted::Taken
    }

    fn session_closed(&self, jid: &Address) {
        self.shared.activity.unfollow(jid);
        for room in self.shared.sessions.close(jid) {
            if self.shared.rooms.post(&self.shared, &room, Input::SessionClosed(jid.clone())).is_err() {
                warn!(%room, "a session ended, and its room has no place for the news");
            }
        }
    }

    fn peer_link(&self, domain: &str, up: bool) {
        debug!(domain, up, "link to a peer; its rooms find out by their own retries");
    }
}

impl Shared {
    /// Sends an answer of the service itself; shed if the host has no room, as its asker may ask again.
    fn answer(&self, answer: Option<Stanza>) {
        let Some(answer) = answer.map(|answer| Outbound::One(Box::new(answer))) else { return };
        if !self.errors.admit(&self.board, &answer) {
            return;
        }
        let delivery = self.host.try_send(answer);
        if !matches!(delivery, Delivery::Accepted | Delivery::Queued) {
            debug!(?delivery, "an answer of the service was shed");
        }
    }

    fn post(self: &Arc<Self>, room: &Address, stanza: Stanza) -> Accepted {
        if let Some(refusal) = self.visits.refusal(&self.board.now(), &stanza, room) {
            self.answer(Some(refusal));
            return Accepted::Taken;
        }
        self.sessions.note(&stanza, room);
        let cause = Cause::of(&stanza);
        match self.rooms.post(self, room, Input::Stanza(stanza)) {
            Ok(()) => Accepted::Taken,
            Err(refused) => {
                debug!(%room, ?refused, "stanza refused");
                self.answer(cause.refusal(&task::try_later()));
                Accepted::Busy
            }
        }
    }

    /// Does what the store is needed for in a task of its own, and sends the answer.
    fn answer_later<F>(self: &Arc<Self>, request: &Stanza, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = Option<Stanza>> + Send + 'static,
    {
        let Some(alive) = self.rooms.token() else { return self.answer(request.error(&task::try_later())) };
        let (shared, work) = (self.clone(), work(self.clone()));
        self.runtime.spawn(async move {
            shared.answer(work.await);
            drop(alive);
        });
    }
}

/// What is wrong with a stanza that a host must not hand in; such a stanza is never answered.
fn inadmissible(stanza: &Stanza, origin: &Origin, policy: &ServicePolicy) -> Option<&'static str> {
    let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else {
        return Some("a stanza without from or to");
    };
    if to.domain() != policy.domain.as_str() {
        return Some("a stanza for another domain");
    }
    match origin {
        Origin::Peer(domain) if from.domain() != domain => {
            Some("a stanza whose from is not of the peer that sent it")
        }
        _ => None,
    }
}

/// Reads the rules whenever a node changes them; from time to time as well, as not every change is told.
async fn follow_rules(shared: Arc<Shared>) {
    loop {
        let told = tokio::time::timeout(shared.tuning.peers_every, shared.storage.rules_changed()).await;
        if let Ok(Err(error)) = told {
            debug!(error = %chain(&error), "changes of rules are not told");
            tokio::time::sleep(shared.tuning.peers_every).await;
        }
        shared.board.refresh(&*shared.storage).await;
    }
}

/// Counts the rooms from time to time; in between, each node knows of its own doings only.
async fn count_rooms(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(shared.tuning.count_every).await;
        shared.board.count(&*shared.storage).await;
    }
}

/// An error with all its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// Locks; a panic of another holder leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
