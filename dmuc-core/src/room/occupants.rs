//! Who is in the room, at this instance and at others.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::clock::Hlc;
use crate::nick::{Nick, NickKey};
use crate::room::roles::Role;
use crate::stanza::{Payload, Template};

/// Names an occupant: the nick as shown here, and the instance that it is in.
///
/// Two occupants share a nick only if they are one user at two instances.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OccupantId {
    /// The nick, folded.
    pub key: NickKey,
    /// Service domain of its instance.
    pub home: Arc<str>,
}

/// One client of an occupant; for an occupant of another instance, the one thing known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Full JID; none for an occupant of another instance which does not tell.
    pub jid: Option<Address>,
    /// What it says of itself: `show`, `status`, capabilities ...
    pub presence: Vec<Payload>,
    /// It keeps the affiliation lists, and wants to hear of every version (XEP-0463).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_lists: bool,
}

/// A nick in the room and those behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Occupant {
    /// As shown here.
    pub nick: Nick,
    /// As claimed at its instance; differs from `nick` only while a nick conflict is being settled.
    pub claimed: Nick,
    /// Service domain of its instance.
    pub home: Arc<str>,
    /// Real bare JID, if known.
    pub jid: Option<Address>,
    /// Occupant id (XEP-0421).
    pub oid: String,
    /// Role in the room now.
    pub role: Role,
    /// When the nick was claimed.
    pub claim: Hlc,
    /// Its clients; never empty.
    pub sessions: Vec<Session>,
}

impl Occupant {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> OccupantId {
        OccupantId { key: self.nick.key(), home: self.home.clone() }
    }

    /// What the others see of it: the newest client's presence.
    #[must_use]
    pub fn presence(&self) -> &[Payload] {
        self.sessions.last().map_or(&[], |session| &session.presence)
    }

    /// The full JID shown to those who may see it.
    #[must_use]
    pub fn shown_jid(&self) -> Option<&Address> {
        self.sessions.last().and_then(|session| session.jid.as_ref()).or(self.jid.as_ref())
    }
}

/// The occupants, found by nick, by client, or by instance.
#[derive(Debug, Default)]
pub struct Occupants {
    all: BTreeMap<OccupantId, Seat>,
    sessions: HashMap<Address, OccupantId>,
    /// By what their nicks look like.
    looks: BTreeMap<Arc<str>, BTreeSet<OccupantId>>,
    here: Arc<str>,
    audience: Option<Audience>,
    /// Rises with everybody who comes or goes.
    generation: u64,
    /// Whose face is not drawn yet, so that a join need not look for them.
    faceless: BTreeSet<OccupantId>,
    /// Those shown under another nick than they claim; few, if any.
    aliased: BTreeSet<OccupantId>,
    moves: u64,
    arrived: Vec<Address>,
}

#[derive(Debug)]
struct Seat {
    occupant: Occupant,
    face: Option<Face>,
}

/// An occupant's presence, serialised once for everybody who will ever need it.
#[derive(Debug, Clone)]
pub struct Face {
    /// Without the real JID.
    pub plain: Arc<Template>,
    /// With it.
    pub full: Arc<Template>,
}

/// Snapshots of the clients at this instance.
#[derive(Debug, Clone)]
pub struct Audience {
    /// All of them.
    pub all: Arc<[Address]>,
    /// Those of moderators.
    pub moderators: Arc<[Address]>,
    /// The others.
    pub others: Arc<[Address]>,
}

impl Occupants {
    /// Nobody, at the instance of the service `here`.
    #[must_use]
    pub fn new(here: Arc<str>) -> Self {
        Self { here, ..Self::default() }
    }

    /// Adds or replaces an occupant.
    pub fn insert(&mut self, occupant: Occupant) {
        let id = occupant.id();
        let replaced = self.take(&id);
        if replaced.is_none_or(|replaced| replaced.jid != occupant.jid) {
            self.moves += 1;
            self.arrived.extend(occupant.jid.clone());
        }
        if occupant.home == self.here {
            let jids = occupant.sessions.iter().filter_map(|session| session.jid.clone());
            self.sessions.extend(jids.map(|jid| (jid, id.clone())));
        }
        if occupant.claimed != occupant.nick {
            self.aliased.insert(id.clone());
        }
        self.faceless.insert(id.clone());
        self.looks.entry(id.key.look().clone()).or_default().insert(id.clone());
        self.all.insert(id, Seat { occupant, face: None });
        self.audience = None;
        self.generation += 1;
    }

    /// Takes an occupant out.
    pub fn remove(&mut self, id: &OccupantId) -> Option<Occupant> {
        self.moves += 1;
        self.take(id)
    }

