//! A room that is awake: its instance, and everything that waits for the store or the host.

use std::sync::Arc;

use dmuc_core::io::{Action, Cause, CommitId, Input, QueryId, Timer};
use dmuc_core::outbox::Outbox;
use dmuc_core::policy::ServicePolicy;
use dmuc_core::record::Card;
use dmuc_core::stanza::Outbound;
use dmuc_core::storage::{
    Change, Entry, Found, Frontier, LogEntry, Recent, Revision, RoomCommit, RoomUid, StoreError,
    StoreErrorKind, Tombstone,
};
use dmuc_core::{Address, Instance};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::asks::{Answer, Asks};
use super::committer::{Job, Outcome};
use super::leases::HeldLease;
use super::ledger::Ledger;
use super::rooms::Mailbox;
use super::timers::{self, Timers};
use super::unsent::Unsent;
use super::visits::Inside;
use super::{Shared, task};

/// One room in memory.
pub(super) struct Awake {
    shared: Arc<Shared>,
    instance: Instance,
    policy: watch::Receiver<Arc<ServicePolicy>>,
    lease: Option<HeldLease>,
    revision: Revision,
    card: Counted,
    inside: Inside,
    ledger: Ledger,
    outbox: Outbox,
    unsent: Unsent,
    asks: Asks,
    timers: Timers,
    /// How many occupants others believe to be in.
    counted: Option<usize>,
    /// Until when it stays awake unused.
    stay: Instant,
    /// There was a room and it is gone; what comes next meets its tombstone.
    destroyed: bool,
    /// Another node wants it: what has come is dealt with, and nothing more is taken.
    leaving: bool,
}

/// The card of a room, by which rooms are counted: as it is in the store, and as it was counted.
#[derive(Default)]
struct Counted {
    durable: Option<Card>,
    counted: Option<Card>,
}

/// What a room waits for.
enum Event {
    Landed(CommitId, Outcome),
    Answered(QueryId, Answer),
    /// Inputs arrived, or the host took something.
    Moved,
    Due,
    /// Another node wants the room, or has it.
    Contested,
}

