//! Coming and going (XEP-0045 §7.1, §7.2, §7.6, §7.7, §7.14, §10.1): who gets what, in which order.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod room_support;

use common::*;
use room_support::*;

#[test]
fn an_instant_room_opens_when_its_creator_accepts_the_defaults() {
    let mut world = World::with(&[CHAT]);
    world.joins(CRONE, FIRST);
    assert_eq!(told(&world.got(CRONE)), ["+firstwitch owner/moderator 110 201", "room subject: "]);
    world.joins(HAG, THIRD);
    assert_eq!(told(&world.got(HAG)), ["presence error item-not-found cancel"], "locked");
    world.says(HAG, COVEN, "hello");
    assert_eq!(told(&world.got(HAG)), ["message error item-not-found cancel"], "does not exist yet");
    let query = format!("<query xmlns='{MUC_OWNER}'><x xmlns='jabber:x:data' type='submit'/></query>");
    assert_eq!(world.asks("set", CRONE, COVEN, &query)[0].ty(), "result");
    world.joins(HAG, THIRD);
    assert_eq!(
        told(&world.got(HAG)),
        ["+firstwitch owner/moderator", "+thirdwitch none/participant 110", "room subject: "]
    );
    assert_eq!(told(&world.got(CRONE)), ["+thirdwitch none/participant"]);
}

#[test]
fn a_reserved_room_is_configured_before_anybody_may_come() {
    let mut world = World::with(&[CHAT]);
    world.joins(CRONE, FIRST);
    let form = world.asks("get", CRONE, COVEN, &format!("<query xmlns='{MUC_OWNER}'/>"))[0].to_xml();
    for field in ["membersonly", "roomadmins", "roomowners", "whois", "distributed"] {
        assert!(form.contains(&format!("var='muc#roomconfig_{field}'")), "{field} in {form}");
    }
    assert!(form.contains("<value>crone1@shakespeare.lit</value>"), "the owner is listed: {form}");
    let blank = "<field var='muc#roomconfig_passwordprotectedroom'><value>1</value></field>";
    assert_eq!(world.submits(CRONE, blank), of("not-acceptable", "modify"));
    world.joins(HAG, THIRD);
    assert_eq!(the_error(&world.got(HAG)).0, "item-not-found", "still locked");
    assert_eq!(
        world.submits(CRONE, "<field var='muc#roomconfig_membersonly'><value>1</value></field>"),
        None
    );
    world.joins(HAG, THIRD);
    assert_eq!(the_error(&world.got(HAG)), ("registration-required".into(), "auth".into()));
}

#[test]
fn a_room_never_configured_is_destroyed_again() {
    let cancel = format!("<query xmlns='{MUC_OWNER}'><x xmlns='jabber:x:data' type='cancel'/></query>");
    let ways = [
        ("cancel", FIRST, &["-firstwitch none/none 110"][..]),
        ("leave", COVEN, &["-firstwitch owner/none 110", "-room none/none"]),
    ];
    for (way, destroyed_by, told_creator) in ways {
        let mut world = World::with(&[CHAT]);
        world.policy(CHAT).defaults.persistent = true;
        world.joins(CRONE, FIRST);
        world.forget();
        if way == "cancel" {
            assert_eq!(world.asks("set", CRONE, COVEN, &cancel)[0].ty(), "result");
        } else {
            world.leaves(CRONE, FIRST);
        }
        let got = world.got(CRONE);
        assert_eq!(told(&got), told_creator, "{way}");
        let last = got.last().unwrap();
        assert_eq!(last.from, Some(jid(destroyed_by)), "{way}");
        assert!(x(last).has_child("destroy", MUC_USER), "{way}");
        assert!(world.instance(COVEN).is_vacant(), "{way}");
        world.joins(HAG, THIRD);
        assert_eq!(codes(&world.got(HAG)[0]), [110, 201], "{way}: free at once");
    }
}

#[test]
fn cancelling_a_later_configuration_changes_nothing() {
    let mut world = coven(&[("muc#roomconfig_moderatedroom", "1")]);
    let cancel = format!("<query xmlns='{MUC_OWNER}'><x xmlns='jabber:x:data' type='cancel'/></query>");
    assert_eq!(world.asks("set", CRONE, COVEN, &cancel)[0].ty(), "result");
    assert!(world.instance(COVEN).config().unwrap().moderated);
}

