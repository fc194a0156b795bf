//! A host that remembers what it was given, and a store that fails when told to.
#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "shared by several test files")]

pub mod desk;
pub mod store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dmuc_core::policy::ServicePolicy;
use dmuc_core::stanza::Outbound;
use dmuc_core::{Address, Stanza};
use dmuc_server_adapter::host::{Capabilities, Delivery, Host};
use dmuc_server_adapter::module::{Accepted, Inbound, MucModule, Origin};
use dmuc_server_adapter::service::{Service, Tuning};
use dmuc_server_adapter::wire::parse_stanzas;
use tokio::sync::Notify;

pub use store::TestStore;

pub const CHAT: &str = "chat.shakespeare.lit";

pub fn jid(text: &str) -> Address {
    Address::parse(text).unwrap_or_else(|_| panic!("{text} is no JID"))
}

#[derive(Default)]
pub struct TestHost {
    sent: Mutex<Vec<Stanza>>,
    full: AtomicBool,
    room: Notify,
}

#[async_trait]
impl Host for TestHost {
    fn try_send(&self, out: Outbound) -> Delivery {
        if self.full.load(Ordering::SeqCst) {
            return Delivery::Full;
        }
        let mut xml = String::new();
        out.write(&mut xml);
        self.sent.lock().unwrap().extend(parse_stanzas(&xml));
        Delivery::Accepted
    }

    async fn ready(&self) {
        while self.full.load(Ordering::SeqCst) {
            self.room.notified().await;
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.reports_sessions = true;
        capabilities
    }
}

impl TestHost {
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
        self.room.notify_waiters();
    }
}

/// One service with its host and store.
pub struct World {
    pub host: Arc<TestHost>,
    pub store: Arc<TestStore>,
    pub service: Service,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Arc::default(), Tuning::default()).await
    }

    pub async fn with(store: Arc<TestStore>, tuning: Tuning) -> Self {
        let mut policy = ServicePolicy::new(&jid(CHAT));
        policy.lock_new_rooms = false;
        Self::governed(store, tuning, policy).await
    }

    pub async fn governed(store: Arc<TestStore>, tuning: Tuning, policy: ServicePolicy) -> Self {
        let host = Arc::<TestHost>::default();
        let service = Service::start(store.clone(), host.clone(), policy, tuning).await.unwrap();
        Self { host, store, service }
    }

    /// Hands a stanza in; whether it was taken.
    pub fn handle(&self, xml: &str) -> bool {
        let stanza = parse_stanzas(xml).pop().unwrap_or_else(|| panic!("no stanza: {xml}"));
        self.service.handle(Inbound { stanza, origin: Origin::Component }) == Accepted::Taken
    }

    /// `who` (a localpart at shakespeare.lit) enters a room under that name.
    pub fn join(&self, who: &str, room: &str) -> bool {
        self.handle(&format!(
            "<presence from='{who}@shakespeare.lit/x' to='{room}@{CHAT}/{who}'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ))
    }

    pub fn leave(&self, who: &str, room: &str) -> bool {
        self.handle(&format!(
            "<presence type='unavailable' from='{who}@shakespeare.lit/x' to='{room}@{CHAT}/{who}'/>"
        ))
    }

    pub fn say(&self, who: &str, room: &str, text: &str) -> bool {
        self.handle(&format!(
            "<message type='groupchat' id='{text}' from='{who}@shakespeare.lit/x' to='{room}@{CHAT}'>\
             <body>{text}</body></message>"
        ))
    }

    /// What `who` got so far.
    pub fn got(&self, who: &str) -> Vec<Stanza> {
        self.got_by(&format!("{who}@shakespeare.lit/x"))
    }

    /// What an address got so far.
    pub fn got_by(&self, to: &str) -> Vec<Stanza> {
        let to = jid(to);
        self.host
            .sent
            .lock()
            .unwrap()
            .iter()
            .filter(|stanza| stanza.to.as_ref() == Some(&to))
            .cloned()
            .collect()
    }

    /// The bodies of messages that `who` got from a room.
    pub fn heard(&self, who: &str, room: &str) -> Vec<String> {
        let room = jid(&format!("{room}@{CHAT}"));
        let from_room = |stanza: &&Stanza| {
            stanza.ty() == "groupchat" && stanza.from.as_ref().is_some_and(|from| from.to_bare() == room)
        };
        let body = |stanza: &Stanza| Some(stanza.child("body", "jabber:client")?.text());
        self.got(who).iter().filter(from_room).filter_map(body).collect()
    }

    /// The ids of stanzas of `who` that were refused with `resource-constraint`.
    pub fn refused(&self, who: &str) -> Vec<String> {
        let refused = |stanza: &&Stanza| {
            let error = stanza.child("error", "jabber:client").map_or("", |error| error.as_xml());
            stanza.is_error() && error.contains("<resource-constraint") && error.contains("type='wait'")
        };
        let id = |stanza: &Stanza| stanza.id.as_deref().unwrap_or("").to_owned();
        self.got(who).iter().filter(refused).map(id).collect()
    }

    /// Waits until `done`; the test fails if that takes longer than five seconds.
    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if done(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}; sent so far: {:#?}", self.host.sent.lock().unwrap());
    }

    /// Enters and waits for the end of it, the subject.
    pub async fn joined(&self, who: &str, room: &str) {
        self.join(who, room);
        let from = jid(&format!("{room}@{CHAT}"));
        let is_subject = |stanza: &Stanza| {
            stanza.has("subject") && stanza.from.as_ref().is_some_and(|sender| sender.to_bare() == from)
        };
        self.until(&format!("{who} in {room}"), |world| world.got(who).iter().any(is_subject)).await;
    }
}
