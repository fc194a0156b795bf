//! One instance of a room: the door through which everything comes in and goes out.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::Sha256;

use crate::address::Address;
use crate::adhoc::Sessions;
use crate::clock::Millis;
use crate::io::{Action, Cause, CommitId, Input};
use crate::policy::{Census, ServicePolicy};
use crate::questions::Questions;
use crate::record::{Card, Core, Head, Parts, Subject, part};
use crate::replication::Replication;
use crate::replication::log::Log;
use crate::room::activity::Activity;
use crate::room::affiliations::{Affiliations, Standing};
use crate::room::config::Config;
use crate::room::history::{Bound, History};
use crate::room::occupants::{Occupant, Occupants};
use crate::room::pace::Pace;
use crate::room::retraction::Retractions;
use crate::room::roles::Affiliation;
use crate::room::subscribers::{Node, Subscribers};
use crate::room::vcard::VCard;
use crate::stanza::{El, Payload, Stanza};
use crate::storage::{Found, Frontier, LogEntry, RoomUid, StoreError, Tombstone};
use crate::turn::Turn;

/// One instance of a room, source or shadow. Deterministic: the same inputs give the same actions.
///
/// A panic in here is a bug, never bad input.
#[derive(Debug)]
pub struct Instance {
    pub(crate) jid: Address,
    pub(crate) policy: Arc<ServicePolicy>,
    pub(crate) tombstone: Option<Tombstone>,
    pub(crate) room: Option<RoomState>,
    pub(crate) turn: Turn,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) pace: Pace,
    pub(crate) census: Census,
    commits: CommitId,
}

/// Everything about a room that exists.
#[derive(Debug)]
pub(crate) struct RoomState {
    pub head: Head,
    pub config: Arc<Config>,
    pub subject: Subject,
    pub affiliations: Affiliations,
    pub vcard: VCard,
    pub occupants: Occupants,
    pub subscribers: Subscribers,
    pub history: History,
    pub log: Log,
    pub replication: Replication,
    pub commands: Sessions,
    pub questions: Questions,
    pub retractions: Retractions,
    pub activity: Activity,
}

impl Instance {
    /// An instance at an address that holds nothing (or a tombstone). It comes to life if an input creates a room;
    /// `seed` is 256 bits of entropy.
    #[must_use]
    pub fn vacant(
        jid: &Address,
        tombstone: Option<Tombstone>,
        policy: Arc<ServicePolicy>,
        seed: [u8; 32],
    ) -> Self {
        Self {
            jid: jid.clone(),
            policy,
            tombstone,
            room: None,
            turn: Turn::default(),
            rng: ChaCha20Rng::from_seed(seed),
            pace: Pace::default(),
            census: Census::default(),
            commits: CommitId(0),
        }
    }

    /// An instance as the store has it. `recent` is the newest history, canonical order, at most
    /// `policy.history_max` entries and `policy.history_bytes_max` bytes.
    ///
    /// # Errors
    /// `Corrupt` if a part of the record is not what this version writes.
    pub fn restore(
        jid: &Address,
        found: &Found,
        frontier: &[Frontier],
        recent: Vec<LogEntry>,
        policy: Arc<ServicePolicy>,
        seed: [u8; 32],
    ) -> Result<Self, StoreError> {
        let core = Core::read(found)?;
        let parts = Parts(found);
        let mut affiliations = Affiliations::default();
        for (who, standing) in parts.all::<Standing>("affiliation")? {
            if let Ok(who) = Address::parse(&who) {
                affiliations.set(who, standing);
            }
        }
        let mut occupants = Occupants::new(policy.domain.as_str().into());
        parts.all::<Occupant>("occupant")?.into_iter().for_each(|(_, occupant)| occupants.insert(occupant));
        let mut subscribers = Subscribers::default();
        for (who, subscription) in parts.all("subscriber")? {
            if let Ok(who) = Address::parse(&who) {
                subscribers.insert(who, subscription);
            }
        }
        occupants.take_arrived();
        let mut log = Log::restore(policy.domain.as_str(), core.head.incarnation, core.clock, frontier);
        recent.iter().for_each(|entry| log.note_held(&entry.event.pos));
        let replication = Replication::restore(&parts, core.occupancy)?;
        let retractions = Retractions::restore(&parts)?;
        let mut instance = Self::vacant(jid, None, policy, seed);
        instance.room = Some(RoomState {
            commands: Sessions::new(&core.head.secret),
            history: History::restore(recent, Bound::from(&*instance.policy)),
            activity: Activity::default(),
            head: core.head,
            config: core.config,
            subject: core.subject,
            affiliations,
            vcard: core.vcard,
            occupants,
            subscribers,
            log,
            replication,
            questions: Questions::default(),
            retractions,
        });
        Ok(instance)
    }

    /// Takes one input; gives everything that follows from it, in order.
    pub fn handle(&mut self, now: Millis, input: Input) -> Vec<Action> {
        let cause = match &input {
            Input::Stanza(stanza) => Some(Cause::of(stanza)),
            _ => None,
        };
        self.turn.begin(now, cause);
        self.approve_by_rule();
        match input {
            Input::Stanza(stanza) => self.handle_stanza(&stanza),
            Input::SessionClosed(jid) => self.handle_session_closed(&jid),
            Input::Answered { id, result } => self.handle_answer(id, result),
            Input::Timer(timer) => self.handle_timer(timer),
            Input::ServiceStops => self.handle_service_stops(),
            Input::Approved => self.handle_approval(),
            Input::Operator(order) => self.handle_operator(order),
        }
        self.close_if_deserted();
        self.tell_caught_up();
        self.keep_time();
        self.turn.end(&mut self.commits)
    }

