//! What a server does for its users: sessions, delivery (RFC 6121 §8), and the few requests it answers itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dmuc_core::stanza::{Condition, El, Kind};
use dmuc_core::{Address, Stanza, ns};

use super::Delivery;
use super::in_process::Parcel;
use super::sasl::Accounts;
use crate::wire::{StreamCondition, StreamError, Writer, ns as stream_ns};

/// Bytes that may wait for one client; one that falls further behind is disconnected.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Largest stanza for a client.
const STANZA_BYTES: usize = 256 * 1024;

const ROSTER: &str = "jabber:iq:roster";

/// One connected client.
pub(super) struct Session {
    pub(super) jid: Address,
    pub(super) writer: Writer,
    available: AtomicBool,
    /// Who was sent presence directly and must learn of the end (RFC 6121 §4.6).
    directed: Mutex<BTreeSet<Address>>,
}

impl Session {
    pub(super) fn new(jid: Address) -> Arc<Self> {
        let writer = Writer::new(QUEUE_BYTES, STANZA_BYTES);
        Arc::new(Self { jid, writer, available: AtomicBool::new(false), directed: Mutex::default() })
    }

    /// Sends to the client.
    pub(super) fn push(&self, parcel: Parcel<'_>) {
        let mut xml = String::new();
        parcel.write(&mut xml);
        if self.writer.push_text(&xml) == Delivery::Full {
            self.end(StreamCondition::ResourceConstraint);
        }
    }

    /// Ends the client's stream; the end tag follows when this is written.
    pub(super) fn end(&self, condition: StreamCondition) {
        self.writer.close(&StreamError::from(condition).to_xml());
    }

    fn is_available(&self) -> bool {
        self.available.load(Ordering::Relaxed)
    }

    /// Remembers to whom the client shows itself.
    pub(super) fn note_directed(&self, presence: &Stanza, to: &Address) {
        let mut directed = self.directed.lock().unwrap_or_else(PoisonError::into_inner);
        match presence.ty() {
            "" => drop(directed.insert(to.clone())),
            "unavailable" => drop(directed.remove(to)),
            _ => {}
        }
    }

