//! Searching public rooms by keywords (XEP-0433).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType, Option_};

use super::{Route, answer, refuse, rooms};
use crate::address::Address;
use crate::ns;
use crate::record::Card;
use crate::stanza::{Condition, El, ErrorKind, Payload, Stanza, StanzaError};

/// Most rooms in one page of results.
const RESULTS_MAX: usize = 100;
/// Keywords shorter than this, in characters, find too much.
const KEYWORD_CHARS_MIN: usize = 2;
/// Most keywords that are looked for.
const KEYWORDS_MAX: usize = 16;
/// The only kind of channels there are here.
const TYPE: &str = "xep-0045";

/// A search: which rooms, in which order, which page.
#[derive(Debug, Clone)]
pub struct Search {
    /// What all must be found, folded to lower case; nothing finds every room.
    keywords: Vec<String>,
    in_name: bool,
    in_description: bool,
    in_address: bool,
    /// Whether our kind of channels is asked for at all.
    rooms: bool,
    /// By number of occupants rather than by address.
    by_users: bool,
    after: Option<Place>,
    before: Option<Place>,
    last: bool,
    max: usize,
}

/// Where a room stands among the results: by number of occupants, if that counts, then by address.
type Place = (Reverse<u32>, String);

pub(super) fn route(stanza: &Stanza, request: &Payload) -> Route {
    match read(request) {
        Ok(Some(search)) => Route::Search(Box::new(search)),
        Ok(None) => answer(Some(stanza.result().with(form()))),
        Err(refusal) => refuse(stanza, refusal),
    }
}

/// A search, or `None` where its form is asked for (XEP-0433 §4.2).
fn read(request: &Payload) -> Result<Option<Search>, StanzaError> {
    let element = request.element().map_err(|_| Condition::BadRequest)?;
    let Some(form) = element.get_child("x", ns::DATA) else { return Ok(None) };
    let form: DataForm = xso::transform(form).map_err(|_| Condition::BadRequest)?;
    if form.type_ != DataFormType::Submit || form.form_type() != Some(ns::SEARCH_PARAMS) {
        return Err(StanzaError::new(Condition::BadRequest).because("That is no search form."));
    }
    let mut search = Search::of(&form)?;
    let set = rooms::page_asked(request)?;
    let place = |text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => read_place(text).map(Some).ok_or(Condition::ItemNotFound),
        None => Ok(None),
    };
    if let Some(set) = set {
        search.after = place(&set.after)?;
        search.before = place(&set.before)?;
        search.last = set.before.is_some();
        search.max = set.max.unwrap_or(RESULTS_MAX).min(RESULTS_MAX);
    }
    Ok(Some(search))
}

impl Search {
    fn of(form: &DataForm) -> Result<Self, StanzaError> {
        let keywords = keywords(form)?;
        let by_users = match first(form, "key") {
            None | Some(ns::SEARCH_BY_USERS) => true,
            Some(ns::SEARCH_BY_ADDRESS) => false,
            Some(_) => {
                let refusal = StanzaError::of_kind(Condition::FeatureNotImplemented, ErrorKind::Modify);
                return Err(refusal.with(condition("invalid-sort-key").payload()));
            }
        };
        let search = Self {
            in_name: ticked(form, "sinname", true),
            in_description: ticked(form, "sindescription", true),
            // The specification's example and its table disagree about this name.
            in_address: ticked(form, "sinaddress", true) && ticked(form, "sinaddr", true),
            rooms: values(form, "types").is_none_or(|types| types.iter().any(|ty| ty == TYPE)),
            by_users,
            after: None,
            before: None,
            last: false,
            max: RESULTS_MAX,
            keywords,
        };
        let nowhere = !search.in_name && !search.in_description && !search.in_address;
        if nowhere && !search.keywords.is_empty() { Err(no_conditions()) } else { Ok(search) }
    }

    /// Whether a room is found.
    fn finds(&self, jid: &Address, card: &Card) -> bool {
        let within = |on: bool, text: &str, word: &str| on && text.to_lowercase().contains(word);
        self.rooms
            && self.keywords.iter().all(|word| {
                within(self.in_name, &card.name, word)
                    || within(self.in_description, &card.description, word)
                    || within(self.in_address, jid.as_str(), word)
            })
    }
}

/// The keywords of `q`; none for `all` (XEP-0433 §4.2.2).
fn keywords(form: &DataForm) -> Result<Vec<String>, StanzaError> {
    let bad = |ty, own: El| StanzaError::of_kind(Condition::BadRequest, ty).with(own.payload());
    let query = first(form, "q").filter(|query| !query.trim().is_empty());
    let query = match (ticked(form, "all", false), query) {
        (true, None) => return Ok(Vec::new()),
        (false, None) => return Err(no_conditions()),
        (true, Some(_)) => {
            let var = |name| El::new("var", ns::SEARCH_ERROR).text(name);
            let own = condition("conflicting-fields").child(var("all")).child(var("q"));
            return Err(bad(ErrorKind::Modify, own).because("Either all rooms, or those with keywords."));
        }
        (false, Some(query)) => query,
    };
    let words = query.split_whitespace().filter(|word| word.chars().count() >= KEYWORD_CHARS_MIN);
    let words: Vec<String> = words.take(KEYWORDS_MAX).map(str::to_lowercase).collect();
    if words.is_empty() {
        let why = format!("A keyword has at least {KEYWORD_CHARS_MIN} characters.");
        return Err(bad(ErrorKind::Modify, condition("invalid-search-terms")).because(why));
    }
    Ok(words)
}

fn no_conditions() -> StanzaError {
    StanzaError::of_kind(Condition::BadRequest, ErrorKind::Cancel)
        .with(condition("no-search-conditions").payload())
        .because("Neither keywords nor a wish for all rooms.")
}

