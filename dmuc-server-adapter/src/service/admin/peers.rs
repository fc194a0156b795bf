//! Which services we peer with, and which of their rooms come here.

use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::adhoc::{Answers, Call, Done, Step, bad_payload, field, required, table};
use dmuc_core::io::Input;
use dmuc_core::policy::PeerRule;
use dmuc_core::stanza::StanzaError;
use xmpp_parsers::data_forms::{Field, FieldType};

use super::super::Shared;
use super::rooms::find;
use super::{ask, done, failed, form, unavailable};

const DOMAIN: &str = "domain";
const ROOM: &str = "room";

const COLUMNS: &[(&str, &str)] = &[
    (DOMAIN, "Service"),
    ("host", "May place rooms here"),
    ("place", "Carries rooms of ours"),
    ("ask", "Its rooms wait for approval"),
    ("rooms-max", "Most rooms here"),
    ("bytes-max", "Largest stanza"),
    ("vouch", "Speaks for users of"),
    ("rooms", "Rooms here"),
];

pub(super) async fn list(shared: Arc<Shared>) -> Result<Step, StanzaError> {
    let policy = shared.board.now();
    let flag = |on: bool| u8::from(on).to_string();
    let row = |rule: &PeerRule| {
        let rooms = policy.shadows_here.get(&rule.domain).copied().unwrap_or(0);
        let flags = [rule.host, rule.place, rule.ask].map(flag);
        let numbers = [rule.rooms_max, rule.bytes_max].map(|number| number.to_string());
        let rest = [rule.vouched().join(" "), rooms.to_string()];
        [rule.domain.clone()].into_iter().chain(flags).chain(numbers).chain(rest).collect()
    };
    let rows: Vec<Vec<String>> = policy.peers.iter().map(row).collect();
    Ok(Step::Done(Done::showing(table("Peers", COLUMNS, &rows))))
}

/// First which service, then what it may.
pub(super) async fn set(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let domain = required(field(DOMAIN, FieldType::JidSingle, "Domain of its rooms", Vec::new()));
        let form = form("A peer", "Which service is it?", vec![domain]);
        return Ok(Step::Ask { form, last: false });
    };
    let domain = domain_of(answers)?;
    let known = shared.board.now().peers.get(&domain).cloned();
    let rule = known.unwrap_or_else(|| PeerRule { domain, ..PeerRule::default() });
    let Some(answers) = call.stage(1) else {
        return Ok(ask(&rule.domain, "What may it do?", rule_fields(&rule)));
    };
    let rule = ruled(rule, answers)?;
    shared.storage.set_rule(&rule).await.map_err(|error| unavailable(&error))?;
    shared.board.refresh(&*shared.storage).await;
    Ok(done(format!("The rule for {} is in force.", rule.domain)))
}

fn domain_of(answers: Answers<'_>) -> Result<String, StanzaError> {
    let domain = answers.jid(DOMAIN)?;
    if domain.local().is_some() { Err(bad_payload("Services are domains.")) } else { Ok(domain.to_string()) }
}

fn rule_fields(rule: &PeerRule) -> Vec<Field> {
    let flag = |var, label, on: bool| Field {
        values: vec![u8::from(on).to_string()],
        ..field(var, FieldType::Boolean, label, Vec::new())
    };
    let text = |var, ty, label, values: Vec<String>| Field { values, ..field(var, ty, label, Vec::new()) };
    vec![
        flag("host", "It may place rooms here", rule.host),
        flag("place", "Our rooms may be placed there", rule.place),
        flag("ask", "Its rooms wait for an administrator's approval", rule.ask),
        text(
            "rooms-max",
            FieldType::TextSingle,
            "Most rooms that it has here",
            vec![rule.rooms_max.to_string()],
        ),
        text(
            "bytes-max",
            FieldType::TextSingle,
            "Largest stanza that it takes",
            vec![rule.bytes_max.to_string()],
        ),
        text("vouch", FieldType::TextMulti, "Domains whose users it speaks for", rule.vouch.clone()),
    ]
}

/// A rule with what was filled in over it.
fn ruled(rule: PeerRule, answers: Answers<'_>) -> Result<PeerRule, StanzaError> {
    let vouch = answers.jids("vouch")?;
    if vouch.iter().any(|domain| domain.local().is_some()) {
        return Err(bad_payload("It speaks for users of domains."));
    }
    Ok(PeerRule {
        host: answers.flag("host").unwrap_or(rule.host),
        place: answers.flag("place").unwrap_or(rule.place),
        ask: answers.flag("ask").unwrap_or(rule.ask),
        rooms_max: answers.number("rooms-max")?.unwrap_or(rule.rooms_max),
        bytes_max: answers.number("bytes-max")?.unwrap_or(rule.bytes_max),
        vouch: vouch.iter().map(Address::to_string).collect(),
        domain: rule.domain,
    })
}

pub(super) async fn drop(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let stored = shared.storage.rules().await.map_err(|error| unavailable(&error))?;
    let Some(answers) = call.stage(0) else {
        if stored.is_empty() {
            return Ok(done("There are no rules but those of the configuration."));
        }
        let domains = stored.into_iter().map(|rule| rule.domain).collect();
        let domain = required(field(DOMAIN, FieldType::ListSingle, "Service", domains));
        return Ok(ask("Drop a rule", "What the configuration says of it holds again.", vec![domain]));
    };
    let domain = domain_of(answers)?;
    if !stored.iter().any(|rule| rule.domain == domain) {
        return Err(bad_payload(format!("There is no such rule for {domain}.")));
    }
    shared.storage.drop_rule(&domain).await.map_err(|error| unavailable(&error))?;
    shared.board.refresh(&*shared.storage).await;
    Ok(done(format!("The rule for {domain} is dropped.")))
}

/// Lets a shadow come to life which a peer has asked for and a rule made wait.
pub(super) async fn approve(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let room = required(field(ROOM, FieldType::JidSingle, "Room", Vec::new()));
        return Ok(ask("Approve a shadow", "The room of a peer that waits here.", vec![room]));
    };
    let room = answers.jid(ROOM)?;
    let head = find(&shared, &room).await?.and_then(|mut parts| parts.remove("head"));
    let head = head.and_then(|head| serde_json::from_str::<serde_json::Value>(&head).ok());
    if head.is_none_or(|head| head["pending"] != true) {
        return Ok(failed(format!("{room} does not wait for approval.")));
    }
    match shared.rooms.post(&shared, &room, Input::Approved) {
        Ok(()) => Ok(done(format!("{room} is approved."))),
        Err(_) => Err(super::super::task::try_later()),
    }
}
