//! The life of a plain peer, as shadow and as source.

use crate::common::*;
use crate::helpers::*;
use dmuc_core::stanza::Kind;

#[test]
fn a_plain_shadow_gets_nothing_that_was_not_published() {
    let mut world = World::three();
    world.allow(PLAIN);
    create(&mut world);
    let mut got = world.agree(PLAIN, false);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.says(WITCH, AT_ROOMS, "Message 1.").says(CRONE, COVEN, "Message 2.");
    world.leaves(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    got.extend(world.agree(PLAIN, false));
    let asked: Vec<&str> = got.iter().filter(|s| s.is_request()).map(|s| s.children[0].name()).collect();
    assert_eq!(asked, ["query", "replicate", "config", "roster"]);
    for stanza in &got {
        assert!(!stanza.to_xml().contains("xmlns='urn:xmpp:dmuc:sync:0'"), "{stanza:?}");
    }
    assert_eq!(bodies(&got), ["Message 1.", "Message 2."], "of all instances, through the source");
    let witch = got.iter().filter(|s| s.kind == Kind::Presence && s.to_xml().contains("/firstwitch"));
    assert_eq!(witch.map(|s| s.ty().to_owned()).collect::<Vec<_>>(), ["", "unavailable"]);
    assert!(
        world.wire.iter().all(|s| !s.to_xml().contains(&format!("jid='{AT_PLAIN}'"))),
        "nobody else hears of it"
    );
}

#[test]
fn occupants_of_a_plain_shadow_are_the_source_s_to_the_others() {
    let mut world = with_plain_shadow();
    says(&mut world, "hermit", "Message 3.");
    for user in [CRONE, WITCH, KIT] {
        let got = world.got(user);
        assert_eq!(bodies(&got), ["Message 3."], "{user}");
        assert_eq!(got[0].from.as_ref().unwrap().resource(), Some("hermit"), "{user}");
    }
    assert!(world.mail(PLAIN).is_empty(), "nothing comes back to it");
    assert_eq!(world.log(COVEN)[0].event.pos.o.as_ref(), CHAT, "it is in the source's log");
    // Whoever comes later sees it too.
    world.joins("late@marlowe.lit/x", "coven@conference.marlowe.lit/late");
    assert!(nicks(&world.got("late@marlowe.lit/x")).contains(&"hermit".to_owned()));
    // It changes its nick, and leaves.
    world.send(&format!(
        "<presence type='unavailable' from='{AT_PLAIN}/hermit' to='{COVEN}/hermit'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='none' role='participant' nick='recluse'/><status code='303'/></x></presence>"
    ));
    enters(&mut world, "recluse");
    assert_eq!(nicks(&world.got(WITCH)), ["late", "recluse"]);
    world.send(&format!("<presence type='unavailable' from='{AT_PLAIN}/recluse' to='{COVEN}/recluse'/>"));
    assert_eq!(nicks(&world.got(KIT)), ["late"]);
}

#[test]
fn the_source_bans_and_kicks_for_a_plain_shadow() {
    let mut world = with_plain_shadow();
    world.orders(CRONE, COVEN, "nick='hermit' role='none'");
    assert!(world.got(KIT).iter().any(|s| codes(s) == [307]));
    says(&mut world, "hermit", "still here");
    assert_eq!(the_error(&world.mail(PLAIN)).0, "not-acceptable");
    assert!(world.got(CRONE).iter().all(|s| body(s).is_none()));
    world.send(&format!(
        "<presence from='{AT_PLAIN}/fiend' to='{COVEN}/fiend'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='none' role='participant' jid='fiend@plain.example/x'/></x></presence>"
    ));
    world.forget();
    world.orders(CRONE, COVEN, "jid='fiend@plain.example' affiliation='outcast'");
    assert!(world.got(KIT).iter().any(|s| codes(s) == [301]));
}

#[test]
fn a_nick_conflict_with_a_plain_shadow_is_settled_for_it() {
    let mut world = with_plain_shadow();
    enters(&mut world, "kit");
    let seen = [CRONE, WITCH, KIT].map(|user| nicks(&world.got(user)));
    assert!(seen[0].len() == 1 && seen[0][0].starts_with("kit~"), "{seen:?}");
    assert!(seen.iter().all(|nicks| *nicks == seen[0]), "{seen:?}");
    says(&mut world, "kit", "not Kit");
    let got = world.got(KIT);
    assert_eq!(got[0].from.as_ref().unwrap().resource(), Some(seen[0][0].as_str()));
}

#[test]
fn a_shadow_of_a_plain_source_lives() {
    let mut world = opened_shadow_of_plain();
    answer_history(
        &mut world,
        &format!("<history {MUC}>{}</history>", past("foo", "Message 1.", AT_PLAIN, "2026-08-21T10:14:01Z")),
    );
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    let got = world.got(WITCH);
    assert_eq!(nicks(&got), ["bar", "firstwitch", "foo"]);
    assert_eq!(roster(&got)["foo"].0, "owner");
    world.says(WITCH, AT_ROOMS, "Message 2.");
    let told = world.mail(PLAIN);
    assert_eq!(bodies(&told), ["Message 2."]);
    assert!(
        told.iter().any(|s| s.kind == Kind::Presence
            && s.to.as_ref().unwrap().as_str() == format!("{AT_PLAIN}/firstwitch"))
    );
    assert!(told.iter().all(|s| !s.to_xml().contains("xmlns='urn:xmpp:dmuc:sync:0'")), "{told:?}");
    world.send(&format!("<message type='groupchat' from='{AT_PLAIN}/foo' to='{AT_ROOMS}/foo'><body>Message 3.</body></message>"));
    assert_eq!(bodies(&world.got(WITCH)), ["Message 2.", "Message 3."]);
    world.restart(AT_ROOMS);
    world.send(&format!("<message type='groupchat' from='{AT_PLAIN}/foo' to='{AT_ROOMS}/foo'><body>Message 4.</body></message>"));
    assert_eq!(bodies(&world.got(WITCH)), ["Message 4."]);
    world.configures("crone1@plain.example/desktop", AT_ROOMS, &[("muc#roomconfig_roomname", "Heath")]);
    assert_eq!(
        the_error(&world.got("crone1@plain.example/desktop")),
        ("not-allowed".into(), "cancel".into())
    );
}

#[test]
fn a_plain_source_is_asked_again_for_what_may_be_new_and_says_nothing_twice() {
    let mut world = opened_shadow_of_plain();
    let first = past("foo", "Message 1.", AT_PLAIN, "2026-08-21T10:13:00Z")
        + &past("foo", "Message 1.", AT_PLAIN, "2026-08-21T10:13:30Z");
    answer_history(&mut world, &format!("<history {MUC}>{first}</history>"));
    assert_eq!(world.log(AT_ROOMS).len(), 2, "the same twice was said twice");
    world.send(&format!("<message type='groupchat' from='{AT_PLAIN}/foo' to='{AT_ROOMS}/foo'><body>Message 2.</body></message>"));
    world.mail(PLAIN);
    world.send(&format!("<iq type='set' id='config2' from='{AT_PLAIN}' to='{AT_ROOMS}'>{CONFIG}</iq>"));
    let again = first
        + &past("foo", "Message 2.", AT_PLAIN, "2026-08-21T10:14:02Z")
        + &past("bar", "Message 3.", AT_PLAIN, "2026-08-21T10:14:03Z");
    let asked = answer_history(&mut world, &format!("<history {MUC}>{again}</history>")).to_xml();
    assert!(asked.contains("since='2026-08-21T10:13:02"), "the last stamp less a minute: {asked}");
    let bodies: Vec<String> = world.log(AT_ROOMS).iter().map(|entry| entry.event.content[0].text()).collect();
    assert_eq!(bodies, ["Message 1.", "Message 1.", "Message 2.", "Message 3."]);
}

#[test]
fn a_plain_source_that_lists_our_own_users_does_not_double_them() {
    let mut world = opened_shadow_of_plain();
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    for item in [
        "<item affiliation='none' name='firstwitch'/>",
        "<item affiliation='none' jid='somewitch@macbeth.lit/mobile' name='firstwitch'/>",
    ] {
        world.send(&format!("<iq type='set' id='roster2' from='{AT_PLAIN}' to='{AT_ROOMS}'><roster {DMUC}>{item}</roster></iq>"));
    }
    world.leaves(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins("hag@macbeth.lit/pda", &format!("{AT_ROOMS}/hag"));
    assert_eq!(nicks(&world.got("hag@macbeth.lit/pda")), ["bar", "foo", "hag"]);
}

#[test]
fn instances_that_are_told_of_anew_keep_what_is_known_of_them() {
    let mut world = gathered();
    world.allow(PLAIN);
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "Heath")]);
    world.agree(PLAIN, false);
    let at_source = world.part(COVEN, "instances").unwrap().clone();
    assert_eq!(at_source.matches("\"core_only\":true").count(), 1, "{at_source}");
    // A third instance is announced to the shadow: its source stays its source, and both stay acquainted.
    world.sites.insert(
        "muc.jonson.lit".to_owned(),
        World::with(&["muc.jonson.lit", CHAT, ROOMS, CONFERENCE]).sites.remove("muc.jonson.lit").unwrap(),
    );
    world.allow("muc.jonson.lit");
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "Moor")]);
    let at_shadow = world.part(AT_ROOMS, "instances").unwrap().clone();
    assert_eq!(at_shadow.matches("\"introduced\":true").count(), 3, "{at_shadow}");
    assert!(!at_shadow.contains("\"core_only\":true") && !at_shadow.contains(PLAIN), "{at_shadow}");
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "Cave")]);
    assert_eq!(world.instance(AT_ROOMS).config().unwrap().name, "Cave");
    assert_eq!(world.instance("coven@muc.jonson.lit").config().unwrap().name, "Cave");
}
