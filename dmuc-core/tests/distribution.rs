//! The story of XEP-0281: one room at three services.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;

const COVEN: &str = "coven@chat.shakespeare.lit";
const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
const AT_CONFERENCE: &str = "coven@conference.marlowe.lit";
const CRONE: &str = "crone1@shakespeare.lit/desktop";
const WITCH: &str = "somewitch@macbeth.lit/mobile";
const KIT: &str = "kit@marlowe.lit/quill";

/// The source with its two shadows, nobody but the owner in.
fn distributed() -> World {
    let mut world = World::three();
    world.creates(
        CRONE,
        &format!("{COVEN}/foo"),
        &[("muc#roomconfig_distributed", "1"), ("muc#roomconfig_publicroom", "1")],
    );
    world
}

/// All three with somebody in.
fn gathered() -> World {
    let mut world = distributed();
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    world.forget();
    world
}

#[test]
fn a_distributed_room_has_shadows_at_its_peerhosts() {
    let mut world = distributed();
    for room in [AT_ROOMS, AT_CONFERENCE] {
        let shadow = world.instance(room);
        assert_eq!(shadow.uid(), world.instance(COVEN).uid(), "{room}");
        assert_eq!(shadow.config(), world.instance(COVEN).config(), "{room}");
    }
    world.send(&format!(
        "<iq type='get' id='nb2ga51g' from='{WITCH}' to='{ROOMS}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    ));
    assert!(world.got(WITCH)[0].to_xml().contains(AT_ROOMS), "the peerhost lists its shadow");
    world.send(&format!(
        "<iq type='get' id='hf71vs8m' from='{WITCH}' to='{AT_ROOMS}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    ));
    let info = world.got(WITCH)[0].to_xml();
    assert!(info.contains("var='dmuc-source'") && info.contains(COVEN), "{info}");
}

#[test]
fn a_message_is_one_stanza_per_instance_and_has_one_id_everywhere() {
    let mut world = gathered();
    world.joins("hag66@macbeth.lit/pda", &format!("{AT_ROOMS}/hag"));
    world.forget();
    world.says(WITCH, AT_ROOMS, "Message 4.");
    for peer in [CHAT, CONFERENCE] {
        assert_eq!(world.took(ROOMS, peer).len(), 1, "to {peer}");
    }
    assert!(world.crossed.is_empty(), "nobody passes it on: {:?}", world.crossed);
    let mut ids = Vec::new();
    for user in [CRONE, WITCH, KIT, "hag66@macbeth.lit/pda"] {
        let got = world.got(user);
        assert_eq!(bodies(&got), ["Message 4."], "{user}");
        assert_eq!(got[0].from.as_ref().unwrap().resource(), Some("firstwitch"));
        ids.push(stanza_id(&got[0]).unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[test]
fn everybody_sees_everybody() {
    let mut world = distributed();
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    for user in [CRONE, WITCH, KIT] {
        let nicks: Vec<String> = roster(&world.got(user)).into_keys().collect();
        assert_eq!(nicks, ["firstwitch", "foo", "kit"], "{user}");
    }
}

#[test]
fn a_user_of_a_peerhost_is_sent_to_the_shadow_once() {
    let mut world = distributed();
    world.forget();
    world.joins(WITCH, &format!("{COVEN}/firstwitch"));
    let got = world.got(WITCH);
    assert_eq!(the_error(&got), ("redirect".into(), "modify".into()));
    let refusal = got[0].to_xml();
    assert!(
        refusal.contains("xmpp:coven@rooms.macbeth.lit?join") && refusal.contains("/firstwitch'"),
        "{refusal}"
    );
    assert!(got[1].child("x", "jabber:x:conference").unwrap().attr("jid").unwrap() == AT_ROOMS);
    world.joins(WITCH, &format!("{COVEN}/firstwitch"));
    assert!(roster(&world.got(WITCH)).contains_key("firstwitch"), "whoever comes back is let in");
}

#[test]
fn a_shadow_sends_users_to_the_instance_that_answers_for_them() {
    let mut world = distributed();
    world.forget();
    for (user, near) in [("duncan@shakespeare.lit/hall", COVEN), ("kit@marlowe.lit/quill", AT_CONFERENCE)] {
        for _ in 0..2 {
            world.joins(user, &format!("{AT_ROOMS}/stranger"));
            let got = world.got(user);
            assert_eq!(the_error(&got), ("redirect".into(), "modify".into()), "{user}, always");
            assert_eq!(got[1].child("x", "jabber:x:conference").unwrap().attr("jid").unwrap(), near);
        }
    }
    world.joins("puck@athens.lit/wood", &format!("{AT_ROOMS}/puck"));
    assert!(roster(&world.got("puck@athens.lit/wood")).contains_key("puck"), "nobody answers for it");
}

#[test]
fn a_client_in_at_two_instances_sees_itself_at_the_other() {
    let mut world = distributed();
    let puck = "puck@athens.lit/wood";
    world.joins(puck, &format!("{COVEN}/puck")).joins(puck, &format!("{AT_ROOMS}/robin"));
    let seen = world.got(puck);
    let at = |room: &str| -> Vec<_> {
        seen.iter().filter(|s| s.from.as_ref().unwrap().bare_str() == room).cloned().collect()
    };
    assert_eq!(nicks(&at(COVEN)), ["foo", "puck", "robin"]);
    assert_eq!(nicks(&at(AT_ROOMS)), ["foo", "puck", "robin"]);
}

#[test]
fn a_user_in_at_two_instances_under_one_nick_is_written_to_at_both() {
    let mut world = distributed();
    let (desk, phone) = ("puck@athens.lit/desk", "puck@athens.lit/phone");
    world.joins(desk, &format!("{COVEN}/puck")).joins(phone, &format!("{AT_ROOMS}/puck"));
    for (writer, room) in [(CRONE, COVEN), (desk, COVEN), (phone, AT_ROOMS)] {
        world.forget();
        world.send(&format!(
            "<message type='chat' id='w' from='{writer}' to='{room}/puck'><body>psst</body></message>"
        ));
        assert_eq!([desk, phone].map(|client| bodies(&world.got(client)).len()), [1, 1], "{writer}");
        assert!(world.got(writer).is_empty());
    }
}

#[test]
fn for_whom_nobody_answers_may_do_at_a_shadow_what_all_instances_believe() {
    let mut world = distributed();
    let puck = "puck@athens.lit/wood";
    world.orders(CRONE, COVEN, "jid='puck@athens.lit' affiliation='owner'");
    world.configures(CRONE, COVEN, &[("muc#roomconfig_changesubject", "0")]);
    world.joins(puck, &format!("{AT_ROOMS}/puck"));
    let jid = Some(puck.to_owned());
    assert_eq!(roster(&world.got(puck))["puck"], ("member".into(), "participant".into(), jid.clone()));
    for request in [
        "<message type='groupchat' from='puck@athens.lit/wood' to='coven@rooms.macbeth.lit'><subject>s</subject></message>",
        "<iq type='set' id='o' from='puck@athens.lit/wood' to='coven@rooms.macbeth.lit'>\
         <query xmlns='http://jabber.org/protocol/muc#admin'><item nick='foo' role='none'/></query></iq>",
    ] {
        world.send(request);
        assert_eq!(the_error(&world.got(puck)), ("forbidden".into(), "auth".into()), "{request}");
    }
    world.leaves(puck, &format!("{AT_ROOMS}/puck")).joins(puck, &format!("{COVEN}/puck"));
    assert_eq!(roster(&world.got(puck))["puck"], ("owner".into(), "moderator".into(), jid));
}

#[test]
fn a_nick_spelt_in_two_ways_by_one_user_is_gone_when_the_one_of_them_goes() {
    let mut world = distributed();
    let puck = "puck@athens.lit/wood";
    world.joins(puck, &format!("{COVEN}/puck")).joins(puck, &format!("{AT_ROOMS}/Puck"));
    assert_eq!(nicks(&world.got(CRONE)), ["Puck", "foo", "puck"]);
    world.leaves(puck, &format!("{AT_ROOMS}/Puck"));
    let gone = world.got(CRONE);
    assert!(
        gone.iter().any(|s| s.ty() == "unavailable" && s.from.as_ref().unwrap().resource() == Some("Puck"))
    );
}

#[test]
fn a_late_shadow_user_gets_the_history_of_all() {
    let mut world = gathered();
    world.says(CRONE, COVEN, "one").says(WITCH, AT_ROOMS, "two").says(KIT, AT_CONFERENCE, "three");
    world.joins("late@marlowe.lit/x", &format!("{AT_CONFERENCE}/late"));
    assert_eq!(bodies(&world.got("late@marlowe.lit/x")), ["one", "two", "three"]);
}

#[test]
fn a_new_shadow_fetches_what_was_said_before() {
    let mut world = World::three();
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "0")]);
    world.says(CRONE, COVEN, "Message 1.").says(CRONE, COVEN, "Message 2.");
    world.configures(CRONE, COVEN, &[("muc#roomconfig_distributed", "1")]);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    let got = world.got(WITCH);
    assert_eq!(bodies(&got), ["Message 1.", "Message 2."]);
    let original: Vec<_> = world.log(COVEN).iter().map(|entry| (entry.event.id, entry.digest)).collect();
    let copied: Vec<_> = world.log(AT_ROOMS).iter().map(|entry| (entry.event.id, entry.digest)).collect();
    assert_eq!(original, copied, "the same events, in the same chain");
}

#[test]
fn leaving_and_renaming_are_seen_everywhere() {
    let mut world = gathered();
    world.send(&format!("<presence from='{WITCH}' to='{AT_ROOMS}/oldhag'/>"));
    for user in [CRONE, KIT] {
        let got = world.got(user);
        assert_eq!(codes(&got[0]), [303], "{user}");
        assert_eq!(got[1].from.as_ref().unwrap().resource(), Some("oldhag"));
    }
    world.leaves(WITCH, &format!("{AT_ROOMS}/oldhag"));
    for user in [CRONE, KIT] {
        assert_eq!(world.got(user)[0].ty(), "unavailable", "{user}");
    }
}

#[test]
fn a_private_message_goes_to_one_instance_only() {
    let mut world = gathered();
    world.send(&format!(
        "<message type='chat' id='pm' from='{WITCH}' to='{AT_ROOMS}/kit'><body>psst</body></message>"
    ));
    assert_eq!(bodies(&world.got(KIT)), ["psst"]);
    assert!(world.got(CRONE).is_empty());
    assert!(world.took(ROOMS, CHAT).is_empty());
    assert_eq!(world.log(AT_CONFERENCE).len(), 0, "never logged");
}

#[test]
fn a_kick_is_executed_where_its_victim_is() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "nick='firstwitch' role='none'");
    assert_eq!(codes(&world.got(WITCH)[0]), [307, 110]);
    assert!(world.got(CRONE).iter().any(|s| s.ty() == "result"));
    assert_eq!(codes(&world.got(KIT)[0]), [307]);
}

#[test]
fn a_ban_at_the_source_holds_at_every_shadow() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='outcast'");
    assert_eq!(codes(&world.got(WITCH)[0]), [301, 110]);
    for witness in [CRONE, KIT] {
        let seen = world.got(witness);
        let gone = seen.iter().find(|s| s.ty() == "unavailable").unwrap();
        assert_eq!(codes(gone), [301], "{witness}");
        assert!(gone.to_xml().contains("affiliation='outcast'"), "{witness}: {gone:?}");
    }
    for room in [AT_ROOMS, AT_CONFERENCE] {
        world.forget();
        world.joins(WITCH, &format!("{room}/firstwitch"));
        assert_eq!(the_error(&world.got(WITCH)), ("forbidden".into(), "auth".into()), "{room}");
    }
}

#[test]
fn who_is_banned_at_the_source_is_an_outcast_to_those_who_see_it_go_elsewhere() {
    let mut world = gathered();
    world.joins("duncan@shakespeare.lit/hall", &format!("{COVEN}/duncan")).forget();
    world.orders(CRONE, COVEN, "jid='duncan@shakespeare.lit' affiliation='outcast'");
    for witness in [CRONE, WITCH, KIT] {
        let seen = world.got(witness);
        let gone = seen.iter().find(|s| s.ty() == "unavailable").unwrap();
        assert_eq!(codes(gone), [301], "{witness}");
        assert!(gone.to_xml().contains("affiliation='outcast'"), "{witness}: {gone:?}");
    }
}

#[test]
fn an_owner_at_a_shadow_configures_through_the_source() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='owner'");
    world.forget();
    world.configures(WITCH, AT_ROOMS, &[("muc#roomconfig_moderatedroom", "1")]);
    assert!(world.got(WITCH).iter().any(|s| s.ty() == "result" && s.id.as_deref() == Some("cfg")));
    for room in [COVEN, AT_ROOMS, AT_CONFERENCE] {
        assert!(world.instance(room).config().unwrap().moderated, "{room}");
    }
    assert_eq!(roster(&world.got(KIT))["kit"].1, "visitor");
    world.says(KIT, AT_CONFERENCE, "muffled");
    assert_eq!(the_error(&world.got(KIT)).0, "forbidden");
}

