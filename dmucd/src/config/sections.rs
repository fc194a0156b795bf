//! The keys of each section: what they are called, what they may be, what holds without them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use dmuc_core::Address;
use dmuc_core::policy::{CONTACT_PURPOSES, PeerRule, ServicePolicy, parent_domain};
use dmuc_core::rate::{Rate, Rates};
use dmuc_core::room::config::Config;
use dmuc_server_adapter::host::Secret;
use dmuc_server_adapter::service::{StoreOptions, Tuning, check_store_url};
use dmuc_server_adapter::wire::Limits;

use super::document::Document;
use super::section::Section;
use super::{Component, Log, Settings, StoreUrl};

/// ejabberd takes no more either.
const CONNECTIONS_MAX: usize = 1000;

/// Reads all sections; `None` if there is no service without what is missing, which is among the mistakes.
pub(super) fn read(document: &mut Document<'_>) -> Option<Settings> {
    let mut tuning = Tuning::default();
    let policy = read_service(document.section("service"), &mut tuning);
    // The rest is read all the same, for its mistakes.
    let placeholder = || ServicePolicy::new(&Address::parse("service.invalid").expect("a literal domain"));
    let complete = policy.is_some();
    let mut policy = policy.unwrap_or_else(placeholder);
    let component = read_component(document.section("component"));
    let (store, store_options) = read_store(document.section("store"));
    let log = read_log(document.section("log"));
    let (wire, stop_within) = read_limits(document.section("limits"), &mut policy, &mut tuning);
    policy.rates = read_rates(document.section("rates"));
    policy.contacts = read_contacts(document.section("contact"));
    policy.defaults = read_defaults(document.section("defaults"));
    policy.peers = read_peers(document).into_iter().collect();
    let component = component.filter(|_| complete)?;
    let warnings = warnings(&component);
    Some(Settings { policy, tuning, component, store, store_options, log, wire, stop_within, warnings })
}

fn read_service(mut section: Section<'_, '_>, tuning: &mut Tuning) -> Option<ServicePolicy> {
    let machine = || gethostname::gethostname().to_string_lossy().into_owned();
    tuning.node = section.checked("node", |name: String| Ok(name)).unwrap_or_else(machine);
    if !section.has("domain") {
        section.missing("domain", "missing: the domain of the service, as \"chat.example.org\"");
    }
    let domain = section.checked("domain", |text: String| domain_address(&text));
    let parent = domain.as_ref().map(|domain| parent_domain(domain.as_str()).to_owned());
    let fallback = Address::parse("service.invalid").expect("a literal domain");
    let defaults = ServicePolicy::new(domain.as_ref().unwrap_or(&fallback));
    let policy = ServicePolicy {
        name: section.get_or("name", defaults.name),
        user_domains: section
            .checked("user-domains", |texts: Vec<String>| domains(&texts))
            .unwrap_or(parent.into_iter().collect()),
        admins: section.checked("admins", bare_addresses).unwrap_or_default(),
        may_create: section.get_or("may-create", defaults.may_create),
        lock_new_rooms: section.get_or("lock-new-rooms", defaults.lock_new_rooms),
        logs_url: section.checked("logs-url", |url: String| Ok(url)),
        groupchat_1: section.get_or("groupchat-1", defaults.groupchat_1),
        distribute: section.get_or("distribute", defaults.distribute),
        replicate: section.get_or("replicate", defaults.replicate),
        redirect: section.get_or("redirect", defaults.redirect),
        shadow_name: section.get_or("shadow-name", defaults.shadow_name),
        ..defaults
    };
    section.finish();
    domain.map(|_| policy)
}

/// Addresses by purpose (XEP-0157).
fn read_contacts(mut section: Section<'_, '_>) -> BTreeMap<String, Vec<String>> {
    let uris = |texts: Vec<String>| match texts.iter().find(|text| !is_uri(text)) {
        Some(text) => Err(format!("`{text}` is no URI, as \"mailto:abuse@example.org\" is")),
        None => Ok(texts),
    };
    let read = CONTACT_PURPOSES.map(|purpose| Some((purpose.to_owned(), section.checked(purpose, uris)?)));
    section.finish();
    read.into_iter().flatten().filter(|(_, addresses)| !addresses.is_empty()).collect()
}

