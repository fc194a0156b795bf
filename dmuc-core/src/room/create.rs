//! Creating a room (XEP-0045 §10.1).

use std::sync::Arc;

use uuid::Uuid;

use crate::address::Address;
use crate::adhoc::Sessions;
use crate::clock::Hlc;
use crate::instance::{Instance, RoomState};
use crate::ns;
use crate::policy::{Distribute, Groupchat1};
use crate::questions::Questions;
use crate::record::{Head, Subject, part};
use crate::replication::Replication;
use crate::replication::log::Log;
use crate::room::activity::Activity;
use crate::room::affiliations::{Affiliations, Standing};
use crate::room::config::Config;
use crate::room::history::{Bound, History};
use crate::room::occupants::Occupants;
use crate::room::retraction::Retractions;
use crate::room::roles::Affiliation;
use crate::room::subscribers::Subscribers;
use crate::room::vcard::VCard;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};
use crate::storage::{Change, RoomUid, Tombstone};

impl Instance {
    /// A stanza for an address without a room: the wish to enter creates one.
    pub(crate) fn handle_vacant(&mut self, stanza: &Stanza) {
        match (stanza.kind, stanza.ty()) {
            (Kind::Presence, "") if self.is_arrival(stanza) => self.handle_creation(stanza),
            (Kind::Presence, "") => self.tell_that_it_is_out(stanza),
            (Kind::Presence, "unavailable" | "probe") => {}
            _ => self.turn.refuse(stanza, self.vacancy()),
        }
    }

    fn handle_creation(&mut self, stanza: &Stanza) {
        match self.admit_creation(stanza) {
            Err(refusal) => self.refuse_entry(stanza, &refusal),
            Ok(creator) => {
                // Whoever speaks groupchat 1.0 could never open it.
                self.create(&creator, self.policy.lock_new_rooms && is_muc_join(stanza));
                self.handle_join(stanza, true);
            }
        }
    }

    /// Whether presence of somebody who is not in is a wish to enter (XEP-0045 §7.2.1, §7.2.17).
    pub(crate) fn is_arrival(&self, stanza: &Stanza) -> bool {
        is_muc_join(stanza)
            || self.policy.groupchat_1 == Groupchat1::Accept
            || stanza.to.as_ref().is_none_or(Address::is_bare)
    }

    /// What is left of the room that was here, as long as the address may not be used again.
    pub(crate) fn blocking(&self) -> Option<&Tombstone> {
        self.tombstone.as_ref().filter(|stone| stone.blocks_until > self.turn.now)
    }

    fn vacancy(&self) -> StanzaError {
        match self.blocking() {
            Some(stone) => {
                let uri = stone.alternate.as_ref().map(|jid| format!("xmpp:{jid}?join"));
                StanzaError::new(Condition::Gone(uri)).because("This room has been destroyed.")
            }
            None => Condition::ItemNotFound.into(),
        }
    }

    fn admit_creation(&self, stanza: &Stanza) -> Result<Address, StanzaError> {
        let (from, to) = match (&stanza.from, &stanza.to) {
            (Some(from), Some(to)) => (from, to),
            _ => return Err(Condition::BadRequest.into()),
        };
        if self.blocking().is_some() {
            return Err(self.vacancy());
        }
        self.read_nick(to)?;
        if from.is_bare() {
            return Err(Condition::BadRequest.into());
        }
        if !self.policy.allows_creation(from) {
            return Err(StanzaError::new(Condition::NotAllowed).because("You may not create rooms here."));
        }
        if !self.policy.is_admin(from) {
            self.has_place_for_another()?;
        }
        Ok(from.to_bare())
    }

    /// Whether the service, and whoever asks, have fewer rooms than they may.
    fn has_place_for_another(&self) -> Result<(), StanzaError> {
        let full = |what| Err(StanzaError::new(Condition::ResourceConstraint).because(what));
        if self.is_service_full() {
            return full("There are as many rooms here as there may be.");
        }
        if self.census.created >= self.policy.rooms_per_user_max {
            return full("You have as many rooms here as you may have.");
        }
        Ok(())
    }

    pub(crate) fn is_service_full(&self) -> bool {
        self.census.rooms >= self.policy.rooms_max
    }

    /// Brings a room to life with us as its source.
    pub(crate) fn create(&mut self, owner: &Address, locked: bool) {
        let uid = self.fresh_uid();
        let mut head = self.fresh_head(uid, self.policy.domain.clone());
        head.source = Some(self.jid.clone());
        head.creator = Some(owner.clone());
        head.locked = locked;
        head.aff = 1;
        let mut config = self.policy.defaults.clone();
        config.distributed |= self.policy.distribute == Distribute::All;
        self.begin(head, config);
        let standing = Standing { affiliation: Affiliation::Owner, n: 1, changed: 1, ..Standing::default() };
        self.turn.put(&part::affiliation(owner), &standing);
        self.room_mut().affiliations.set(owner.clone(), standing);
        if !locked {
            self.place_at_once();
        }
    }

    pub(crate) fn fresh_uid(&mut self) -> RoomUid {
        let mut bytes = [0; 16];
        rand_core::Rng::fill_bytes(&mut self.rng, &mut bytes);
        RoomUid(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    pub(crate) fn fresh_head(&mut self, uid: RoomUid, firsthost: Address) -> Head {
        Head {
            uid,
            source: None,
            firsthost,
            term: 1,
            cfg: 1,
            aff: 0,
            ins: 0,
            locked: true,
            secret: self.token(24),
            incarnation: 1,
            created: self.turn.now,
            creator: None,
            core_only: false,
            pending: false,
            suspended: false,
        }
    }

    /// Puts a new room in place and into the store.
    pub(crate) fn begin(&mut self, head: Head, config: Config) {
        let here = self.here();
        self.turn.change(Change::Create { jid: self.jid.clone() });
        self.turn.put(part::CONFIG, &config);
        self.room = Some(RoomState {
            log: Log::restore(&here, head.incarnation, Hlc::default(), &[]),
            commands: Sessions::new(&head.secret),
            history: History::restore(Vec::new(), Bound::from(&*self.policy)),
            activity: Activity::default(),
            head,
            config: Arc::new(config),
            subject: Subject::default(),
            affiliations: Affiliations::default(),
            vcard: VCard::default(),
            occupants: Occupants::new(here),
            subscribers: Subscribers::default(),
            replication: Replication::default(),
            questions: Questions::default(),
            retractions: Retractions::default(),
        });
        self.save_head();
    }
}

/// Reads a uid that a peer sent.
pub(crate) fn read_uid(text: &str) -> Option<RoomUid> {
    Uuid::parse_str(text).ok().map(RoomUid)
}

/// Whether a presence is a wish to enter as XEP-0045 has it, not only as its predecessor had.
pub(crate) fn is_muc_join(stanza: &Stanza) -> bool {
    stanza.child("x", ns::MUC).is_some()
}
