//! The list of public rooms (XEP-0045 §6.3), by pages (XEP-0059).

use xmpp_parsers::rsm::{First, SetQuery, SetResult};

use super::{Route, refuse};
use crate::address::Address;
use crate::ns;
use crate::record::Card;
use crate::stanza::{Condition, El, Payload, Stanza, StanzaError};
use crate::storage::{Directory, DirectoryPage, Listed};

/// Most rooms in one listing.
const LISTED_MAX: u32 = 1000;

pub(super) fn list(stanza: &Stanza, request: &Payload) -> Route {
    match page_asked(request).and_then(|set| directory(set.as_ref())) {
        Ok(wanted) => Route::Rooms(wanted),
        Err(refusal) => refuse(stanza, refusal),
    }
}

/// What a request says about the page it wants.
pub(super) fn page_asked(request: &Payload) -> Result<Option<SetQuery>, StanzaError> {
    let request = request.element().map_err(|_| Condition::BadRequest)?;
    let set = request.get_child("set", ns::RSM).map(xso::transform).transpose();
    set.map_err(|_| StanzaError::new(Condition::BadRequest).because("The page asked for makes no sense."))
}

fn directory(set: Option<&SetQuery>) -> Result<Directory, StanzaError> {
    let Some(set) = set else { return Ok(Directory { max: LISTED_MAX, ..Directory::default() }) };
    // What is not even an address is no room of ours either (XEP-0059 §2.2).
    let bound = |text: &str| Address::parse(text).map_err(|_| StanzaError::new(Condition::ItemNotFound));
    let given =
        |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(bound).transpose();
    Ok(Directory {
        after: given(&set.after)?,
        before: given(&set.before)?,
        index: set.index.map(|index| index as u64),
        last: set.before.is_some(),
        max: set.max.and_then(|max| u32::try_from(max).ok()).unwrap_or(LISTED_MAX).min(LISTED_MAX),
    })
}

/// The answer to a discovery of rooms: `page` is what the store has of the page wanted, `None` if it begins or ends with
/// a room that is not there (XEP-0059 §2.2).
#[must_use]
pub fn room_list(request: &Stanza, page: Option<&DirectoryPage>) -> Option<Stanza> {
    let Some(page) = page else { return request.error(&Condition::ItemNotFound.into()) };
    let mut query = El::new("query", ns::DISCO_ITEMS).children(page.rooms.iter().map(item));
    let paged = request.children.first().is_some_and(|query| query.as_xml().contains(ns::RSM));
    if paged || page.count > page.rooms.len() as u64 {
        let first = page.rooms.first().map(|room| room.jid.to_string());
        let last = page.rooms.last().map(|room| room.jid.to_string());
        query = query.payload_child(&page_given(first, last, page.index, page.count));
    }
    Some(request.result().with(query.payload()))
}

/// Which page was given, of how many items in all.
pub(super) fn page_given(first: Option<String>, last: Option<String>, index: u64, count: u64) -> Payload {
    let number = |number: u64| usize::try_from(number).ok();
    let first = first.map(|item| First { index: number(index), item });
    Payload::of(&SetResult { first, last, count: number(count) })
}

fn item(room: &Listed) -> El {
    let card = room.card.as_deref().and_then(Card::read).unwrap_or_default();
    El::new("item", ns::DISCO_ITEMS).attr("jid", room.jid.as_str()).attr("name", card.shown_name(&room.jid))
}
