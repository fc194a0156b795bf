//! Whatever occupants and owners do, in whatever order: what must hold holds after every step.
//!
//! Each sequence is drawn from one seed. `ROOM_SEQUENCES` sets how many are tried, `ROOM_SEED` tries one alone.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use common::{codes, jid, stanza};
use dmuc_core::nick::Nick;
use dmuc_core::policy::ServicePolicy;
use dmuc_core::stanza::{Kind, Outbound, Template};
use dmuc_core::storage::{Change, Found, LogEntry, Revision, RoomUid};
use dmuc_core::{Action, Address, Input, Instance, Millis, Stanza};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

const ROOM: &str = "coven@chat.shakespeare.lit";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
const CLIENTS: [&str; 9] = [
    "ann@a.lit/x",
    "ann@a.lit/y",
    "bob@a.lit/x",
    "bob@a.lit/y",
    "cat@b.lit/x",
    "dan@b.lit/x",
    "eve@c.lit/x",
    "eve@c.lit/y",
    "fay@c.lit/x",
];
const JIDS: [&str; 8] =
    ["ann@a.lit", "bob@a.lit", "cat@b.lit", "dan@b.lit", "eve@c.lit", "fay@c.lit", "b.lit", "c.lit"];
const NICKS: [&str; 8] = ["witch", "Witch", "w\u{456}tch", "hag", "h\u{a0}g", "h g", "kit", "tom"];
const AFFILIATIONS: [&str; 5] = ["outcast", "none", "member", "admin", "owner"];
const ROLES: [&str; 4] = ["none", "visitor", "participant", "moderator"];

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    affiliation: String,
    role: String,
}

/// What one client was told, and so believes.
type View = BTreeMap<String, Seen>;

/// A stanza on its way to one client.
struct Delivery {
    to: Address,
    stanza: Arc<Stanza>,
    xml: Arc<str>,
}

/// An occupant as the store has it.
#[derive(Debug)]
struct Inside {
    nick: String,
    bare: String,
    seen: Seen,
    clients: Vec<Address>,
}

/// The room as the store has it.
#[derive(Debug, Default)]
struct Truth {
    listed: BTreeMap<String, String>,
    config: Value,
    occupants: Vec<Inside>,
}

impl Truth {
    fn read(parts: &BTreeMap<String, String>) -> Self {
        let all = |prefix: &'static str| {
            let found = parts.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value)));
            found.map(|(key, value)| (key.to_owned(), serde_json::from_str::<Value>(value).unwrap()))
        };
        let mut truth = Self {
            listed: all("affiliation/").map(|(jid, entry)| (jid, text(&entry, "affiliation"))).collect(),
            config: parts.get("config").map_or(Value::Null, |config| serde_json::from_str(config).unwrap()),
            occupants: Vec::new(),
        };
        let occupants = all("occupant/").map(|(_, occupant)| truth.inside(&occupant)).collect();
        truth.occupants = occupants;
        truth
    }

    fn inside(&self, occupant: &Value) -> Inside {
        let bare = text(occupant, "jid");
        let sessions = occupant["sessions"].as_array().unwrap();
        Inside {
            nick: text(occupant, "nick"),
            seen: Seen { affiliation: self.affiliation(&bare).to_owned(), role: text(occupant, "role") },
            clients: sessions.iter().map(|session| jid(&text(session, "jid"))).collect(),
            bare,
        }
    }

    fn affiliation(&self, bare: &str) -> &str {
        let listed = |jid: &str| self.listed.get(jid).map_or("none", String::as_str);
        let own = listed(bare);
        if own == "none" { listed(bare.split('@').nth(1).unwrap()) } else { own }
    }

    fn is(&self, flag: &str) -> bool {
        self.config[flag] == Value::Bool(true)
    }

    /// Who sees real addresses: their clients.
    fn seers(&self) -> BTreeSet<Address> {
        let everyone = text(&self.config, "whois") == "anyone";
        let seers = self.occupants.iter().filter(|o| everyone || o.seen.role == "moderator");
        let mut seers: BTreeSet<Address> = seers.flat_map(|o| o.clients.iter().cloned()).collect();
        let ranking = CLIENTS.iter().map(|client| jid(client));
        seers.extend(ranking.filter(|c| matches!(self.affiliation(c.bare_str()), "admin" | "owner")));
        seers
    }
}

