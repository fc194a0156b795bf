//! What the instances of a room agree on once nothing is under way between them.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::Address;
use dmuc_core::event::Event;
use dmuc_core::storage::LogEntry;
use serde_json::Value;

use crate::common::World;
use crate::truth::{Inside, Truth};

/// Compares every instance with its source.
pub fn check(world: &World, truths: &BTreeMap<Address, Truth>) {
    for (source, one) in truths.iter().filter(|(_, truth)| truth.is_source()) {
        for (shadow, other) in truths.iter().filter(|(_, other)| is_shadow(one, other)) {
            assert_eq!(occupants(one), occupants(other), "who is in, at {source} and {shadow}");
            assert_eq!(standings(one), standings(other), "the lists of {source} and {shadow}");
            assert_eq!(one.config, other.config, "the configuration of {source} and {shadow}");
            assert_eq!(one.subject["text"], other.subject["text"], "the subject at {source} and {shadow}");
            assert_eq!(one.subject["id"], other.subject["id"], "the subject at {source} and {shadow}");
            same_history(log(world, source), log(world, shadow));
        }
    }
    truths.values().for_each(nobody_is_in_who_must_not);
}

fn is_shadow(source: &Truth, other: &Truth) -> bool {
    other.head["uid"] == source.head["uid"]
        && !other.is_source()
        && other.head["locked"] == Value::Bool(false)
}

fn occupants(truth: &Truth) -> Vec<Inside> {
    let mut all = truth.occupants.clone();
    for occupant in &mut all {
        // What other instances know of several clients is the one that spoke last.
        occupant.clients.drain(..occupant.clients.len() - 1);
    }
    all.sort_by(|a, b| (&a.nick, &a.home).cmp(&(&b.nick, &b.home)));
    all
}

/// The entries that say anything.
fn standings(truth: &Truth) -> BTreeMap<&String, &Value> {
    let says = |entry: &Value| entry["affiliation"] != "none" || !entry["role"].is_null();
    truth.listed.iter().filter(|(_, entry)| says(entry)).collect()
}

fn log(world: &World, room: &Address) -> Vec<LogEntry> {
    let mut log = world.log(room.as_str()).to_vec();
    log.sort_by(|a, b| a.event.order().cmp(&b.event.order()));
    log
}

/// A shadow has the history from some point on, in the same order, with the same content.
fn same_history(source: Vec<LogEntry>, shadow: Vec<LogEntry>) {
    let (long, short) = if source.len() < shadow.len() { (shadow, source) } else { (source, shadow) };
    // Real addresses are not sent on with what was said.
    let told = |log: &[LogEntry]| {
        log.iter().map(|entry| Event { jid: None, ..entry.event.clone() }).collect::<Vec<_>>()
    };
    assert_eq!(told(&long[long.len() - short.len()..]), told(&short), "the history");
}

/// Once everybody has heard of a ban it holds for the occupants of all instances.
fn nobody_is_in_who_must_not(truth: &Truth) {
    let unwanted: BTreeSet<_> =
        truth.occupants.iter().filter(|o| !truth.may_be_in(o)).map(|o| &o.bare).collect();
    assert!(unwanted.is_empty(), "{unwanted:?} must not be inside");
}
