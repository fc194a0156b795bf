//! Hats: creating and destroying them, giving them to users and taking them (XEP-0317 §4.2 to §4.7).

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType, Option_};

use super::{Command, administers};
use crate::adhoc::{self, Call, Done, Step, field, required};
use crate::instance::Instance;
use crate::room::admin::Actor;
use crate::room::config::Hat;
use crate::room::hats::{ASSIGN, CREATE, DESTROY, HUE, HatOrder, JID, TITLE, UNASSIGN, URI};
use crate::room::roles::{Affiliation, Role};
use crate::stanza::StanzaError;

pub(super) const CREATE_HAT: Command = ordering(CREATE, "Create or change a hat");
pub(super) const DESTROY_HAT: Command = ordering(DESTROY, "Destroy a hat");
pub(super) const ASSIGN_HAT: Command = ordering(ASSIGN, "Assign a hat");
pub(super) const UNASSIGN_HAT: Command = ordering(UNASSIGN, "Take a hat from somebody");

pub(super) const LIST_HATS: Command =
    Command { node: "urn:xmpp:hats:commands:list", name: "List hats", offered: belongs, run: list };

pub(super) const LIST_WORN: Command = Command {
    node: "urn:xmpp:hats:commands:list-assigned",
    name: "List who wears hats",
    offered: administers,
    run: list_assigned,
};

const fn ordering(node: &'static str, name: &'static str) -> Command {
    Command { node, name, offered: administers, run: order }
}

/// The form type of all of them.
const FORM: &str = "urn:xmpp:hats:commands";

/// Those who are in, or may always come in.
fn belongs(actor: &Actor) -> bool {
    actor.role > Role::None || actor.affiliation >= Affiliation::Member
}

fn order(room: &mut Instance, actor: &Actor, call: &Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        return Ok(Step::Ask { form: form(room, &call.node), last: true });
    };
    let order = HatOrder::read(&call.node, answers)?;
    room.check_hat_order(&actor.jid, &order)?;
    if room.is_source() {
        room.mint_hat_order(order);
        return Ok(Step::Done(Done::default()));
    }
    let cause = call.cause.clone().answering(call.completed(&Done::default()));
    room.propose_hats(&actor.jid, &call.node, answers.0, cause);
    Ok(Step::Elsewhere)
}

fn form(room: &Instance, node: &str) -> DataForm {
    let text = |var, label| field(var, FieldType::TextSingle, label, Vec::new());
    let user = || required(field(JID, FieldType::JidSingle, "User Address", Vec::new()));
    let (title, instructions, fields) = match node {
        CREATE => (
            "Creating a Hat",
            "Fill out this form to create a hat.",
            vec![required(text(TITLE, "Hat Title")), required(text(URI, "Hat URI")), text(HUE, "Hat Hue")],
        ),
        DESTROY => ("Destroying a Hat", "Fill out this form to destroy a hat.", vec![choice(room)]),
        ASSIGN => ("Assigning a Hat", "Fill out this form to assign a hat.", vec![user(), choice(room)]),
        _ => ("Removing a Hat", "Fill out this form to remove a hat.", vec![user(), choice(room)]),
    };
    DataForm {
        title: Some(title.to_owned()),
        instructions: Some(instructions.to_owned()),
        ..DataForm::new(DataFormType::Form, FORM, fields)
    }
}

/// One of the room's hats.
fn choice(room: &Instance) -> Field {
    let hats = room.room().config.hats.iter();
    let options = hats.map(|(uri, hat)| Option_ { label: Some(hat.title.clone()), value: uri.clone() });
    Field {
        options: options.collect(),
        ..required(field(URI, FieldType::ListSingle, "The role", Vec::new()))
    }
}

fn list(room: &mut Instance, _: &Actor, _: &Call) -> Result<Step, StanzaError> {
    let row = |(uri, hat): (&String, &Hat)| hat_cells(uri, hat);
    let rows: Vec<_> = room.room().config.hats.iter().map(row).collect();
    let columns = [(TITLE, "Title"), (URI, "URI"), (HUE, "Hue")];
    Ok(Step::Done(Done::showing(adhoc::table("Hats List", &columns, &rows))))
}

fn list_assigned(room: &mut Instance, _: &Actor, _: &Call) -> Result<Step, StanzaError> {
    let room = room.room();
    let worn = room.affiliations.iter().flat_map(|(jid, standing)| {
        let known = standing.hats.iter().filter_map(|uri| Some((uri, room.config.hats.get(uri)?)));
        known.map(move |(uri, hat)| [vec![jid.to_string()], hat_cells(uri, hat)].concat())
    });
    let columns = [(JID, "User Address"), (TITLE, "Title"), (URI, "URI"), (HUE, "Hue")];
    let rows: Vec<_> = worn.collect();
    Ok(Step::Done(Done::showing(adhoc::table("Assigned Hats List", &columns, &rows))))
}

fn hat_cells(uri: &str, hat: &Hat) -> Vec<String> {
    vec![hat.title.clone(), uri.to_owned(), hat.hue.clone().unwrap_or_default()]
}
