//! Subscribing, unsubscribing, and who subscribes.

use xso::{AsXml, FromXml};

use super::{Node, Subscription};
use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::record::part;
use crate::room::admin::Actor;
use crate::room::join::{SUBSCRIPTION, Wish};
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, Payload, Stanza, StanzaError};

#[derive(FromXml, AsXml, Debug, Clone)]
#[xml(namespace = ns::MUC_SUB, name = "event")]
struct Event {
    #[xml(attribute)]
    node: String,
}

#[derive(FromXml, AsXml, Debug, Clone)]
#[xml(namespace = ns::MUC_SUB, name = "subscribe")]
pub(super) struct Subscribe {
    #[xml(attribute(default))]
    pub(super) nick: Option<String>,
    #[xml(attribute(default))]
    pub(super) jid: Option<String>,
    #[xml(attribute(default))]
    password: Option<String>,
    #[xml(child(n = ..))]
    events: Vec<Event>,
}

#[derive(FromXml, AsXml, Debug, Clone)]
#[xml(namespace = ns::MUC_SUB, name = "unsubscribe")]
pub(super) struct Unsubscribe {
    #[xml(attribute(default))]
    pub(super) nick: Option<String>,
    #[xml(attribute(default))]
    pub(super) jid: Option<String>,
}

#[derive(FromXml, AsXml, Debug, Clone)]
#[xml(namespace = ns::MUC_SUB, name = "subscription")]
struct Listed {
    #[xml(attribute(default))]
    jid: Option<String>,
    #[xml(attribute(default))]
    nick: Option<String>,
    #[xml(child(n = ..))]
    events: Vec<Event>,
}

#[derive(FromXml, AsXml, Debug, Clone, Default)]
#[xml(namespace = ns::MUC_SUB, name = "subscriptions")]
struct Subscriptions {
    #[xml(child(n = ..))]
    all: Vec<Listed>,
}

fn events(subscription: &Subscription) -> Vec<Event> {
    subscription.events.iter().map(|node| Event { node: node.uri().to_owned() }).collect()
}

/// What one user subscribes to: its subscription as the store has it, by room.
pub(crate) fn subscriptions_of(found: &[(Address, String)]) -> Payload {
    let listed = |(room, part): &(Address, String)| {
        let subscription: Subscription = serde_json::from_str(part).ok()?;
        let (jid, nick) = (room.to_string(), subscription.nick.as_str().to_owned());
        Some(Listed { jid: Some(jid), nick: Some(nick), events: events(&subscription) })
    };
    Payload::of(&Subscriptions { all: found.iter().filter_map(listed).collect() })
}

fn moderates(actor: &Actor) -> bool {
    actor.role == Role::Moderator || actor.affiliation >= Affiliation::Admin
}

impl Instance {
    /// A `urn:xmpp:mucsub:0` request to the room.
    pub(crate) fn handle_subscriptions(&mut self, stanza: &Stanza, request: &Payload) {
        let Some(from) = stanza.from.clone() else { return };
        let done = match (stanza.ty(), request.name()) {
            ("set", "subscribe") => self.subscribe(&from, request),
            ("set", "unsubscribe") => self.unsubscribe(&from, request).map(|()| None),
            ("get", "subscriptions") => self.list_subscribers(&from).map(Some),
            _ => Err(Condition::BadRequest.into()),
        };
        match done {
            Ok(answer) => self.turn.send_first(stanza.result().with_opt(answer)),
            Err(refusal) => self.turn.refuse(stanza, refusal),
        }
    }

    fn subscribe(&mut self, from: &Address, request: &Payload) -> Result<Option<Payload>, StanzaError> {
        let wanted: Subscribe = request.typed().ok_or(Condition::BadRequest)?;
        let subscription = self.admit_subscription(from, &wanted)?;
        let answer = Subscribe {
            nick: Some(subscription.nick.as_str().to_owned()),
            jid: None,
            password: None,
            events: events(&subscription),
        };
        let bare = from.to_bare();
        let is_new = self.room().subscribers.get(&bare).is_none();
        self.turn.put(&part::subscriber(&bare), &subscription);
        self.room_mut().subscribers.insert(bare.clone(), subscription);
        if is_new {
            let told = Subscribe { events: Vec::new(), ..answer.clone() };
            let open = Payload::of(&Subscribe { jid: Some(bare.to_string()), ..told.clone() });
            self.notify_of_subscriber(&bare, &open, &Payload::of(&told));
        }
        Ok(Some(Payload::of(&answer)))
    }

