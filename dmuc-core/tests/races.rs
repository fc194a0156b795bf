//! What happens while it happens: slow links, lost answers, restarts, two who want one nick.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use dmuc_core::io::Timer;
use dmuc_core::{Input, Millis};

const COVEN: &str = "coven@chat.shakespeare.lit";
const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
const AT_CONFERENCE: &str = "coven@conference.marlowe.lit";
const ALL: [&str; 3] = [COVEN, AT_ROOMS, AT_CONFERENCE];
const CRONE: &str = "crone1@shakespeare.lit/desktop";
const WITCH: &str = "somewitch@macbeth.lit/mobile";
const KIT: &str = "kit@marlowe.lit/quill";
const DAY_MS: u64 = 86_400_000;

fn create(world: &mut World) {
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "1")]);
}

fn gathered() -> World {
    let mut world = World::three();
    create(&mut world);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    world.forget();
    world
}

/// Who is in as somebody new at each instance sees it; all three must agree, and everyone has a nick of its own.
fn agreed(world: &mut World) -> Vec<String> {
    let mut seen = Vec::new();
    for (observer, room) in
        [("o@shakespeare.lit/x", COVEN), ("o@macbeth.lit/x", AT_ROOMS), ("o@marlowe.lit/x", AT_CONFERENCE)]
    {
        world.joins(observer, &format!("{room}/observer of {room}"));
        let mut nicks = nicks(&world.got(observer));
        world.leaves(observer, &format!("{room}/observer of {room}"));
        nicks.retain(|nick| !nick.starts_with("observer"));
        seen.push(nicks);
    }
    assert_eq!(seen[0], seen[1], "{COVEN} and {AT_ROOMS}");
    assert_eq!(seen[0], seen[2], "{COVEN} and {AT_CONFERENCE}");
    seen.remove(0)
}

/// No client was ever shown two users under one nick: whoever comes under a nick finds it free or is its holder. A user
/// is told apart by its occupant id.
fn assert_one_user_per_nick(got: &[dmuc_core::Stanza], who: &str) {
    let mut shown = std::collections::BTreeMap::new();
    for presence in got.iter().filter(|s| s.kind == dmuc_core::stanza::Kind::Presence && !s.is_error()) {
        let Some(nick) = presence.from.as_ref().and_then(|from| from.resource()) else { continue };
        let oid = presence.child("occupant-id", "urn:xmpp:occupant-id:0").and_then(|oid| oid.attr("id"));
        if presence.ty() == "unavailable" {
            shown.remove(nick);
        } else if let Some(before) = shown.insert(nick.to_owned(), oid.clone()) {
            assert_eq!(before, oid, "{who} saw two users as {nick}");
        }
    }
}

#[test]
fn what_a_third_instance_says_before_it_knows_of_a_new_shadow_is_not_lost() {
    let mut world = World::three();
    // Marlowe's service is there from the start, Macbeth's cannot be reached yet.
    world.down.insert(ROOMS.to_owned());
    create(&mut world);
    world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    world.down.clear();
    // What is said at Marlowe's reaches the source only after the new shadow has fetched the source's history.
    world.hold(CONFERENCE, CHAT);
    world.says(KIT, AT_CONFERENCE, "unheard");
    world.wait(15_000);
    assert!(world.instance(AT_ROOMS).uid().is_some(), "the shadow is there");
    world.release(CONFERENCE, CHAT);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(bodies(&world.got(WITCH)), ["unheard"]);
    world.says(KIT, AT_CONFERENCE, "heard");
    assert_eq!(bodies(&world.got(WITCH)), ["heard"]);
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit"]);
}

#[test]
fn what_a_third_instance_pushes_before_the_new_shadow_knows_it_is_not_lost() {
    let mut world = World::three();
    world.down.insert(CONFERENCE.to_owned());
    create(&mut world);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.down.clear();
    // The old shadow hears of the new instance late, the new one of the old at once.
    world.hold(CHAT, ROOMS);
    world.wait(15_000);
    world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    world.says(KIT, AT_CONFERENCE, "early");
    world.forget();
    world.release(CHAT, ROOMS);
    world.says(KIT, AT_CONFERENCE, "late");
    let heard = bodies(&world.got(WITCH));
    assert_eq!(heard, ["early", "late"], "both, each once");
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit"]);
}