#[test]
fn affiliations_changed_at_a_shadow_hold_everywhere() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='admin'");
    world.orders(WITCH, AT_ROOMS, "jid='kit@marlowe.lit' affiliation='member'");
    for user in [CRONE, WITCH, KIT] {
        assert_eq!(roster(&world.got(user))["kit"].0, "member", "{user}");
    }
    world.orders(WITCH, AT_ROOMS, "jid='crone1@shakespeare.lit' affiliation='outcast'");
    assert_eq!(the_error(&world.got(WITCH)).0, "not-allowed", "an admin does not ban an owner, from nowhere");
}

#[test]
fn voice_granted_at_a_shadow_is_heard_everywhere() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='admin'");
    world.configures(CRONE, COVEN, &[("muc#roomconfig_moderatedroom", "1")]);
    world.orders(WITCH, AT_ROOMS, "nick='kit' role='participant'");
    world.forget();
    world.says(KIT, AT_CONFERENCE, "at last");
    for user in [CRONE, WITCH, KIT] {
        assert_eq!(bodies(&world.got(user)), ["at last"], "{user}");
    }
}

#[test]
fn the_subject_is_one_everywhere() {
    let mut world = gathered();
    world.configures(CRONE, COVEN, &[("muc#roomconfig_changesubject", "1")]);
    world.forget();
    world.send(&format!(
        "<message type='groupchat' from='{WITCH}' to='{AT_ROOMS}'><subject>Fire Burn!</subject></message>"
    ));
    world.joins("late@marlowe.lit/x", &format!("{AT_CONFERENCE}/late"));
    let got = world.got("late@marlowe.lit/x");
    assert!(got.last().unwrap().to_xml().contains("<subject>Fire Burn!</subject>"));
}

