//! Where a feature is tried by real clients: a room with a source and a shadow, and users of both.

use std::time::{Duration, Instant};

use crate::client::{Client, Made};
use crate::{CHAT, ROOMS, World};

/// Which instance serves those who try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The one where the room was made.
    Source,
    /// The other one.
    Shadow,
}

/// How long instances may take to agree.
const PATIENCE: Duration = Duration::from_secs(20);

const SERVICES: [&str; 2] = ["chat.shakespeare.lit", "rooms.macbeth.lit"];
const FOUNDER: &str = "crone1@shakespeare.lit";
const OTHER_OWNER: &str = "hag66@macbeth.lit";

/// Users who are logged in, whatever they try. All clients are made with one library.
#[derive(Debug)]
pub struct Cast {
    made: Made,
    founder: Client,
    /// By site: an owner, somebody without affiliation, a bystander, and who administers the service.
    users: [[Client; 4]; 2],
}

impl Cast {
    /// Logs them in, and waits for both services.
    pub fn of(world: &World, made: Made) -> Self {
        let operator = |site: usize| world.site(site).operator();
        let login = |jid: &str| world.login_made(made, &format!("{jid}/{made:?}"));
        let users = [
            [FOUNDER, "wiccarocks@shakespeare.lit", "duncan@shakespeare.lit", &operator(CHAT)].map(login),
            [OTHER_OWNER, "somewitch@macbeth.lit", "lady@macbeth.lit", &operator(ROOMS)].map(login),
        ];
        world.wait_for_service(CHAT, &users[CHAT][0]);
        world.wait_for_service(ROOMS, &users[ROOMS][0]);
        Self { made, founder: users[CHAT][0].clone(), users }
    }

    /// A new room with nobody in, as seen from a place.
    ///
    /// # Panics
    /// When the room or its shadow does not come to be.
    pub fn scene(&self, place: Place, name: &str, options: &[(&str, &str)]) -> Scene {
        let name = format!("{name}-{place:?}-{:?}", self.made).to_lowercase();
        let rooms = SERVICES.map(|service| format!("{name}@{service}"));
        self.found(&rooms, options);
        let (here, there) = if place == Place::Source { (CHAT, ROOMS) } else { (ROOMS, CHAT) };
        let [owner, guest, bystander, operator] = self.users[here].clone();
        let [far_owner, far, ..] = self.users[there].clone();
        let [room, far_room] = [here, there].map(|site| rooms[site].clone());
        Scene { place, room, far_room, owner, guest, bystander, operator, far, far_owner }
    }

    fn found(&self, [source, shadow]: &[String; 2], options: &[(&str, &str)]) {
        self.founder.join(source, "founder");
        let distributed = [("muc#roomconfig_distributed", "1"), ("muc#roomconfig_persistentroom", "1")];
        let values: Vec<_> = distributed.iter().chain(options).copied().collect();
        self.founder.changes_configuration(source, &values).expect("the founder configures");
        self.founder.changes_affiliation(source, OTHER_OWNER, "owner").expect("the founder appoints");
        self.founder.leaves(source, "founder");
        self.founder.expect(0, "its own farewell", |stanza| {
            stanza.kind() == "unavailable" && stanza.from() == format!("{source}/founder")
        });
        let other = &self.users[ROOMS][0];
        until("the shadow knows its owners", || {
            other.lists(shadow, "owner").is_ok_and(|owners| owners.iter().any(|owner| owner == OTHER_OWNER))
        });
    }
}

/// A room, and who tries something there.
#[derive(Debug)]
pub struct Scene {
    /// Where this is.
    pub place: Place,
    /// The room's address here, and at the other instance.
    pub room: String,
    /// See `room`.
    pub far_room: String,
    /// An owner, here.
    pub owner: Client,
    /// Somebody without affiliation, here.
    pub guest: Client,
    /// Somebody who does not enter.
    pub bystander: Client,
    /// Who administers the service, here.
    pub operator: Client,
    /// Somebody without affiliation at the other instance.
    pub far: Client,
    /// An owner at the other instance.
    pub far_owner: Client,
}

impl Scene {
    /// Lets owner, guest and somebody at the other instance in, under these nicks; each has seen the others.
    pub fn gather(&self) -> &Self {
        let mark = self.owner.mark();
        self.owner.join(&self.room, "owner");
        self.guest.join(&self.room, "guest");
        self.far.join(&self.far_room, "far");
        for (client, room) in self.occupants() {
            for nick in ["owner", "guest", "far"] {
                let from = format!("{room}/{nick}");
                client.expect(mark, &format!("{nick} in {room}"), |stanza| {
                    stanza.name == "presence" && stanza.from() == from && stanza.kind().is_empty()
                });
            }
        }
        self
    }

    /// Those whom [`gather`](Self::gather) lets in, and the room's address for each.
    pub fn occupants(&self) -> [(&Client, &str); 3] {
        [(&self.owner, &self.room), (&self.guest, &self.room), (&self.far, &self.far_room)]
    }

    /// The address of the service, here.
    pub fn service(&self) -> &str {
        service_of(&self.room)
    }

    /// The address of an occupant, here.
    pub fn nick(&self, nick: &str) -> String {
        format!("{}/{nick}", self.room)
    }
}

/// The service that a room is at.
pub fn service_of(room: &str) -> &str {
    room.split_once('@').map_or(room, |(_, service)| service)
}

/// Tries again and again.
///
/// # Panics
/// When it never becomes true.
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
