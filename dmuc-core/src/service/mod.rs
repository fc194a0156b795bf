//! What concerns the service as a whole: which room a stanza is for, and what the domain itself answers.

pub mod activity;
mod info;
mod rooms;
pub mod search;

use crate::address::Address;
use crate::clock::Millis;
use crate::ns;
use crate::policy::ServicePolicy;
use crate::record::part;
use crate::room::iq::{asks, version};
use crate::stanza::{Condition, Kind, Payload, Stanza, StanzaError};
use crate::storage::Directory;

pub(crate) use info::last;
pub use rooms::room_list;
use search::Search;

/// Where a stanza that reached the service goes.
#[derive(Debug, Clone)]
pub enum Route {
    /// To the instance at this address, which is woken (or made vacant) for it.
    Room(Address),
    /// Nowhere; these are the answers.
    Answer(Vec<Stanza>),
    /// The listing of public rooms: read this page from the store, then [`room_list`].
    Rooms(Directory),
    /// A search among public rooms: put all of them through a [`search::Sieve`].
    Search(Box<Search>),
    /// An ad-hoc command of the service, or discovery of one (XEP-0050).
    Command,
    /// The sender wants to hear of activity in its rooms, or does not any more (XEP-0437).
    Activity {
        /// Which of the two.
        wanted: bool,
    },
    /// What a user subscribes to: the rooms that hold this part, from the store, then [`subscription_list`].
    Subscriptions {
        /// The part's name.
        part: String,
        /// At most so many.
        max: u32,
    },
}

/// What time it is, and how long the service has been there.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now.
    pub now: Millis,
    /// When the service started.
    pub started: Millis,
}

/// Most subscriptions in one list.
const SUBSCRIPTIONS_MAX: u32 = 1000;
/// Longest room id that a peer may ask for, in bytes.
const ROOM_ID_BYTES_MAX: usize = 256;

/// Finds out where a stanza goes. Every stanza has a sender and an addressee in the service's domain.
#[must_use]
pub fn route(stanza: &Stanza, policy: &ServicePolicy, clock: Clock) -> Route {
    match &stanza.to {
        Some(to) if to.local().is_some() => Route::Room(to.to_bare()),
        Some(_) if stanza.kind == Kind::Iq && !stanza.is_request() => answered_room(stanza, policy),
        Some(to) if stanza.is_request() && to.is_bare() => request(stanza, policy, clock),
        Some(to) if stanza.kind == Kind::Presence && to.is_bare() => presence(stanza),
        // The bounce of a notice: whoever it was for is not there any more.
        Some(_) if stanza.kind == Kind::Message && stanza.is_error() => Route::Activity { wanted: false },
        _ => refuse(stanza, Condition::ServiceUnavailable),
    }
}

fn answer(stanza: Option<Stanza>) -> Route {
    Route::Answer(stanza.into_iter().collect())
}

fn refuse(stanza: &Stanza, error: impl Into<StanzaError>) -> Route {
    answer(stanza.error(&error.into()))
}

/// The service has no presence, but servers send them to every domain that a client ever wrote to.
fn presence(stanza: &Stanza) -> Route {
    match stanza.ty() {
        "" if stanza.child("rai", ns::RAI).is_some() => Route::Activity { wanted: true },
        "" => refuse(stanza, Condition::ServiceUnavailable),
        "unavailable" | "error" => Route::Activity { wanted: false },
        _ => Route::Answer(Vec::new()),
    }
}

/// An answer to what a room asked in the service's name: the room is in the id, behind the colon.
fn answered_room(stanza: &Stanza, policy: &ServicePolicy) -> Route {
    let local = stanza.id.as_deref().and_then(|id| id.split_once(':')).map(|(_, local)| local);
    match local.map(|local| Address::room(local, policy.domain.as_str())) {
        Some(Ok(room)) => Route::Room(room),
        _ => Route::Answer(Vec::new()),
    }
}

fn request(stanza: &Stanza, policy: &ServicePolicy, clock: Clock) -> Route {
    let [request] = stanza.children.as_slice() else { return refuse(stanza, Condition::BadRequest) };
    if !asks(request) {
        return refuse(stanza, Condition::BadRequest);
    }
    let result = |payload: Payload| answer(Some(stanza.result().with(payload)));
    match (stanza.ty(), request.ns(), request.name()) {
        ("get", ns::DISCO_INFO, _) if request.attr("node").is_none() => result(info::service_info(policy)),
        ("get", ns::DISCO_ITEMS, _) => match request.attr("node").as_deref() {
            None => rooms::list(stanza, request),
            Some(ns::COMMANDS) => Route::Command,
            Some(_) => refuse(stanza, Condition::ItemNotFound),
        },
        // The nodes of the service are those of its commands.
        ("get", ns::DISCO_INFO, _) | ("get" | "set", ns::COMMANDS, _) => Route::Command,
        ("get", ns::SEARCH, "search") => search::route(stanza, request),
        ("get", ns::PING, _) => answer(Some(stanza.result())),
        ("get", ns::VERSION, _) => result(version()),
        ("get", ns::LAST, _) => result(info::last(clock.now.since(clock.started))),
        ("get", ns::TIME, _) => result(info::time(clock.now)),
        ("get", ns::MUC_SUB, "subscriptions") => subscriptions(stanza),
        ("set", ns::DMUC, "replicate" | "peerhost") => about_room(stanza, request, policy),
        ("get" | "set", ns::DMUC | ns::SYNC, _) => refuse(stanza, Condition::BadRequest),
        ("get" | "set", ..) => refuse(stanza, Condition::ServiceUnavailable),
        _ => refuse(stanza, Condition::BadRequest),
    }
}

fn subscriptions(stanza: &Stanza) -> Route {
    let part = stanza.from.as_ref().map(|from| part::subscriber(&from.to_bare()));
    part.map_or_else(
        || refuse(stanza, Condition::BadRequest),
        |part| Route::Subscriptions { part, max: SUBSCRIPTIONS_MAX },
    )
}

/// The answer to a user who asks what it subscribes to: `found` is what the store has of it, by room.
#[must_use]
pub fn subscription_list(request: &Stanza, found: &[(Address, String)]) -> Stanza {
    request.result().with(crate::room::subscribers::subscriptions_of(found))
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
