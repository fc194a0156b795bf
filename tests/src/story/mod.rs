//! The story of the specification, told by real clients: a room of three sites.
//!
//! Each act is a function on the [`Coven`]; a test plays them in order on the servers it likes.

mod authority;
mod opening;
mod talk;

use std::time::{Duration, Instant};

use crate::{CHAT, CONFERENCE, Client, Element, ROOMS, World};

/// The room as each site knows it, by the number of the site.
pub const COVEN: [&str; 3] =
    ["coven@chat.shakespeare.lit", "coven@rooms.macbeth.lit", "coven@conference.marlowe.lit"];

/// The two other sites of each.
pub const PEERS: [[usize; 2]; 3] = [[ROOMS, CONFERENCE], [CHAT, CONFERENCE], [CHAT, ROOMS]];

/// The namespace of XEP-0045's requests by owners.
pub const OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// The namespace of XEP-0045's requests by admins.
pub const ADMIN: &str = "http://jabber.org/protocol/muc#admin";

/// How long the services may take to agree on something.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client in the room.
#[derive(Debug, Clone)]
pub struct Witch {
    /// The client.
    pub client: Client,
    /// The site whose instance of the room it is in.
    pub site: usize,
    /// Its nick.
    pub nick: String,
}

impl Witch {
    /// Says something in the room.
    pub fn says(&self, text: &str) {
        self.client.say(self.room(), text);
    }

    /// The address of the room at its site.
    pub fn room(&self) -> &'static str {
        COVEN[self.site]
    }

    /// The address by which this witch knows the occupant with that nick.
    pub fn knows(&self, nick: &str) -> String {
        format!("{}/{nick}", self.room())
    }

    /// Waits for presence from the occupant with that nick which `wanted` accepts.
    pub fn sees(&self, mark: usize, nick: &str, what: &str, wanted: impl Fn(&Element) -> bool) -> Element {
        let from = self.knows(nick);
        self.client.expect(mark, &format!("{nick} {what}"), |stanza| {
            stanza.name == "presence" && stanza.from() == from && wanted(stanza)
        })
    }
}

/// The room on its three sites, and who is in it.
#[derive(Debug)]
pub struct Coven {
    /// The three sites.
    pub world: World,
    /// Everybody in the room, in the order of joining.
    pub witches: Vec<Witch>,
}

impl Coven {
    /// The witch with this nick.
    ///
    /// # Panics
    /// When nobody has it.
    pub fn witch(&self, nick: &str) -> &Witch {
        self.witches
            .iter()
            .find(|witch| witch.nick == nick)
            .unwrap_or_else(|| panic!("{nick} is not in the room"))
    }

    /// A point in what the clients have received. It is the same for all of them.
    pub fn mark(&self) -> usize {
        self.witches[0].client.mark()
    }

    /// Lets a user join at a site, and waits until everybody who was there sees it.
    pub fn join(&mut self, jid: &str, site: usize, nick: &str) -> usize {
        let mark = self.mark();
        let client = self.world.login(jid);
        client.join(COVEN[site], nick);
        for witch in &self.witches {
            witch.sees(mark, nick, "joining", |presence| presence.kind().is_empty());
        }
        self.witches.push(Witch { client, site, nick: nick.to_owned() });
        mark
    }

    /// Waits until each occupant has this message, and returns its id, which is the same for all.
    pub fn all_hear(&self, mark: usize, text: &str) -> String {
        let mut ids: Vec<String> = Vec::new();
        for witch in &self.witches {
            let message = witch.client.hears(mark, text);
            let id = message.stanza_id(witch.room());
            let id = id.unwrap_or_else(|| panic!("{} got no stanza-id from its room: {message}", witch.nick));
            ids.push(id.to_owned());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "{text:?} has different ids at different instances");
        ids.remove(0)
    }

    /// Asserts that no client has this message more than once.
    pub fn nobody_heard_twice(&self, text: &str) {
        for witch in &self.witches {
            let copies = witch.client.copies_of(text);
            assert_eq!(copies.len(), 1, "{} got {text:?} so often: {copies:#?}", witch.nick);
        }
    }

    /// How many stanzas the room's instance at `from` has sent to the instance at `to` since a lull.
    pub fn sent_by_room(&self, marks: &[Vec<usize>], from: usize, to: usize, name: &str) -> usize {
        let crossed = self.world.crossed(marks, from, to, name);
        let of_room = |address: &str, site: usize| address.split('/').next() == Some(COVEN[site]);
        let ours: Vec<_> =
            crossed.iter().filter(|stanza| of_room(&stanza.from, from) && of_room(&stanza.to, to)).collect();
        // Whatever else crosses between the services would be traffic that grows with the number of users.
        let strays: Vec<_> = crossed.iter().filter(|stanza| !ours.contains(stanza)).collect();
        assert!(strays.is_empty(), "{name}s that no instance sent to another: {strays:#?}");
        ours.len()
    }

    /// Asserts that the instance at `site` has sent exactly so many of these to each other one, and nobody else any.
    pub fn each_peer_got(&self, marks: &[Vec<usize>], site: usize, name: &str, count: usize, why: &str) {
        self.world.lull();
        for from in [CHAT, ROOMS, CONFERENCE] {
            for to in PEERS[from] {
                let expected = if from == site { count } else { 0 };
                let sent = self.sent_by_room(marks, from, to, name);
                let crossed = self.world.crossed(marks, from, to, name);
                assert_eq!(sent, expected, "{name}s from site {from} to {to} for {why}: {crossed:#?}");
            }
        }
    }
}

/// Asks again and again until `found` accepts the answer.
///
/// # Panics
/// When it never does.
pub fn ask_until(
    client: &Client,
    to: &str,
    payload: &str,
    what: &str,
    found: impl Fn(&Element) -> bool,
) -> Element {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.iq(to, "get", payload);
        if found(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{to} never showed {what}; at last {answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A service discovery request (XEP-0030), `info` or `items`.
pub fn disco(kind: &str) -> String {
    format!("<query xmlns='http://jabber.org/protocol/disco#{kind}'/>")
}

/// Whether a disco#info answer lists this feature.
pub fn has_feature(answer: &Element, feature: &str) -> bool {
    answer.all("feature").iter().any(|listed| listed.attr("var") == feature)
}

/// A submitted room configuration with these fields.
pub fn configuration(fields: &[(&str, &str)]) -> String {
    let mut form = String::from(
        "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>",
    );
    for (var, value) in fields {
        form.push_str(&format!("<field var='{var}'><value>{value}</value></field>"));
    }
    format!("<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='submit'>{form}</x></query>")
}

/// A change of an affiliation or role, the attributes given as they are written.
pub fn admin_item(attributes: &str) -> String {
    format!("<query xmlns='{ADMIN}'><item {attributes}/></query>")
}
