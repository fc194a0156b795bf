//! What operators decide about distribution: which rooms, when, and who is sent where; and how much history a new
//! shadow may ask for.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use dmuc_core::policy::{Distribute, Redirect, Replicate};

const COVEN: &str = "coven@chat.shakespeare.lit";
const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
const CRONE: &str = "crone1@shakespeare.lit/desktop";
const DISTRIBUTED: &[(&str, &str)] = &[("muc#roomconfig_distributed", "1")];

fn seat(nick: &str) -> String {
    format!("{COVEN}/{nick}")
}

fn is_in(world: &mut World, user: &str, nick: &str) -> bool {
    roster(&world.got(user)).contains_key(nick)
}

fn is_redirected(world: &mut World, user: &str) -> bool {
    world.got(user).iter().filter_map(error).any(|(condition, _)| condition == "redirect")
}

#[test]
fn every_room_may_be_distributed_by_policy() {
    let mut world = World::with(&[CHAT, ROOMS]);
    world.policy(CHAT).distribute = Distribute::All;
    world.creates(CRONE, &seat("foo"), &[]);
    assert!(world.instance(COVEN).config().unwrap().distributed);
    assert_eq!(world.instance(AT_ROOMS).uid(), world.instance(COVEN).uid());
}

#[test]
fn no_room_may_be_distributed_by_policy() {
    let mut world = World::with(&[CHAT, ROOMS]);
    world.policy(CHAT).distribute = Distribute::Never;
    world.creates(CRONE, &seat("foo"), DISTRIBUTED);
    assert!(!world.instance(COVEN).config().unwrap().distributed);
    assert!(world.took(CHAT, ROOMS).is_empty());
}

#[test]
fn a_shadow_may_wait_for_the_first_user_of_its_peerhost() {
    let mut world = World::three();
    world.policy(CHAT).replicate = Replicate::FirstUser;
    world.creates(CRONE, &seat("foo"), DISTRIBUTED);
    assert!(world.crossed.is_empty(), "nobody is asked yet");
    world.joins("somewitch@macbeth.lit/mobile", &seat("witch"));
    assert!(is_in(&mut world, "somewitch@macbeth.lit/mobile", "witch"), "the first one is let in");
    assert_eq!(world.instance(AT_ROOMS).uid(), world.instance(COVEN).uid());
    assert!(world.took(CHAT, CONFERENCE).iter().all(|s| !s.to_xml().contains("<replicate")));
    world.joins("hag66@macbeth.lit/pda", &seat("hag"));
    assert!(is_redirected(&mut world, "hag66@macbeth.lit/pda"), "the next one has a shadow");
}

#[test]
fn users_may_be_left_where_they_join() {
    let mut world = World::with(&[CHAT, ROOMS]);
    world.policy(CHAT).redirect = Redirect::Never;
    world.creates(CRONE, &seat("foo"), DISTRIBUTED);
    world.joins("somewitch@macbeth.lit/mobile", &seat("witch"));
    assert!(is_in(&mut world, "somewitch@macbeth.lit/mobile", "witch"));
}

#[test]
fn users_may_be_redirected_once_there_are_enough_of_them() {
    let mut world = World::with(&[CHAT, ROOMS]);
    world.policy(CHAT).redirect = Redirect::After(2);
    world.creates(CRONE, &seat("foo"), DISTRIBUTED);
    for (n, due) in [(1, false), (2, false), (3, true), (4, true)] {
        let user = format!("witch{n}@macbeth.lit/x");
        world.joins(&user, &seat(&format!("witch{n}")));
        assert_eq!(is_redirected(&mut world, &user), due, "{user}");
    }
    world.joins("stranger@elsewhere.example/x", &seat("stranger"));
    assert!(is_in(&mut world, "stranger@elsewhere.example/x", "stranger"), "others have no shadow to go to");
}

#[test]
fn a_redirected_user_who_cannot_follow_is_let_in_for_a_while() {
    let mut world = World::with(&[CHAT, ROOMS]);
    world.creates(CRONE, &seat("foo"), DISTRIBUTED);
    let user = "somewitch@macbeth.lit/mobile";
    world.joins(user, &seat("witch"));
    assert!(is_redirected(&mut world, user));
    world.wait(120_000);
    world.joins(user, &seat("witch"));
    assert!(is_redirected(&mut world, user), "that was too late to be the same try");
    world.joins(user, &seat("witch"));
    assert!(is_in(&mut world, user, "witch"));
}

/// The bodies that the source answers a history request of its shadow with.
fn history(world: &mut World, attributes: &str) -> Vec<String> {
    world.forget();
    world.send(&format!(
        "<iq type='get' id='h' from='{AT_ROOMS}' to='{COVEN}'><room xmlns='urn:xmpp:dmuc:0' id='coven'>\
         <history xmlns='http://jabber.org/protocol/muc' {attributes}/></room></iq>"
    ));
    let answer = world.took(CHAT, ROOMS)[0].children[0].element().unwrap();
    let messages = answer.children().filter(|child| child.name() == "message");
    messages.map(|m| m.get_child("body", "jabber:client").unwrap().text()).collect()
}

#[test]
fn history_for_a_shadow_has_all_four_limits() {
    let mut world = World::with(&[CHAT, ROOMS]);
    world.creates(CRONE, &seat("foo"), DISTRIBUTED);
    world.says(CRONE, COVEN, "old").wait(3_600_000);
    let since = world.now.to_stamp();
    world.says(CRONE, COVEN, "newer").says(CRONE, COVEN, "newest");
    assert_eq!(history(&mut world, ""), ["old", "newer", "newest"]);
    assert_eq!(history(&mut world, "maxstanzas='1'"), ["newest"]);
    assert_eq!(history(&mut world, "seconds='60'"), ["newer", "newest"]);
    assert_eq!(history(&mut world, &format!("since='{since}'")), ["newer", "newest"]);
    assert!(history(&mut world, "maxchars='0'").is_empty());
    assert_eq!(history(&mut world, "maxchars='40'"), ["newer", "newest"], "two bodies of some 20 characters");
    for bad in ["maxstanzas='many'", "since='yesterday'", "seconds='-1'"] {
        world.forget();
        world.send(&format!(
            "<iq type='get' id='h' from='{AT_ROOMS}' to='{COVEN}'>\
             <history xmlns='http://jabber.org/protocol/muc' {bad}/></iq>"
        ));
        assert_eq!(the_error(&world.took(CHAT, ROOMS)), ("bad-request".into(), "modify".into()), "{bad}");
    }
}