    /// A subscriber is let in as an occupant is, but for the room's space.
    fn admit_subscription(&self, from: &Address, wanted: &Subscribe) -> Result<Subscription, StanzaError> {
        if !self.room().config.allow_subscription {
            return Err(
                StanzaError::new(Condition::NotAllowed).because("Subscriptions are not allowed here.")
            );
        }
        let bare = from.to_bare();
        if wanted.jid.as_ref().is_some_and(|jid| jid != bare.as_str()) {
            return Err(
                StanzaError::new(Condition::Forbidden).because("Everybody subscribes for themselves.")
            );
        }
        let nick = wanted.nick.as_deref().ok_or(Condition::BadRequest)?;
        let nick = self.read_nick(&self.jid.with_resource(nick).map_err(|_| Condition::JidMalformed)?)?;
        let returns = self.room().subscribers.get(&bare).is_some();
        let wish = Wish {
            client: from,
            affiliation: self.affiliation(&bare),
            bare,
            nick,
            password: wanted.password.clone(),
            returns,
            seated: false,
            creates: false,
        };
        SUBSCRIPTION.iter().try_for_each(|check| check(self, &wish))?;
        if !returns && self.room().subscribers.len() >= self.policy.subscribers_max {
            return Err(
                StanzaError::new(Condition::ResourceConstraint).because("There are too many subscribers.")
            );
        }
        let events = wanted.events.iter().filter_map(|event| Node::of(&event.node)).collect();
        Ok(Subscription { nick: wish.nick, events })
    }

    /// Moderators may unsubscribe others.
    fn unsubscribe(&mut self, from: &Address, request: &Payload) -> Result<(), StanzaError> {
        let wanted: Unsubscribe = request.typed().ok_or(Condition::BadRequest)?;
        let named = match (&wanted.jid, &wanted.nick) {
            (Some(jid), _) => Some(Address::parse(jid).map_err(|_| Condition::JidMalformed)?.to_bare()),
            (None, Some(nick)) => self.subscriber_called(nick),
            (None, None) => Some(from.to_bare()),
        };
        if named.as_ref().map(Address::as_str) != Some(from.bare_str()) && !moderates(&self.actor(from)) {
            return Err(Condition::Forbidden.into());
        }
        named.iter().for_each(|jid| self.end_subscription(jid));
        Ok(())
    }

    fn subscriber_called(&self, nick: &str) -> Option<Address> {
        let key = crate::nick::Nick::parse(nick).ok()?.key();
        self.room().subscribers.holder_of(&key).cloned()
    }

    fn end_subscription(&mut self, jid: &Address) {
        let Some(Subscription { nick, .. }) = self.room_mut().subscribers.remove(jid) else { return };
        self.turn.delete(part::subscriber(jid));
        let told = Unsubscribe { nick: Some(nick.as_str().to_owned()), jid: None };
        let open = Payload::of(&Unsubscribe { jid: Some(jid.to_string()), ..told.clone() });
        self.notify_of_subscriber(jid, &open, &Payload::of(&told));
    }

    /// Ends the subscriptions of those who might not subscribe any more.
    pub(crate) fn reconsider_subscriptions(&mut self) {
        let config = &self.room().config;
        let least = if config.members_only { Affiliation::Member } else { Affiliation::None };
        let stays = |jid: &Address| config.allow_subscription && self.affiliation(jid) >= least;
        let all = self.room().subscribers.iter().map(|(jid, _)| jid);
        let gone: Vec<Address> = all.filter(|jid| !stays(jid)).cloned().collect();
        gone.iter().for_each(|jid| self.end_subscription(jid));
    }

    /// Moderators see who subscribes, and subscribers each other; real addresses as in the room.
    fn list_subscribers(&self, from: &Address) -> Result<Payload, StanzaError> {
        let moderates = moderates(&self.actor(from));
        let subscribers = &self.room().subscribers;
        if !moderates && subscribers.get(&from.to_bare()).is_none() {
            return Err(Condition::Forbidden.into());
        }
        let shown = moderates || self.is_open_about_jids();
        let listed = |(jid, subscription): (&Address, &Subscription)| Listed {
            jid: shown.then(|| jid.to_string()),
            nick: Some(subscription.nick.as_str().to_owned()),
            events: events(subscription),
        };
        Ok(Payload::of(&Subscriptions { all: subscribers.iter().map(listed).collect() }))
    }
}
