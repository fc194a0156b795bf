//! Commands on a room (XEP-0050) for those who moderate, administer or own it. A new command is a line of
//! [`COMMANDS`]; whatever it orders is checked and carried out as the same order by XEP-0045 would be.

mod bans;
mod facts;
mod hats;
mod sweeping;

use crate::adhoc::{self, Call, Request, Step, Turn, forbidden};
use crate::instance::Instance;
use crate::io::Cause;
use crate::ns;
use crate::room::admin::{Actor, Order};
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, Payload, Stanza, StanzaError};

/// One command.
pub(crate) struct Command {
    /// Its name on the wire.
    pub node: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Who is offered it.
    pub offered: fn(&Actor) -> bool,
    /// Asks for one more form, or does it.
    pub run: fn(&mut Instance, &Actor, &Call) -> Result<Step, StanzaError>,
}

/// Every command that rooms know, in the order in which they are listed.
static COMMANDS: &[Command] = &[
    facts::STATISTICS,
    facts::INSTANCES,
    sweeping::GRANT_VOICE,
    sweeping::KICK_STRANGERS,
    bans::BAN,
    bans::UNBAN,
    sweeping::CLOSE,
    sweeping::OPEN,
    hats::LIST_HATS,
    hats::CREATE_HAT,
    hats::DESTROY_HAT,
    hats::LIST_WORN,
    hats::ASSIGN_HAT,
    hats::UNASSIGN_HAT,
];

/// Those who moderate, in the room or not.
fn moderates(actor: &Actor) -> bool {
    actor.role >= Role::Moderator || administers(actor)
}

fn administers(actor: &Actor) -> bool {
    actor.affiliation >= Affiliation::Admin
}

fn owns(actor: &Actor) -> bool {
    actor.affiliation >= Affiliation::Owner
}

impl Instance {
    /// A request to execute a command.
    pub(crate) fn handle_command(&mut self, stanza: &Stanza) {
        match self.execute(stanza) {
            Ok(answer) => self.turn.send_opt(answer.map(|answer| stanza.result().with(answer))),
            Err(refusal) => self.turn.refuse(stanza, refusal),
        }
    }

    fn execute(&mut self, stanza: &Stanza) -> Result<Option<Payload>, StanzaError> {
        let request = Request::read(stanza)?;
        let (command, actor) = self.offered(stanza, &request.node)?;
        let now = self.turn.now;
        let call = match self.room_mut().commands.turn(request, stanza, now)? {
            Turn::Cancelled(answer) => return Ok(Some(answer)),
            Turn::Run(call) => call,
        };
        let step = (command.run)(self, &actor, &call)?;
        Ok(self.room_mut().commands.settle(call, step, now))
    }

    /// The command of a node, and what its requester is, who must be offered it.
    fn offered(&self, stanza: &Stanza, node: &str) -> Result<(&'static Command, Actor), StanzaError> {
        let command = COMMANDS.iter().find(|command| command.node == node).ok_or(Condition::ItemNotFound)?;
        let actor = self.actor(stanza.from.as_ref().ok_or(Condition::BadRequest)?);
        if (command.offered)(&actor) { Ok((command, actor)) } else { Err(forbidden()) }
    }

    /// The commands that a user is offered (XEP-0050 §2.2).
    pub(crate) fn handle_command_list(&mut self, stanza: &Stanza) {
        let Some(from) = &stanza.from else { return };
        let actor = self.actor(from);
        let offered = COMMANDS.iter().filter(|command| (command.offered)(&actor));
        let items = adhoc::items(&self.jid, offered.map(|command| (command.node, command.name)));
        self.turn.send(stanza.result().with(items));
    }

    /// Discovery of a node: that of all commands, or one of theirs.
    pub(crate) fn handle_command_info(&mut self, stanza: &Stanza, node: &str) {
        if node == ns::COMMANDS {
            return self.turn.send(stanza.result().with(adhoc::info(node, None)));
        }
        match self.offered(stanza, node) {
            Ok((command, _)) => self.turn.send(stanza.result().with(adhoc::info(node, Some(command.name)))),
            Err(refusal) => self.turn.refuse(stanza, refusal),
        }
    }

    /// Orders what a command has come to; whoever decides about it answers with `done`.
    fn order(
        &mut self,
        actor: &Actor,
        call: &Call,
        orders: Vec<Order>,
        done: &adhoc::Done,
    ) -> Result<Step, StanzaError> {
        self.check_orders(actor, &orders)?;
        let cause: Cause = call.cause.clone().answering(call.completed(done));
        self.carry_out_or_propose(actor, orders, Some(cause));
        Ok(Step::Elsewhere)
    }
}