fn is_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, rest)| if rest.is_empty() { "" } else { scheme });
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !text.contains(char::is_whitespace)
}

fn read_component(mut section: Section<'_, '_>) -> Option<Component> {
    let host = section.get_or("host", "127.0.0.1".to_owned());
    let port =
        section.checked("port", |port: u16| if port == 0 { Err("must not be 0".into()) } else { Ok(port) });
    let written = (section.has("secret"), section.has("secret-file"));
    let secret = section.checked("secret", non_empty_secret);
    let from_file = section.checked("secret-file", |file: String| secret_file(&file));
    match written {
        (true, true) => section.missing("secret", "there is a `secret-file` too: drop one of them"),
        (false, false) => section.missing("secret", "missing: give `secret` or `secret-file`"),
        _ => {}
    }
    let connections = section.checked("connections", |count: usize| match count {
        1..=CONNECTIONS_MAX => Ok(count),
        _ => Err(format!("must be from 1 to {CONNECTIONS_MAX}")),
    });
    section.finish();
    Some(Component { host, port: port.unwrap_or(5347), secret: secret.or(from_file)?, connections })
}

fn read_store(mut section: Section<'_, '_>) -> (StoreUrl, StoreOptions) {
    let check = |url: String| check_store_url(&url).map(|()| url).map_err(|error| error.to_string());
    let url = section.checked("url", check).unwrap_or_else(|| "sqlite:dmuc.db".to_owned());
    let strict = |durability: String| match durability.as_str() {
        "strict" => Ok(true),
        "warn" => Ok(false),
        _ => Err("neither \"strict\" nor \"warn\"".to_owned()),
    };
    let defaults = StoreOptions::default();
    let options = StoreOptions {
        strict_durability: section.checked("durability", strict).unwrap_or(defaults.strict_durability),
        connections: count(&mut section, "connections", 1, defaults.connections),
        connect_timeout: seconds(&mut section, "connect-seconds", 1, defaults.connect_timeout),
        statement_timeout: seconds(&mut section, "statement-seconds", 1, defaults.statement_timeout),
        ..defaults
    };
    section.finish();
    (StoreUrl::new(url), options)
}

fn read_log(mut section: Section<'_, '_>) -> Log {
    let format = section.get_or("format", super::LogFormat::default());
    let check = |level: String| match tracing_subscriber::EnvFilter::try_new(&level) {
        Ok(_) => Ok(level),
        Err(error) => {
            Err(format!("neither a level (error, warn, info, debug, trace) nor directives: {error}"))
        }
    };
    let level = section.checked("level", check).unwrap_or_else(|| "info".to_owned());
    section.finish();
    Log { format, level }
}

fn read_limits(
    mut section: Section<'_, '_>,
    policy: &mut ServicePolicy,
    tuning: &mut Tuning,
) -> (Limits, Duration) {
    read_room_limits(&mut section, policy);
    read_tuning(&mut section, tuning);
    let most = Limits::default();
    // RFC 6120 §13.12: a limit on stanzas must not be below 10 000 bytes.
    let wire = Limits {
        stanza_bytes: bound(&mut section, "stanza-bytes", 10_000, most.stanza_bytes),
        depth: bound(&mut section, "depth", 8, most.depth),
        elements: bound(&mut section, "elements", 32, most.elements),
        attributes: bound(&mut section, "attributes", 8, most.attributes),
        ..most
    };
    let stop_within = Duration::from_secs(section.number("stop-seconds", 1, 10));
    section.finish();
    (wire, stop_within)
}

