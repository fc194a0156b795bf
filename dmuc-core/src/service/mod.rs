//! What concerns the service as a whole: which room a stanza is for, and what the domain itself answers.

use crate::address::Address;
use crate::ns;
use crate::policy::ServicePolicy;
use crate::record::Card;
use crate::room::iq::version;
use crate::stanza::{Condition, El, Kind, Payload, Stanza, StanzaError};
use crate::storage::Listed;

/// Where a stanza that reached the service goes.
#[derive(Debug, Clone)]
pub enum Route {
    /// To the instance at this address, which is woken (or made vacant) for it.
    Room(Address),
    /// Nowhere; these are the answers.
    Answer(Vec<Stanza>),
    /// The listing of public rooms: list them from the store, then [`room_list`].
    List {
        /// Only those after this one.
        after: Option<Address>,
        /// At most so many.
        max: u32,
    },
}

/// Most rooms in one listing.
const LISTED_MAX: u32 = 1000;
/// Longest room id that a peer may ask for, in bytes.
const ROOM_ID_BYTES_MAX: usize = 256;

/// What the service can do.
const FEATURES: &[&str] = &[
    ns::MUC,
    ns::MUC_STABLE_ID,
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::RSM,
    ns::PING,
    ns::VERSION,
    ns::DMUC,
    ns::SYNC,
    ns::OCCUPANT_ID,
    ns::VCARD,
];

/// Finds out where a stanza goes. Every stanza has a sender and an addressee in the service's domain.
#[must_use]
pub fn route(stanza: &Stanza, policy: &ServicePolicy) -> Route {
    match &stanza.to {
        Some(to) if to.local().is_some() => Route::Room(to.to_bare()),
        Some(_) if stanza.kind == Kind::Iq && !stanza.is_request() => answered_room(stanza, policy),
        Some(to) if stanza.is_request() && to.is_bare() => request(stanza, policy),
        // The service has no presence; servers send them to every domain that a client ever wrote to.
        Some(_) if stanza.kind == Kind::Presence && !stanza.ty().is_empty() => Route::Answer(Vec::new()),
        _ => refuse(stanza, Condition::ServiceUnavailable),
    }
}

fn answer(stanza: Option<Stanza>) -> Route {
    Route::Answer(stanza.into_iter().collect())
}

fn refuse(stanza: &Stanza, error: impl Into<StanzaError>) -> Route {
    answer(stanza.error(&error.into()))
}

/// An answer to what a room asked in the service's name: the room is in the id, behind the colon.
fn answered_room(stanza: &Stanza, policy: &ServicePolicy) -> Route {
    let local = stanza.id.as_deref().and_then(|id| id.split_once(':')).map(|(_, local)| local);
    match local.map(|local| Address::room(local, policy.domain.as_str())) {
        Some(Ok(room)) => Route::Room(room),
        _ => Route::Answer(Vec::new()),
    }
}

fn request(stanza: &Stanza, policy: &ServicePolicy) -> Route {
    let [request] = stanza.children.as_slice() else { return refuse(stanza, Condition::BadRequest) };
    match (stanza.ty(), request.ns(), request.name()) {
        ("get", ns::DISCO_INFO, _) if request.attr("node").is_none() => {
            answer(Some(stanza.result().with(service_info(policy))))
        }
        ("get", ns::DISCO_ITEMS, _) if request.attr("node").is_none() => list(stanza, request),
        ("get", ns::DISCO_INFO | ns::DISCO_ITEMS, _) => refuse(stanza, Condition::ItemNotFound),
        ("get", ns::PING, _) => answer(Some(stanza.result())),
        ("get", ns::VERSION, _) => answer(Some(stanza.result().with(version()))),
        ("set", ns::DMUC, "replicate" | "peerhost") => about_room(stanza, request, policy),
        ("get" | "set", ns::DMUC | ns::SYNC, _) => refuse(stanza, Condition::BadRequest),
        ("get" | "set", ..) => refuse(stanza, Condition::ServiceUnavailable),
        _ => refuse(stanza, Condition::BadRequest),
    }
}

/// `<replicate/>` and `<peerhost/>` name the room by its localpart here.
fn about_room(stanza: &Stanza, request: &Payload, policy: &ServicePolicy) -> Route {
    let named = request.element().ok().and_then(|request| {
        let room = request.get_child("room", ns::DMUC)?;
        room.attr("id").map(str::to_owned)
    });
    let named =
        named.filter(|id| !id.is_empty() && stanza.from.as_ref().is_some_and(|from| from.local().is_none()));
    match named {
        None => refuse(stanza, Condition::BadRequest),
        Some(id) if id.len() > ROOM_ID_BYTES_MAX => refuse(stanza, Condition::JidMalformed),
        Some(id) => match Address::room(&id, policy.domain.as_str()) {
            Ok(room) => Route::Room(room),
            Err(_) => refuse(stanza, Condition::JidMalformed),
        },
    }
}

fn service_info(policy: &ServicePolicy) -> Payload {
    let identity = El::new("identity", ns::DISCO_INFO)
        .attr("category", "conference")
        .attr("type", "text")
        .attr("name", &policy.name);
    let features = FEATURES.iter().map(|var| El::new("feature", ns::DISCO_INFO).attr("var", var));
    El::new("query", ns::DISCO_INFO).child(identity).children(features).payload()
}

fn list(stanza: &Stanza, request: &Payload) -> Route {
    let query = request.element().ok();
    let set = query.as_ref().and_then(|query| query.get_child("set", ns::RSM));
    let text = |name: &str| set.and_then(|set| set.get_child(name, ns::RSM)).map(minidom::Element::text);
    let max = text("max").map_or(Ok(LISTED_MAX), |max| max.trim().parse::<u32>());
    let after =
        text("after").filter(|after| !after.is_empty()).map(|after| Address::parse(&after)).transpose();
    match (max, after) {
        (Ok(max), Ok(after)) => Route::List { after, max: max.min(LISTED_MAX) },
        _ => refuse(stanza, Condition::BadRequest),
    }
}

/// The answer to a discovery of rooms: `listed` is what the store has, hidden rooms included.
#[must_use]
pub fn room_list(request: &Stanza, listed: &[Listed]) -> Stanza {
    let cards = listed.iter().filter_map(|room| Some((&room.jid, Card::read(room.card.as_deref()?)?)));
    let shown: Vec<(&Address, Card)> = cards.filter(|(_, card)| card.public).collect();
    let items = shown.iter().map(|(jid, card)| {
        let name = if card.name.is_empty() { jid.local().unwrap_or("") } else { &card.name };
        El::new("item", ns::DISCO_ITEMS).attr("jid", jid.as_str()).attr("name", name)
    });
    let mut query = El::new("query", ns::DISCO_ITEMS).children(items);
    let paged = request.children.first().is_some_and(|query| query.as_xml().contains(ns::RSM));
    if paged {
        let mut set = El::new("set", ns::RSM);
        // Hidden rooms are passed over, but paging goes on behind them.
        if let (Some(first), Some(last)) = (listed.first(), listed.last()) {
            set = set.child(El::new("first", ns::RSM).text(first.jid.as_str()));
            set = set.child(El::new("last", ns::RSM).text(last.jid.as_str()));
        }
        query = query.child(set);
    }
    request.result().with(query.payload())
}