struct Trial {
    rng: ChaCha20Rng,
    now: Millis,
    policy: Arc<ServicePolicy>,
    instance: Instance,
    parts: BTreeMap<String, String>,
    log: Vec<LogEntry>,
    uid: Option<RoomUid>,
    truth: Truth,
    changed: bool,
    views: BTreeMap<Address, View>,
    read: HashMap<String, Arc<Stanza>>,
    steps: u32,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or("").to_owned()
}

impl Trial {
    fn new(seed: u64) -> Self {
        let mut policy = ServicePolicy::new(&jid("chat.shakespeare.lit"));
        policy.lock_new_rooms = seed.is_multiple_of(2);
        policy.defaults.persistent = seed.is_multiple_of(3);
        let policy = Arc::new(policy);
        Self {
            rng: ChaCha20Rng::seed_from_u64(seed),
            now: Millis(1_787_307_242_000),
            instance: Instance::vacant(&jid(ROOM), None, policy.clone(), [7; 32]),
            policy,
            parts: BTreeMap::new(),
            log: Vec::new(),
            uid: None,
            truth: Truth::default(),
            changed: false,
            views: BTreeMap::new(),
            read: HashMap::new(),
            steps: 0,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u32() as usize) % n
    }

    fn any(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    // Steps.

    fn step(&mut self) {
        self.steps += 1;
        self.now = self.now.plus(u64::from(self.rng.next_u32() % 5000));
        let (from, xml) = self.draw();
        if number("ROOM_SEED").is_some() {
            eprintln!("{}: {from}: {xml}", self.steps);
        }
        let input = if xml == "closed" {
            Input::SessionClosed(jid(from))
        } else {
            let head = xml.find(' ').unwrap();
            Input::Stanza(stanza(&format!("{} from='{from}'{}", &xml[..head], &xml[head..])))
        };
        let before = self.truth.seers();
        let request = match &input {
            Input::Stanza(stanza) => Some(stanza.clone()),
            _ => None,
        };
        let actions = self.instance.handle(self.now, input);
        let deliveries = self.carry_out(actions);
        self.check_answers(request.as_ref(), &deliveries);
        self.check_entry(request.as_ref(), &deliveries);
        if std::mem::take(&mut self.changed) {
            self.truth = Truth::read(&self.parts);
        }
        let seers: BTreeSet<Address> = before.union(&self.truth.seers()).cloned().collect();
        deliveries.iter().for_each(|delivery| Self::check_addresses(delivery, &seers));
        deliveries.iter().for_each(|delivery| self.believe(delivery));
        self.check_truth();
        self.check_views();
        if self.below(25) == 0 {
            self.restart();
        }
    }

    fn draw(&mut self) -> (&'static str, String) {
        let from = if self.below(2) == 0 { self.mighty() } else { self.any(&CLIENTS) };
        let nick = self.any(&NICKS);
        let iq = |query: String| format!("<iq type='set' id='q' to='{ROOM}'>{query}</iq>");
        let admin = |items: String| {
            iq(format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query>"))
        };
        let xml = match self.below(30) {
            0..=6 => format!(
                "<presence id='j' to='{ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
            ),
            7 => format!("<presence type='unavailable' to='{ROOM}/{nick}'><status>bye</status></presence>"),
            8 | 9 => format!("<presence to='{ROOM}/{nick}'><show>away</show></presence>"),
            10..=12 => format!("<message type='groupchat' id='m' to='{ROOM}'><body>hello</body></message>"),
            13 => format!("<message type='groupchat' to='{ROOM}'><subject>fire</subject></message>"),
            14 => format!("<message type='chat' to='{ROOM}/{nick}'><body>psst</body></message>"),
            15 | 16 => {
                let role = self.any(&ROLES);
                admin(format!("<item nick='{nick}' role='{role}'/>"))
            }
            17..=20 => {
                let count = 1 + self.below(3);
                let items = (0..count).map(|_| self.item()).collect();
                admin(items)
            }
            21 => {
                let of = self.any(&[
                    "affiliation='owner'",
                    "affiliation='member'",
                    "affiliation='outcast'",
                    "role='participant'",
                ]);
                admin(format!("<item {of}/>")).replace("'set'", "'get'")
            }
            22..=24 => iq(self.configuration()),
            25 => iq("<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>".to_owned())
                .replace("'set'", self.any(&["'set'", "'get'", "'get'", "'get'"])),
            26 => format!(
                "<message to='{ROOM}'><x xmlns='{MUC_USER}'><invite to='{}'/></x></message>",
                self.any(&JIDS[..6])
            ),
            27 => format!("<iq type='get' id='q' to='{ROOM}/{nick}'><ping xmlns='urn:xmpp:ping'/></iq>"),
            28 => self.oddity(nick),
            _ => "closed".to_owned(),
        };
        (from, xml)
    }

    /// A moderator's client, if there is one.
    fn mighty(&mut self) -> &'static str {
        let moderators: BTreeSet<&Address> = self
            .truth
            .occupants
            .iter()
            .filter(|o| o.seen.role == "moderator")
            .flat_map(|o| &o.clients)
            .collect();
        let theirs: Vec<&'static str> =
            CLIENTS.iter().copied().filter(|client| moderators.contains(&jid(client))).collect();
        if theirs.is_empty() { self.any(&CLIENTS) } else { self.any(&theirs) }
    }

    fn item(&mut self) -> String {
        let affiliation = self.any(&AFFILIATIONS);
        match self.below(4) {
            0 => format!("<item nick='{}' affiliation='{affiliation}'/>", self.any(&NICKS)),
            1 => format!(
                "<item nick='{}' jid='{}' affiliation='{affiliation}'/>",
                self.any(&NICKS),
                self.any(&JIDS)
            ),
            _ => format!("<item jid='{}' affiliation='{affiliation}'/>", self.any(&JIDS)),
        }
    }

    fn configuration(&mut self) -> String {
        let vars = [
            "membersonly",
            "moderatedroom",
            "persistentroom",
            "changesubject",
            "allowinvites",
            "enablelogging",
        ];
        let var = self.any(&vars);
        let (var, values) = match self.below(10) {
            0..=4 => (var, vec![self.any(&["0", "1"])]),
            5 | 6 => ("whois", vec![self.any(&["anyone", "moderators"])]),
            7 => ("presencebroadcast", ROLES[1..].iter().copied().filter(|_| self.below(3) > 0).collect()),
            8 => ("roomowners", JIDS[..6].iter().copied().filter(|_| self.below(3) == 0).collect()),
            _ => ("roomadmins", JIDS[..6].iter().copied().filter(|_| self.below(3) == 0).collect()),
        };
        let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
        format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
             <field var='muc#roomconfig_{var}'>{values}</field></x></query>"
        )
    }