    /// Everyone who must learn that the client is gone; the list is empty afterwards.
    pub(super) fn take_directed(&self) -> BTreeSet<Address> {
        std::mem::take(&mut *self.directed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The users of one domain.
pub(super) struct UserDomain {
    pub(super) site: String,
    pub(super) accounts: Accounts,
    domain: Address,
    /// By bare address, then by resource.
    sessions: BTreeMap<Address, BTreeMap<String, Arc<Session>>>,
}

impl UserDomain {
    pub(super) fn new(site: &str, domain: &Address, accounts: Accounts) -> Self {
        Self { site: site.to_owned(), accounts, domain: domain.to_domain(), sessions: BTreeMap::new() }
    }

    pub(super) fn open(&mut self, session: &Arc<Session>) {
        let resource = session.jid.resource().unwrap_or("").to_owned();
        let of_user = self.sessions.entry(session.jid.to_bare()).or_default();
        if let Some(older) = of_user.insert(resource, Arc::clone(session)) {
            older.end(StreamCondition::Conflict);
        }
    }

    /// Forgets a session; false if another has taken its place.
    pub(super) fn close(&mut self, session: &Arc<Session>) -> bool {
        let bare = session.jid.to_bare();
        let Some(of_user) = self.sessions.get_mut(&bare) else { return false };
        let resource = session.jid.resource().unwrap_or("");
        if !of_user.get(resource).is_some_and(|current| Arc::ptr_eq(current, session)) {
            return false;
        }
        of_user.remove(resource);
        if of_user.is_empty() {
            self.sessions.remove(&bare);
        }
        true
    }

    fn find(&self, jid: &Address) -> Option<&Arc<Session>> {
        self.sessions.get(jid.bare_str())?.get(jid.resource()?)
    }

    fn available(&self, bare: &str) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions
            .get(bare)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|session| session.is_available())
    }

    /// Broadcast presence of one session: there are no subscriptions here, so only the user's own sessions see it.
    pub(super) fn presence(&self, session: &Session, presence: &Stanza) {
        session.available.store(presence.ty().is_empty(), Ordering::Relaxed);
        for other in self.available(session.jid.bare_str()) {
            other.push(Parcel::Stanza(&presence.clone().with_to(&other.jid)));
        }
    }

    /// Delivers to a user or to the server itself; gives the answer if there is one to give.
    pub(super) fn deliver(
        &self,
        to: &Address,
        parcel: Parcel<'_>,
        services: impl FnOnce() -> Vec<String>,
    ) -> Option<Stanza> {
        if let Some(session) = self.find(to) {
            session.push(parcel);
            return None;
        }
        let stanza = parcel.to_stanza()?;
        match stanza.kind {
            Kind::Iq if !stanza.is_request() => None,
            Kind::Iq if to.is_bare() => self.request(to, &stanza, services),
            Kind::Iq => stanza.error(&Condition::ServiceUnavailable.into()),
            Kind::Presence => {
                self.to_all(to, &stanza);
                None
            }
            Kind::Message => self.message(to, &stanza),
        }
    }

    fn to_all(&self, to: &Address, stanza: &Stanza) -> bool {
        let mut delivered = false;
        if to.is_bare() || stanza.kind == Kind::Message {
            for session in self.available(to.bare_str()) {
                session.push(Parcel::Stanza(stanza));
                delivered = true;
            }
        }
        delivered
    }

    /// RFC 6121 §8.5.2 and §8.5.3: what does not fit a resource goes to the available ones.
    fn message(&self, to: &Address, message: &Stanza) -> Option<Stanza> {
        let delivered = match message.ty() {
            "error" => true,
            "groupchat" => false,
            "headline" if !to.is_bare() => true,
            _ => self.to_all(to, message),
        };
        if delivered { None } else { message.error(&Condition::ServiceUnavailable.into()) }
    }

    /// A request to the server, or to an account on whose behalf the server answers.
    fn request(&self, to: &Address, iq: &Stanza, services: impl FnOnce() -> Vec<String>) -> Option<Stanza> {
        let own_account = iq.from.as_ref().is_some_and(|from| from.bare_str() == to.as_str());
        let to_server = *to == self.domain;
        let [payload] = &iq.children[..] else { return iq.error(&Condition::BadRequest.into()) };
        let result = match (iq.ty(), payload.name(), payload.ns()) {
            ("get", "ping", ns::PING) => iq.result(),
            ("get", "query", ns::DISCO_INFO) if to_server => iq.result().with(server_info().payload()),
            ("get", "query", ns::DISCO_ITEMS) if to_server => {
                let items =
                    services().into_iter().map(|jid| El::new("item", ns::DISCO_ITEMS).attr("jid", jid));
                iq.result().with(El::new("query", ns::DISCO_ITEMS).children(items).payload())
            }
            ("get", "query", ns::DISCO_INFO) if own_account => iq.result().with(account_info().payload()),
            ("get", "query", ns::DISCO_ITEMS) if own_account => {
                iq.result().with(El::new("query", ns::DISCO_ITEMS).payload())
            }
            ("get", "query", ROSTER) if own_account => iq.result().with(El::new("query", ROSTER).payload()),
            ("set", "session", stream_ns::SESSION) if own_account || to_server => iq.result(),
            _ => return iq.error(&Condition::ServiceUnavailable.into()),
        };
        Some(result)
    }
}

fn feature(name: &str) -> El {
    El::new("feature", ns::DISCO_INFO).attr("var", name)
}

fn identity(category: &str, kind: &str) -> El {
    El::new("identity", ns::DISCO_INFO).attr("category", category).attr("type", kind)
}

fn server_info() -> El {
    let features = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING].map(feature);
    El::new("query", ns::DISCO_INFO).child(identity("server", "im")).children(features)
}

fn account_info() -> El {
    El::new("query", ns::DISCO_INFO).child(identity("account", "registered")).child(feature(ns::DISCO_INFO))
}
