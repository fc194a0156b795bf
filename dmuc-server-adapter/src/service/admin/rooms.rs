//! Looking at all rooms, and ending some.

use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::adhoc::{Call, Done, Step, bad_payload, facts, field, required, table};
use dmuc_core::io::{Input, OperatorOrder};
use dmuc_core::record::Card;
use dmuc_core::stanza::StanzaError;
use dmuc_core::storage::{Directory, Entry};
use xmpp_parsers::data_forms::FieldType;

use super::super::{Shared, timers};
use super::{ask, unavailable};

const AFTER: &str = "after";
const MAX: &str = "max_items";
/// Rooms in one list unless another number is chosen.
const LISTED: u32 = 100;
const LISTED_MAX: u32 = 500;

const COLUMNS: &[(&str, &str)] = &[
    ("jid", "Address"),
    ("name", "Name"),
    ("public", "Public"),
    ("occupants", "Occupants"),
    ("source", "Source, if another service"),
];

pub(super) async fn statistics(shared: Arc<Shared>) -> Result<Step, StanzaError> {
    let domain = shared.board.now().domain.clone();
    let public = shared.storage.directory(domain.as_str(), &Directory::default()).await;
    let public = public.map_err(|error| unavailable(&error))?.map_or(0, |page| page.count);
    let rooms = shared.board.census(&domain).rooms;
    let shadows: u32 = shared.board.now().shadows_here.values().sum();
    let facts_known = [
        ("rooms", "Rooms", rooms.to_string()),
        ("public", "Public rooms", public.to_string()),
        ("shadows", "Shadows of other services' rooms", shadows.to_string()),
        ("awake", "Rooms in memory", shared.rooms.len().to_string()),
        ("occupants", "Occupants of all rooms", shared.headcount.total().to_string()),
        ("uptime", "Up since", shared.started.to_stamp()),
    ];
    Ok(Step::Done(Done::showing(facts("Service statistics", &facts_known))))
}

pub(super) async fn list(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let sizes = ["25", "50", "100", "200", "500"].map(str::to_owned).to_vec();
        let max = field(MAX, FieldType::ListSingle, "How many", sizes);
        let after = field(AFTER, FieldType::TextSingle, "Only those after this address", Vec::new());
        return Ok(ask("Rooms", "Hidden rooms are listed too.", vec![max, after]));
    };
    let max = answers.number(MAX)?.unwrap_or(LISTED).clamp(1, LISTED_MAX);
    let after = answers.text(AFTER).map(|_| answers.jid(AFTER)).transpose()?;
    let domain = shared.board.now().domain.clone();
    let listed = shared.storage.list(domain.as_str(), after.as_ref(), max).await;
    let listed = listed.map_err(|error| unavailable(&error))?;
    let rows: Vec<Vec<String>> =
        listed.iter().map(|room| row(&shared, &room.jid, room.card.as_deref())).collect();
    let more = listed.last().filter(|_| listed.len() >= max as usize);
    let note = more.map(|last| ("info", format!("There may be more after {}.", last.jid)));
    Ok(Step::Done(Done { note, form: Some(table("Rooms", COLUMNS, &rows)) }))
}

fn row(shared: &Shared, jid: &Address, card: Option<&str>) -> Vec<String> {
    let card = card.and_then(Card::read).unwrap_or_default();
    let occupants = shared.headcount.of(jid).unwrap_or(0);
    let source = card.firsthost.map(|host| host.to_string()).unwrap_or_default();
    vec![jid.to_string(), card.name, u8::from(card.public).to_string(), occupants.to_string(), source]
}

const ROOMS: &str = "rooms";
const REASON: &str = "reason";
const ALTERNATE: &str = "alternate";

pub(super) async fn destroy(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let rooms = required(field(ROOMS, FieldType::JidMulti, "Rooms", Vec::new()));
        let reason = field(REASON, FieldType::TextSingle, "Reason", Vec::new());
        let alternate = field(ALTERNATE, FieldType::JidSingle, "Where their occupants may go", Vec::new());
        let what = "Rooms that other services are the source of are ended there, or by dropping the peer.";
        return Ok(ask("Destroy rooms", what, vec![rooms, reason, alternate]));
    };
    let rooms = answers.jids(ROOMS)?;
    if rooms.is_empty() {
        return Err(bad_payload("No room is named."));
    }
    for room in &rooms {
        check_destructible(&shared, room).await?;
    }
    let alternate = answers.text(ALTERNATE).map(|_| answers.jid(ALTERNATE)).transpose()?;
    let order = OperatorOrder::End { alternate, reason: answers.text(REASON).map(Into::into) };
    let post = |room: &&Address| shared.rooms.post(&shared, room, Input::Operator(order.clone())).is_ok();
    let ended = rooms.iter().filter(post).count();
    Ok(super::done(format!("Destroyed: {ended} of {}.", rooms.len())))
}

/// Only what is there, and is ours, can be destroyed.
async fn check_destructible(shared: &Shared, room: &Address) -> Result<(), StanzaError> {
    let card = find(shared, room).await?.and_then(|parts| Card::read(parts.get("card")?));
    match card {
        None => Err(bad_payload(format!("{room} is no room here."))),
        Some(Card { firsthost: Some(host), .. }) => {
            Err(bad_payload(format!("The source of {room} is {host}.")))
        }
        Some(_) => Ok(()),
    }
}

/// The parts of a room, if there is one.
pub(super) async fn find(
    shared: &Shared,
    room: &Address,
) -> Result<Option<std::collections::BTreeMap<String, String>>, StanzaError> {
    match shared.storage.load(room, timers::now()).await {
        Ok(Entry::Room(found)) => Ok(Some(found.parts)),
        Ok(_) => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}