#[test]
fn a_joiner_gets_presences_then_itself_then_history_then_subject_then_the_rest() {
    let mut world = gathered(&[("muc#roomconfig_whois", "anyone"), ("muc#roomconfig_enablelogging", "1")]);
    world.says(CRONE, COVEN, "one").says(HAG, COVEN, "two");
    world.tells(CRONE, COVEN, "<subject>Fire Burn!</subject>");
    world.says(WICCA, COVEN, "three");
    world.forget();
    world.send(&format!(
        "<presence id='n13mt3l' from='{HECATE}' to='{COVEN}/he\u{a0}cate'><show>away</show>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    world.says(CRONE, COVEN, "four");
    let got = world.got(HECATE);
    assert_eq!(
        told(&got),
        [
            "+firstwitch owner/moderator",
            "+secondwitch none/participant",
            "+thirdwitch none/participant",
            "+he cate none/participant 100 110 170 210",
            "firstwitch~: one",
            "thirdwitch~: two",
            "secondwitch~: three",
            "firstwitch subject: Fire Burn!",
            "firstwitch: four",
        ]
    );
    assert_eq!(got[3].id.as_deref(), Some("n13mt3l"), "the join's own id");
    for message in &got[4..8] {
        let delay = message.child("delay", "urn:xmpp:delay").unwrap();
        assert_eq!(delay.attr("from").as_deref(), Some(COVEN));
        assert!(delay.attr("stamp").unwrap().ends_with('Z'));
    }
    let others = world.got(HAG);
    assert_eq!(told(&others), ["+he cate none/participant", "firstwitch: four"]);
    assert!(others[0].has("show"));
}

#[test]
fn history_is_as_long_as_asked_for_and_allowed() {
    let mut world = coven(&[("muc#maxhistoryfetch", "3")]);
    for text in ["a", "b", "c", "d"] {
        world.says(CRONE, COVEN, text);
        world.wait(60_000);
    }
    let since = dmuc_core::Millis(world.now.0 - 61_000).to_stamp();
    let cases = [
        (String::new(), vec!["b", "c", "d"]),
        ("<history maxstanzas='2'/>".into(), vec!["c", "d"]),
        ("<history maxstanzas='9'/>".into(), vec!["b", "c", "d"]),
        ("<history maxstanzas='0'/>".into(), vec![]),
        ("<history maxchars='0'/>".into(), vec![]),
        ("<history seconds='130'/>".into(), vec!["c", "d"]),
        (format!("<history since='{since}'/>"), vec!["d"]),
        ("<history seconds='130' maxstanzas='1'/>".into(), vec!["d"]),
    ];
    for (n, (history, expected)) in cases.into_iter().enumerate() {
        let user = format!("hag{n}@shakespeare.lit/pda");
        world.send(&format!(
            "<presence from='{user}' to='{COVEN}/h{n}'><x xmlns='http://jabber.org/protocol/muc'>{history}</x></presence>"
        ));
        let got = world.got(&user);
        assert_eq!(bodies(&got), expected, "{history}");
        assert!(got.last().unwrap().has("subject"), "{history}");
    }
}

#[test]
fn a_whole_message_too_many_characters_is_left_out() {
    let mut world = coven(&[]);
    world.says(CRONE, COVEN, "older").says(CRONE, COVEN, "newer");
    world.joins(HAG, THIRD);
    let size = world.got(HAG).iter().filter(|m| body(m).is_some()).map(|m| m.to_xml().len()).max().unwrap();
    let one = size + size / 2;
    world.send(&format!(
        "<presence from='{HECATE}' to='{COVEN}/h'><x xmlns='http://jabber.org/protocol/muc'><history maxchars='{one}'/></x></presence>"
    ));
    assert_eq!(bodies(&world.got(HECATE)), ["newer"]);
}

#[test]
fn changes_of_subject_are_no_history() {
    let mut world = coven(&[]);
    world.tells(CRONE, COVEN, "<subject>one</subject>").says(CRONE, COVEN, "said");
    world.tells(CRONE, COVEN, "<subject/>");
    world.restart(COVEN);
    world.joins(HAG, THIRD);
    let got = world.got(HAG);
    assert_eq!(told(&got)[2..], ["firstwitch~: said", "firstwitch subject: "]);
    assert!(got[3].child("delay", "urn:xmpp:delay").is_some(), "actively cleared");
}

#[test]
fn who_leaves_hears_it_first_and_its_last_words_are_passed_on() {
    let mut world = gathered(&[]);
    world.send(&format!(
        "<presence type='unavailable' from='{WICCA}' to='{SECOND}'><status>gone where the goblins go</status></presence>"
    ));
    let own = world.got(WICCA);
    assert_eq!(told(&own), ["-secondwitch none/none 110"]);
    for user in [CRONE, HAG] {
        let got = world.got(user);
        assert_eq!(told(&got), ["-secondwitch none/none"], "{user}");
        assert!(got[0].to_xml().contains("gone where the goblins go"), "{user}");
    }
    world.leaves(WICCA, SECOND);
    assert!(world.got(WICCA).is_empty(), "whoever is not in leaves silently");
}

#[test]
fn temporary_rooms_vanish_and_persistent_ones_stay() {
    let mut world = coven(&[]);
    world.leaves(CRONE, FIRST);
    assert!(world.instance(COVEN).is_vacant());
    let mut world = coven(&[("muc#roomconfig_persistentroom", "1")]);
    world.leaves(CRONE, FIRST);
    world.restart(COVEN);
    world.joins(HAG, THIRD);
    assert_eq!(told(&world.got(HAG))[0], "+thirdwitch none/participant 110", "no new room");
}

#[test]
fn a_temporary_room_also_ends_with_a_kick() {
    let mut world = coven(&[]);
    assert_eq!(world.sets(CRONE, "<item nick='firstwitch' role='none'/>"), None);
    assert_eq!(told(&world.got(CRONE)), ["-firstwitch owner/none 307 110"]);
    assert!(world.instance(COVEN).is_vacant());
}

#[test]
fn a_nick_change_is_an_end_and_a_beginning() {
    let mut world = gathered(&[]);
    world.send(&format!("<presence from='{HAG}' to='{COVEN}/oldhag'/>"));
    let own = world.got(HAG);
    assert_eq!(told(&own), ["-thirdwitch none/participant 303 110", "+oldhag none/participant 110"]);
    assert_eq!(item(&own[0], "nick").as_deref(), Some("oldhag"));
    let others = world.got(WICCA);
    assert_eq!(told(&others), ["-thirdwitch none/participant 303", "+oldhag none/participant"]);
    world.send(&format!("<presence from='{HAG}' to='{SECOND}'/>"));
    assert_eq!(told(&world.got(HAG)), ["presence error conflict cancel"]);
    world.send(&format!("<presence from='{HAG}' to='{COVEN}/old\u{a0}hag'/>"));
    assert_eq!(told(&world.got(HAG))[1], "+old hag none/participant 210 110", "respelt by the room");
    assert_eq!(told(&world.got(WICCA))[1], "+old hag none/participant", "which is nobody else's concern");
}

#[test]
fn availability_is_shown_to_all() {
    let mut world = gathered(&[]);
    world.send(&format!("<presence from='{WICCA}' to='{SECOND}'><show>xa</show></presence>"));
    for (user, line) in [(WICCA, "+secondwitch none/participant 110"), (HAG, "+secondwitch none/participant")]
    {
        let got = world.got(user);
        assert_eq!(told(&got), [line], "{user}");
        assert!(got[0].has("show"), "{user}");
    }
}

#[test]
fn one_user_may_be_in_with_several_clients() {
    const BALCONY: &str = "hag66@shakespeare.lit/balcony";
    let mut world = gathered(&[]);
    world.joins(BALCONY, THIRD);
    assert_eq!(
        told(&world.got(BALCONY)),
        [
            "+firstwitch owner/moderator",
            "+secondwitch none/participant",
            "+thirdwitch none/participant 110",
            "room subject: "
        ]
    );
    assert!(world.got(CRONE).is_empty(), "nothing new to the others");
    world.says(BALCONY, COVEN, "double");
    for client in [HAG, BALCONY] {
        assert_eq!(bodies(&world.got(client)), ["double"], "{client}");
    }
    world.send(&format!("<message type='chat' from='{CRONE}' to='{THIRD}'><body>psst</body></message>"));
    for client in [HAG, BALCONY] {
        assert_eq!(bodies(&world.got(client)), ["psst"], "{client}");
    }
    world.forget();
    world.leaves(HAG, THIRD);
    assert_eq!(told(&world.got(HAG)), ["-thirdwitch none/none 110"]);
    assert_eq!(told(&world.got(CRONE)), ["+thirdwitch none/participant"], "now seen by its other client");
    world.forget();
    world.leaves(BALCONY, THIRD);
    assert_eq!(told(&world.got(CRONE)), ["-thirdwitch none/none"]);
}

#[test]
fn two_nicks_of_one_user_may_become_one() {
    const BALCONY: &str = "hag66@shakespeare.lit/balcony";
    let mut world = gathered(&[]);
    world.joins(BALCONY, &format!("{COVEN}/hag"));
    world.forget();
    world.send(&format!("<presence from='{BALCONY}' to='{THIRD}'/>"));
    assert_eq!(told(&world.got(CRONE))[0], "-hag none/participant 303");
    world.forget();
    world.says(CRONE, COVEN, "who is there");
    for client in [HAG, BALCONY] {
        assert_eq!(bodies(&world.got(client)), ["who is there"], "{client}");
    }
    world.leaves(HAG, THIRD).leaves(BALCONY, THIRD);
    assert_eq!(told(&world.got(CRONE)).last().unwrap(), "-thirdwitch none/none");
}

#[test]
fn a_client_that_joins_again_is_told_everything_again() {
    let mut world = gathered(&[("muc#roomconfig_passwordprotectedroom", "0")]);
    world.says(CRONE, COVEN, "one");
    world.forget();
    world.joins(HAG, THIRD);
    assert_eq!(
        told(&world.got(HAG)),
        [
            "+firstwitch owner/moderator",
            "+secondwitch none/participant",
            "+thirdwitch none/participant 110",
            "firstwitch~: one",
            "room subject: "
        ]
    );
    assert!(world.got(CRONE).is_empty(), "nothing new to the others");
    world.send(&format!(
        "<presence from='{HAG}' to='{THIRD}'><show>dnd</show><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert_eq!(told(&world.got(CRONE)), ["+thirdwitch none/participant"], "its presence is new");
}

#[test]
fn a_client_that_has_lost_track_is_told_that_it_is_out() {
    let mut world = coven(&[]);
    for to in [THIRD.to_owned(), "nowhere@chat.shakespeare.lit/thirdwitch".to_owned()] {
        world.send(&format!("<presence from='{HAG}' to='{to}'><show>away</show></presence>"));
        let got = world.got(HAG);
        assert_eq!(told(&got), ["-thirdwitch none/none 110 307 333"], "{to}");
    }
    assert!(world.got(CRONE).is_empty());
}

#[test]
fn ghosts_are_removed_when_something_bounces() {
    for condition in
        ["gone", "item-not-found", "recipient-unavailable", "remote-server-not-found", "service-unavailable"]
    {
        let mut world = gathered(&[]);
        world.send(&format!(
            "<message type='error' from='{HAG}' to='{SECOND}'><error type='cancel'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
        assert_eq!(told(&world.got(CRONE)), ["-thirdwitch none/none 333"], "{condition}");
        assert_eq!(told(&world.got(HAG)), ["-thirdwitch none/none 333 110"], "{condition}");
    }
    let mut world = gathered(&[]);
    world.send(&format!(
        "<message type='error' from='{HAG}' to='{SECOND}'><error type='modify'>\
         <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    ));
    assert!(world.got(CRONE).is_empty(), "it is alive");
}

#[test]
fn a_closed_session_leaves() {
    let mut world = gathered(&[]);
    world.input(CHAT, &jid(COVEN), dmuc_core::Input::SessionClosed(jid(HAG)));
    world.settle();
    assert_eq!(told(&world.got(CRONE)), ["-thirdwitch none/none"]);
}

#[test]
fn when_the_service_stops_everyone_is_told() {
    let mut world = gathered(&[("muc#roomconfig_persistentroom", "1")]);
    world.input(CHAT, &jid(COVEN), dmuc_core::Input::ServiceStops);
    world.settle();
    assert_eq!(told(&world.got(HAG)).last().unwrap(), "-thirdwitch none/none 332 110");
}

#[test]
fn occupants_may_probe_occupants_and_nobody_else_may() {
    let mut world = gathered(&[]);
    let probe = |from: &str, to: &str| format!("<presence type='probe' from='{from}' to='{to}'/>");
    world.send(&probe(HAG, SECOND));
    let got = world.got(HAG);
    assert_eq!(told(&got), ["+secondwitch none/participant"]);
    assert_eq!(item(&got[0], "jid"), None, "no moderator");
    world.send(&probe(HAG, THIRD));
    assert_eq!(told(&world.got(HAG)), ["+thirdwitch none/participant 110"]);
    world.send(&probe(HAG, &format!("{COVEN}/nobody")));
    assert_eq!(world.got(HAG)[0].ty(), "unavailable");
    world.send(&probe(HECATE, COVEN));
    assert!(world.got(HECATE).is_empty());
    for to in [SECOND.to_owned(), format!("{COVEN}/nobody")] {
        world.send(&probe(HECATE, &to));
        assert_eq!(the_error(&world.got(HECATE)), ("not-acceptable".into(), "cancel".into()), "{to}");
    }
}

#[test]
fn the_store_is_all_that_a_room_needs_to_go_on() {
    let mut world = gathered(&[("muc#roomconfig_whois", "anyone")]);
    world.says(HAG, COVEN, "before");
    world.restart(COVEN);
    world.forget();
    world.says(HAG, COVEN, "after");
    world.joins(HECATE, &format!("{COVEN}/hecate"));
    assert_eq!(bodies(&world.got(CRONE)), ["after"]);
    let got = world.got(HECATE);
    assert_eq!(bodies(&got), ["before", "after"]);
    assert_eq!(roster(&got).len(), 4);
}
