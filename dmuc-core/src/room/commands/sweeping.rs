//! Commands that concern many at once: voice for everybody, strangers out, the door closed or opened.

use minidom::Element;
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};

use super::{Command, moderates, owns};
use crate::adhoc::{Call, Done, Step, ask, field};
use crate::instance::Instance;
use crate::ns;
use crate::room::admin::{Actor, Order};
use crate::room::occupants::Occupant;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::StanzaError;

pub(super) const GRANT_VOICE: Command =
    Command { node: "grant-voice", name: "Grant voice to everyone", offered: moderates, run: grant_voice };

pub(super) const KICK_STRANGERS: Command = Command {
    node: "kick-strangers",
    name: "Kick everyone who is no member",
    offered: moderates,
    run: kick_strangers,
};

pub(super) const CLOSE: Command =
    Command { node: "close", name: "Close the room to all but members", offered: owns, run: close };

pub(super) const OPEN: Command =
    Command { node: "open", name: "Open the room to everyone", offered: owns, run: open };

const REASON: &str = "reason";

fn grant_voice(room: &mut Instance, actor: &Actor, call: &Call) -> Result<Step, StanzaError> {
    let orders =
        permitted(room, actor, Role::Participant, None, |occupant, _| occupant.role == Role::Visitor);
    sweep(room, actor, call, orders, "Voice granted")
}

fn kick_strangers(room: &mut Instance, actor: &Actor, call: &Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let reason = field(REASON, FieldType::TextSingle, "Reason", Vec::new());
        let form = ask("Kick strangers", "Everyone who is no member is put out.", vec![reason]);
        return Ok(Step::Ask { form, last: true });
    };
    let stranger = |occupant: &Occupant, affiliation| {
        affiliation < Affiliation::Member && Some(&occupant.nick) != actor.nick.as_ref()
    };
    let orders = permitted(room, actor, Role::None, answers.text(REASON), stranger);
    sweep(room, actor, call, orders, "Kicked")
}

/// The orders that give a role to everyone whom `concerns` names, as far as the actor may.
fn permitted(
    room: &Instance,
    actor: &Actor,
    role: Role,
    reason: Option<&str>,
    concerns: impl Fn(&Occupant, Affiliation) -> bool,
) -> Vec<Order> {
    let concerned =
        room.room().occupants.iter().filter(|occupant| concerns(occupant, room.affiliation_of(occupant)));
    let mut nicks: Vec<_> = concerned.map(|occupant| occupant.nick.clone()).collect();
    // One user at two instances is one occupant.
    nicks.dedup();
    let order = |nick| Order {
        nick: Some(nick),
        role: Some(role),
        reason: reason.map(str::to_owned),
        ..Order::default()
    };
    let orders = nicks.into_iter().map(order);
    orders.filter(|order| room.check_orders(actor, std::slice::from_ref(order)).is_ok()).collect()
}

fn sweep(
    room: &mut Instance,
    actor: &Actor,
    call: &Call,
    mut orders: Vec<Order>,
    what: &str,
) -> Result<Step, StanzaError> {
    if orders.is_empty() {
        return Ok(Step::Done(Done::noting("There is nobody whom this concerns.")));
    }
    let left = orders.len().saturating_sub(room.policy.items_max);
    orders.truncate(room.policy.items_max);
    let text = format!("{what}: {}.", orders.len());
    let done = match left {
        0 => Done::noting(text),
        _ => Done { note: Some(("warn", format!("{text} Still to do: {left}."))), form: None },
    };
    room.order(actor, call, orders, &done)
}

fn close(room: &mut Instance, actor: &Actor, call: &Call) -> Result<Step, StanzaError> {
    set_members_only(room, actor, call, true)
}

fn open(room: &mut Instance, actor: &Actor, call: &Call) -> Result<Step, StanzaError> {
    set_members_only(room, actor, call, false)
}

/// The configuration with one field, as an owner would submit it (XEP-0045 §10.2).
fn set_members_only(
    room: &mut Instance,
    actor: &Actor,
    call: &Call,
    closed: bool,
) -> Result<Step, StanzaError> {
    let value = if closed { "1" } else { "0" };
    let field = Field::new("muc#roomconfig_membersonly", FieldType::Boolean).with_value(value);
    let form = DataForm::new(DataFormType::Submit, ns::MUC_ROOMCONFIG, vec![field]);
    let query = Element::builder("query", ns::MUC_OWNER).append(Element::from(form)).build();
    let done = Done::noting(if closed { "Only members may enter now." } else { "Everyone may enter now." });
    let cause = call.cause.clone().answering(call.completed(&done));
    room.owner_set(&actor.jid, &query, cause)?;
    Ok(Step::Elsewhere)
}
