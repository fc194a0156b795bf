//! What users do, drawn from a seed; and what happens to links and instances meanwhile.

use dmuc_core::Address;
use dmuc_core::event::Event;
use dmuc_core::nick::Nick;
use dmuc_core::stanza::Kind;

use crate::common::{CHAT, ROOMS, jid, stanza};
use crate::trial::Trial;

pub const CLIENTS: [&str; 10] = [
    "ann@shakespeare.lit/x",
    "ann@shakespeare.lit/y",
    "bob@shakespeare.lit/x",
    "bob@shakespeare.lit/y",
    "cat@shakespeare.lit/x",
    "dan@macbeth.lit/x",
    "eve@macbeth.lit/x",
    "eve@macbeth.lit/y",
    "fay@macbeth.lit/x",
    "gil@elsewhere.lit/x",
];
pub const USERS: [&str; 7] = [
    "ann@shakespeare.lit",
    "bob@shakespeare.lit",
    "cat@shakespeare.lit",
    "dan@macbeth.lit",
    "eve@macbeth.lit",
    "fay@macbeth.lit",
    "gil@elsewhere.lit",
];
const NICKS: [&str; 8] = ["witch", "Witch", "w\u{456}tch", "hag", "h\u{a0}g", "h g", "kit", "tom"];
const AFFILIATIONS: [&str; 5] = ["outcast", "none", "member", "admin", "owner"];
pub const ROLES: [&str; 4] = ["none", "visitor", "participant", "moderator"];
const LINKS: [(&str, &str); 2] = [(CHAT, ROOMS), (ROOMS, CHAT)];
const ERROR: &str =
    "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
const MUC: &str = "http://jabber.org/protocol/muc";

/// One step of a sequence.
#[derive(Debug)]
pub enum Act {
    Stanza(String),
    /// A user's server says that a session is gone.
    Closed(&'static str),
    /// A link becomes slow; or lets one stanza through.
    Hold(&'static str, &'static str),
    ReleaseOne(&'static str, &'static str),
    /// An instance is dropped from memory, and restored.
    Restart(Address),
    /// Everything arrives.
    Rest,
}

impl Act {
    /// Who asks to come in, and where.
    pub fn entering(&self) -> Option<(Address, Address)> {
        let Self::Stanza(xml) = self else { return None };
        let stanza = stanza(xml);
        let enters = stanza.kind == Kind::Presence && stanza.child("x", MUC).is_some();
        enters.then(|| (stanza.from.clone().unwrap(), stanza.to.as_ref().unwrap().to_bare()))
    }
}

/// Who does something, and where.
struct Place {
    from: &'static str,
    room: String,
}

impl Place {
    fn to_room(&self, head: &str, inner: &str) -> Act {
        Act::Stanza(format!("<{head} from='{}' to='{}'>{inner}</{}>", self.from, self.room, name(head)))
    }

    fn to_nick(&self, head: &str, nick: &str, inner: &str) -> Act {
        let Self { from, room } = self;
        Act::Stanza(format!("<{head} from='{from}' to='{room}/{nick}'>{inner}</{}>", name(head)))
    }
}

fn name(head: &str) -> &str {
    head.split(' ').next().unwrap()
}

impl Trial {
    pub fn draw(&mut self) -> Act {
        let place = self.draw_place();
        let nick = self.draw_nick(&place);
        match self.below(72) {
            0..=14 => self.draw_join(&place, nick),
            15 | 16 => place.to_nick("presence type='unavailable'", nick, "<status>bye</status>"),
            17..=19 => place.to_nick("presence", nick, "<show>away</show>"),
            20..=25 => place.to_room("message type='groupchat' id='m'", "<body>hello</body>"),
            26 => place.to_room("message type='groupchat'", "<subject>fire</subject>"),
            27 => place.to_nick("message type='chat'", nick, "<body>psst</body>"),
            28..=37 => self.draw_order(&place, nick),
            38..=42 => self.draw_configuration(&place),
            43 => self.draw_end(&place),
            44 | 45 => self.draw_invitation(&place),
            46..=49 => self.draw_request(&place, nick),
            50 | 51 => self.draw_oddity(&place, nick),
            52 | 53 => self.draw_voice(&place),
            54 | 55 => Act::Closed(self.any(&CLIENTS)),
            56..=58 => self.draw_retraction(&place),
            59 | 60 => self.request(&place, "set", "<query xmlns='urn:xmpp:mam:2' queryid='a'/>"),
            61 => self.draw_face(&place),
            _ => self.draw_event(),
        }
    }

    /// Half of what is done is done by moderators; most of it in the room that is near.
    fn draw_place(&mut self) -> Place {
        let from = if self.below(2) == 0 { self.draw_moderator() } else { self.any(&CLIENTS) };
        let near = if from.contains("@macbeth.lit") { ROOMS } else { CHAT };
        let domain = if self.below(8) == 0 { self.any(&[CHAT, ROOMS]) } else { near };
        let rooms: Vec<String> = self
            .truths
            .keys()
            .filter(|room| room.domain() == domain)
            .map(|room| room.as_str().to_owned())
            .collect();
        let room =
            if rooms.is_empty() { format!("coven@{domain}") } else { rooms[self.below(rooms.len())].clone() };
        Place { from, room }
    }

