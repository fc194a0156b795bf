//! Rooms inside a server's own process, with real clients: the small example server, and the demonstration when it
//! lets clients log in.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dmuc_tests::story::{COVEN, OWNER, configuration, disco, has_feature};
use dmuc_tests::{Client, Daemon, Driver, JoinOptions, Requirement, missing, programs};

const ROOM: &str = "heath@rooms.example";

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}

/// Somebody speaks: everybody in the rooms hears it once, under one id.
fn all_hear(speaker: (&Client, &str), listeners: &[(&Client, &str)], text: &str) {
    speaker.0.say(speaker.1, text);
    let mut ids: Vec<_> = listeners
        .iter()
        .map(|(listener, room)| {
            let message = listener.hears(0, text);
            message.stanza_id(room).unwrap_or_else(|| panic!("no stanza-id: {message}")).to_owned()
        })
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one id for {text:?}");
    sleep(Duration::from_millis(300));
    for (listener, _) in listeners {
        assert_eq!(listener.copies_of(text).len(), 1, "{listener:?} heard it once");
    }
}

#[test]
fn a_small_server_with_rooms() {
    if missing("a_small_server_with_rooms", &[Requirement::Slixmpp]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory can be made");
    let port = free_port();
    let mut command = Command::new(programs::small_server());
    command.args(["--port", &port.to_string(), "--domain", "example", "--muc-domain", "rooms.example"]);
    command.args(["--user", "alice:wonder", "--user", "bob:builder"]);
    let mut server = Daemon::start("small_server", directory.path(), &mut command);
    server.wait_listening((Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(20));
    let clients = Driver::start(directory.path());
    let alice = clients.login_at("alice@example/here", "wonder", Ipv4Addr::LOCALHOST, port);
    let bob = clients.login_at("bob@example/there", "builder", Ipv4Addr::LOCALHOST, port);

    alice.presence(&format!("{ROOM}/alice"), "<x xmlns='http://jabber.org/protocol/muc'/>");
    alice.expect(0, "the new room", |stanza| stanza.statuses().contains(&"201"));
    let form = alice.request(ROOM, "get", &format!("<query xmlns='{OWNER}'/>"));
    assert!(form.form_values("muc#roomconfig_roomname").is_some(), "{form}");
    let fields = [
        ("muc#roomconfig_roomname", "A Heath"),
        ("muc#roomconfig_passwordprotectedroom", "1"),
        ("muc#roomconfig_roomsecret", "thunder"),
    ];
    alice.request(ROOM, "set", &configuration(&fields));
    let listed = bob.request("rooms.example", "get", &disco("items"));
    assert!(listed.all("item").iter().any(|item| item.attr("jid") == ROOM), "{listed}");
    let info = bob.request("rooms.example", "get", &disco("info"));
    assert!(has_feature(&info, "urn:xmpp:dmuc:0"), "{info}");

    let refusal = bob.try_join(ROOM, "bob", JoinOptions::default()).expect_err("there is a password");
    assert_eq!(refusal.condition(), Some("not-authorized"));
    alice.say(ROOM, "before bob came");
    alice.hears(0, "before bob came");
    let options = JoinOptions { password: Some("thunder"), ..JoinOptions::default() };
    let joined =
        bob.try_join(ROOM, "bob", options).unwrap_or_else(|error| panic!("bob cannot join: {error}"));
    let history: Vec<_> = joined.history.iter().filter_map(|message| message.body()).collect();
    assert_eq!(history, ["before bob came"]);
    for (speaker, text) in [(&alice, "hail"), (&bob, "well met")] {
        all_hear((speaker, ROOM), &[(&alice, ROOM), (&bob, ROOM)], text);
    }
    let mark = alice.mark();
    bob.leave(ROOM, "bob");
    alice.expect(mark, "bob leaving", |stanza| stanza.kind() == "unavailable" && stanza.nick() == "bob");
    assert!(server.is_running());
}

/// Where the users of each site log in, as the demonstration prints it: the port before the room's address.
fn ports(log: &str) -> Option<Vec<u16>> {
    COVEN
        .iter()
        .map(|room| {
            let line = log.lines().find(|line| line.contains("127.0.0.1:") && line.contains(room))?;
            let port = line.split("127.0.0.1:").nth(1)?;
            port.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        })
        .collect()
}

#[test]
fn the_demonstration_lets_clients_in() {
    if missing("the_demonstration_lets_clients_in", &[Requirement::Slixmpp]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory can be made");
    let mut command = Command::new(programs::dmucd());
    command.args(["demo", "--fast", "--listen", "--port", &free_port().to_string()]);
    let mut demo = Daemon::start("demo", directory.path(), &mut command);
    let deadline = Instant::now() + Duration::from_secs(60);
    let ports = loop {
        if let Some(ports) = ports(&demo.log()) {
            break ports;
        }
        assert!(demo.is_running() && Instant::now() < deadline, "the demonstration does not open");
        sleep(Duration::from_millis(100));
    };
    let clients = Driver::start(directory.path());
    let domains = ["shakespeare.lit", "macbeth.lit", "marlowe.lit"];
    let mut guests = Vec::new();
    for (site, port) in ports.into_iter().enumerate() {
        for name in ["somewitch", "kit"] {
            let jid = format!("{name}@{}/real", domains[site]);
            let client = clients.login_at(&jid, name, Ipv4Addr::LOCALHOST, port);
            client.join(COVEN[site], &format!("{name} of {}", domains[site]));
            guests.push((client, COVEN[site]));
        }
    }
    let listeners: Vec<_> = guests.iter().map(|(client, room)| (client, *room)).collect();
    for (number, speaker) in listeners.iter().enumerate() {
        all_hear(*speaker, &listeners, &format!("guest {number} is here"));
    }
    assert!(demo.is_running());
}
