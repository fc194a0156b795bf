//! Commands by which those who administer the service run it with any client (XEP-0050, XEP-0133). A new command is a
//! line of [`COMMANDS`].

mod peers;
mod rooms;
mod users;

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use dmuc_core::adhoc::{self, Call, Done, Request, Sessions, Step, Turn, forbidden};
use dmuc_core::io::{Input, OperatorOrder};
use dmuc_core::stanza::{Condition, Payload, StanzaError};
use dmuc_core::storage::{StoreError, StoreErrorKind};
use dmuc_core::{Stanza, ns};
use tracing::{info, warn};
use xmpp_parsers::data_forms::{DataForm, Field, FieldType};

use super::{Shared, chain, lock, task, timers};

/// What a command comes to, once the store has been asked.
type Run = Pin<Box<dyn Future<Output = Result<Step, StanzaError>> + Send>>;

/// One command.
struct Command {
    node: &'static str,
    name: &'static str,
    run: fn(Arc<Shared>, Call) -> Run,
}

/// Every command of the service, in the order in which they are listed.
static COMMANDS: &[Command] = &[
    Command { node: "statistics", name: "Service statistics", run: |on, _| Box::pin(rooms::statistics(on)) },
    Command { node: "list-rooms", name: "List all rooms", run: |on, call| Box::pin(rooms::list(on, call)) },
    Command {
        node: "destroy-rooms",
        name: "Destroy rooms",
        run: |on, call| Box::pin(rooms::destroy(on, call)),
    },
    Command {
        node: users::ANNOUNCE,
        name: "Announce to all rooms",
        run: |on, call| Box::pin(users::announce(on, call)),
    },
    Command {
        node: users::EXPEL,
        name: "Put users out of all rooms",
        run: |on, call| Box::pin(users::expel(on, call)),
    },
    Command {
        node: users::SHUT_DOWN,
        name: "Shut the service down",
        run: |on, call| Box::pin(users::shut_down(on, call)),
    },
    Command { node: "list-peers", name: "List peers", run: |on, _| Box::pin(peers::list(on)) },
    Command {
        node: "set-peer",
        name: "Add or change a peer",
        run: |on, call| Box::pin(peers::set(on, call)),
    },
    Command {
        node: "drop-peer",
        name: "Drop a peer's rule",
        run: |on, call| Box::pin(peers::drop(on, call)),
    },
    Command {
        node: "approve-shadow",
        name: "Approve a shadow",
        run: |on, call| Box::pin(peers::approve(on, call)),
    },
];

/// Where commands are handled: who has come how far.
pub(super) struct Desk {
    sessions: Mutex<Sessions>,
}

impl Desk {
    /// No sessions yet.
    pub fn new() -> Result<Self, StoreError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| StoreError::caused(StoreErrorKind::Unexpected, "start: no entropy", error))?;
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { sessions: Mutex::new(Sessions::new(&key)) })
    }
}

impl Shared {
    /// A command, or discovery of commands.
    pub(super) fn command(self: &Arc<Self>, stanza: Stanza) {
        let Some(request) = stanza.children.first() else { return };
        if request.ns() == ns::COMMANDS {
            return self.answer_later(&stanza.clone(), |shared| async move { shared.execute(&stanza).await });
        }
        let node = request.attr("node").unwrap_or_default();
        let told = match (request.ns(), node.as_str()) {
            (ns::DISCO_ITEMS, _) => Ok(self.offered_to(&stanza)),
            (_, ns::COMMANDS) => Ok(adhoc::info(&node, None)),
            _ => self.offered(&stanza, &node).map(|command| adhoc::info(&node, Some(command.name))),
        };
        self.answer(match told {
            Ok(told) => Some(stanza.result().with(told)),
            Err(refusal) => stanza.error(&refusal),
        });
    }

    fn is_admin(&self, stanza: &Stanza) -> bool {
        stanza.from.as_ref().is_some_and(|from| self.board.now().is_admin(from))
    }

    /// The list of commands, which is empty but for administrators.
    fn offered_to(&self, stanza: &Stanza) -> Payload {
        let commands = if self.is_admin(stanza) { COMMANDS } else { &[] };
        let commands = commands.iter().map(|command| (command.node, command.name));
        adhoc::items(&self.board.now().domain, commands)
    }

    fn offered(&self, stanza: &Stanza, node: &str) -> Result<&'static Command, StanzaError> {
        let command = COMMANDS.iter().find(|command| command.node == node).ok_or(Condition::ItemNotFound)?;
        if self.is_admin(stanza) { Ok(command) } else { Err(forbidden()) }
    }

    async fn execute(self: &Arc<Self>, stanza: &Stanza) -> Option<Stanza> {
        match self.step(stanza).await {
            Ok(answer) => answer.map(|answer| stanza.result().with(answer)),
            Err(refusal) => stanza.error(&refusal),
        }
    }

    async fn step(self: &Arc<Self>, stanza: &Stanza) -> Result<Option<Payload>, StanzaError> {
        let request = Request::read(stanza)?;
        let command = self.offered(stanza, &request.node)?;
        let turn = lock(&self.admin.sessions).turn(request, stanza, timers::now())?;
        let call = match turn {
            Turn::Cancelled(answer) => return Ok(Some(answer)),
            Turn::Run(call) => call,
        };
        let step = (command.run)(self.clone(), call.clone()).await?;
        if let Step::Done(_) = step {
            info!(admin = call.who.bare_str(), command = command.node, "command carried out");
        }
        Ok(lock(&self.admin.sessions).settle(call, step, timers::now()))
    }

    /// Has something done in every room that is known to have occupants; gives how many took it.
    fn order_everywhere(self: &Arc<Self>, order: &OperatorOrder) -> usize {
        self.post_everywhere(&Input::Operator(order.clone()))
    }

    fn post_everywhere(self: &Arc<Self>, input: &Input) -> usize {
        let rooms = self.headcount.rooms();
        rooms.iter().filter(|room| self.rooms.post(self, room, input.clone()).is_ok()).count()
    }
}

/// A form as XEP-0133 has them.
fn form(title: &str, instructions: &str, mut fields: Vec<Field>) -> DataForm {
    let form_type = Field::new("FORM_TYPE", FieldType::Hidden).with_value("http://jabber.org/protocol/admin");
    fields.insert(0, form_type);
    adhoc::ask(title, instructions, fields)
}

fn ask(title: &str, instructions: &str, fields: Vec<Field>) -> Step {
    Step::Ask { form: form(title, instructions, fields), last: true }
}

fn done(text: impl Into<String>) -> Step {
    Step::Done(Done::noting(text))
}

fn failed(text: impl Into<String>) -> Step {
    Step::Done(Done::failing(text))
}

/// The store is away: the command may be tried again as it is.
fn unavailable(error: &StoreError) -> StanzaError {
    warn!(error = %chain(error), "a command failed");
    task::try_later()
}
