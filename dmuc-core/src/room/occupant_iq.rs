//! Requests from one occupant to another (XEP-0045 §17.4): passed on under their nicks, at whichever instances the two
//! are. Neither learns the other's real address.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::clock::Millis;
use crate::instance::Instance;
use crate::io::Cause;
use crate::ns;
use crate::room::occupants::Occupant;
use crate::room::returns::veiled;
use crate::stanza::{Condition, ErrorKind, Kind, Stanza, StanzaError};

/// A request that was passed on.
#[derive(Debug, Clone)]
struct Relay {
    /// The request as it was made, for the answer.
    request: Cause,
    asker: Address,
    /// Who alone may answer.
    asked: Address,
    until: Millis,
}

/// The requests that were passed on and await their answers, by our id.
#[derive(Debug, Default)]
pub(crate) struct Relays(BTreeMap<String, Relay>);

/// How long an answer of an occupant is awaited.
const ANSWER_MS: u64 = 120_000;
/// Most requests that await their answers at a time; of one asker.
const RELAYS_MAX: usize = 1_024;
const RELAYS_OF_ONE_MAX: usize = 32;

impl Relays {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn next_deadline(&self) -> Option<Millis> {
        self.0.values().map(|relay| relay.until).min()
    }

    fn is_full_for(&self, asker: &Address) -> bool {
        let theirs = || self.0.values().filter(|relay| relay.asker == *asker).count();
        self.0.len() >= RELAYS_MAX || theirs() >= RELAYS_OF_ONE_MAX
    }

    /// The request that an answer is for; none if it is not from whoever was asked.
    fn take(&mut self, id: &str, from: &Address) -> Option<Relay> {
        if self.0.get(id)?.asked != *from {
            return None;
        }
        self.0.remove(id)
    }

    /// The requests that will not be answered any more.
    pub fn take_overdue(&mut self, now: Millis) -> Vec<Cause> {
        self.0.extract_if(.., |_, relay| relay.until <= now).map(|(_, relay)| relay.request).collect()
    }
}

impl Instance {
    /// A request of a user to an occupant. The self-ping is answered here (XEP-0410).
    pub(crate) fn handle_occupant_iq(&mut self, stanza: &Stanza) {
        let Some(asker) =
            stanza.from.as_ref().and_then(|from| self.room().occupants.of_session(from)).cloned()
        else {
            return self.turn.refuse(stanza, refusal_of_outsider(stanza));
        };
        let done = self.asked_occupant(stanza).and_then(|target| {
            if target.id() == asker.id() && stanza.child("ping", ns::PING).is_some() {
                self.turn.send(stanza.result());
                return Ok(());
            }
            self.pass_request(&asker, &target, stanza)
        });
        if let Err(refusal) = done {
            self.turn.refuse(stanza, refusal);
        }
    }

    /// The occupant that a request is for.
    pub(crate) fn asked_occupant(&self, stanza: &Stanza) -> Result<Occupant, StanzaError> {
        let nick = self.read_nick(stanza.to.as_ref().ok_or(Condition::BadRequest)?)?;
        self.room().occupants.by_nick(&nick).cloned().ok_or_else(|| Condition::ItemNotFound.into())
    }

    /// Passes a request on in the asker's nick: to a client here, or to the instance of whoever is asked.
    pub(crate) fn pass_request(
        &mut self,
        asker: &Occupant,
        target: &Occupant,
        stanza: &Stanza,
    ) -> Result<(), StanzaError> {
        let asked = if self.room().occupants.is_here(target) {
            answering(target, stanza)
        } else {
            self.address_elsewhere(target)
        };
        let asked = asked.ok_or(Condition::ServiceUnavailable)?;
        let asker_jid = stanza.from.clone().ok_or(Condition::BadRequest)?;
        if self.room().replication.relays.is_full_for(&asker_jid) {
            let error = StanzaError::new(Condition::ResourceConstraint);
            return Err(error.because("Too many requests are unanswered."));
        }
        let (id, until) = (self.token(12), self.turn.now.plus(ANSWER_MS));
        let from = self.nick_jid(asker.nick.as_str());
        self.turn.send(stanza.clone().with_from(&from).with_to(&asked).with_id(&id));
        let relay = Relay { request: Cause::of(stanza), asker: asker_jid, asked, until };
        self.room_mut().replication.relays.0.insert(id, relay);
        Ok(())
    }

    /// An answer to a request that was passed on: back to who asked, under the nick that was asked.
    pub(crate) fn handle_relayed_answer(&mut self, stanza: &Stanza) -> bool {
        let (Some(from), Some(id)) = (&stanza.from, stanza.id.as_deref()) else { return false };
        if stanza.kind != Kind::Iq || stanza.is_request() {
            return false;
        }
        let Some(relay) = self.room_mut().replication.relays.take(id, from) else { return false };
        let answer = match stanza.child("error", ns::STANZA) {
            Some(error) => relay.request.failure(veiled(error)),
            None => relay.request.result().map(|result| result.with_all(stanza.children.iter().cloned())),
        };
        self.turn.send_opt(answer);
        true
    }

    /// Whoever asked in vain is told so.
    pub(crate) fn give_up_relays(&mut self) {
        let now = self.turn.now;
        let silence = StanzaError::new(Condition::RemoteServerTimeout).because("There was no answer.");
        for request in self.room_mut().replication.relays.take_overdue(now) {
            self.turn.send_opt(request.refusal(&silence));
        }
    }
}

/// A non-occupant may not look at occupants (XEP-0045 §6.6), nor is it in (XEP-0410).
fn refusal_of_outsider(stanza: &Stanza) -> StanzaError {
    let discovers = stanza.child_in(ns::DISCO_INFO).or_else(|| stanza.child_in(ns::DISCO_ITEMS)).is_some();
    if discovers {
        return Condition::BadRequest.into();
    }
    StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel)
}

/// Who answers for an occupant: the client that spoke last, or its account for what accounts keep.
fn answering(target: &Occupant, stanza: &Stanza) -> Option<Address> {
    let client = target.sessions.last().and_then(|session| session.jid.clone());
    if stanza.child_in(ns::VCARD).is_some() { target.jid.clone().or(client) } else { client }
}