#[test]
fn a_user_who_comes_before_the_shadow_is_ready_is_told_to_wait() {
    let mut world = World::three();
    world.hold(ROOMS, CHAT);
    create(&mut world);
    world.release_one(ROOMS, CHAT);
    assert!(world.instance(AT_ROOMS).uid().is_some(), "it exists, but its source does not know yet");
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(the_error(&world.got(WITCH)), ("recipient-unavailable".into(), "wait".into()));
    world.release(ROOMS, CHAT);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(nicks(&world.got(WITCH)), ["firstwitch", "foo"]);
}

#[test]
fn two_shadows_brought_up_at_once_know_each_other_in_the_end() {
    for order in [[ROOMS, CONFERENCE], [CONFERENCE, ROOMS]] {
        let mut world = World::three();
        for shadow in order {
            world.hold(shadow, CHAT);
        }
        create(&mut world);
        for shadow in order {
            world.release(shadow, CHAT);
        }
        world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
        world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
        assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit"], "{order:?}");
        world.wait(120_000);
        assert!(world.is_quiet(), "{order:?}");
    }
}

#[test]
fn instances_meet_although_the_link_between_them_was_slow() {
    let mut world = World::three();
    world.hold(ROOMS, CONFERENCE);
    world.hold(CONFERENCE, ROOMS);
    create(&mut world);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    world.says(KIT, AT_CONFERENCE, "lost on the way");
    assert!(world.lose(CONFERENCE, ROOMS) > 0 && world.lose(ROOMS, CONFERENCE) > 0);
    world.forget();
    world.wait(60_000);
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit"]);
    assert_eq!(bodies(&world.got(WITCH)), ["lost on the way"], "fetched when they met");
    world.wait(120_000);
    assert!(world.is_quiet());
}

#[test]
fn of_two_who_claim_a_nick_at_once_the_source_s_user_keeps_it() {
    let mut world = gathered();
    let hag = "hag@macbeth.lit/pda";
    let other = "other@shakespeare.lit/pda";
    for (from, to) in [(ROOMS, CHAT), (CHAT, ROOMS), (ROOMS, CONFERENCE), (CHAT, CONFERENCE)] {
        world.hold(from, to);
    }
    world.joins(hag, &format!("{AT_ROOMS}/hag"));
    world.joins(other, &format!("{COVEN}/hag"));
    world.release(ROOMS, CONFERENCE);
    world.release(CHAT, CONFERENCE);
    world.release(CHAT, ROOMS);
    world.release(ROOMS, CHAT);
    let got = world.got(hag);
    let renamed = got.iter().find(|s| codes(s).contains(&303)).expect("renamed, not removed");
    assert_eq!(codes(renamed), [303, 110]);
    assert!(got.iter().any(|s| codes(s) == [210, 110]), "told that its nick is another: {got:?}");
    for user in [CRONE, WITCH, KIT, hag, other] {
        let all = if user == hag { got.clone() } else { world.got(user) };
        assert_one_user_per_nick(&all, user);
    }
    let nicks = agreed(&mut world);
    assert_eq!(nicks.len(), 5, "{nicks:?}");
    assert!(nicks.contains(&"hag".to_owned()), "{nicks:?}");
    assert!(nicks.iter().any(|nick| nick.starts_with("hag~") && nick.len() == 10), "{nicks:?}");
}

#[test]
fn every_order_of_hearing_of_a_nick_conflict_ends_alike() {
    let links = [
        (ROOMS, CHAT),
        (CONFERENCE, CHAT),
        (ROOMS, CONFERENCE),
        (CONFERENCE, ROOMS),
        (CHAT, ROOMS),
        (CHAT, CONFERENCE),
    ];
    let mut outcomes = std::collections::BTreeSet::new();
    for turn in 0..links.len() {
        for backwards in [false, true] {
            let mut world = gathered();
            let users = ["a@macbeth.lit/x", "b@marlowe.lit/x"];
            links.iter().for_each(|(from, to)| world.hold(from, to));
            world.joins(users[0], &format!("{AT_ROOMS}/Puck"));
            world.joins(users[1], &format!("{AT_CONFERENCE}/puck"));
            let mut order = links;
            order.rotate_left(turn);
            if backwards {
                order.reverse();
            }
            order.iter().for_each(|(from, to)| world.release(from, to));
            for user in [CRONE, WITCH, KIT, users[0], users[1]] {
                assert_one_user_per_nick(&world.got(user), user);
            }
            outcomes.insert(agreed(&mut world));
        }
    }
    assert_eq!(outcomes.len(), 1, "the older claim, whatever is heard first: {outcomes:?}");
    let outcome = outcomes.first().unwrap();
    assert!(outcome.contains(&"Puck".to_owned()), "{outcome:?}");
}

