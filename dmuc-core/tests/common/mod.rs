//! A little world: services, rooms and users on one virtual clock, talking XML without a network.
#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "shared by several story files")]

mod disk;
mod reading;
mod stories;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use dmuc_core::io::Timer;
use dmuc_core::outbox::Outbox;
use dmuc_core::policy::{Census, PeerRule, ServicePolicy};
use dmuc_core::service::{self, Route};
use dmuc_core::stanza::{Condition, Outbound, StanzaError, Template};
use dmuc_core::storage::{Found, LogEntry, Revision, StoreErrorKind};
use dmuc_core::{Action, Address, Input, Instance, Millis, Stanza};

use disk::Disk;
pub use reading::*;

#[derive(Debug)]
pub struct Node {
    pub instance: Instance,
    outbox: Outbox,
    disk: Disk,
    timers: BTreeMap<Timer, Millis>,
}

impl Node {
    pub fn is_vacant(&self) -> bool {
        self.instance.is_vacant()
    }

    /// What is durable of it, by name.
    pub fn parts(&self) -> &BTreeMap<String, String> {
        &self.disk.parts
    }

    /// How often something has become durable.
    pub fn revision(&self) -> u64 {
        self.disk.revision
    }

    pub fn log(&self) -> &[LogEntry] {
        &self.disk.log
    }
}

pub struct Site {
    pub policy: ServicePolicy,
    pub rooms: BTreeMap<Address, Node>,
}

/// From one domain to another.
type Link = (String, String);

pub struct World {
    pub now: Millis,
    pub sites: BTreeMap<String, Site>,
    /// What each user got, oldest first.
    pub inbox: BTreeMap<Address, Vec<Stanza>>,
    /// Stanzas that crossed from one domain to another.
    pub crossed: BTreeMap<Link, Vec<Stanza>>,
    /// Every stanza that a service sent to another domain, in order.
    pub wire: Vec<Stanza>,
    /// Links that lose everything.
    pub cut: BTreeSet<Link>,
    /// Links that are slow: what is on them arrives, in order, once they are released.
    pub held: BTreeMap<Link, VecDeque<Stanza>>,
    /// Domains that cannot be reached, as the sender's own server says.
    pub down: BTreeSet<String>,
    /// No store answers questions.
    pub mute: bool,
    /// What peers did that they must not.
    pub reports: Vec<(String, &'static str)>,
    /// Who has missed something, by room.
    pub missed: BTreeMap<Address, Vec<Address>>,
    queue: VecDeque<Stanza>,
    seed: u8,
}

const STARTED: Millis = Millis(1_787_307_000_000);
pub const CHAT: &str = "chat.shakespeare.lit";
pub const ROOMS: &str = "rooms.macbeth.lit";
pub const CONFERENCE: &str = "conference.marlowe.lit";

impl World {
    /// The specification's three services, each allowing the other two.
    pub fn three() -> Self {
        Self::with(&[CHAT, ROOMS, CONFERENCE])
    }

    pub fn with(domains: &[&str]) -> Self {
        let site = |domain: &&str| {
            let mut policy = ServicePolicy::new(&jid(domain));
            policy.peers =
                domains.iter().filter(|other| *other != domain).map(|other| PeerRule::allow(other)).collect();
            ((*domain).to_owned(), Site { policy, rooms: BTreeMap::new() })
        };
        Self {
            now: Millis(1_787_307_242_000),
            sites: domains.iter().map(site).collect(),
            inbox: BTreeMap::new(),
            crossed: BTreeMap::new(),
            wire: Vec::new(),
            cut: BTreeSet::new(),
            held: BTreeMap::new(),
            down: BTreeSet::new(),
            mute: false,
            reports: Vec::new(),
            missed: BTreeMap::new(),
            queue: VecDeque::new(),
            seed: 0,
        }
    }

    pub fn policy(&mut self, domain: &str) -> &mut ServicePolicy {
        &mut self.sites.get_mut(domain).unwrap().policy
    }