    /// One user may be in at two instances, but not under one nick here.
    fn draw_nick(&mut self, place: &Place) -> &'static str {
        let nick = self.any(&NICKS);
        let key = Nick::parse(nick).unwrap().key();
        let user = place.from.split('/').next().unwrap();
        let elsewhere = self.truths.iter().filter(|(room, _)| room.as_str() != place.room);
        let mut own = elsewhere.flat_map(|(_, truth)| truth.local()).filter(|occupant| occupant.bare == user);
        if own.any(|occupant| Nick::parse(&occupant.nick).unwrap().key() == key) { "solo" } else { nick }
    }

    fn draw_moderator(&mut self) -> &'static str {
        let moderators: Vec<&Address> = self.truths.values().flat_map(|truth| truth.moderators()).collect();
        let theirs: Vec<&'static str> =
            CLIENTS.iter().copied().filter(|client| moderators.contains(&&jid(client))).collect();
        if theirs.is_empty() { self.any(&CLIENTS) } else { self.any(&theirs) }
    }

    fn draw_join(&mut self, place: &Place, nick: &str) -> Act {
        let password = self.any(&["", "", "", "<password>s</password>", "<password>no</password>"]);
        place.to_nick("presence id='j'", nick, &format!("<x xmlns='{MUC}'>{password}</x>"))
    }

    fn request(&self, place: &Place, ty: &str, inner: &str) -> Act {
        place.to_room(&format!("iq type='{ty}' id='q{}'", self.steps), inner)
    }

    fn draw_order(&mut self, place: &Place, nick: &str) -> Act {
        let items = match self.below(10) {
            0..=2 => format!("<item nick='{nick}' role='{}'/>", self.any(&ROLES)),
            3 => {
                let list = self.any(&["affiliation='owner'", "affiliation='member'", "role='participant'"]);
                let query = format!("<query xmlns='{MUC}#admin'><item {list}/></query>");
                return self.request(place, "get", &query);
            }
            _ => (0..=self.below(3)).map(|_| self.draw_item()).collect(),
        };
        self.request(place, "set", &format!("<query xmlns='{MUC}#admin'>{items}</query>"))
    }

    fn draw_item(&mut self) -> String {
        let affiliation = self.any(&AFFILIATIONS);
        let whom = match self.below(9) {
            0 => "shakespeare.lit",
            1 => "macbeth.lit",
            _ => self.any(&USERS),
        };
        match self.below(4) {
            0 => format!("<item nick='{}' affiliation='{affiliation}'/>", self.any(&NICKS)),
            1 => format!("<item nick='{}' jid='{whom}' affiliation='{affiliation}'/>", self.any(&NICKS)),
            _ => format!("<item jid='{whom}' affiliation='{affiliation}'/>"),
        }
    }

    fn draw_configuration(&mut self, place: &Place) -> Act {
        let flag = self.any(&[
            "membersonly",
            "moderatedroom",
            "persistentroom",
            "changesubject",
            "allowinvites",
            "enablelogging",
            "publicroom",
        ]);
        let some = |of: &[&'static str], mut pick: Box<dyn FnMut() -> bool + '_>| {
            of.iter().copied().filter(|_| pick()).collect::<Vec<_>>()
        };
        let (var, values) = match self.below(14) {
            0..=4 => (flag, vec![self.any(&["0", "1"])]),
            5 => ("whois", vec![self.any(&["anyone", "moderators"])]),
            6 => ("presencebroadcast", some(&ROLES[1..], Box::new(|| self.below(3) > 0))),
            7 => ("roomowners", some(&USERS, Box::new(|| self.below(3) == 0))),
            8 => ("roomadmins", some(&USERS, Box::new(|| self.below(3) == 0))),
            9 => ("maxusers", vec![self.any(&["1", "2", "5", "none"])]),
            10 => ("roomsecret", vec!["s"]),
            11 => ("distributed", vec![self.any(&["0", "1", "1"])]),
            12 => ("allowpm", vec![self.any(&["anyone", "participants", "moderators", "none"])]),
            _ => ("passwordprotectedroom", vec![self.any(&["0", "1"])]),
        };
        let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
        let secret = "<field var='muc#roomconfig_roomsecret'><value>s</value></field>";
        let secret = if var == "passwordprotectedroom" { secret } else { "" };
        let form = format!(
            "<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>\
             <field var='muc#roomconfig_{var}'>{values}</field>{secret}</x></query>"
        );
        self.request(place, "set", &form)
    }

    /// Mostly only asks for the form.
    fn draw_end(&mut self, place: &Place) -> Act {
        let (ty, inner) = self.any(&[("get", ""), ("set", "<destroy/>")]);
        self.request(place, ty, &format!("<query xmlns='{MUC}#owner'>{inner}</query>"))
    }

    fn draw_invitation(&mut self, place: &Place) -> Act {
        let verb = self.any(&["invite", "invite", "decline"]);
        let inner = format!("<x xmlns='{MUC}#user'><{verb} to='{}'/></x>", self.any(&USERS));
        place.to_room("message", &inner)
    }

    fn draw_request(&mut self, place: &Place, nick: &str) -> Act {
        let to_nick =
            |trial: &Self, inner| place.to_nick(&format!("iq type='get' id='q{}'", trial.steps), nick, inner);
        match self.below(8) {
            0 => to_nick(self, "<ping xmlns='urn:xmpp:ping'/>"),
            1 => to_nick(self, "<query xmlns='jabber:iq:version'/>"),
            2 => to_nick(self, "<vCard xmlns='vcard-temp'/>"),
            3 => self.request(place, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
            4 => self.request(place, "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
            5 => self.request(place, "get", "<query xmlns='jabber:iq:register'/>"),
            6 => self.request(place, "set", "<query xmlns='jabber:iq:register'><remove/></query>"),
            _ => self.draw_registration(place, nick),
        }
    }

    fn draw_registration(&mut self, place: &Place, nick: &str) -> Act {
        let form = format!(
            "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>{MUC}#register</value></field>\
             <field var='muc#register_roomnick'><value>{nick}</value></field></x></query>"
        );
        self.request(place, "set", &form)
    }

    /// Somebody takes back what was said, its own or as a moderator (XEP-0424, XEP-0425).
    fn draw_retraction(&mut self, place: &Place) -> Act {
        let said: Vec<&Event> = match self.truths.contains_key(&jid(&place.room)) {
            true => self.world.log(&place.room).iter().map(|entry| &entry.event).collect(),
            false => Vec::new(),
        };
        // A subject that is taken back stays the subject where it was set.
        let said: Vec<String> = said
            .iter()
            .filter(|event| !event.content[0].is("subject", "jabber:client"))
            .map(|e| e.id.to_string())
            .collect();
        let id = if said.is_empty() { "nothing" } else { &said[self.below(said.len())] };
        let retract = "<retract xmlns='urn:xmpp:message-retract:1'";
        if self.below(2) == 0 {
            return place.to_room("message type='groupchat' id='r'", &format!("{retract} id='{id}'/>"));
        }
        let moderate =
            format!("<moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'>{retract}/></moderate>");
        self.request(place, "set", &moderate)
    }

    /// The room's vCard (XEP-0486), or the commands that it offers (XEP-0050).
    fn draw_face(&mut self, place: &Place) -> Act {
        let photo = "<PHOTO><TYPE>image/png</TYPE><BINVAL>YQ==</BINVAL></PHOTO>";
        match self.below(3) {
            0 => self.request(place, "set", &format!("<vCard xmlns='vcard-temp'>{photo}</vCard>")),
            1 => self.request(place, "get", "<vCard xmlns='vcard-temp'/>"),
            _ => {
                let commands = "http://jabber.org/protocol/commands";
                let items =
                    format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{commands}'/>");
                self.request(place, "get", &items)
            }
        }
    }

    /// A visitor asks for voice, or a moderator gives it (XEP-0045 §7.13, §8.6).
    fn draw_voice(&mut self, place: &Place) -> Act {
        let nick = self.any(&NICKS);
        let grants = format!(
            "<field var='muc#roomnick'><value>{nick}</value></field>\
             <field var='muc#request_allow'><value>true</value></field>"
        );
        let inner = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#request</value></field>\
             <field var='muc#role'><value>participant</value></field>{}</x>",
            if self.below(2) == 0 { &grants } else { "" }
        );
        place.to_room("message", &inner)
    }

    /// What must not be answered, or makes no sense.
    fn draw_oddity(&mut self, place: &Place, nick: &str) -> Act {
        match self.below(6) {
            0 => place.to_nick("message type='error' id='answer'", nick, ERROR),
            1 => place.to_nick("presence type='error' id='answer'", nick, ERROR),
            2 => place.to_nick("iq type='error' id='answer'", nick, ERROR),
            3 => place.to_room("iq type='result' id='answer'", ""),
            4 => place.to_nick("presence type='probe'", nick, ""),
            _ => self.request(place, "foo", "<x xmlns='y'/>"),
        }
    }

    fn draw_event(&mut self) -> Act {
        let (from, to) = self.any(&LINKS);
        let held = self.world.held.contains_key(&(from.to_owned(), to.to_owned()));
        match self.below(8) {
            0 => Act::Rest,
            1 | 2 => self.draw_restart(),
            _ if held => Act::ReleaseOne(from, to),
            _ => Act::Hold(from, to),
        }
    }

    /// Mostly of an instance that waits for nothing.
    fn draw_restart(&mut self) -> Act {
        let crash = self.below(4) == 0;
        let rooms: Vec<Address> = self.truths.keys().cloned().collect();
        let may = |room: &&Address| crash || self.world.instance(room.as_str()).may_hibernate();
        let rooms: Vec<Address> = rooms.iter().filter(may).cloned().collect();
        if rooms.is_empty() { Act::Rest } else { Act::Restart(rooms[self.below(rooms.len())].clone()) }
    }
}
