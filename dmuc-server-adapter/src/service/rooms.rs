//! The rooms that are awake, and their mailboxes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use dmuc_core::io::Input;
use dmuc_core::stanza::Kind;
use dmuc_core::{Address, Stanza};
use tokio::sync::mpsc;

use super::{Shared, lock, task};

/// Inputs that a room takes from its mailbox at a time.
const BATCH: usize = 256;

/// Every task of the service holds one; the last one to go ends [`Rooms::close`].
pub(super) type Token = mpsc::Sender<std::convert::Infallible>;

/// The mailboxes of the rooms that are awake.
pub(super) struct Rooms {
    open: Mutex<Open>,
    mailbox_max: usize,
    rooms_max: usize,
}

struct Open {
    mailboxes: HashMap<Address, mpsc::Sender<Input>>,
    /// None once the service stops.
    token: Option<Token>,
}

/// Why an input was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The room's mailbox is full, or too many rooms are awake.
    Full,
    /// The service stops.
    Stopping,
}

impl Rooms {
    /// No rooms; what is received from the other end of `token` tells when all tasks are gone.
    pub fn new(token: Token, mailbox_max: usize, rooms_max: usize) -> Self {
        let open = Mutex::new(Open { mailboxes: HashMap::new(), token: Some(token) });
        Self { open, mailbox_max: mailbox_max.max(1), rooms_max }
    }

    /// Puts an input into a room's mailbox; the room is given a task if it has none.
    pub fn post(&self, shared: &Arc<Shared>, room: &Address, input: Input) -> Result<(), Refused> {
        let mut open = lock(&self.open);
        let mailbox = self.mailbox(shared, &mut open, room)?;
        if mailbox.capacity() <= self.reserve() && !is_farewell(&input) {
            return Err(Refused::Full);
        }
        mailbox.try_send(input).map_err(|_| Refused::Full)
    }

    /// Has a room in memory although nothing has come for it.
    pub fn rouse(&self, shared: &Arc<Shared>, room: &Address) -> Result<(), Refused> {
        self.mailbox(shared, &mut lock(&self.open), room).map(drop)
    }

    /// The mailbox of a room; it is given one, and a task, if it has none.
    fn mailbox(
        &self,
        shared: &Arc<Shared>,
        open: &mut Open,
        room: &Address,
    ) -> Result<mpsc::Sender<Input>, Refused> {
        let Some(token) = open.token.clone() else { return Err(Refused::Stopping) };
        // A mailbox is closed under us only if its task panicked: the room starts again from its record.
        if let Some(mailbox) = open.mailboxes.get(room).filter(|mailbox| !mailbox.is_closed()) {
            return Ok(mailbox.clone());
        }
        if open.mailboxes.len() >= self.rooms_max {
            return Err(Refused::Full);
        }
        let (mailbox, inputs) = mpsc::channel(self.mailbox_max + self.reserve());
        open.mailboxes.insert(room.clone(), mailbox.clone());
        shared.runtime.spawn(task::run(shared.clone(), room.clone(), Mailbox::new(inputs), token));
        Ok(mailbox)
    }

    /// Places that only those who leave may take: a lost farewell would leave a ghost.
    fn reserve(&self) -> usize {
        self.mailbox_max.div_ceil(4)
    }

    /// Takes a room off the list if nothing waits for it; its task must end then.
    pub fn retire(&self, room: &Address, mailbox: &Mailbox) -> bool {
        let mut open = lock(&self.open);
        let unused = mailbox.is_empty();
        if unused {
            open.mailboxes.remove(room);
        }
        unused
    }

    /// A token for a task that is no room; none once the service stops.
    pub fn token(&self) -> Option<Token> {
        lock(&self.open).token.clone()
    }

    /// How many rooms are awake.
    pub fn len(&self) -> usize {
        lock(&self.open).mailboxes.len()
    }

    /// Takes no more inputs; rooms end when they have dealt with theirs.
    pub fn close(&self) {
        let mut open = lock(&self.open);
        open.token = None;
        open.mailboxes.clear();
    }
}

fn is_farewell(input: &Input) -> bool {
    match input {
        Input::Stanza(Stanza { kind: Kind::Presence, ty, .. }) => {
            matches!(ty.as_deref(), Some("unavailable" | "error"))
        }
        Input::SessionClosed(_) => true,
        _ => false,
    }
}

/// The room's end of its mailbox.
pub(super) struct Mailbox {
    arriving: mpsc::Receiver<Input>,
    batch: Vec<Input>,
    taken: VecDeque<Input>,
    closed: bool,
}

impl Mailbox {
    fn new(arriving: mpsc::Receiver<Input>) -> Self {
        Self { arriving, batch: Vec::new(), taken: VecDeque::new(), closed: false }
    }

    /// Waits until there is something to take, or nothing will come any more.
    pub async fn fill(&mut self) {
        let count = self.arriving.recv_many(&mut self.batch, BATCH).await;
        self.closed = count == 0;
        self.taken.extend(self.batch.drain(..));
    }

    /// Receives whatever has come, without waiting.
    pub fn gather(&mut self) {
        self.taken.extend(std::iter::from_fn(|| self.arriving.try_recv().ok()));
    }

    /// The next input of those received.
    pub fn take(&mut self) -> Option<Input> {
        self.taken.pop_front()
    }

    /// All inputs received.
    pub fn take_all(&mut self) -> impl Iterator<Item = Input> + '_ {
        self.taken.drain(..)
    }

    /// Whether every input received so far has been taken.
    pub fn is_drained(&self) -> bool {
        self.taken.is_empty()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.arriving.is_empty()
    }

    /// Whether the service stops: nothing will come but what waits already.
    pub fn is_ending(&self) -> bool {
        self.arriving.is_closed()
    }

    /// Whether nothing will come any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}