    /// Sends one stanza and lets everything follow that follows.
    pub fn send(&mut self, xml: &str) -> &mut Self {
        self.now = self.now.plus(10);
        self.queue.push_back(stanza(xml));
        self.settle();
        self
    }

    pub fn settle(&mut self) {
        let mut steps = 0;
        while let Some(stanza) = self.queue.pop_front() {
            steps += 1;
            assert!(steps < 100_000, "the world never comes to rest");
            self.deliver(stanza);
        }
    }

    /// Makes a link slow from now on.
    pub fn hold(&mut self, from: &str, to: &str) {
        self.held.entry((from.to_owned(), to.to_owned())).or_default();
    }

    /// Delivers what a slow link holds; it is fast again.
    pub fn release(&mut self, from: &str, to: &str) {
        let held = self.held.remove(&(from.to_owned(), to.to_owned())).expect("a held link");
        self.queue.extend(held);
        self.settle();
    }

    /// Delivers the first of what a slow link holds; it stays slow.
    pub fn release_one(&mut self, from: &str, to: &str) {
        let link = (from.to_owned(), to.to_owned());
        let Some(first) = self.held.get_mut(&link).expect("a held link").pop_front() else { return };
        let rest = self.held.remove(&link).unwrap_or_default();
        self.deliver(first);
        self.held.insert(link, rest);
        self.settle();
    }

    /// What a slow link loses if it breaks.
    pub fn lose(&mut self, from: &str, to: &str) -> usize {
        self.held.remove(&(from.to_owned(), to.to_owned())).map_or(0, |held| held.len())
    }

    /// Lets time pass, from timer to timer.
    pub fn wait(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while let Some(next) = self.next_timer().filter(|next| *next < end) {
            self.pass(next.max(self.now.plus(1)));
        }
        self.pass(end.max(self.now));
    }

    fn next_timer(&self) -> Option<Millis> {
        let rooms = self.sites.values().flat_map(|site| site.rooms.values());
        rooms.flat_map(|node| node.timers.values().copied()).min()
    }

    /// Whether no instance waits for anything.
    pub fn is_quiet(&self) -> bool {
        let rooms = self.sites.values().flat_map(|site| site.rooms.values());
        rooms.into_iter().all(|node| node.timers.is_empty() && node.instance.may_hibernate())
    }

    fn pass(&mut self, now: Millis) {
        self.now = now;
        let due: Vec<(String, Address, Timer)> = self
            .sites
            .iter()
            .flat_map(|(domain, site)| site.rooms.iter().map(move |(jid, node)| (domain, jid, node)))
            .flat_map(|(domain, jid, node)| {
                node.timers
                    .iter()
                    .filter(|(_, at)| **at <= now)
                    .map(move |(t, _)| (domain.clone(), jid.clone(), *t))
            })
            .collect();
        for (domain, room, timer) in due {
            self.node(&domain, &room).timers.remove(&timer);
            self.input(&domain, &room, Input::Timer(timer));
        }
        self.settle();
    }

    fn deliver(&mut self, stanza: Stanza) {
        let (from, to) = (stanza.from.clone().unwrap(), stanza.to.clone().unwrap());
        let link = (from.domain().to_owned(), to.domain().to_owned());
        if let Some(held) = self.held.get_mut(&link) {
            return held.push_back(stanza);
        }
        if self.cut.contains(&link) {
            return;
        }
        if self.down.contains(&link.1) {
            let unreachable = StanzaError::new(Condition::RemoteServerNotFound);
            return self.queue.extend(stanza.error(&unreachable));
        }
        if link.0 != link.1 && self.sites.contains_key(&link.0) {
            self.wire.push(stanza.clone());
            if self.sites.contains_key(&link.1) {
                self.crossed.entry(link.clone()).or_default().push(stanza.clone());
            }
        }
        let Some(site) = self.sites.get(to.domain()) else {
            self.inbox.entry(to).or_default().push(stanza);
            return;
        };
        let clock = service::Clock { now: self.now, started: STARTED };
        match service::route(&stanza, &site.policy, clock) {
            Route::Answer(answers) => self.queue.extend(answers),
            Route::Room(room) => self.input(&link.1, &room, Input::Stanza(stanza)),
            Route::Rooms(_) => self.list(&link.1, &stanza),
            Route::Activity { .. } => {}
            Route::Subscriptions { part, .. } => {
                let rooms = self.sites[&link.1].rooms.iter();
                let found =
                    rooms.filter_map(|(jid, node)| Some((jid.clone(), node.disk.parts.get(&part)?.clone())));
                let found: Vec<_> = found.collect();
                self.queue.push_back(service::subscription_list(&stanza, &found));
            }
            // Whoever hosts the rooms does the rest.
            other => panic!("not in this world: {other:?}"),
        }
    }

