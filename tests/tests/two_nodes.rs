//! Two daemons on one store behind one ejabberd, under load: one is killed, or stopped for longer than its leases last.
//!
//! `DMUC_TEST_ROOMS`, `DMUC_TEST_RATE` (messages a second in each room) and `DMUC_TEST_SECONDS` (after the mishap) make
//! more of it, `DMUC_TEST_STORE` chooses the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use dmuc_tests::{Client, Cluster, LEASE, Requirement, missing};

const SPEAKER: &str = "crone";

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Somebody who speaks in all rooms in turn, and two who listen.
struct Talk {
    rooms: Vec<String>,
    speaker: Client,
    listeners: Vec<Client>,
    mark: usize,
    said: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Talk {
    fn begin(cluster: &Cluster) -> Self {
        let count = number("DMUC_TEST_ROOMS", 20);
        let rooms: Vec<_> = (0..count).map(|room| cluster.room(&format!("room{room}"))).collect();
        let [speaker, second, third] = ["crone1", "wiccarocks", "hecate"].map(|who| cluster.login(who));
        for room in &rooms {
            speaker.join(room, SPEAKER);
            second.join(room, "wicca");
            third.join(room, "hecate");
        }
        let mark = speaker.mark();
        let (said, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = speak(&speaker, &rooms, &said, &over);
        Self { rooms, speaker, listeners: vec![second, third], mark, said, over, thread }
    }

    /// For each room, how long after now it first reflects something that is said from now on.
    fn first_echoes(&self, patience: Duration) -> BTreeMap<String, Duration> {
        let (start, said) = (Instant::now(), self.said.load(Ordering::SeqCst));
        let (mut echoes, mut mark) = (BTreeMap::new(), self.speaker.mark());
        while start.elapsed() < patience && echoes.len() < self.rooms.len() {
            sleep(Duration::from_millis(50));
            let next = self.speaker.mark();
            for (room, text) in echoed(&self.speaker, mark) {
                if text.parse::<usize>().is_ok_and(|number| number > said) {
                    echoes.entry(room).or_insert_with(|| start.elapsed());
                }
            }
            mark = next;
        }
        echoes
    }

    /// Stops speaking, and looks whether all is as it must be.
    fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("speaking does not fail");
        wait_for_silence(&self.speaker);
        let acknowledged: BTreeSet<_> = echoed(&self.speaker, self.mark).collect();
        let said = self.said.load(Ordering::SeqCst);
        let mut archived = 0;
        for room in &self.rooms {
            archived += the_archive_is_right(&self.speaker, room, &acknowledged);
        }
        println!("{said} messages sent, {} acknowledged, {archived} archived", acknowledged.len());
        for client in self.listeners.iter().chain([&self.speaker]) {
            nobody_left(client, self.mark);
            nothing_came_twice(client, self.mark);
        }
    }
}

fn speak(
    speaker: &Client,
    rooms: &[String],
    said: &Arc<AtomicUsize>,
    over: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (speaker, rooms) = (speaker.clone(), rooms.to_vec());
    let (said, over) = (Arc::clone(said), Arc::clone(over));
    let pause =
        Duration::from_secs(1) / u32::try_from(number("DMUC_TEST_RATE", 5) * rooms.len()).expect("small");
    std::thread::spawn(move || {
        let start = Instant::now();
        for (count, room) in (1..).zip(rooms.iter().cycle()) {
            if over.load(Ordering::SeqCst) {
                return;
            }
            speaker.speaks(room, &count.to_string());
            said.store(count as usize, Ordering::SeqCst);
            sleep((start + pause * count).saturating_duration_since(Instant::now()));
        }
    })
}

/// What a room has reflected to the speaker since a mark, which is its word that the message is safe.
fn echoed(speaker: &Client, mark: usize) -> impl Iterator<Item = (String, String)> {
    speaker.since(mark).into_iter().filter_map(|stanza| {
        let is_own = stanza.kind() == "groupchat" && stanza.nick() == SPEAKER;
        let room = stanza.from().split_once('/').map(|(room, _)| room.to_owned());
        room.zip(stanza.body().map(str::to_owned)).filter(|_| is_own)
    })
}

fn wait_for_silence(client: &Client) {
    let deadline = Instant::now() + LEASE * 5;
    let mut last = client.mark();
    loop {
        sleep(LEASE * 2);
        let now = client.mark();
        if now == last {
            return;
        }
        assert!(Instant::now() < deadline, "it becomes quiet");
        last = now;
    }
}

/// Whatever was acknowledged is there, and everything is there once. Gives how much there is.
fn the_archive_is_right(reader: &Client, room: &str, acknowledged: &BTreeSet<(String, String)>) -> usize {
    let archive = reader.reads_archive(room).expect("an occupant may read the archive");
    let bodies: Vec<_> = archive.iter().filter_map(|entry| Some(entry.find("body")?.text.clone())).collect();
    let unique: BTreeSet<_> = bodies.iter().collect();
    assert_eq!(unique.len(), bodies.len(), "nothing is twice in the archive of {room}");
    let lost: Vec<_> =
        acknowledged.iter().filter(|(of, text)| of == room && !unique.contains(text)).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
    bodies.len()
}

fn nobody_left(client: &Client, mark: usize) {
    let gone = client
        .since(mark)
        .into_iter()
        .find(|stanza| stanza.name == "presence" && matches!(stanza.kind(), "unavailable" | "error"));
    assert_eq!(gone, None, "{} is in all rooms, and sees nobody go", client.jid());
}

fn nothing_came_twice(client: &Client, mark: usize) {
    let mut heard = BTreeSet::new();
    for stanza in client.since(mark).iter().filter(|stanza| stanza.kind() == "groupchat") {
        let Some(text) = stanza.body() else { continue };
        assert!(heard.insert((stanza.from().to_owned(), text.to_owned())), "twice: {stanza}");
    }
}

/// Says how long rooms were silent; gives the longest.
fn report(what: &str, talk: &Talk, echoes: &BTreeMap<String, Duration>) -> Duration {
    let mut times: Vec<_> = echoes.values().copied().collect();
    times.sort();
    assert_eq!(times.len(), talk.rooms.len(), "every room speaks again after {what}");
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!("after {what}: first answer of a room, median {median:?}, last {last:?}");
    last
}

/// How long to look for rooms that are silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// The leases end, and a slow machine does the rest.
const SILENCE_MAX: Duration = LEASE.saturating_mul(2);

#[test]
fn a_killed_node_is_replaced_and_comes_back() {
    if missing("a_killed_node_is_replaced_and_comes_back", &[Requirement::Ejabberd]) {
        return;
    }
    let mut cluster = Cluster::start(2);
    let talk = Talk::begin(&cluster);
    report("the start", &talk, &talk.first_echoes(PATIENCE));
    cluster.node(0).kill();
    assert!(report("a kill", &talk, &talk.first_echoes(PATIENCE)) < SILENCE_MAX);
    cluster.node(0).restart();
    sleep(LEASE * 3);
    assert!(cluster.node(1).log().contains("making way for a process that has come"));
    report("a return", &talk, &talk.first_echoes(PATIENCE));
    sleep(Duration::from_secs(number("DMUC_TEST_SECONDS", 2) as u64));
    talk.end();
}

#[test]
fn a_node_that_was_stopped_writes_nothing_any_more() {
    if missing("a_node_that_was_stopped_writes_nothing_any_more", &[Requirement::Ejabberd]) {
        return;
    }
    let mut cluster = Cluster::start(2);
    let talk = Talk::begin(&cluster);
    report("the start", &talk, &talk.first_echoes(PATIENCE));
    cluster.node(0).pause(true);
    sleep(LEASE * 3);
    cluster.node(0).pause(false);
    assert!(report("a pause", &talk, &talk.first_echoes(PATIENCE)) < SILENCE_MAX);
    sleep(Duration::from_secs(number("DMUC_TEST_SECONDS", 2) as u64));
    talk.end();
}

/// While it is stopped its connection is still there, so that the one made in its place is of no use until it dies.
#[test]
fn a_node_that_dies_while_it_is_stopped_is_replaced() {
    if missing("a_node_that_dies_while_it_is_stopped_is_replaced", &[Requirement::Ejabberd]) {
        return;
    }
    let mut cluster = Cluster::start(2);
    let talk = Talk::begin(&cluster);
    cluster.node(0).pause(true);
    sleep(LEASE * 3);
    cluster.node(0).kill();
    assert!(report("a kill", &talk, &talk.first_echoes(PATIENCE)) < SILENCE_MAX * 2);
    talk.end();
}

#[test]
fn with_one_connection_the_other_node_stands_by() {
    if missing("with_one_connection_the_other_node_stands_by", &[Requirement::Ejabberd]) {
        return;
    }
    let mut cluster = Cluster::start(1);
    let talk = Talk::begin(&cluster);
    let settled = cluster.settled();
    assert_eq!(settled.iter().filter(|settled| **settled).count(), 1, "one of them serves");
    let serving = usize::from(!settled[0]);
    cluster.node(serving).kill();
    assert!(report("a kill", &talk, &talk.first_echoes(PATIENCE)) < SILENCE_MAX);
    talk.end();
}
