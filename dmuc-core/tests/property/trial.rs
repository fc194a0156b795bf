//! One sequence: a world, what its users believe, and the checks after every step.

use std::collections::{BTreeMap, BTreeSet};

use dmuc_core::policy::{Distribute, Redirect, Replicate};
use dmuc_core::stanza::Kind;
use dmuc_core::{Address, Input, Stanza};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::beliefs::{Beliefs, check_addresses, check_entry};
use crate::common::{CHAT, ROOMS, World, jid, stanza};
use crate::draw::{Act, USERS};
use crate::truth::Truth;
use crate::{agreement, number};

/// Longest time after which nothing is under way any more, in steps of a minute.
const REST_MINUTES: u32 = 60;

pub struct Trial {
    rng: ChaCha20Rng,
    pub world: World,
    pub truths: BTreeMap<Address, Truth>,
    beliefs: Beliefs,
    /// Requests that are not answered yet: the id, who asked, and which room.
    asked: BTreeMap<String, (Address, Address)>,
    pub steps: u32,
    /// Whether somebody wants to see what happens.
    tells: bool,
}

impl Trial {
    /// Alone, or with a shadow if the owner wants one, or always.
    pub fn new(seed: u64) -> Self {
        let mut world = World::with(&[CHAT, ROOMS]);
        for domain in [CHAT, ROOMS] {
            let policy = world.policy(domain);
            policy.lock_new_rooms = seed.is_multiple_of(2);
            policy.defaults.persistent = seed.is_multiple_of(5);
            policy.distribute = [Distribute::Never, Distribute::Owner, Distribute::All][(seed % 3) as usize];
            policy.replicate = [Replicate::AtOnce, Replicate::FirstUser][(seed / 3 % 2) as usize];
            policy.redirect =
                [Redirect::Always, Redirect::Never, Redirect::After(1)][(seed / 6 % 3) as usize];
        }
        let rng = ChaCha20Rng::seed_from_u64(seed);
        let (truths, beliefs, asked) = (BTreeMap::new(), Beliefs::default(), BTreeMap::new());
        Self { rng, world, truths, beliefs, asked, steps: 0, tells: number("ROOM_SEED").is_some() }
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u32() as usize) % n
    }

    pub fn any<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn step(&mut self) {
        self.steps += 1;
        self.world.now = self.world.now.plus(self.below(5000) as u64);
        let act = self.draw();
        if self.tells {
            eprintln!("{}: {act:?}", self.steps);
        }
        self.carry_out(&act);
        self.check(&act);
    }

    /// Lets everything arrive and every timer run out; then the instances agree, and no request is left unanswered.
    pub fn comes_to_rest(&mut self) {
        while let Some((from, to)) =
            self.world.held.iter().find(|(_, on)| !on.is_empty()).map(|(link, _)| link.clone())
        {
            self.world.release_one(&from, &to);
            self.check(&Act::Rest);
        }
        self.world.held.clear();
        for _ in 0..REST_MINUTES {
            self.world.wait(60_000);
            self.check(&Act::Rest);
            if self.world.is_quiet() {
                break;
            }
        }
        assert!(self.world.is_quiet(), "something is always under way");
        assert!(self.asked.is_empty(), "never answered: {:?}", self.asked);
        agreement::check(&self.world, &self.truths);
    }

    fn carry_out(&mut self, act: &Act) {
        match act {
            Act::Stanza(xml) => {
                self.note_question(&stanza(xml));
                self.world.send(xml);
            }
            Act::Closed(client) => {
                for room in self.truths.keys().cloned().collect::<Vec<_>>() {
                    self.world.input(room.domain(), &room, Input::SessionClosed(jid(client)));
                }
                self.world.settle();
            }
            Act::Hold(from, to) => self.world.hold(from, to),
            Act::ReleaseOne(from, to) => self.world.release_one(from, to),
            Act::Restart(room) => {
                self.world.restart(room.as_str());
                // What only memory knew is lost with it.
                self.asked.retain(|_, (_, asked)| asked != room);
            }
            Act::Rest => self.comes_to_rest(),
        }
    }

    fn note_question(&mut self, stanza: &Stanza) {
        let (from, room) = (stanza.from.clone().unwrap(), stanza.to.clone().unwrap().to_bare());
        if stanza.is_request() {
            self.asked.insert(stanza.id.as_deref().unwrap().to_owned(), (from, room));
        }
    }

    // What must hold.

    fn check(&mut self, act: &Act) {
        for sent in self.world.wire.drain(..).filter(|_| self.tells) {
            eprintln!("    {}", sent.to_xml());
        }
        let entering = act.entering();
        let mut seers = self.seers();
        let mut heard = Vec::new();
        loop {
            let inbox = std::mem::take(&mut self.world.inbox);
            if inbox.is_empty() {
                break;
            }
            let news: Vec<Stanza> = inbox.into_values().flatten().collect();
            self.answer_questions(&news);
            heard.extend(news);
        }
        self.read_truths();
        for (room, more) in self.seers() {
            seers.entry(room).or_default().extend(more);
        }
        for stanza in &heard {
            let room = stanza.from.as_ref().unwrap().to_bare();
            let enters = entering
                .as_ref()
                .is_some_and(|(client, to)| Some(client) == stanza.to.as_ref() && *to == room);
            self.check_answer(stanza);
            check_addresses(stanza, &USERS, seers.get(&room).unwrap_or(&BTreeSet::new()));
            self.beliefs.hear(stanza, enters);
        }
        if let Some((client, room)) = &entering {
            let mine =
                |s: &&Stanza| s.to.as_ref() == Some(client) && s.from.as_ref().unwrap().to_bare() == *room;
            check_entry(&heard.iter().filter(mine).collect::<Vec<_>>());
        }
        self.truths.values().for_each(Truth::check);
        self.beliefs.check(&self.truths);
    }

    fn seers(&self) -> BTreeMap<Address, BTreeSet<Address>> {
        self.truths.iter().map(|(room, truth)| (room.clone(), truth.seers.clone())).collect()
    }

    fn read_truths(&mut self) {
        let Self { world, truths, .. } = self;
        for (room, node) in world.sites.values().flat_map(|site| &site.rooms) {
            if truths.get(room).is_none_or(|known| known.revision != node.revision()) {
                truths.remove(room);
                truths.extend(Truth::read(room, node).map(|truth| (room.clone(), truth)));
            }
        }
    }

    /// A client answers what another occupant asks of it.
    fn answer_questions(&mut self, heard: &[Stanza]) {
        let answers: Vec<String> = heard
            .iter()
            .filter(|stanza| stanza.is_request())
            .map(|question| question.result().to_xml())
            .collect();
        for answer in &answers {
            self.world.send(answer);
        }
    }

    /// Every request gets one answer, and nothing else does.
    fn check_answer(&mut self, stanza: &Stanza) {
        if stanza.kind == Kind::Iq && !stanza.is_request() {
            let id = stanza.id.as_deref().unwrap_or("");
            let asked = self.asked.remove(id);
            assert_eq!(asked.map(|(asker, _)| asker), stanza.to, "nobody asked: {stanza:?}");
        }
        assert_ne!(stanza.id.as_deref(), Some("answer"), "an answer is answered: {stanza:?}");
    }
}
