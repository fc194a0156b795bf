//! Entering a room (XEP-0045 §7.2): admission as an ordered list of checks, then the entry itself.

use minidom::Element;
use xmpp_parsers::muc::muc::{History, Muc};

use crate::address::Address;
use crate::clock::Millis;
use crate::instance::Instance;
use crate::nick::{Nick, NickKey};
use crate::ns;
use crate::replication::redirect::Destination;
use crate::room::history;
use crate::room::occupants::{Occupant, Session};
use crate::room::presence::Notice;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, El, ErrorKind, Payload, Stanza, StanzaError};

/// A wish to enter.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub client: &'a Address,
    pub bare: Address,
    pub nick: Nick,
    pub password: Option<String>,
    pub affiliation: Affiliation,
    /// The client is in already and wants to know everything anew.
    pub returns: bool,
    /// Another client of the user is in under this nick.
    pub seated: bool,
    /// The room has been created by this very wish.
    pub creates: bool,
}

pub(crate) type Check = fn(&Instance, &Wish<'_>) -> Result<(), StanzaError>;

/// Who may enter, in the order in which refusals matter.
const ADMISSION: &[Check] = &[
    not_locked,
    not_banned,
    member_if_needed,
    password_if_needed,
    nick_is_free,
    room_has_space,
    nick_has_space,
];

/// Who may subscribe without entering: the same, but that they need no space.
pub(crate) const SUBSCRIPTION: &[Check] =
    &[not_locked, not_banned, member_if_needed, password_if_needed, nick_is_free];

fn not_locked(instance: &Instance, wish: &Wish<'_>) -> Result<(), StanzaError> {
    let locked = instance.room().head.locked;
    if !locked || (instance.is_source() && wish.affiliation == Affiliation::Owner) {
        return Ok(());
    }
    if !instance.is_source() {
        return Err(StanzaError::of_kind(Condition::RecipientUnavailable, ErrorKind::Wait)
            .because("The room's source has not opened this instance yet."));
    }
    Err(StanzaError::new(Condition::ItemNotFound).because("The room has not been configured yet."))
}

fn not_banned(_: &Instance, wish: &Wish<'_>) -> Result<(), StanzaError> {
    if wish.affiliation > Affiliation::Outcast {
        return Ok(());
    }
    Err(StanzaError::new(Condition::Forbidden).because("You are banned from this room."))
}

fn member_if_needed(instance: &Instance, wish: &Wish<'_>) -> Result<(), StanzaError> {
    if !instance.room().config.members_only || wish.affiliation >= Affiliation::Member {
        return Ok(());
    }
    Err(StanzaError::new(Condition::RegistrationRequired).because("Only members may enter this room."))
}

fn password_if_needed(instance: &Instance, wish: &Wish<'_>) -> Result<(), StanzaError> {
    let Some(needed) = &instance.room().config.password else { return Ok(()) };
    let given = wish.password.as_deref().unwrap_or("");
    if wish.creates || wish.returns || same_in_constant_time(needed, given) {
        return Ok(());
    }
    Err(StanzaError::new(Condition::NotAuthorized).because("A password is required to enter this room."))
}

/// Compares digests, so that the time taken tells nothing of the password.
fn same_in_constant_time(a: &str, b: &str) -> bool {
    use sha2::{Digest, Sha256};
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter().zip(b.iter()).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

fn nick_is_free(instance: &Instance, wish: &Wish<'_>) -> Result<(), StanzaError> {
    instance.nick_is_free_for(&wish.nick.key(), &wish.bare)
}

fn room_has_space(instance: &Instance, wish: &Wish<'_>) -> Result<(), StanzaError> {
    let policy = instance.policy.occupants_max;
    let max = instance.room().config.max_users.map_or(policy, |max| max.min(policy));
    let full = instance.room().occupants.len() >= max as usize;
    if !full || wish.seated || wish.affiliation >= Affiliation::Admin {
        return Ok(());
    }
    Err(StanzaError::of_kind(Condition::ServiceUnavailable, ErrorKind::Wait).because("The room is full."))
}

/// The limit is for clients here; RFC 6120 §7.6.2.1 answers too many of an account alike.
fn nick_has_space(instance: &Instance, wish: &Wish<'_>) -> Result<(), StanzaError> {
    let own =
        instance.room().occupants.by_key(&wish.nick.key()).find(|own| instance.room().occupants.is_here(own));
    let clients = own.map_or(0, |own| own.sessions.len());
    if wish.returns || clients < instance.policy.sessions_max {
        return Ok(());
    }
    Err(StanzaError::new(Condition::ResourceConstraint)
        .because("As many of your clients are in as may be under one nickname."))
}

impl Instance {
    /// Whether a user may have a nick: nobody else is shown under it nor has reserved it (XEP-0045 §7.2.8).
    pub(crate) fn nick_is_free_for(&self, key: &NickKey, bare: &Address) -> Result<(), StanzaError> {
        let room = self.room();
        let held = room.occupants.by_key(key).any(|occupant| occupant.jid.as_ref() != Some(bare));
        let mut holders = room.affiliations.holder_of(key).into_iter().chain(room.subscribers.holder_of(key));
        let reserved = holders.any(|holder| holder != bare);
        if held || reserved {
            return Err(StanzaError::new(Condition::Conflict).because("That nickname is taken."));
        }
        if !room.config.lookalike_nicks && self.is_imitation(key, bare) {
            return Err(
                StanzaError::new(Condition::Conflict).because("That looks like a nickname that is taken.")
            );
        }
        Ok(())
    }

    fn is_imitation(&self, key: &NickKey, bare: &Address) -> bool {
        let room = self.room();
        room.occupants.lookalikes(key).any(|occupant| occupant.jid.as_ref() != Some(bare))
            || room.affiliations.holders_of_lookalikes(key).any(|holder| holder != bare)
    }

    /// A nick out of the resource of an occupant JID.
    pub(crate) fn read_nick(&self, to: &Address) -> Result<Nick, StanzaError> {
        let text = to.resource().ok_or(Condition::JidMalformed).map_err(|condition| {
            StanzaError::of_kind(condition, ErrorKind::Modify).because("A nickname is required.")
        })?;
        let nick = Nick::parse(text)
            .map_err(|_| StanzaError::new(Condition::JidMalformed).because("That cannot be a nickname."))?;
        if nick.as_str().chars().count() > self.policy.nick_chars_max {
            return Err(StanzaError::new(Condition::PolicyViolation).because("That nickname is too long."));
        }
        Ok(nick)
    }

    /// A presence of somebody who is not in, with the wish to enter.
    pub(crate) fn handle_join(&mut self, stanza: &Stanza, creates: bool) {
        let join = stanza.child("x", ns::MUC).map(read_join).unwrap_or_default();
        match self.admit(stanza, join.password.clone(), creates) {
            Err(refusal) => self.refuse_entry(stanza, &refusal),
            Ok(nick) => match self.destination(stanza) {
                Destination::Here => self.enter(stanza, &nick, &join, creates),
                Destination::Elsewhere(instance) => self.send_elsewhere(stanza, &instance),
            },
        }
    }

    /// Refuses a join or a nick; the extension says that it was one (XEP-0045 §7.2, §7.6).
    pub(crate) fn refuse_entry(&mut self, stanza: &Stanza, refusal: &StanzaError) {
        let answer = stanza.error(refusal).map(|mut answer| {
            answer.children.insert(0, El::new("x", ns::MUC).payload());
            answer
        });
        self.turn.send_opt(answer);
    }

    fn admit(&self, stanza: &Stanza, password: Option<String>, creates: bool) -> Result<Nick, StanzaError> {
        let (from, to) = (sender(stanza)?, stanza.to.as_ref().ok_or(Condition::BadRequest)?);
        let nick = self.read_nick(to)?;
        let bare = from.to_bare();
        let nick = self.locked_nick(&bare).unwrap_or(nick);
        let affiliation = self.affiliation(&bare);
        let occupants = &self.room().occupants;
        let returns = occupants.of_session(from).is_some();
        let seated = occupants.by_key(&nick.key()).any(|occupant| occupant.jid.as_ref() == Some(&bare));
        let wish = Wish { client: from, bare, nick, password, affiliation, returns, seated, creates };
        if wish.client.is_bare() {
            return Err(Condition::BadRequest.into());
        }
        ADMISSION.iter().try_for_each(|check| check(self, &wish))?;
        Ok(wish.nick)
    }

    fn enter(&mut self, stanza: &Stanza, nick: &Nick, join: &Muc, creates: bool) {
        let Ok(client) = sender(stanza).cloned() else { return };
        let presence = self.said_by_user(stanza);
        let keeps_lists = self.tell_affiliations(stanza);
        let session = Session { jid: Some(client.clone()), presence, keeps_lists };
        let (occupant, news) = self.seat(&client, nick, session);
        self.place_for_first_user(&client);
        self.show_everyone_to(&client, occupant.role, &occupant.id());
        self.show_absent_to(&client, &occupant);
        if news {
            self.announce_to_others(&occupant, &Notice::default());
            self.push_presence(&occupant, &Notice::default());
        }
        let versions = keeps_lists.then(|| self.version_now());
        self.welcome(stanza, &occupant, creates, versions);
        self.send_history(&client, join);
        let subject = self.subject_message().with_to(&client);
        self.turn.send(subject);
        self.ask_newcomer(&client);
    }

    /// Puts a client into the room, with its user's other clients or as a new occupant; and whether that is news to
    /// the others. One client more is not: they go on seeing the one that spoke last.
    fn seat(&mut self, client: &Address, nick: &Nick, session: Session) -> (Occupant, bool) {
        let bare = client.to_bare();
        let here = self.here();
        let known = self.room().occupants.by_key(&nick.key()).find(|o| o.home == here).cloned();
        let (occupant, news) = match known {
            Some(mut occupant) => {
                let held = occupant.sessions.iter().position(|session| session.jid.as_ref() == Some(client));
                let held = held.map(|at| occupant.sessions.remove(at));
                let news = held.as_ref().is_some_and(|held| held.presence != session.presence);
                let at = if news || occupant.sessions.is_empty() { occupant.sessions.len() } else { 0 };
                occupant.sessions.insert(at, session);
                (occupant, news)
            }
            None => {
                let h = self.claim_stamp();
                let occupant = Occupant {
                    nick: nick.clone(),
                    claimed: nick.clone(),
                    home: here,
                    oid: self.occupant_id(&bare),
                    role: self.role_on_entry(&bare),
                    jid: Some(bare),
                    claim: h,
                    sessions: vec![session],
                };
                (occupant, true)
            }
        };
        self.room_mut().occupants.insert(occupant.clone());
        self.save_occupant(&occupant);
        (occupant, news)
    }

    /// The role that a user has on entering, by affiliation and configuration, or as a moderator granted it.
    pub(crate) fn role_on_entry(&self, bare: &Address) -> Role {
        self.role_for(bare, self.affiliation_here(bare))
    }

    /// The same for an occupant whose affiliation is taken to be this.
    pub(crate) fn role_for(&self, bare: &Address, affiliation: Affiliation) -> Role {
        let usual = affiliation.default_role(&self.room().config);
        match self.room().affiliations.granted_role(bare) {
            Some(granted) if affiliation < Affiliation::Admin && granted > Role::None => granted,
            _ => usual,
        }
    }

    /// The presence that tells a client that it is in, under the id of its wish.
    fn welcome(&mut self, stanza: &Stanza, occupant: &Occupant, creates: bool, versions: Option<Payload>) {
        let room = self.room();
        let respelt = stanza.to.as_ref().and_then(Address::resource) != Some(occupant.nick.as_str());
        let codes = [
            (self.is_open_about_jids(), 100),
            (true, 110),
            (room.config.logging, 170),
            (creates, 201),
            (respelt, 210),
        ];
        let due: Vec<u16> = codes.iter().filter(|(due, _)| *due).map(|(_, code)| *code).collect();
        let mut presence = self.render(occupant, &Notice { versions, ..Notice::codes(&due) }, true);
        presence.to.clone_from(&stanza.from);
        presence.id.clone_from(&stanza.id);
        self.turn.send(presence);
    }

    fn send_history(&mut self, client: &Address, join: &Muc) {
        let mut limits =
            history::limits(join.history.as_ref(), self.room().config.history_length, self.turn.now);
        limits.since = limits.since.max(self.archive_horizon());
        let messages = self.room().history.select(limits, &self.jid);
        self.turn.burst(messages, client);
    }

    /// A stamp for a nick claimed now.
    pub(crate) fn claim_stamp(&mut self) -> crate::clock::Hlc {
        let now = self.turn.now;
        let (h, reserve) = self.room_mut().log.stamp(now);
        if let Some(limit) = reserve {
            self.turn.put(crate::record::part::CLOCK, &limit);
        }
        h
    }

    /// How long ago something was, by this turn's time.
    pub(crate) fn age(&self, then: Millis) -> u64 {
        self.turn.now.since(then)
    }
}

/// What a wish to enter says. An attribute of its `<history/>` that cannot be read limits nothing, and keeps nobody out.
fn read_join(x: &Payload) -> Muc {
    x.typed().or_else(|| x.element().ok().map(|x| read_loosely(&x))).unwrap_or_default()
}

fn read_loosely(x: &Element) -> Muc {
    let history = x.get_child("history", ns::MUC).map(|history| {
        let number = |name: &str| history.attr(name).and_then(|text| text.parse().ok());
        History {
            maxchars: number("maxchars"),
            maxstanzas: number("maxstanzas"),
            seconds: number("seconds"),
            since: history.attr("since").and_then(|text| text.parse().ok()),
        }
    });
    Muc { password: x.get_child("password", ns::MUC).map(Element::text), history }
}

fn sender(stanza: &Stanza) -> Result<&Address, StanzaError> {
    stanza.from.as_ref().ok_or_else(|| Condition::BadRequest.into())
}