#[test]
fn destroying_the_source_ends_the_shadows() {
    let mut world = gathered();
    world.send(&format!(
        "<iq type='set' id='d' from='{CRONE}' to='{COVEN}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <destroy jid='heath@chat.shakespeare.lit'><reason>done</reason></destroy></query></iq>"
    ));
    for user in [CRONE, WITCH, KIT] {
        let got = world.got(user);
        assert!(
            got.iter().any(|s| s.to_xml().contains("<destroy jid='heath@chat.shakespeare.lit'>")),
            "{user}: {got:?}"
        );
    }
    world.joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    assert_eq!(the_error(&world.got(KIT)), ("gone".into(), "cancel".into()));
}

#[test]
fn a_restart_is_invisible() {
    let mut world = gathered();
    world.says(WITCH, AT_ROOMS, "before");
    world.restart(AT_ROOMS);
    world.restart(COVEN);
    world.forget();
    world.says(WITCH, AT_ROOMS, "after");
    for user in [CRONE, WITCH, KIT] {
        assert_eq!(bodies(&world.got(user)), ["after"], "{user}");
    }
    world.joins("late@macbeth.lit/x", &format!("{AT_ROOMS}/late"));
    assert_eq!(bodies(&world.got("late@macbeth.lit/x")), ["before", "after"], "the past is there too");
    let positions: Vec<u64> = world.log(COVEN).iter().map(|entry| entry.event.pos.s).collect();
    assert_eq!(positions, [1, 2], "numbers go on");
}
