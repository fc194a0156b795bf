//! The daemon is killed in the middle of a conversation: nothing it acknowledged is lost, and nobody has to rejoin.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dmuc_tests::story::{COVEN, Coven, Witch, ask_until, disco};
use dmuc_tests::{CONFERENCE, JoinOptions, ROOMS, Requirement, Software, World, missing};

use Requirement as Needs;

/// What the room has reflected to the speaker, which is its word that the message is safe.
fn acknowledged(witch: &Witch, mark: usize) -> BTreeSet<String> {
    let received = witch.client.since(mark);
    let own = received.iter().filter(|stanza| stanza.from() == witch.knows(&witch.nick));
    own.filter_map(|stanza| stanza.body()).map(str::to_owned).collect()
}

/// Speaks without pause until the daemon has been killed, and returns what was acknowledged.
fn talk_into_the_kill(coven: &mut Coven, site: usize) -> BTreeSet<String> {
    let speaker = coven.witch("thirdwitch").clone();
    let mark = coven.mark();
    for number in 0..45 {
        speaker.says(&format!("line {number}"));
        if acknowledged(&speaker, mark).len() >= 20 {
            coven.world.dmucd(site).kill();
            break;
        }
    }
    sleep(Duration::from_secs(1));
    let said = acknowledged(&speaker, mark);
    assert!(said.len() >= 20, "the daemon died while it was busy: {}", said.len());
    said
}

/// Waits until the service answers again, without touching the room.
fn wait_for_return(coven: &Coven, witch: &Witch) {
    coven.world.wait_for_service(witch.site, &witch.client);
    ask_until(&witch.client, witch.room(), &disco("info"), "itself", |answer| answer.kind() == "result");
}

#[test]
fn a_restart_is_invisible() {
    if missing("a_restart_is_invisible", &[Needs::Prosody, Needs::Slixmpp]) {
        return;
    }
    let mut coven = Coven::founded(World::new([Software::Prosody; 3]));
    coven.join("hag66@macbeth.lit/pda", ROOMS, "thirdwitch");
    coven.join("somewitch@macbeth.lit/mobile", ROOMS, "anotherwitch");
    coven.join("kit@marlowe.lit/quill", CONFERENCE, "quill");
    let mark = coven.mark();
    let acknowledged = talk_into_the_kill(&mut coven, ROOMS);
    coven.world.dmucd(ROOMS).restart();
    wait_for_return(&coven, coven.witch("thirdwitch"));

    for (number, nick) in ["thirdwitch", "firstwitch", "anotherwitch", "quill"].into_iter().enumerate() {
        let text = format!("back to business, part {number}");
        coven.witch(nick).says(&text);
        coven.all_hear(mark, &text);
        coven.nobody_heard_twice(&text);
    }
    for witch in &coven.witches {
        let seen = witch.client.since(mark);
        let gone = seen.iter().find(|stanza| {
            stanza.name == "presence"
                && stanza.kind() == "unavailable"
                && stanza.from().starts_with(witch.room())
        });
        assert_eq!(gone, None, "nobody was seen to leave by {}", witch.nick);
    }
    the_past_is_kept(&coven, &acknowledged);
}

fn the_past_is_kept(coven: &Coven, acknowledged: &BTreeSet<String>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    for (site, jid) in [(ROOMS, "lady@macbeth.lit/hall3"), (CONFERENCE, "helen@marlowe.lit/tower3")] {
        let client = coven.world.login(jid);
        let options = JoinOptions { max_stanzas: Some(500), ..JoinOptions::default() };
        loop {
            let joined = client.try_join(COVEN[site], "historian", options).expect("the room is open");
            let told: Vec<_> = joined.history.iter().filter_map(|message| message.body()).collect();
            let lost: Vec<_> = acknowledged.iter().filter(|text| !told.contains(&text.as_str())).collect();
            let unique: BTreeSet<_> = told.iter().collect();
            assert_eq!(unique.len(), told.len(), "nothing is told twice at {}", COVEN[site]);
            if lost.is_empty() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "acknowledged, yet lost at {}: {lost:?}; told {told:?}",
                COVEN[site]
            );
            client.leave(COVEN[site], "historian");
            sleep(Duration::from_secs(1));
        }
        client.leave(COVEN[site], "historian");
    }
}