    /// Counts how often somebody has come or gone.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// The real bare JIDs of those who have come since this was last asked.
    pub fn take_arrived(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.arrived)
    }

    fn take(&mut self, id: &OccupantId) -> Option<Occupant> {
        let Seat { occupant, .. } = self.all.remove(id)?;
        if occupant.home == self.here {
            for jid in occupant.sessions.iter().filter_map(|session| session.jid.as_ref()) {
                self.sessions.remove(jid);
            }
        }
        self.audience = None;
        self.generation += 1;
        self.faceless.remove(id);
        self.aliased.remove(id);
        if let Entry::Occupied(mut alike) = self.looks.entry(id.key.look().clone()) {
            alike.get_mut().remove(id);
            if alike.get().is_empty() {
                alike.remove();
            }
        }
        Some(occupant)
    }

    /// By name.
    #[must_use]
    pub fn get(&self, id: &OccupantId) -> Option<&Occupant> {
        self.all.get(id).map(|seat| &seat.occupant)
    }

    /// Sets what one of its clients says of itself; nothing that others are found by changes.
    pub fn set_presence(&mut self, id: &OccupantId, jid: Option<&Address>, presence: Vec<Payload>) {
        let Some(Seat { occupant, .. }) = self.all.get_mut(id) else { return };
        let Some(at) =
            occupant.sessions.iter().position(|session| jid.is_none() || session.jid.as_ref() == jid)
        else {
            return;
        };
        let mut session = occupant.sessions.remove(at);
        session.presence = presence;
        occupant.sessions.push(session);
        self.refresh(id);
    }

    /// Sets the role.
    pub fn set_role(&mut self, id: &OccupantId, role: Role) {
        if let Some(seat) = self.all.get_mut(id) {
            seat.occupant.role = role;
            self.audience = None;
            self.refresh(id);
        }
    }

    /// The occupant of a client at this instance.
    #[must_use]
    pub fn of_session(&self, jid: &Address) -> Option<&Occupant> {
        self.get(self.sessions.get(jid)?)
    }

    /// The occupants shown under a nick: at most one user, in any number of instances; ours first.
    pub fn by_key(&self, key: &NickKey) -> impl Iterator<Item = &Occupant> {
        let from = OccupantId { key: key.clone(), home: "".into() };
        let ours = self.get(&OccupantId { key: key.clone(), home: self.here.clone() });
        let others =
            self.all.range(from..).take_while(move |(id, _)| id.key == *key).map(|(_, seat)| &seat.occupant);
        let here = self.here.clone();
        ours.into_iter().chain(others.filter(move |occupant| occupant.home != here))
    }

    /// The occupants shown under a nick that looks like this one, or is it.
    pub fn lookalikes(&self, key: &NickKey) -> impl Iterator<Item = &Occupant> {
        self.looks.get(key.look()).into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// The occupant shown under a nick.
    #[must_use]
    pub fn by_nick(&self, nick: &Nick) -> Option<&Occupant> {
        let key = nick.key();
        self.by_key(&key).next()
    }

    /// The occupant of another instance by the nick it claimed there.
    #[must_use]
    pub fn remote<'a>(&'a self, home: &'a str, claimed: &Nick) -> Option<&'a Occupant> {
        let id = OccupantId { key: claimed.key(), home: home.into() };
        match self.get(&id) {
            Some(occupant) if occupant.claimed.key() == id.key => Some(occupant),
            _ => self.aliased().find(|occupant| *occupant.home == *home && occupant.claimed.key() == id.key),
        }
    }

    /// Those shown under another nick than they claim.
    pub fn aliased(&self) -> impl Iterator<Item = &Occupant> {
        self.aliased.iter().filter_map(|id| self.get(id))
    }

    /// Everyone.
    pub fn iter(&self) -> impl Iterator<Item = &Occupant> {
        self.all.values().map(|seat| &seat.occupant)
    }

    /// Those of one instance.
    pub fn of_home<'a>(&'a self, home: &'a str) -> impl Iterator<Item = &'a Occupant> {
        self.iter().filter(move |occupant| occupant.home.as_ref() == home)
    }

    /// Those of this instance.
    pub fn local(&self) -> impl Iterator<Item = &Occupant> {
        self.of_home(&self.here)
    }

    /// Everyone behind a real bare JID (or, for a domain, of that domain).
    #[must_use]
    pub fn matching(&self, jid: &Address) -> Vec<OccupantId> {
        let matches = |occupant: &&Occupant| {
            occupant
                .jid
                .as_ref()
                .is_some_and(|own| own == jid || (jid.local().is_none() && own.domain() == jid.as_str()))
        };
        self.iter().filter(matches).map(Occupant::id).collect()
    }

    /// Names the state of who is in: another one after everybody who comes or goes.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nobody is in, anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether an occupant is of this instance.
    #[must_use]
    pub fn is_here(&self, occupant: &Occupant) -> bool {
        occupant.home == self.here
    }

    /// The clients at this instance, as snapshots that are shared until somebody comes or goes.
    pub fn audience(&mut self) -> Audience {
        if self.audience.is_none() {
            self.audience = Some(self.count_audience());
        }
        self.audience.clone().expect("just set")
    }

    /// Forgets the serialised presence of an occupant whose affiliation changed.
    pub fn refresh(&mut self, id: &OccupantId) {
        if let Some(seat) = self.all.get_mut(id) {
            seat.face = None;
            self.faceless.insert(id.clone());
        }
    }

    /// Everyone whose presence is not serialised yet.
    pub fn faceless(&self) -> impl Iterator<Item = (&OccupantId, &Occupant)> {
        self.faceless.iter().filter_map(|id| Some((id, self.get(id)?)))
    }

    /// Keeps the serialised presence of an occupant.
    pub fn set_face(&mut self, id: &OccupantId, face: Face) {
        if let Some(seat) = self.all.get_mut(id) {
            seat.face = Some(face);
            self.faceless.remove(id);
        }
    }

    /// Everyone with their serialised presences, in order of nick.
    pub fn faces(&self) -> impl Iterator<Item = (&OccupantId, &Occupant, &Face)> {
        self.all.iter().filter_map(|(id, seat)| Some((id, &seat.occupant, seat.face.as_ref()?)))
    }

    fn count_audience(&self) -> Audience {
        let (mut all, mut moderators, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for occupant in self.local() {
            let class = if occupant.role == Role::Moderator { &mut moderators } else { &mut others };
            let clients = occupant.sessions.iter().filter_map(|session| session.jid.as_ref());
            clients.for_each(|jid| {
                all.push(jid.clone());
                class.push(jid.clone());
            });
        }
        Audience { all: all.into(), moderators: moderators.into(), others: others.into() }
    }
}