    /// The gate: what registered instances and their services say goes to replication, all else to the room.
    fn handle_stanza(&mut self, stanza: &Stanza) {
        let (Some(from), Some(_)) = (&stanza.from, &stanza.to) else { return };
        if self.handle_awaited(stanza) {
            return;
        }
        match self.sender(from, stanza) {
            Some(peer) => self.handle_peer(&peer, stanza),
            None => self.handle_user(stanza),
        }
    }

    /// The room's address here.
    #[must_use]
    pub fn jid(&self) -> &Address {
        &self.jid
    }

    /// The room's name for life, once there is a room.
    #[must_use]
    pub fn uid(&self) -> Option<RoomUid> {
        self.room.as_ref().map(|room| room.head.uid)
    }

    /// Whether there is no room here (not yet, or not any more): the instance may be dropped.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.room.is_none()
    }

    /// Whether nothing is under way that only memory knows: the instance may be dropped and restored later.
    #[must_use]
    pub fn may_hibernate(&self) -> bool {
        self.room.as_ref().is_none_or(|room| room.replication.is_quiet() && room.questions.is_empty())
    }

    /// How many occupants the room has, at all instances.
    #[must_use]
    pub fn occupants(&self) -> usize {
        self.room.as_ref().map_or(0, |room| room.occupants.len())
    }

    /// Replaces the policy, for an operator's change.
    pub fn set_policy(&mut self, policy: Arc<ServicePolicy>) {
        if let Some(room) = &mut self.room {
            room.history.set_bound(Bound::from(&*policy));
        }
        self.policy = policy;
    }

    /// Says how many rooms there are, for the policy on new ones to be applied to the next input.
    pub fn set_census(&mut self, census: Census) {
        self.census = census;
    }

    /// What is known of the room's configuration.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.room.as_ref().map(|room| room.config.as_ref())
    }

    /// The room, for code that runs only when there is one.
    pub(crate) fn room(&self) -> &RoomState {
        self.room.as_ref().expect("callers have checked that the room exists")
    }

    /// The room, for code that runs only when there is one.
    pub(crate) fn room_mut(&mut self) -> &mut RoomState {
        self.room.as_mut().expect("callers have checked that the room exists")
    }

    /// Our service's domain as text.
    pub(crate) fn here(&self) -> Arc<str> {
        self.policy.domain.as_str().into()
    }

    /// The room's address with a nick behind it.
    pub(crate) fn nick_jid(&self, nick: &str) -> Address {
        self.jid.with_resource(nick).unwrap_or_else(|_| self.jid.clone())
    }

    /// Whether we are the source.
    pub(crate) fn is_source(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.head.source.as_ref() == Some(&self.jid))
    }

    /// The affiliation of a user, service administrators being owners.
    pub(crate) fn affiliation(&self, jid: &Address) -> Affiliation {
        if self.policy.is_admin(jid) { Affiliation::Owner } else { self.room().affiliations.of(jid) }
    }

    /// The occupant id of a real bare JID: the same at all instances, and nothing to go back from.
    pub(crate) fn occupant_id(&self, jid: &Address) -> String {
        BASE64.encode(&self.keyed_hash(jid.bare_str().as_bytes())[..24])
    }

    /// A hash that only the room's instances can make.
    pub(crate) fn keyed_hash(&self, text: &[u8]) -> [u8; 32] {
        let key = self.room().head.secret.as_bytes();
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(text);
        mac.finalize().into_bytes().into()
    }

    /// Fresh text of `bytes` random bytes.
    pub(crate) fn token(&mut self, bytes: usize) -> String {
        let mut random = vec![0; bytes];
        self.rng.fill_bytes(&mut random);
        BASE64.encode(random)
    }

    /// What discovery shows of the room without waking it, as far as there is a room: what its `card` part says.
    #[must_use]
    pub fn card(&self) -> Option<Card> {
        let room = self.room.as_ref()?;
        let shadow = room.head.firsthost != self.policy.domain;
        let firsthost = shadow.then(|| room.head.firsthost.clone());
        Some(Card::of(&room.config, !room.head.locked, firsthost, room.head.creator.clone()))
    }

    pub(crate) fn save_head(&mut self) {
        let room = self.room.as_ref().expect("only a room is saved");
        self.turn.put(part::HEAD, &room.head);
        let card = self.card().expect("there is a room");
        self.turn.put(part::CARD, &card);
    }

    pub(crate) fn save_occupant(&mut self, occupant: &Occupant) {
        self.turn.put(&part::occupant(&occupant.id(), &occupant.nick), occupant);
    }

    pub(crate) fn forget_occupant(&mut self, occupant: &Occupant) {
        self.turn.delete(part::occupant(&occupant.id(), &occupant.nick));
    }

    /// Sends one stanza, serialised once, to every client at this instance.
    pub(crate) fn tell_all_here(&mut self, stanza: &Stanza) {
        let all = self.room_mut().occupants.audience().all;
        self.turn.fan_out(stanza, all);
    }

    /// A message of the room itself with status codes for everyone here (XEP-0045 §10.2.1).
    pub(crate) fn announce_statuses(&mut self, codes: &[u16]) {
        if codes.is_empty() {
            return;
        }
        let x = codes.iter().fold(El::new("x", crate::ns::MUC_USER), |x, code| {
            x.child(El::new("status", crate::ns::MUC_USER).attr("code", code.to_string()))
        });
        let message = Stanza::message("groupchat").with_from(&self.jid.clone()).with(x.payload());
        self.tell_all_here(&message);
        self.notify(Node::Config, &message);
    }
}

/// `<occupant-id/>` (XEP-0421).
pub(crate) fn occupant_id_payload(oid: &str) -> Payload {
    El::new("occupant-id", crate::ns::OCCUPANT_ID).attr("id", oid).payload()
}
