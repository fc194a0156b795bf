//! The ground the other tests stand on: servers that talk to each other, links that count and can be cut.

use dmuc_tests::{CHAT, CONFERENCE, Cut, ROOMS, Requirement, Software, World, missing};

use Requirement as Needs;
use Software::{Ejabberd, Prosody};

fn users_write_across_the_links(software: [Software; 3]) {
    let world = World::of_servers(software);
    let users = [
        world.login("crone1@shakespeare.lit/desktop"),
        world.login("hag66@macbeth.lit/pda"),
        world.login("kit@marlowe.lit/quill"),
    ];
    for from in [CHAT, ROOMS, CONFERENCE] {
        for to in [CHAT, ROOMS, CONFERENCE] {
            let text = format!("from {from} to {to}");
            users[from].whisper(users[to].jid(), &text);
            users[to].hears(0, &text);
            if from != to {
                assert_eq!(world.crossed(&vec![vec![0; 3]; 3], from, to, "message").len(), 1, "{text}");
            }
        }
    }
    let marks = world.lull();
    for number in 0..10 {
        users[CHAT].whisper(users[ROOMS].jid(), &format!("number {number}"));
    }
    users[ROOMS].hears(0, "number 9");
    let crossed = world.crossed(&marks, CHAT, ROOMS, "message");
    assert_eq!(crossed.len(), 10);
    assert!(crossed.iter().all(|one| one.from == users[CHAT].jid() && one.to == users[ROOMS].jid()));
    assert!(world.crossed(&marks, ROOMS, CHAT, "message").is_empty());
    a_cut_link_carries_nothing(&world, &users[CHAT], &users[ROOMS], &users[CONFERENCE]);
}

fn a_cut_link_carries_nothing(
    world: &World,
    near: &dmuc_tests::Client,
    far: &dmuc_tests::Client,
    third: &dmuc_tests::Client,
) {
    world.link(CHAT, ROOMS).cut(Cut::Refused);
    // A moment for the server to notice that its connection is gone: what it writes before is lost without a word.
    world.lull();
    near.whisper(far.jid(), "into the void");
    near.whisper(third.jid(), "to the others");
    third.hears(0, "to the others");
    near.expect(0, "its message back", |stanza| stanza.kind() == "error" && stanza.from() == far.jid());
    far.expect_nothing(0, "what was cut off", |stanza| stanza.body() == Some("into the void"));
    world.link(CHAT, ROOMS).mend();
    near.whisper(far.jid(), "together again");
    far.hears(0, "together again");
}

#[test]
fn three_prosodies() {
    if missing("three_prosodies", &[Needs::Prosody, Needs::Slixmpp]) {
        return;
    }
    users_write_across_the_links([Prosody; 3]);
}

#[test]
fn one_ejabberd_among_three() {
    if missing("one_ejabberd_among_three", &[Needs::Prosody, Needs::Ejabberd, Needs::Slixmpp]) {
        return;
    }
    users_write_across_the_links([Prosody, Ejabberd, Prosody]);
}
