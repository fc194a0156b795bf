//! Our own log and what is held of the others'.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::{Clock, Hlc, Millis};
use crate::event::{ChainDigest, Event, Position};
use crate::storage::{Frontier, LogEntry};

/// A log: its origin's service domain and incarnation.
type LogId = (Arc<str>, u32);

/// Writes our own positions, and tells which of others are new.
#[derive(Debug)]
pub(crate) struct Log {
    own: LogId,
    clock: Clock,
    held: BTreeMap<LogId, Held>,
    /// What our last event told that we had of others.
    told: BTreeMap<LogId, u64>,
}

/// What is held of one log.
#[derive(Debug, Default)]
struct Held {
    /// Disjoint ranges of numbers, ascending, both ends included.
    ranges: Vec<(u64, u64)>,
    /// The digest at the end of the first range, if known.
    digest: Option<ChainDigest>,
}

impl Held {
    fn has(&self, s: u64) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&s))
    }

    /// The highest number up to which nothing is missing from the lowest on.
    fn contiguous(&self) -> u64 {
        self.ranges.first().map_or(0, |(_, to)| *to)
    }

    fn add(&mut self, s: u64) {
        let at = self.ranges.partition_point(|(_, to)| *to < s);
        if self.ranges.get(at).is_some_and(|(from, _)| *from <= s) {
            return;
        }
        self.ranges.insert(at, (s, s));
        if self.ranges.get(at + 1).is_some_and(|(from, _)| *from == s + 1) {
            let (_, to) = self.ranges.remove(at + 1);
            self.ranges[at].1 = to;
        }
        if at > 0 && self.ranges[at - 1].1 + 1 == s {
            let (_, to) = self.ranges.remove(at);
            self.ranges[at - 1].1 = to;
        }
    }

    /// The digest of the log up to `event`, if what comes before it is held from the first on, and what it said.
    fn chain(&self, event: &Event) -> Option<ChainDigest> {
        if event.is_retracted() {
            return None;
        }
        let previous = match event.pos.s {
            1 => ChainDigest::default(),
            s if self.contiguous() + 1 == s => self.digest?,
            _ => return None,
        };
        Some(event.chain(previous))
    }
}

impl Log {
    /// The log as the store has it; `reserved` is the clock's durable reservation.
    pub fn restore(here: &str, incarnation: u32, reserved: Hlc, frontier: &[Frontier]) -> Self {
        let mut held = BTreeMap::new();
        for Frontier { pos, digest, low } in frontier {
            // Of a log that has expired as a whole, `low` is above the last position, which still counts as used.
            let ranges = vec![((*low).min(pos.s), pos.s)];
            held.insert((pos.o.clone(), pos.i), Held { ranges, digest: *digest });
        }
        let own = (here.into(), incarnation);
        Self { own, clock: Clock::restore(reserved), held, told: BTreeMap::new() }
    }

    /// Takes note of an entry that is in the store.
    pub fn note_held(&mut self, pos: &Position) {
        self.held.entry((pos.o.clone(), pos.i)).or_default().add(pos.s);
    }

    /// A stamp, and the reservation to be made durable with it, if a new one is due.
    pub fn stamp(&mut self, now: Millis) -> (Hlc, Option<Hlc>) {
        self.clock.tick(now)
    }

    /// The last stamp given or seen.
    pub fn last_stamp(&self) -> Hlc {
        self.clock.last()
    }

    /// Position, stamp, reservation and dependencies of our next event.
    pub fn mint(&mut self, now: Millis) -> (Position, Hlc, Option<Hlc>, Vec<Position>) {
        let (h, reserve) = self.clock.tick(now);
        let s = self.held.get(&self.own).map_or(0, Held::contiguous) + 1;
        let pos = Position { o: self.own.0.clone(), i: self.own.1, s };
        (pos, h, reserve, self.news())
    }

    /// What we have of others, where it changed since we last told.
    fn news(&mut self) -> Vec<Position> {
        let mut news = Vec::new();
        for (log, held) in &self.held {
            let s = held.contiguous();
            if *log != self.own && s > 0 && self.told.get(log) != Some(&s) {
                self.told.insert(log.clone(), s);
                news.push(Position { o: log.0.clone(), i: log.1, s });
            }
        }
        news
    }

    /// Whether an event at this position is new to us.
    pub fn is_new(&self, pos: &Position) -> bool {
        self.held.get(&(pos.o.clone(), pos.i)).is_none_or(|held| !held.has(pos.s))
    }

    /// Takes an event in; gives it as it goes into the store.
    pub fn entry(&mut self, event: Event) -> LogEntry {
        let held = self.held.entry((event.pos.o.clone(), event.pos.i)).or_default();
        let (digest, before) = (held.chain(&event), held.contiguous());
        held.add(event.pos.s);
        if held.contiguous() != before {
            // What was held behind a hole came without a digest.
            held.digest = digest.filter(|_| held.contiguous() == event.pos.s);
        }
        LogEntry { event, digest, withheld: false }
    }

    /// Takes note of a peer's stamp, unless its clock runs ahead so far that ours would be dragged along.
    pub fn observe(&mut self, h: Hlc, now: Millis) {
        if h.millis() <= now.plus(SKEW_MS_MAX) {
            self.clock.observe(h);
        }
    }
}

/// A peer's clock may be ahead of ours by so much.
const SKEW_MS_MAX: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::{Held, Log};
    use crate::clock::{Hlc, Millis};
    use crate::event::{ChainDigest, Event, EventId, Position};
    use crate::storage::Frontier;

    #[test]
    fn no_number_is_used_twice_even_if_the_whole_log_has_expired() {
        let expired = Frontier {
            pos: Position { o: "a.lit".into(), i: 1, s: 6 },
            digest: Some(ChainDigest([6; 16])),
            low: 7,
        };
        let mut log = Log::restore("a.lit", 1, Hlc::default(), &[expired]);
        assert_eq!(log.mint(Millis(10_000)).0.s, 7);
    }

    #[test]
    fn ranges_grow_together() {
        let mut held = Held::default();
        for s in [5, 7, 6, 2, 1, 3] {
            held.add(s);
        }
        assert_eq!(held.ranges, [(1, 3), (5, 7)]);
        assert_eq!(held.contiguous(), 3);
        held.add(4);
        assert_eq!(held.ranges, [(1, 7)]);
        assert!(held.has(4) && !held.has(8));
    }

    #[test]
    fn what_follows_a_filled_hole_has_no_digest() {
        let mut log = Log::restore("a.lit", 1, Hlc::default(), &[]);
        let mut digest = |s| log.entry(event("b.lit", s)).digest;
        let first = digest(1);
        assert_eq!(first, Some(event("b.lit", 1).chain(ChainDigest::default())));
        assert_eq!(digest(3), None);
        assert_eq!(digest(2), Some(event("b.lit", 2).chain(first.expect("just seen"))));
        assert_eq!(digest(4), None, "that of 3 is not known");
    }

    fn event(origin: &str, s: u64) -> Event {
        Event {
            pos: Position { o: origin.into(), i: 1, s },
            h: Hlc::default(),
            id: EventId::default(),
            deps: Vec::new(),
            nick: None,
            oid: None,
            jid: None,
            stanza: None,
            lang: None,
            content: Vec::new(),
        }
    }

    #[test]
    fn numbers_are_gap_free_from_one() {
        let mut log = Log::restore("a.example", 1, Hlc::default(), &[]);
        for expected in 1..=3 {
            let (pos, ..) = log.mint(Millis(1));
            assert_eq!(pos.s, expected);
            log.note_held(&pos);
        }
    }
}