/// There are too many searches under way (XEP-0433 §4.2.2.4).
#[must_use]
pub fn try_later() -> StanzaError {
    let limit = condition("rate-limit").attr("retry-after", "10").payload();
    StanzaError::new(Condition::ResourceConstraint).with(limit)
}

fn condition(name: &str) -> El {
    El::new(name, ns::SEARCH_ERROR)
}

fn values<'a>(form: &'a DataForm, var: &str) -> Option<&'a [String]> {
    let field = form.fields.iter().find(|field| field.var.as_deref() == Some(var))?;
    (!field.values.is_empty()).then_some(&field.values)
}

fn first<'a>(form: &'a DataForm, var: &str) -> Option<&'a str> {
    values(form, var)?.first().map(String::as_str)
}

fn ticked(form: &DataForm, var: &str, default: bool) -> bool {
    first(form, var).map_or(default, |value| matches!(value, "1" | "true"))
}

/// The form that searchers fill in, with what holds unless they say otherwise (XEP-0433 §4.2.1).
fn form() -> Payload {
    let field = |var: &str, ty, label: &str, value: Option<&str>, options: &[(&str, &str)]| Field {
        label: Some(label.to_owned()),
        values: value.map(str::to_owned).into_iter().collect(),
        options: options
            .iter()
            .map(|(value, label)| Option_ { label: Some((*label).to_owned()), value: (*value).to_owned() })
            .collect(),
        ..Field::new(var, ty)
    };
    let yes = Some("true");
    let types = [(TYPE, "Multi-User Chat rooms")];
    let keys = [(ns::SEARCH_BY_USERS, "Number of online users"), (ns::SEARCH_BY_ADDRESS, "Address")];
    let fields = vec![
        field("q", FieldType::TextSingle, "Search for", None, &[]),
        field("all", FieldType::Boolean, "Return all entries", Some("false"), &[]),
        field("sinname", FieldType::Boolean, "Search in name", yes, &[]),
        field("sindescription", FieldType::Boolean, "Search in description", yes, &[]),
        field("sinaddress", FieldType::Boolean, "Search in address", yes, &[]),
        field("types", FieldType::ListMulti, "Service types", Some(TYPE), &types),
        field("key", FieldType::ListSingle, "Sort results by", Some(ns::SEARCH_BY_USERS), &keys),
    ];
    let form = DataForm::new(DataFormType::Form, ns::SEARCH_PARAMS, fields);
    El::new("search", ns::SEARCH).payload_child(&Payload::of_form(&form)).payload()
}

fn read_place(text: &str) -> Option<Place> {
    let (rank, jid) = text.split_once(' ')?;
    Some((Reverse(rank.parse().ok()?), jid.to_owned()))
}

/// Holds back the page of results that a search wants while all public rooms go through it.
#[derive(Debug)]
pub struct Sieve {
    search: Search,
    held: BTreeMap<Place, (Card, Option<u32>)>,
    /// How many were found, and how many of them lie before the page.
    found: u64,
    before: u64,
}

impl Sieve {
    /// Nothing has gone through yet.
    #[must_use]
    pub fn new(search: Search) -> Self {
        Self { search, held: BTreeMap::new(), found: 0, before: 0 }
    }

    /// One public room, with the number of its occupants as far as known.
    pub fn take(&mut self, jid: &Address, card: Card, users: Option<u32>) {
        if !self.search.finds(jid, &card) {
            return;
        }
        let rank = if self.search.by_users { users.unwrap_or(0) } else { 0 };
        let place = (Reverse(rank), jid.to_string());
        self.found += 1;
        if self.search.after.as_ref().is_some_and(|after| place <= *after) {
            self.before += 1;
        } else if self.search.before.as_ref().is_none_or(|before| place < *before) {
            self.hold(place, card, users);
        }
    }

    fn hold(&mut self, place: Place, card: Card, users: Option<u32>) {
        self.held.insert(place, (card, users));
        if self.held.len() <= self.search.max {
            return;
        }
        if self.search.last {
            self.held.pop_first();
            self.before += 1;
        } else {
            self.held.pop_last();
        }
    }

    /// The answer once all have gone through (XEP-0433 §4.2.2.1).
    #[must_use]
    pub fn answer(&self, request: &Stanza) -> Stanza {
        let items = self.held.iter().map(|((_, jid), (card, users))| item(jid, card, *users));
        let name = |place: &Place| format!("{} {}", place.0.0, place.1);
        let first = self.held.first_key_value().map(|(place, _)| name(place));
        let last = self.held.last_key_value().map(|(place, _)| name(place));
        let page = rooms::page_given(first, last, self.before, self.found);
        let result = El::new("result", ns::SEARCH).children(items).payload_child(&page);
        request.result().with(result.payload())
    }
}

fn item(jid: &str, card: &Card, users: Option<u32>) -> El {
    let text = |name: &str, text: &str| El::new(name, ns::SEARCH).text(text);
    let some = |name: &str, value: &str| (!value.is_empty()).then(|| text(name, value));
    let anonymity = if card.anonymous { "muc_semianonymous" } else { ns::SEARCH_NOT_ANONYMOUS };
    El::new("item", ns::SEARCH)
        .attr("address", jid)
        .children(some("name", &card.name))
        .children(some("description", &card.description))
        .children(card.lang.as_deref().map(|lang| text("language", lang)))
        .children(users.map(|users| text("nusers", &users.to_string())))
        .child(text("service-type", TYPE))
        .child(text("is-open", if card.open { "true" } else { "false" }))
        .child(text("anonymity-mode", anonymity))
}