fn read_room_limits(section: &mut Section<'_, '_>, policy: &mut ServicePolicy) {
    policy.rooms_max = count(section, "rooms", 1, policy.rooms_max);
    policy.rooms_per_user_max = count(section, "rooms-per-user", 0, policy.rooms_per_user_max);
    policy.rooms_at_once_max = size(section, "rooms-at-once", 1, policy.rooms_at_once_max);
    policy.nick_chars_max = size(section, "nick-chars", 1, policy.nick_chars_max);
    policy.occupants_max = count(section, "occupants", 1, policy.occupants_max);
    policy.id_bytes_max = size(section, "id-bytes", 64, policy.id_bytes_max);
    policy.sessions_max = size(section, "sessions", 1, policy.sessions_max);
    policy.body_bytes_max = size(section, "body-bytes", 1, policy.body_bytes_max);
    policy.subject_bytes_max = size(section, "subject-bytes", 0, policy.subject_bytes_max);
    policy.presence_bytes_max = size(section, "presence-bytes", 256, policy.presence_bytes_max);
    policy.affiliations_max = size(section, "affiliations", 1, policy.affiliations_max);
    policy.history_max = count(section, "history", 0, policy.history_max);
    policy.subscribers_max = size(section, "subscribers", 0, policy.subscribers_max);
    policy.vcard_bytes_max = size(section, "vcard-bytes", 0, policy.vcard_bytes_max);
    policy.history_bytes_max = size(section, "history-bytes", 0, policy.history_bytes_max);
    policy.archive_page_max = count(section, "archive-page", 1, policy.archive_page_max);
    let archive_days = section.number("archive-days", 0, policy.archive_ms / 86_400_000);
    policy.archive_ms = archive_days.saturating_mul(86_400_000);
    policy.items_max = size(section, "items", 1, policy.items_max);
    let retry_s = section.number("redirect-retry-seconds", 0, policy.redirect_retry_ms / 1000);
    policy.redirect_retry_ms = retry_s.saturating_mul(1000);
    let tombstone_days = section.number("tombstone-days", 0, policy.tombstone_ms / 86_400_000);
    policy.tombstone_ms = tombstone_days.saturating_mul(86_400_000);
}

/// `{ burst = 100, per-second = 20 }`, or `per-minute`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenRate {
    burst: u32,
    per_second: Option<u32>,
    per_minute: Option<u32>,
}

fn rate(written: &WrittenRate) -> Result<Rate, String> {
    let rate = match (written.per_second, written.per_minute) {
        (Some(refill), None) => Rate::per_second(written.burst, refill),
        (None, Some(refill)) => Rate::per_minute(written.burst, refill),
        _ => return Err("needs either `per-second` or `per-minute`".into()),
    };
    if rate.burst == 0 || rate.refill == 0 { Err("must not be 0".into()) } else { Ok(rate) }
}

fn read_rates(mut section: Section<'_, '_>) -> Rates {
    let defaults = Rates::default();
    let mut read = |key, default| section.checked(key, |written| rate(&written)).unwrap_or(default);
    let rates = Rates {
        messages: read("messages", defaults.messages),
        presences: read("presences", defaults.presences),
        joins: read("joins", defaults.joins),
        requests: read("requests", defaults.requests),
        invitations: read("invitations", defaults.invitations),
        bytes: read("bytes", defaults.bytes),
        room: read("room", defaults.room),
        peer: read("peer", defaults.peer),
        errors: read("errors", defaults.errors),
    };
    section.finish();
    rates
}

fn read_tuning(section: &mut Section<'_, '_>, tuning: &mut Tuning) {
    tuning.mailbox_max = size(section, "mailbox", 1, tuning.mailbox_max);
    tuning.rooms_awake_max = size(section, "rooms-awake", 1, tuning.rooms_awake_max);
    tuning.hibernate_after = seconds(section, "hibernate-seconds", 1, tuning.hibernate_after);
    tuning.lease_ttl = seconds(section, "lease-seconds", 3, tuning.lease_ttl);
    tuning.peers_every = seconds(section, "peers-seconds", 1, tuning.peers_every);
}

fn size(section: &mut Section<'_, '_>, key: &str, least: usize, default: usize) -> usize {
    let number = section.number(key, least as u64, default as u64);
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A limit against hostile input: it may be lowered, not raised.
fn bound(section: &mut Section<'_, '_>, key: &str, least: usize, most: usize) -> usize {
    let check = |number: usize| match number {
        number if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("must be from {least} to {most}")),
    };
    section.checked(key, check).unwrap_or(most)
}