    fn list(&mut self, domain: &str, stanza: &Stanza) {
        let public = |listed: &dmuc_core::storage::Listed| {
            let card = listed.card.as_deref().and_then(dmuc_core::record::Card::read);
            card.is_some_and(|card| card.public)
        };
        let listed: Vec<_> = self.sites[domain]
            .rooms
            .iter()
            .filter_map(|(jid, node)| {
                let uid = node.disk.uid?;
                Some(dmuc_core::storage::Listed {
                    jid: jid.clone(),
                    uid,
                    card: node.disk.parts.get("card").cloned(),
                })
            })
            .filter(public)
            .collect();
        let count = listed.len() as u64;
        let page = dmuc_core::storage::DirectoryPage { rooms: listed, count, index: 0 };
        self.queue.extend(service::room_list(stanza, Some(&page)));
    }

    fn node(&mut self, domain: &str, room: &Address) -> &mut Node {
        self.seed = self.seed.wrapping_add(1);
        let seed = [self.seed; 32];
        let site = self.sites.get_mut(domain).unwrap();
        let policy = Arc::new(site.policy.clone());
        let node = site.rooms.entry(room.clone()).or_insert_with(|| Node {
            instance: Instance::vacant(room, None, policy.clone(), seed),
            outbox: Outbox::default(),
            disk: Disk::default(),
            timers: BTreeMap::new(),
        });
        if node.instance.is_vacant() {
            node.instance = Instance::vacant(room, node.disk.tombstone.clone(), policy, seed);
            node.outbox = Outbox::default();
        } else {
            node.instance.set_policy(policy);
        }
        node
    }

    pub fn input(&mut self, domain: &str, room: &Address, input: Input) {
        let now = self.now;
        let census = self.census(domain, &input);
        let instance = &mut self.node(domain, room).instance;
        instance.set_census(census);
        let actions = instance.handle(now, input);
        self.act(domain, room, actions);
    }