impl Awake {
    /// Restores a room from its record, under its lease; at a vacant address, an instance that may become one.
    pub async fn wake(shared: &Arc<Shared>, jid: &Address) -> Result<Self, StoreError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| StoreError::caused(StoreErrorKind::Unexpected, "wake: no entropy", error))?;
        let mut policy = shared.board.follow();
        let current = policy.borrow_and_update().clone();
        let (instance, found) = match find(shared, jid).await? {
            Ok((lease, found)) => {
                let (frontier, recent) = read_history(shared, found.uid, &current).await?;
                let instance = Instance::restore(jid, &found, &frontier, recent, current, seed)?;
                (instance, Some((lease, found)))
            }
            Err(tombstone) => (Instance::vacant(jid, tombstone, current, seed), None),
        };
        let mut awake = Self::assemble(shared, instance, policy, found);
        awake.set_timers();
        Ok(awake)
    }

    /// Timers are not in the record: a room that has just been restored sees for itself what is due.
    fn set_timers(&mut self) {
        if !self.instance.is_vacant() {
            self.handle(Input::Timer(Timer::Retry));
        }
    }

    fn assemble(
        shared: &Arc<Shared>,
        instance: Instance,
        policy: watch::Receiver<Arc<ServicePolicy>>,
        found: Option<(HeldLease, Found)>,
    ) -> Self {
        let (lease, found) = found.unzip();
        let domain = policy.borrow().domain.clone();
        let inside = Inside::of(&shared.visits, &domain, instance.jid(), found.as_ref());
        let card = found.as_ref().and_then(|found| Card::read(found.parts.get("card")?));
        Self {
            instance,
            policy,
            lease,
            revision: found.as_ref().map(|found| found.revision).unwrap_or_default(),
            inside,
            card: Counted { durable: card.clone(), counted: card },
            ledger: Ledger::default(),
            outbox: Outbox::default(),
            unsent: Unsent::new(shared.clone()),
            asks: Asks::default(),
            timers: Timers::default(),
            counted: None,
            stay: Instant::now() + shared.tuning.hibernate_after,
            destroyed: false,
            leaving: false,
            shared: shared.clone(),
        }
    }

    /// Lives until it is vacant, unused, wanted by another node, or failed by the store. Gives whether it was handed
    /// over to another node.
    pub async fn live(mut self, mailbox: &mut Mailbox) -> bool {
        match self.run(mailbox).await {
            Ok(()) => debug!(room = %self.instance.jid(), elsewhere = self.leaving, "room leaves memory"),
            Err(error) => {
                self.leaving = false;
                self.fail(&error);
            }
        }
        while !self.unsent.is_empty() {
            self.unsent.drain().await;
        }
        if let Some(lease) = self.lease.take() {
            self.part_with(lease).await;
        }
        self.leaving
    }

    /// A room that has something to do without being told to must not sleep.
    async fn part_with(&mut self, lease: HeldLease) {
        if self.leaving || !lease.is_ours() {
            self.forget();
        }
        if self.timers.is_empty() { lease.release().await } else { lease.abandon().await }
    }

    /// What happens in the room from now on is not seen here.
    fn forget(&mut self) {
        self.inside.forget(&self.shared.visits);
        self.shared.headcount.note(self.instance.jid(), 0);
    }

    async fn run(&mut self, mailbox: &mut Mailbox) -> Result<(), StoreError> {
        loop {
            self.take_inputs(mailbox).await?;
            self.submit().await?;
            if self.is_over(mailbox) {
                return Ok(());
            }
            match self.wait(mailbox).await {
                Event::Landed(id, outcome) => self.land(id, outcome?),
                Event::Answered(id, result) => self.handle(Input::Answered { id, result }),
                Event::Moved => {}
                Event::Due => self.fire_timers(),
                Event::Contested => self.heed_wish(mailbox),
            }
        }
    }

    async fn wait(&mut self, mailbox: &mut Mailbox) -> Event {
        let takes = self.takes_inputs() && !self.leaving && !mailbox.is_closed();
        let is_ours = self.is_ours();
        let wake_at = self.timers.next(timers::now()).map_or(self.stay, |due| due.min(self.stay));
        tokio::select! {
            (id, outcome) = self.ledger.landing() => Event::Landed(id, outcome),
            (id, answer) = self.asks.next() => Event::Answered(id, answer),
            () = self.unsent.drain(), if !self.unsent.is_empty() => Event::Moved,
            () = mailbox.fill(), if takes => Event::Moved,
            () = contested(&mut self.lease) => Event::Contested,
            () = tokio::time::sleep_until(wake_at), if is_ours => Event::Due,
        }
    }

    /// Whether no other node can have the room.
    fn is_ours(&self) -> bool {
        self.lease.as_ref().is_none_or(HeldLease::is_ours)
    }

    /// What is here is still dealt with here.
    fn heed_wish(&mut self, mailbox: &mut Mailbox) {
        self.leaving = self.lease.as_ref().is_some_and(HeldLease::is_wanted);
        if self.leaving {
            mailbox.gather();
        }
    }

    /// Whether the host and the store keep up with what the room has done so far.
    fn takes_inputs(&self) -> bool {
        self.unsent.is_empty()
            && !self.destroyed
            && self.is_ours()
            && self.ledger.waiting() < self.shared.tuning.waiting_max
            && self.asks.len() < self.shared.tuning.asks_max
    }

    async fn take_inputs(&mut self, mailbox: &mut Mailbox) -> Result<(), StoreError> {
        if !self.is_ours() && !self.ledger.is_flying() {
            return Err(StoreError::new(StoreErrorKind::Conflict, "the lease was not renewed in time"));
        }
        self.follow_policy();
        while self.takes_inputs() {
            let Some(input) = mailbox.take() else { break };
            self.stay = Instant::now() + self.shared.tuning.hibernate_after;
            self.handle(input);
            self.own().await?;
        }
        Ok(())
    }

    fn follow_policy(&mut self) {
        if self.policy.has_changed().unwrap_or(false) {
            self.instance.set_policy(self.policy.borrow_and_update().clone());
        }
    }

    /// Takes the lease of a room that has just been created.
    async fn own(&mut self) -> Result<(), StoreError> {
        if let (None, Some(uid)) = (&self.lease, self.instance.uid()) {
            self.lease = Some(self.shared.leases.acquire(uid).await?);
        }
        Ok(())
    }

    fn handle(&mut self, input: Input) {
        let existed = !self.instance.is_vacant();
        let (cause, asked) = match &input {
            Input::Stanza(stanza) => (Some(Cause::of(stanza)), stanza.is_request()),
            _ => (None, false),
        };
        if let (false, Some(from)) = (existed, sender(&input)) {
            self.instance.set_census(self.shared.board.census(from));
        }
        let before = self.ledger.newest();
        for action in self.instance.handle(timers::now(), input) {
            self.carry_out(action, cause.as_ref());
        }
        // An answer that waits behind others' commits is lost with them: its asker must be told, too.
        if asked && self.ledger.newest() == before && !self.outbox.is_empty() {
            cause.into_iter().for_each(|cause| self.ledger.owe(cause));
        }
        if existed && self.instance.is_vacant() {
            self.destroyed = true;
            self.shared.activity.forget(self.instance.jid());
        }
        self.count_occupants();
        self.start_asks();
    }

    fn count_occupants(&mut self) {
        let occupants = self.instance.occupants();
        if self.counted != Some(occupants) {
            self.counted = Some(occupants);
            self.shared.headcount.note(self.instance.jid(), u32::try_from(occupants).unwrap_or(u32::MAX));
        }
    }

    fn carry_out(&mut self, action: Action, cause: Option<&Cause>) {
        match action {
            Action::Commit { id, changes, cause } => {
                self.inside.note(&self.shared.visits, &changes);
                self.ledger.add(id, changes, cause);
            }
            Action::Send { out, after } => {
                if let Some(out) = self.outbox.push(out, after) {
                    self.unsent.send(out);
                }
            }
            Action::Ask { id, query } => self.asks.add(id, query, self.ledger.newest(), cause.cloned()),
            Action::SetTimer { timer, at } => self.timers.set(timer, at),
            Action::Missed { users } => self.shared.tell_of_activity(self.instance.jid(), users),
            Action::CaughtUp { users } => self.shared.activity.caught_up(self.instance.jid(), &users),
            Action::Report { peer, what } => self.report(&peer, what),
            other => warn!(?other, "an action that this service does not know"),
        }
    }

    fn report(&self, peer: &str, what: &str) {
        if let Some(left_out) = self.shared.limited.admit(peer) {
            warn!(room = %self.instance.jid(), peer, what, left_out, "a peer misbehaved");
        }
    }

    fn start_asks(&mut self) {
        if let (false, Some(lease)) = (self.asks.is_empty(), &self.lease) {
            self.asks.start(&self.shared.storage, lease.current().room, self.ledger.durable());
        }
    }

    fn fire_timers(&mut self) {
        let now = timers::now();
        while let Some(timer) = self.timers.due(now) {
            self.handle(Input::Timer(timer));
        }
    }

    /// Sends all changes that have gathered as one commit, if none is in flight.
    async fn submit(&mut self) -> Result<(), StoreError> {
        let Some(changes) = self.ledger.next() else { return Ok(()) };
        let lease = self.lease.as_ref().map(HeldLease::current);
        let lease = lease.ok_or_else(|| StoreError::new(StoreErrorKind::Unexpected, "commit: no lease"))?;
        self.count_room(&changes);
        let commit = RoomCommit { lease, expected: self.revision, changes };
        let (outcome, landing) = oneshot::channel();
        let sent = self.shared.committer.send(Job { commit, outcome }).await;
        sent.map_err(|_| {
            StoreError::new(StoreErrorKind::Unavailable, "commit: the service is shutting down")
        })?;
        self.ledger.sent(landing);
        Ok(())
    }

    /// Counts a new room when it is tried, so that a burst of requests cannot outrun the count.
    fn count_room(&mut self, changes: &[Change]) {
        let last = changes.iter().rev().find_map(|change| match change {
            Change::Put { key, value } if key == "card" => Some(Card::read(value)),
            Change::Destroy(_) => Some(None),
            _ => None,
        });
        last.into_iter().for_each(|card| self.recount(card));
    }

    fn recount(&mut self, card: Option<Card>) {
        self.shared.board.recount(self.card.counted.as_ref(), card.as_ref());
        self.card.counted = card;
    }

    fn land(&mut self, id: CommitId, revision: Revision) {
        self.revision = revision;
        self.card.durable.clone_from(&self.card.counted);
        self.ledger.landed(id);
        self.outbox.committed(id).into_iter().for_each(|out| self.unsent.send(out));
        self.start_asks();
    }

    /// Whether there is nothing left to do here, for now or for good.
    fn is_over(&mut self, mailbox: &Mailbox) -> bool {
        let quiet = self.ledger.is_settled()
            && self.outbox.is_empty()
            && self.unsent.is_empty()
            && self.asks.is_empty();
        if !quiet {
            return false;
        }
        let stops = mailbox.is_closed() && mailbox.is_empty();
        let left = self.leaving && mailbox.is_drained();
        self.instance.is_vacant() || stops || left || self.is_unused()
    }

    fn is_unused(&mut self) -> bool {
        if Instant::now() < self.stay {
            return false;
        }
        self.stay = Instant::now() + self.shared.tuning.hibernate_after;
        self.timers.is_empty() && self.instance.may_hibernate()
    }

    /// The store refused: what depended on it never happened, and whoever asked for it is told.
    fn fail(&mut self, error: &StoreError) {
        task::log_failure(&self.shared, self.instance.jid(), "room dropped to its record", error);
        self.outbox.fail();
        self.recount(self.card.durable.clone());
        self.inside.forget(&self.shared.visits);
        let causes = self.ledger.fail().into_iter().chain(self.asks.fail());
        for refusal in causes.filter_map(|cause| cause.refusal(&task::try_later())) {
            self.unsent.send(Outbound::One(Box::new(refusal)));
        }
    }
}

