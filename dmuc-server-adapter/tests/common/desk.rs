//! A world in which a story asks the service, and waits for its answer.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dmuc_core::policy::ServicePolicy;
use dmuc_core::storage::Storage;
use dmuc_core::{Address, Stanza};
use dmuc_server_adapter::service::{Service, Tuning};

use super::{CHAT, TestHost, TestStore, World};

pub struct Desk {
    pub world: World,
    asked: AtomicU32,
}

impl Deref for Desk {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Desk {
    /// A service on whatever store; the one of the world stays unused.
    pub async fn on(store: Arc<dyn Storage>, policy: ServicePolicy) -> Self {
        let host = Arc::<TestHost>::default();
        let service = Service::start(store, host.clone(), policy, Tuning::default()).await.unwrap();
        let world = World { host, store: Arc::<TestStore>::default(), service };
        Self { world, asked: AtomicU32::new(0) }
    }

    /// Asks the service; gives the payload of its answer, or its error as condition, type, and application condition.
    pub async fn asks(&self, ty: &str, who: &str, payload: &str) -> Result<minidom::Element, String> {
        self.asks_of(CHAT, ty, who, payload).await
    }

    pub async fn asks_of(
        &self,
        to: &str,
        ty: &str,
        who: &str,
        payload: &str,
    ) -> Result<minidom::Element, String> {
        let id = format!("desk-{}", self.asked.fetch_add(1, Ordering::Relaxed));
        self.world.handle(&format!(
            "<iq type='{ty}' id='{id}' from='{who}@shakespeare.lit/x' to='{to}'>{payload}</iq>"
        ));
        let is_answer = |stanza: &Stanza| stanza.id.as_deref() == Some(id.as_str()) && !stanza.is_request();
        self.until(&format!("an answer to {payload}"), |world| world.got(who).iter().any(is_answer)).await;
        let answer = self.world.got(who).into_iter().find(is_answer).unwrap();
        let child = answer.children.first().map(|child| child.element().unwrap());
        if !answer.is_error() {
            return Ok(child.unwrap_or_else(|| "<nothing xmlns='urn:none'/>".parse().unwrap()));
        }
        let error = child.unwrap();
        let conditions: Vec<&str> =
            error.children().map(minidom::Element::name).filter(|name| *name != "text").collect();
        let (condition, own) = conditions.split_first().unwrap();
        let parts = [*condition, error.attr("type").unwrap()].into_iter().chain(own.iter().copied());
        Err(parts.collect::<Vec<_>>().join(" "))
    }

    pub async fn configured(&self, who: &str, room: &str, options: &[(&str, &str)]) {
        let field =
            |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
        let fields: String = options.iter().map(field).collect();
        let query = format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
             {fields}</x></query>"
        );
        self.asks_of(&format!("{room}@{CHAT}"), "set", who, &query).await.unwrap();
    }

    pub async fn ordered(&self, who: &str, room: &str, item: &str) {
        let query = format!("<query xmlns='http://jabber.org/protocol/muc#admin'><item {item}/></query>");
        self.asks_of(&format!("{room}@{CHAT}"), "set", who, &query).await.unwrap();
    }

    /// `who` wants to hear of activity.
    pub fn follows(&self, who: &str) {
        self.world.handle(&format!(
            "<presence from='{who}@shakespeare.lit/x' to='{CHAT}'><rai xmlns='urn:xmpp:rai:0'/></presence>"
        ));
    }
}

impl World {
    /// The rooms that `who` was told of.
    pub fn activity(&self, who: &str) -> Vec<String> {
        let from_service = |stanza: &Stanza| stanza.from.as_ref().map(Address::as_str) == Some(CHAT);
        let notices = self.got(who).into_iter().filter(from_service);
        let rooms = notices.filter_map(|stanza| stanza.child("rai", "urn:xmpp:rai:0")?.element().ok());
        rooms.flat_map(|rai| rai.children().map(minidom::Element::text).collect::<Vec<_>>()).collect()
    }
}
