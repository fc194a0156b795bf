//! Where a feature is played: a room with two instances, its users at the one under test, and one user at the other.
#![allow(dead_code, unreachable_pub, reason = "each topic uses what it needs")]

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

use crate::common::*;

pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";

/// Which instance serves the users of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Source,
    Shadow,
}

/// A distributed room, owned by [`OWNER`](Stage::owner) in absence, with nobody in.
pub struct Stage {
    pub place: Place,
    pub world: World,
    /// The room's address at the instance under test.
    pub room: &'static str,
    /// Its address at the other instance.
    pub far_room: &'static str,
    /// Full JIDs of users of the instance under test.
    pub owner: &'static str,
    pub admin: &'static str,
    pub member: &'static str,
    pub stranger: &'static str,
    pub banned: &'static str,
    /// Users of the other instance: one without affiliation, one who is an owner too.
    pub far: &'static str,
    pub far_owner: &'static str,
}

const SOURCE: &str = "coven@chat.shakespeare.lit";
const SHADOW: &str = "coven@rooms.macbeth.lit";

/// Plays a story at a source and at a shadow.
pub fn everywhere(options: &[(&str, &str)], story: impl Fn(&mut Stage)) {
    for place in [Place::Source, Place::Shadow] {
        println!("at the {place:?}:");
        story(&mut Stage::set(place, options));
    }
}

impl Stage {
    pub fn set(place: Place, options: &[(&str, &str)]) -> Self {
        let mut world = World::with(&[CHAT, ROOMS]);
        // Who a user of the source's own domain is must not depend on where the story plays.
        world.creates("crone1@shakespeare.lit/desktop", &format!("{SOURCE}/maker"), &[]);
        let all: Vec<_> = [
            ("muc#roomconfig_distributed", "1"),
            ("muc#roomconfig_persistentroom", "1"),
            ("muc#roomconfig_publicroom", "1"),
        ]
        .into_iter()
        .chain(options.iter().copied())
        .collect();
        world.configures("crone1@shakespeare.lit/desktop", SOURCE, &all);
        for (name, affiliation) in [("admin", "admin"), ("member", "member"), ("banned", "outcast")] {
            for domain in ["shakespeare.lit", "macbeth.lit"] {
                let item = format!("jid='{name}@{domain}' affiliation='{affiliation}'");
                world.orders("crone1@shakespeare.lit/desktop", SOURCE, &item);
            }
        }
        world.orders(
            "crone1@shakespeare.lit/desktop",
            SOURCE,
            "jid='crone2@macbeth.lit' affiliation='owner'",
        );
        world.leaves("crone1@shakespeare.lit/desktop", &format!("{SOURCE}/maker"));
        world.forget();
        let [owner, admin, member, stranger, banned, far, far_owner] = match place {
            Place::Source => [
                "crone1@shakespeare.lit/desktop",
                "admin@shakespeare.lit/desk",
                "member@shakespeare.lit/pda",
                "stranger@shakespeare.lit/phone",
                "banned@shakespeare.lit/phone",
                "far@macbeth.lit/mobile",
                "crone2@macbeth.lit/desktop",
            ],
            Place::Shadow => [
                "crone2@macbeth.lit/desktop",
                "admin@macbeth.lit/desk",
                "member@macbeth.lit/pda",
                "stranger@macbeth.lit/phone",
                "banned@macbeth.lit/phone",
                "far@shakespeare.lit/mobile",
                "crone1@shakespeare.lit/desktop",
            ],
        };
        let (room, far_room) = if place == Place::Source { (SOURCE, SHADOW) } else { (SHADOW, SOURCE) };
        Self { place, world, room, far_room, owner, admin, member, stranger, banned, far, far_owner }
    }

    /// The address of an occupant as users of the instance under test see it.
    pub fn nick(&self, nick: &str) -> String {
        format!("{}/{nick}", self.room)
    }

    /// Lets a user in, at its own instance; the nick is the localpart of its JID.
    pub fn enters(&mut self, user: &str) -> &mut Self {
        let to = format!("{}/{}", self.at(user), local(user));
        self.world.joins(user, &to);
        self
    }

    /// Lets them all in; what they heard on the way is forgotten.
    pub fn gather(&mut self, users: &[&str]) -> &mut Self {
        for user in users {
            self.enters(user);
        }
        self.world.forget();
        self
    }

    /// The address under which a user reaches the room.
    pub fn at(&self, user: &str) -> &'static str {
        if user == self.far || user == self.far_owner { self.far_room } else { self.room }
    }

    /// Takes what a user got since last asked.
    pub fn got(&mut self, user: &str) -> Vec<Stanza> {
        self.world.got(user)
    }

    /// A request to the room (or, with `to`, an occupant); gives its one answer.
    pub fn asks(&mut self, ty: &str, user: &str, payload: &str) -> Stanza {
        let to = self.at(user);
        self.asks_of(ty, user, to, payload)
    }

    pub fn asks_of(&mut self, ty: &str, user: &str, to: &str, payload: &str) -> Stanza {
        self.world.send(&format!("<iq type='{ty}' id='q1' from='{user}' to='{to}'>{payload}</iq>"));
        let is_answer = |s: &Stanza| s.kind == Kind::Iq && s.id.as_deref() == Some("q1") && !s.is_request();
        let (mut answers, others): (Vec<_>, Vec<_>) = self.world.got(user).into_iter().partition(is_answer);
        self.world.inbox.insert(jid(user), others);
        assert_eq!(answers.len(), 1, "one answer: {answers:?}");
        answers.remove(0)
    }

    /// A message of a user to the room. What is said to everyone has an id of its own.
    pub fn says(&mut self, user: &str, ty: &str, inner: &str) -> &mut Self {
        let to = self.at(user);
        let id = if ty == "groupchat" { format!("m{}", self.world.now.0) } else { "m1".to_owned() };
        self.world.send(&format!("<message type='{ty}' id='{id}' from='{user}' to='{to}'>{inner}</message>"));
        self
    }
}

/// The localpart of a JID.
pub fn local(user: &str) -> &str {
    user.split('@').next().unwrap()
}

/// A JID without its resource.
pub fn bare(user: &str) -> &str {
    user.split('/').next().unwrap()
}