fn count(section: &mut Section<'_, '_>, key: &str, least: u32, default: u32) -> u32 {
    let number = section.number(key, u64::from(least), u64::from(default));
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn seconds(section: &mut Section<'_, '_>, key: &str, least: u64, default: Duration) -> Duration {
    Duration::from_secs(section.number(key, least, default.as_secs()))
}

/// The room's own names for its options are the keys here.
fn read_defaults(mut section: Section<'_, '_>) -> Config {
    let mut config = Config::default();
    for key in config_keys() {
        let alone = |value: toml::Value| toml::Table::from_iter([(key.clone(), value)]).try_into::<Config>();
        let read = |value: toml::Value| alone(value).map_err(|error| error.message().trim_end().to_owned());
        if let Some(read) = section.checked(&key, read) {
            config = with_option(&config, &key, &read);
        }
    }
    section.finish();
    config
}

/// All options by their keys, also those that have no value at first.
pub(crate) fn config_keys() -> Vec<String> {
    let optional = ["lang", "password", "max-users", "pubsub"].map(str::to_owned);
    let table = toml::Table::try_from(Config::default()).expect("a configuration is plain data");
    table.keys().cloned().chain(optional).collect::<BTreeSet<_>>().into_iter().collect()
}

/// `config` with one option as in `other`.
fn with_option(config: &Config, key: &str, other: &Config) -> Config {
    let table = |config: &Config| toml::Table::try_from(config).expect("a configuration is plain data");
    let (mut merged, mut other) = (table(config), table(other));
    merged.extend(other.remove_entry(key));
    merged.try_into().expect("each option was read on its own")
}

fn read_peers(document: &mut Document<'_>) -> Vec<PeerRule> {
    let mut peers: Vec<PeerRule> = Vec::new();
    while let Some(section) = document.next_peer() {
        let seen: Vec<_> = peers.iter().map(|peer| peer.domain.clone()).collect();
        peers.extend(read_peer(section, &seen));
    }
    peers
}

fn read_peer(mut section: Section<'_, '_>, seen: &[String]) -> Option<PeerRule> {
    let defaults = PeerRule::default();
    if !section.has("domain") {
        section.missing("domain", "missing: the domain of the peer's MUC service");
    }
    let check = |text: String| match domain_text(&text)? {
        domain if seen.contains(&domain) => Err(format!("there is a peer `{domain}` above")),
        domain => Ok(domain),
    };
    let domain = section.checked("domain", check);
    let peer = PeerRule {
        domain: String::new(),
        host: section.get_or("host", defaults.host),
        place: section.get_or("place", defaults.place),
        ask: section.get_or("ask", defaults.ask),
        rooms_max: section.get_or("rooms-max", defaults.rooms_max),
        bytes_max: section.get_or("bytes-max", defaults.bytes_max),
        vouch: section.checked("vouch", |texts: Vec<String>| domains(&texts)).unwrap_or_default(),
    };
    section.finish();
    domain.map(|domain| PeerRule { domain, ..peer })
}

fn domain_address(text: &str) -> Result<Address, String> {
    match Address::parse(text) {
        Ok(address) if address.is_bare() && address.local().is_none() => Ok(address),
        _ => Err(format!("`{text}` is not a domain")),
    }
}

fn domain_text(text: &str) -> Result<String, String> {
    Ok(domain_address(text)?.as_str().to_owned())
}

fn domains(texts: &[String]) -> Result<Vec<String>, String> {
    texts.iter().map(|text| domain_text(text)).collect()
}

fn bare_addresses(texts: Vec<String>) -> Result<Vec<Address>, String> {
    let bare = |text: String| match Address::parse(&text) {
        Ok(address) if address.is_bare() && address.local().is_some() => Ok(address),
        _ => Err(format!("`{text}` is not a bare JID, as \"user@example.org\"")),
    };
    texts.into_iter().map(bare).collect()
}

fn non_empty_secret(text: String) -> Result<Secret, String> {
    if text.is_empty() { Err("must not be empty".into()) } else { Ok(Secret::new(text)) }
}

fn secret_file(file: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("`{file}` cannot be read: {error}"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("`{file}` is empty")),
        secret => Ok(Secret::new(secret.to_owned())),
    }
}

fn warnings(component: &Component) -> Vec<String> {
    let loopback =
        component.host == "localhost" || component.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let clear = format!(
        "component.host: {} is not this machine, and the component protocol (XEP-0114) is clear text: \
         use a tunnel or a private network",
        component.host
    );
    (!loopback).then_some(clear).into_iter().collect()
}
