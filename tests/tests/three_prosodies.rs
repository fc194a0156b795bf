//! The story of the specification on real servers with real clients: one room on three services.

use dmuc_tests::story::Coven;
use dmuc_tests::{Requirement, Software, World, missing};

use Requirement as Needs;
use Software::{Ejabberd, Prosody};

fn the_story(software: [Software; 3]) {
    let mut coven = Coven::founded(World::new(software));
    coven.redirects_to_the_shadow();
    coven.gathers();
    coven.talks("Fair is foul");
    coven.chatters(10);
    coven.changes_a_nick();
    coven.shows_availability();
    coven.whispers();
    coven.sets_a_subject();
    coven.tells_newcomers_the_same();
    coven.appoints_an_owner_at_a_shadow();
    coven.is_configured_at_a_shadow();
    coven.takes_members_at_a_shadow();
    coven.kicks_across();
    coven.bans_across();
    coven.lets_go("secondwitch");
    coven.lets_go("doctor");
    coven.talks("Foul is fair");
}

#[test]
fn three_prosodies() {
    if missing("three_prosodies", &[Needs::Prosody, Needs::Slixmpp]) {
        return;
    }
    the_story([Prosody; 3]);
}

#[test]
fn an_ejabberd_as_peerhost() {
    if missing("an_ejabberd_as_peerhost", &[Needs::Prosody, Needs::Ejabberd, Needs::Slixmpp]) {
        return;
    }
    the_story([Prosody, Ejabberd, Prosody]);
}

#[test]
fn an_ejabberd_as_firsthost() {
    if missing("an_ejabberd_as_firsthost", &[Needs::Prosody, Needs::Ejabberd, Needs::Slixmpp]) {
        return;
    }
    the_story([Ejabberd, Prosody, Prosody]);
}
