//! What the instances of a room agree on once nothing is under way between them.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::Address;
use dmuc_core::event::{Event, EventId};
use dmuc_core::nick::Nick;
use serde_json::Value;

use crate::common::World;
use crate::draw::ROLES;
use crate::truth::{Inside, Truth};

/// Compares every instance with its source.
pub fn check(world: &World, truths: &BTreeMap<Address, Truth>) {
    for (source, one) in truths.iter().filter(|(_, truth)| truth.is_source()) {
        for (shadow, other) in truths.iter().filter(|(_, other)| is_shadow(one, other)) {
            assert_eq!(occupants(one), occupants(other), "who is in, at {source} and {shadow}");
            nobody_is_seen_higher_than_at_home(one, other);
            nobody_is_seen_higher_than_at_home(other, one);
            assert_eq!(standings(one), standings(other), "the lists of {source} and {shadow}");
            assert_eq!(one.config, other.config, "the configuration of {source} and {shadow}");
            assert_eq!(one.subject["text"], other.subject["text"], "the subject at {source} and {shadow}");
            assert_eq!(one.subject["id"], other.subject["id"], "the subject at {source} and {shadow}");
            // What is said while voice is taken may pass at one instance, and not at the other.
            if world.reports.is_empty() {
                same_history(world, source, shadow);
            }
        }
    }
    truths.values().for_each(nobody_is_in_who_must_not);
}

fn is_shadow(source: &Truth, other: &Truth) -> bool {
    other.head["uid"] == source.head["uid"]
        && !other.is_source()
        && other.head["locked"] == Value::Bool(false)
}

/// Everybody, with the role apart: of another instance's occupants it may be seen lower than there, since what was told
/// before a change is believed after it, but never higher.
fn occupants(truth: &Truth) -> Vec<Inside> {
    let mut all = truth.occupants.clone();
    for occupant in &mut all {
        // Of several clients the other instances know one.
        occupant.clients.clear();
        occupant.seen.role = String::new();
    }
    all.sort_by(|a, b| (&a.nick, &a.home).cmp(&(&b.nick, &b.home)));
    all
}

fn nobody_is_seen_higher_than_at_home(home: &Truth, other: &Truth) {
    let rank = |occupant: &Inside| ROLES.iter().position(|role| *role == occupant.seen.role);
    for occupant in home.local() {
        let seen = other.occupants.iter().find(|o| (&o.nick, &o.home) == (&occupant.nick, &occupant.home));
        assert!(seen.is_none_or(|seen| rank(seen) <= rank(occupant)), "{seen:?} is {occupant:?}");
    }
}

/// The entries that say anything.
fn standings(truth: &Truth) -> BTreeMap<&String, &Value> {
    let says = |entry: &Value| entry["affiliation"] != "none" || !entry["role"].is_null();
    truth.listed.iter().filter(|(_, entry)| says(entry)).collect()
}

/// What was said, in canonical order, without the addresses of the instances, which each has its own of. Real addresses
/// are not sent on with what was said.
fn history(world: &World, room: &Address, addresses: [&Address; 2]) -> Vec<(EventId, Option<Nick>, String)> {
    let mut log: Vec<_> = world.log(room.as_str()).iter().map(|entry| &entry.event).collect();
    log.sort_by(|a, b| a.order().cmp(&b.order()));
    let content = |event: &Event| {
        addresses
            .iter()
            .fold(format!("{:?}", event.content), |text, address| text.replace(address.as_str(), ""))
    };
    log.into_iter().map(|event| (event.id, event.nick.clone(), content(event))).collect()
}

/// One instance has the history of the other from some point on, in the same order, with the same content.
fn same_history(world: &World, source: &Address, shadow: &Address) {
    let [source, shadow] = [source, shadow].map(|room| history(world, room, [source, shadow]));
    let (long, short) = if source.len() < shadow.len() { (shadow, source) } else { (source, shadow) };
    assert_eq!(long[long.len() - short.len()..], short, "the history");
}

/// Once everybody has heard of a ban it holds for the occupants of all instances.
fn nobody_is_in_who_must_not(truth: &Truth) {
    let unwanted: BTreeSet<_> =
        truth.occupants.iter().filter(|o| !truth.may_be_in(o)).map(|o| &o.bare).collect();
    assert!(unwanted.is_empty(), "{unwanted:?} must not be inside");
}