    fn act(&mut self, domain: &str, room: &Address, actions: Vec<Action>) {
        for action in actions {
            let node = self.sites.get_mut(domain).unwrap().rooms.get_mut(room).unwrap();
            match action {
                Action::Commit { id, changes, .. } => {
                    let before = node.disk.firsthost();
                    node.disk.apply(changes, node.instance.uid());
                    let after = node.disk.firsthost();
                    self.count_shadow(domain, before, after);
                    let node = self.sites.get_mut(domain).unwrap().rooms.get_mut(room).unwrap();
                    let ready = node.outbox.committed(id);
                    ready.into_iter().for_each(|out| self.post(&out));
                }
                Action::Send { out, after } => {
                    if let Some(out) = node.outbox.push(out, after) {
                        self.post(&out);
                    }
                }
                Action::Ask { id, query } => {
                    let result = if self.mute {
                        Err(StoreErrorKind::Unavailable)
                    } else {
                        Ok(node.disk.answer(query))
                    };
                    self.input(domain, room, Input::Answered { id, result });
                }
                Action::SetTimer { timer, at } => match at {
                    Some(at) => drop(node.timers.insert(timer, at)),
                    None => drop(node.timers.remove(&timer)),
                },
                Action::Missed { users } => drop(self.missed.insert(room.clone(), users.to_vec())),
                Action::CaughtUp { users } => {
                    self.missed.entry(room.clone()).or_default().retain(|user| !users.contains(user));
                }
                Action::Report { peer, what } => self.reports.push((peer, what)),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// As whoever hosts the rooms does for the policy.
    fn census(&self, domain: &str, input: &Input) -> Census {
        let Input::Stanza(Stanza { from: Some(from), .. }) = input else { return Census::default() };
        let nodes = || self.sites[domain].rooms.values();
        let created = |node: &&Node| {
            node.disk.card().and_then(|card| card.creator).is_some_and(|jid| jid == from.to_bare())
        };
        let count = |n: usize| u32::try_from(n).unwrap();
        Census {
            rooms: count(nodes().filter(|node| node.disk.uid.is_some()).count()),
            created: count(nodes().filter(created).count()),
        }
    }

    /// As whoever hosts the rooms does for the policy.
    fn count_shadow(&mut self, domain: &str, before: Option<String>, after: Option<String>) {
        let counts = &mut self.sites.get_mut(domain).unwrap().policy.shadows_here;
        if before != after {
            before.into_iter().for_each(|peer| *counts.get_mut(&peer).unwrap() -= 1);
            after.into_iter().for_each(|peer| *counts.entry(peer).or_default() += 1);
        }
    }

    fn post(&mut self, out: &Outbound) {
        // Read once, however many get it.
        let whole = |template: &Template| stanza(&format!("{}{}", template.head(), template.tail()));
        match out {
            Outbound::One(one) => self.queue.push_back(stanza(&one.to_xml())),
            Outbound::FanOut { template, to } => {
                let read = whole(template);
                self.queue.extend(to.iter().map(|to| read.clone().with_to(to)));
            }
            Outbound::Burst { templates, to } => {
                self.queue.extend(templates.iter().map(|template| whole(template).with_to(to)));
            }
        }
    }

    /// Drops an instance from memory and restores it from its disk, as after a crash or hibernation.
    pub fn restart(&mut self, room: &str) {
        self.seed = self.seed.wrapping_add(1);
        let room = jid(room);
        let site = self.sites.get_mut(room.domain()).unwrap();
        let policy = Arc::new(site.policy.clone());
        let node = site.rooms.get_mut(&room).unwrap();
        let uid = node.disk.uid.expect("a room");
        let found = Found { uid, revision: Revision(node.disk.revision), parts: node.disk.parts.clone() };
        // Written and read, as every backend does.
        let json = serde_json::to_string(&node.disk.log).unwrap();
        let mut recent: Vec<LogEntry> = serde_json::from_str(&json).unwrap();
        recent.sort_by(|a, b| a.event.order().cmp(&b.event.order()));
        let frontier = node.disk.frontier();
        node.instance =
            Instance::restore(&room, &found, &frontier, recent, policy, [self.seed; 32]).expect("own record");
        node.outbox = Outbox::default();
        node.timers.clear();
    }

    /// All that is durable of a room, to see whether something changed.
    pub fn record(&self, room: &str) -> (BTreeMap<String, String>, usize) {
        let disk = &self.sites[jid(room).domain()].rooms[&jid(room)].disk;
        (disk.parts.clone(), disk.log.len())
    }

    pub fn instance(&self, room: &str) -> &Instance {
        &self.sites[jid(room).domain()].rooms[&jid(room)].instance
    }

    pub fn log(&self, room: &str) -> &[LogEntry] {
        &self.sites[jid(room).domain()].rooms[&jid(room)].disk.log
    }

    pub fn part(&self, room: &str, key: &str) -> Option<&String> {
        self.sites[jid(room).domain()].rooms.get(&jid(room))?.disk.parts.get(key)
    }

    /// Takes what a user got since last asked.
    pub fn got(&mut self, user: &str) -> Vec<Stanza> {
        self.inbox.remove(&jid(user)).unwrap_or_default()
    }

    /// Takes what crossed between two domains since last asked.
    pub fn took(&mut self, from: &str, to: &str) -> Vec<Stanza> {
        self.crossed.remove(&(from.to_owned(), to.to_owned())).unwrap_or_default()
    }

    pub fn forget(&mut self) {
        self.inbox.clear();
        self.crossed.clear();
    }
}