#[test]
fn a_registered_nick_is_its_owner_s_even_against_an_older_claim() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='b@marlowe.lit' affiliation='member' nick='puck'");
    world.forget();
    world.hold(CHAT, ROOMS);
    world.orders(CRONE, COVEN, "jid='c@marlowe.lit' affiliation='member' nick='oberon'");
    // Macbeth's service has yet to hear that the nick is taken.
    world.joins("a@macbeth.lit/x", &format!("{AT_ROOMS}/oberon"));
    world.joins("c@marlowe.lit/x", &format!("{AT_CONFERENCE}/oberon"));
    world.release(CHAT, ROOMS);
    let nicks = agreed(&mut world);
    assert!(nicks.iter().any(|nick| nick.starts_with("oberon~")), "it is given up: {nicks:?}");
    world.joins("c@marlowe.lit/x", &format!("{AT_CONFERENCE}/oberon"));
    let nicks = agreed(&mut world);
    assert_eq!(nicks.iter().filter(|nick| *nick == "oberon").count(), 1, "{nicks:?}");
    world.leaves("c@marlowe.lit/x", &format!("{AT_CONFERENCE}/oberon"));
    assert_eq!(agreed(&mut world).len(), 4);
}

#[test]
fn one_user_at_two_instances_under_one_nick_is_one_occupant() {
    let mut world = gathered();
    let phone = "wanderer@elsewhere.example/phone";
    let desk = "wanderer@elsewhere.example/desk";
    world.joins(phone, &format!("{AT_ROOMS}/wanderer"));
    world.joins(desk, &format!("{AT_CONFERENCE}/wanderer"));
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit", "wanderer"]);
    world.forget();
    world.leaves(phone, &format!("{AT_ROOMS}/wanderer"));
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit", "wanderer"], "still in");
    assert!(world.got(CRONE).iter().all(|s| s.ty() != "unavailable" || !s.to_xml().contains("/wanderer")));
    world.leaves(desk, &format!("{AT_CONFERENCE}/wanderer"));
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit"]);
}

#[test]
fn who_was_shown_under_an_alias_gets_its_nick_when_the_other_goes() {
    let mut world = gathered();
    // The loser's own instance never hears of the winner, and so never renames it.
    world.cut.insert((CHAT.to_owned(), ROOMS.to_owned()));
    world.joins("a@shakespeare.lit/x", &format!("{COVEN}/puck"));
    world.joins("b@macbeth.lit/x", &format!("{AT_ROOMS}/puck"));
    let shown = nicks(&world.got(KIT));
    assert!(shown.contains(&"puck".to_owned()) && shown.iter().any(|n| n.starts_with("puck~")), "{shown:?}");
    world.leaves("a@shakespeare.lit/x", &format!("{COVEN}/puck"));
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit", "puck"]);
    world.says("b@macbeth.lit/x", AT_ROOMS, "mine");
    assert_eq!(world.got(KIT).last().unwrap().from.as_ref().unwrap().resource(), Some("puck"));
}