/// Waits until another node wants the room or has it; for ever if there is none.
async fn contested(lease: &mut Option<HeldLease>) {
    match lease {
        Some(lease) => lease.contested().await,
        None => std::future::pending().await,
    }
}

fn sender(input: &Input) -> Option<&Address> {
    match input {
        Input::Stanza(stanza) => stanza.from.as_ref(),
        _ => None,
    }
}

/// What an address holds: a room under its lease as it is since then, or `Err` with the tombstone, if any.
async fn find(
    shared: &Arc<Shared>,
    jid: &Address,
) -> Result<Result<(HeldLease, Found), Option<Tombstone>>, StoreError> {
    let mut lease: Option<HeldLease> = None;
    loop {
        let found = match shared.storage.load(jid, timers::now()).await? {
            Entry::Room(found) => found,
            Entry::Tombstone(tombstone) => return Ok(Err(Some(tombstone))),
            Entry::Vacant => return Ok(Err(None)),
        };
        match lease {
            // What was read before the lease was ours may have been overwritten by its last holder.
            Some(lease) if lease.current().room == found.uid => return Ok(Ok((lease, found))),
            _ => lease = Some(shared.leases.acquire(found.uid).await?),
        }
    }
}

async fn read_history(
    shared: &Shared,
    room: RoomUid,
    policy: &ServicePolicy,
) -> Result<(Vec<Frontier>, Vec<LogEntry>), StoreError> {
    let limits = Recent {
        stanzas: Some(policy.history_max),
        chars: Some(policy.history_bytes_max as u64),
        ..Recent::default()
    };
    let frontier = shared.storage.frontier(room).await?;
    Ok((frontier, shared.storage.recent(room, limits).await?))
}