    fn oddity(&mut self, nick: &str) -> String {
        let error =
            "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        let to = self.any(&[ROOM, "coven@chat.shakespeare.lit/witch"]);
        match self.below(7) {
            0 => format!("<message type='error' to='{ROOM}/{nick}'>{error}</message>"),
            1 => format!("<presence type='error' to='{ROOM}/{nick}'>{error}</presence>"),
            2 => format!("<iq type='error' id='q' to='{to}'>{error}</iq>"),
            3 => format!("<iq type='result' id='q' to='{to}'/>"),
            4 => format!("<presence type='probe' to='{ROOM}/{nick}'/>"),
            5 => format!("<iq type='foo' id='q' to='{to}'><x xmlns='y'/></iq>"),
            _ => format!(
                "<iq type='get' id='q' to='{to}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
            ),
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for action in actions {
            match action {
                Action::Commit { changes, .. } => self.commit(changes),
                Action::Send { out, .. } => self.deliver(&out, &mut deliveries),
                _ => {}
            }
        }
        deliveries
    }

    fn commit(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.changed |= !matches!(change, Change::Append(_));
            match change {
                Change::Create { .. } => self.uid = self.instance.uid(),
                Change::Put { key, value } => drop(self.parts.insert(key, value)),
                Change::Delete { key } => drop(self.parts.remove(&key)),
                Change::Append(entry) => self.log.push(*entry),
                Change::Destroy(_) => {
                    self.parts.clear();
                    self.log.clear();
                    self.uid = None;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn restart(&mut self) {
        let Some(uid) = self.uid else { return };
        let found = Found { uid, revision: Revision(1), parts: self.parts.clone() };
        let instance =
            Instance::restore(&jid(ROOM), &found, &[], self.log.clone(), self.policy.clone(), [8; 32]);
        self.instance = instance.unwrap();
    }

    // What must hold.

    fn check_answers(&self, request: Option<&Stanza>, deliveries: &[Delivery]) {
        let Some(request) = request else { return };
        let back = |d: &&Delivery| {
            Some(&d.to) == request.from.as_ref() && d.stanza.kind == request.kind && d.stanza.id == request.id
        };
        let answers =
            deliveries.iter().filter(back).filter(|d| matches!(d.stanza.ty(), "result" | "error")).count();
        if matches!(request.ty(), "error" | "result") {
            assert_eq!(answers, 0, "never answered");
        } else if request.kind == Kind::Iq {
            let passed =
                deliveries.iter().filter(|d| d.stanza.kind == Kind::Iq && d.stanza.ty() == "get").count();
            assert_eq!(answers + passed, 1, "one answer, or passed on");
        }
    }

    /// A joiner hears of the others, then of itself, then what was said.
    fn check_entry(&self, request: Option<&Stanza>, deliveries: &[Delivery]) {
        let Some(request) = request
            .filter(|r| r.kind == Kind::Presence && r.child("x", "http://jabber.org/protocol/muc").is_some())
        else {
            return;
        };
        let mine: Vec<_> = deliveries.iter().filter(|d| Some(&d.to) == request.from.as_ref()).collect();
        let welcome = |d: &&Delivery| {
            d.stanza.kind == Kind::Presence && d.stanza.id.as_deref() == Some("j") && !d.stanza.is_error()
        };
        let Some(at) = mine.iter().position(welcome) else { return };
        assert!(codes(&mine[at].stanza).contains(&110));
        assert!(mine[..at].iter().all(|d| d.stanza.kind == Kind::Presence), "nothing is said before");
        assert!(mine[at + 1..].iter().all(|d| d.stanza.kind == Kind::Message), "nobody comes after");
        assert!(mine.last().unwrap().stanza.has("subject"), "the subject ends it");
    }

    fn check_addresses(delivery: &Delivery, seers: &BTreeSet<Address>) {
        if seers.contains(&delivery.to) {
            return;
        }
        let own = delivery.to.bare_str();
        for other in JIDS[..6].iter().filter(|other| **other != own) {
            assert!(!delivery.xml.contains(other), "{other} is shown to {}: {}", delivery.to, delivery.xml);
        }
    }

    fn believe(&mut self, delivery: &Delivery) {
        let stanza = &delivery.stanza;
        let Some(nick) = stanza.from.as_ref().and_then(Address::resource) else { return };
        let x = stanza.child("x", MUC_USER).filter(|_| stanza.kind == Kind::Presence);
        let Some(x) = x.and_then(|x| x.element().ok()) else { return };
        let codes = codes(stanza);
        let lost = codes.contains(&307) && codes.contains(&333);
        let item = x.children().find(|child| child.name() == "item").unwrap();
        let text = |name| item.attr(name).unwrap().to_owned();
        if stanza.ty() != "unavailable" {
            let seen = Seen { affiliation: text("affiliation"), role: text("role") };
            self.views.entry(delivery.to.clone()).or_default().insert(nick.to_owned(), seen);
        } else if codes.contains(&110) && !codes.contains(&303) && !lost {
            self.views.remove(&delivery.to);
        } else if let Some(view) = self.views.get_mut(&delivery.to) {
            view.remove(nick);
        }
    }

    /// One nick one user, an owner, nobody inside who must not be, clients in one place only.
    fn check_truth(&self) {
        let truth = &self.truth;
        let (mut nicks, mut clients) = (BTreeSet::new(), BTreeSet::new());
        for Inside { nick, bare, seen, clients: own } in &truth.occupants {
            assert!(nicks.insert(Nick::parse(nick).unwrap().key()), "one nick, one occupant");
            assert_ne!(seen.affiliation, "outcast", "{bare} is banned and inside");
            assert!(
                !truth.is("members-only") || seen.affiliation != "none",
                "{bare} is no member and inside"
            );
            assert!(ROLES[1..].contains(&&*seen.role));
            assert!(!own.is_empty());
            for client in own {
                assert_eq!(client.bare_str(), bare);
                assert!(clients.insert(client), "a client is one occupant's");
            }
        }
        assert_eq!(self.uid.is_some(), !self.instance.is_vacant());
        if self.uid.is_some() {
            assert!(truth.listed.values().any(|affiliation| affiliation == "owner"), "no owner is left");
            assert!(truth.is("persistent") || !truth.occupants.is_empty(), "a deserted temporary room");
        }
    }

    /// Every client inside believes exactly what is true and shown to it; nobody else believes to be inside.
    fn check_views(&self) {
        let shown = self.truth.config["presence-broadcast"].as_array().cloned().unwrap_or_default();
        let occupants = &self.truth.occupants;
        let mut inside = BTreeSet::new();
        for occupant in occupants {
            let visible =
                |o: &&Inside| o.nick == occupant.nick || shown.contains(&Value::from(&*o.seen.role));
            let expected: View =
                occupants.iter().filter(visible).map(|o| (o.nick.clone(), o.seen.clone())).collect();
            for client in &occupant.clients {
                assert_eq!(self.views.get(client), Some(&expected), "what {client} believes");
                inside.insert(client);
            }
        }
        assert_eq!(self.views.keys().collect::<BTreeSet<_>>(), inside, "who believes to be inside");
    }

    fn deliver(&mut self, out: &Outbound, deliveries: &mut Vec<Delivery>) {
        let mut each = |to: &Address, xml: &str| {
            let read = self.read.entry(xml.to_owned()).or_insert_with(|| Arc::new(stanza(xml)));
            deliveries.push(Delivery { to: to.clone(), stanza: read.clone(), xml: xml.into() });
        };
        let whole = |template: &Template| format!("{}{}", template.head(), template.tail());
        match out {
            Outbound::One(one) => {
                let mut apart = (**one).clone();
                let to = apart.to.take().unwrap();
                each(&to, &apart.to_xml());
            }
            Outbound::FanOut { template, to } => to.iter().for_each(|to| each(to, &whole(template))),
            Outbound::Burst { templates, to } => {
                templates.iter().for_each(|template| each(to, &whole(template)));
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

const STEPS: u32 = 40;

/// All of them, on as many threads as the machine has cores.
fn run_all(sequences: u64) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                (first..sequences).step_by(threads as usize).for_each(run);
            });
        }
    });
}

fn run(seed: u64) {
    let mut trial = Trial::new(seed);
    let done =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..STEPS).for_each(|_| trial.step())));
    assert!(done.is_ok(), "in step {} of ROOM_SEED={seed}", trial.steps);
}

#[test]
fn whatever_happens_the_room_stays_sound() {
    match number("ROOM_SEED") {
        Some(seed) => run(seed),
        None => run_all(number("ROOM_SEQUENCES").unwrap_or(1000)),
    }
}