#[test]
fn what_an_aliased_user_says_is_shown_as_its_own_and_digested_as_claimed() {
    let mut world = gathered();
    world.cut.insert((CHAT.to_owned(), ROOMS.to_owned()));
    world.joins("a@shakespeare.lit/x", &format!("{COVEN}/puck"));
    world.joins("b@macbeth.lit/x", &format!("{AT_ROOMS}/puck"));
    world.forget();
    world.says("b@macbeth.lit/x", AT_ROOMS, "who am I");
    let shown = world.got(CRONE)[0].from.as_ref().unwrap().resource().unwrap().to_owned();
    assert!(shown.starts_with("puck~"), "{shown}");
    let digests: Vec<_> = ALL.iter().map(|room| world.log(room)[0].digest).collect();
    assert!(digests[0].is_some() && digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn a_source_restarted_while_it_brings_a_shadow_up_goes_on() {
    // Cut off after so many stanzas, one after the other: the question for capabilities, its answer, the request to
    // replicate, its answer, the parts of the room's state, their answers.
    for stanzas in 0..=16 {
        let mut world = World::three();
        world.policy(CONFERENCE).peers = [].into_iter().collect();
        world.policy(CHAT).peers = [dmuc_core::policy::PeerRule::allow(ROOMS)].into_iter().collect();
        world.hold(CHAT, ROOMS);
        world.hold(ROOMS, CHAT);
        create(&mut world);
        for _ in 0..stanzas {
            let asked = !world.held[&(CHAT.to_owned(), ROOMS.to_owned())].is_empty();
            let (from, to) = if asked { (CHAT, ROOMS) } else { (ROOMS, CHAT) };
            world.release_one(from, to);
        }
        world.lose(CHAT, ROOMS);
        world.lose(ROOMS, CHAT);
        world.restart(COVEN);
        // Whatever wakes it also reminds it of what it was about.
        world.says(CRONE, COVEN, "awake");
        world.wait(5_000);
        assert_eq!(world.instance(AT_ROOMS).uid(), world.instance(COVEN).uid(), "after {stanzas} stanzas");
        world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
        assert_eq!(nicks(&world.got(WITCH)), ["firstwitch", "foo"], "after {stanzas} stanzas");
        assert_eq!(nicks(&world.got(CRONE)), ["firstwitch", "foo"], "after {stanzas} stanzas");
        world.wait(120_000);
        assert!(world.is_quiet(), "after {stanzas} stanzas");
    }
}

#[test]
fn a_peerhost_that_is_down_is_asked_again_later_and_later() {
    let mut world = World::three();
    world.down.insert(ROOMS.to_owned());
    create(&mut world);
    world.wait(300_000);
    let waits = world.part(COVEN, &format!("placement/{ROOMS}")).cloned().unwrap();
    assert!(waits.contains("waiting") && waits.contains("\"tries\":5"), "{waits}");
    world.down.clear();
    world.wait(400_000);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(nicks(&world.got(WITCH)), ["firstwitch", "foo"]);
    assert!(world.is_quiet());
}

#[test]
fn a_lost_answer_does_not_keep_a_room_awake() {
    let mut world = World::three();
    world.cut.insert((ROOMS.to_owned(), CHAT.to_owned()));
    create(&mut world);
    assert!(!world.is_quiet(), "an answer is awaited");
    world.wait(31_000);
    assert!(world.instance(COVEN).may_hibernate(), "nobody waits for what does not come");
    world.cut.clear();
    world.wait(60_000);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(nicks(&world.got(WITCH)), ["firstwitch", "foo"]);
    world.wait(120_000);
    assert!(world.is_quiet());
}

#[test]
fn a_user_whose_request_is_lost_hears_that_the_source_cannot_be_reached() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='owner'");
    world.forget();
    world.cut.insert((ROOMS.to_owned(), CHAT.to_owned()));
    world.configures(WITCH, AT_ROOMS, &[("muc#roomconfig_moderatedroom", "1")]);
    assert!(world.got(WITCH).is_empty());
    world.wait(31_000);
    let got = world.got(WITCH);
    assert_eq!(the_error(&got), ("recipient-unavailable".into(), "wait".into()));
    assert_eq!(application(&got[0]).as_deref(), Some("source-unreachable"));
}

#[test]
fn an_owner_at_a_shadow_who_destroys_the_room_is_answered() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='owner'");
    world.forget();
    world.send(&format!(
        "<iq type='set' id='d' from='{WITCH}' to='{AT_ROOMS}'>\
         <query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>"
    ));
    let got = world.got(WITCH);
    assert!(got.iter().any(|s| s.ty() == "result" && s.id.as_deref() == Some("d")), "{got:#?}");
    assert!(got.iter().any(|s| s.to_xml().contains("<destroy")));
}

#[test]
fn a_user_whose_room_ends_before_the_source_decides_is_answered() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='owner'");
    world.hold(ROOMS, CHAT);
    world.configures(WITCH, AT_ROOMS, &[("muc#roomconfig_moderatedroom", "1")]);
    world.forget();
    world.send(&format!(
        "<iq type='set' id='d' from='{CRONE}' to='{COVEN}'>\
         <query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>"
    ));
    let got = world.got(WITCH);
    assert_eq!(the_error(&got), ("item-not-found".into(), "cancel".into()));
    world.release(ROOMS, CHAT);
    assert!(world.got(WITCH).is_empty(), "one answer is enough");
}

#[test]
fn an_unanswered_request_between_occupants_is_forgotten() {
    let mut world = gathered();
    world.joins("hag@macbeth.lit/pda", &format!("{AT_ROOMS}/hag"));
    world.send(&format!(
        "<iq type='get' id='v' from='hag@macbeth.lit/pda' to='{AT_ROOMS}/firstwitch'>\
         <query xmlns='jabber:iq:version'/></iq>"
    ));
    assert!(!world.instance(AT_ROOMS).may_hibernate());
    world.wait(121_000);
    assert!(world.instance(AT_ROOMS).may_hibernate() && world.is_quiet());
}

#[test]
fn a_shadow_that_lost_the_room_gets_it_anew() {
    let mut world = gathered();
    world.leaves(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.sites.get_mut(ROOMS).unwrap().rooms.clear();
    world.policy(ROOMS).shadows_here.clear();
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "Heath")]);
    world.wait(20_000);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(agreed(&mut world), ["firstwitch", "foo", "kit"]);
    assert_eq!(world.instance(AT_ROOMS).config(), world.instance(COVEN).config());
}

#[test]
fn a_timer_that_fires_for_nothing_does_nothing() {
    let mut world = gathered();
    for room in ALL {
        let before = world.record(room);
        world.input(jid(room).domain(), &jid(room), Input::Timer(Timer::Retry));
        assert_eq!(world.record(room), before);
    }
    assert!(world.wire.iter().all(|s| s.to.is_some()));
    let Millis(now) = world.now;
    assert!(now > DAY_MS);
}

/// Sets the subject at an instance to what everybody else was not asked about.
fn sets_subject(world: &mut World, user: &str, room: &str, text: &str) {
    world.send(&format!(
        "<message type='groupchat' id='s' from='{user}' to='{room}'><subject>{text}</subject></message>"
    ));
}

fn subjects(world: &World) -> Vec<String> {
    let subject = |room| {
        let subject: serde_json::Value = serde_json::from_str(world.part(room, "subject").unwrap()).unwrap();
        subject["text"].as_str().unwrap().to_owned()
    };
    ALL.iter().map(|room| subject(room)).collect()
}

#[test]
fn a_subject_set_while_the_right_is_taken_is_taken_back_everywhere() {
    for late in [CONFERENCE, CHAT] {
        let mut world = gathered();
        world.configures(CRONE, COVEN, &[("muc#roomconfig_changesubject", "1")]);
        sets_subject(&mut world, CRONE, COVEN, "Spells");
        assert_eq!(subjects(&world), ["Spells"; 3]);
        // Macbeth's users do not know yet that the owner wants no more of it; Marlowe's hear of it before or after.
        world.hold(CHAT, ROOMS);
        world.hold(late, CONFERENCE);
        world.configures(CRONE, COVEN, &[("muc#roomconfig_changesubject", "0")]);
        world.forget();
        sets_subject(&mut world, WITCH, AT_ROOMS, "Broomsticks");
        world.release(late, CONFERENCE);
        world.release(CHAT, ROOMS);
        assert_eq!(subjects(&world), ["Spells"; 3]);
        let shown = |s: &dmuc_core::Stanza| s.child("subject", "jabber:client").map(|subject| subject.text());
        let seen: Vec<_> = world.got(WITCH).iter().filter_map(shown).collect();
        assert_eq!(seen, ["Broomsticks", "Spells"], "where it was seen, it is seen to be taken back");
        let places =
            ALL.map(|room| world.log(room).iter().filter(|entry| &*entry.event.pos.o == ROOMS).count());
        assert_eq!(places, [1; 3], "its place is kept at all instances");
    }
}

#[test]
fn what_is_said_while_voice_is_taken_keeps_its_place_and_is_shown_where_it_was_said() {
    let mut world = gathered();
    world.hold(CHAT, ROOMS);
    world.orders(CRONE, COVEN, "nick='firstwitch' role='visitor'");
    world.forget();
    world.says(WITCH, AT_ROOMS, "hail");
    world.release(CHAT, ROOMS);
    let heard = [CRONE, WITCH, KIT].map(|user| bodies(&world.got(user)).len());
    assert_eq!((heard[0], heard[1]), (0, 1));
    let entry = |room| world.log(room).iter().find(|entry| &*entry.event.pos.o == ROOMS).unwrap();
    assert_eq!((entry(COVEN).withheld, entry(AT_ROOMS).withheld), (true, false));
    assert_eq!(entry(COVEN).digest, entry(AT_ROOMS).digest, "the chain goes on over it");
    assert!(entry(COVEN).digest.is_some());
}
