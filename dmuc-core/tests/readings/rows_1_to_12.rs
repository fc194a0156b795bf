//! Rows 1 to 12 of the table.

use crate::common::*;
use crate::helpers::*;
use dmuc_core::Stanza;
use dmuc_core::policy::ShadowName;
use dmuc_core::stanza::{Kind, Payload};

// Row 1
#[test]
fn an_answer_counts_by_its_id_and_who_was_asked() {
    let mut world = World::three();
    world.allow(PLAIN);
    create(&mut world);
    let asked = world.mail(PLAIN).into_iter().find(|s| s.to_xml().contains("disco#info")).unwrap();
    let info =
        "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:dmuc:0'/></query>";
    // Mirrored as in the specification, or of somebody else: ignored.
    let id = asked.id.as_deref().unwrap();
    for from in [ROOMS, "rooms.stranger.example", AT_PLAIN] {
        world.send(&format!("<iq type='result' id='{id}' from='{from}' to='{CHAT}'>{info}</iq>"));
        assert!(world.mail(PLAIN).is_empty(), "{from}");
    }
    world.send(&format!("<iq type='result' id='{id}' from='{PLAIN}' to='{CHAT}'>{info}</iq>"));
    assert!(world.mail(PLAIN)[0].to_xml().contains("<replicate"));
    // What we acknowledge comes from whom it was asked of.
    world.send(&format!("<iq type='set' id='ph1' from='{CHAT}' to='{ROOMS}'><peerhost {DMUC}><room id='coven'/></peerhost></iq>"));
    let ack = world.took(ROOMS, CHAT).pop().unwrap();
    assert_eq!(
        (ack.ty(), ack.from.as_ref().unwrap().as_str(), ack.to.as_ref().unwrap().as_str()),
        ("result", ROOMS, CHAT)
    );
}

// Row 2
#[test]
fn history_is_given_to_either_side() {
    for (asker, asked) in [(AT_ROOMS, COVEN), (COVEN, AT_ROOMS)] {
        let mut world = gathered();
        world.says(CRONE, COVEN, "Message 1.");
        world.forget();
        world.send(&format!(
            "<iq type='get' id='history1' from='{asker}' to='{asked}'><room {DMUC} id='coven'><history {MUC}/></room></iq>"
        ));
        let answer = world.took(jid(asked).domain(), jid(asker).domain()).remove(0);
        assert!(answer.ty() == "result" && answer.to_xml().contains("Message 1."), "{answer:?}");
    }
}

// Row 3
#[test]
fn an_answer_outside_of_its_iq_is_not_xml() {
    assert!(Payload::parse_xml("<iq type='result'/><history></history></iq>").is_err());
    let mut world = gathered();
    world.says(CRONE, COVEN, "Message 1.");
    world.forget();
    world.send(&format!(
        "<iq type='get' id='history1' from='{AT_ROOMS}' to='{COVEN}'><room {DMUC} id='coven'><history {MUC}/></room></iq>"
    ));
    let answer = world.took(CHAT, ROOMS).remove(0);
    assert!(answer.children.len() == 1 && answer.children[0].is("history", "http://jabber.org/protocol/muc"));
}

// Row 4
#[test]
fn a_result_to_a_result_is_ignored_and_none_is_sent() {
    let mut world = World::three();
    create(&mut world);
    let answers = |world: &World, from: &str| {
        let between_services = |s: &&Stanza| world.sites.contains_key(s.to.as_ref().unwrap().domain());
        let theirs = |s: &&Stanza| {
            s.kind == Kind::Iq && between_services(s) && s.from.as_ref().unwrap().domain() == from
        };
        let iqs: Vec<&Stanza> = world.wire.iter().filter(theirs).collect();
        let (asked, answered): (Vec<&Stanza>, Vec<&Stanza>) = iqs.into_iter().partition(|s| s.is_request());
        (asked.len(), answered.len())
    };
    let (asked, answered) = answers(&world, CHAT);
    let others = [ROOMS, CONFERENCE].map(|domain| answers(&world, domain));
    assert_eq!(asked, others[0].1 + others[1].1 - between_shadows(&world), "one answer for each question");
    assert_eq!(answered, others[0].0 + others[1].0 - between_shadows(&world));
    let before = world.record(COVEN);
    world.wire.clear();
    world.send(&format!("<iq type='result' id='history1' from='{AT_ROOMS}' to='{COVEN}'/>"));
    assert_eq!(world.wire.len(), 1, "only what was sent: {:?}", world.wire);
    assert_eq!(world.record(COVEN), before);
}

/// Questions that shadows asked each other; each has its answer.
fn between_shadows(world: &World) -> usize {
    let between = |s: &&Stanza| {
        s.kind == Kind::Iq
            && s.from.as_ref().unwrap().domain() != CHAT
            && s.to.as_ref().unwrap().domain() != CHAT
    };
    let (asked, answered): (Vec<&Stanza>, Vec<&Stanza>) =
        world.wire.iter().filter(between).partition(|s| s.is_request());
    assert_eq!(asked.len(), answered.len());
    asked.len()
}

// Row 5
#[test]
fn history_may_be_wrapped_or_bare() {
    let mut world = gathered();
    world.says(CRONE, COVEN, "Message 1.");
    for request in [format!("<room {DMUC} id='coven'><history {MUC}/></room>"), format!("<history {MUC}/>")] {
        world.forget();
        world.send(&format!("<iq type='get' id='h' from='{AT_ROOMS}' to='{COVEN}'>{request}</iq>"));
        let answer = world.took(CHAT, ROOMS).remove(0);
        assert!(
            answer.children[0].name() == "history" && answer.to_xml().contains("Message 1."),
            "{request}"
        );
    }
    for (open, close) in [("", ""), ("<room xmlns='urn:xmpp:dmuc:0' id='coven'>", "</room>")] {
        let mut world = opened_shadow_of_plain();
        let message = past("foo", "Message 1.", AT_PLAIN, "2026-08-21T10:14:01Z");
        let asked = answer_history(&mut world, &format!("{open}<history {MUC}>{message}</history>{close}"));
        assert!(asked.children[0].is("room", "urn:xmpp:dmuc:0"), "wrapped, as published: {asked:?}");
        assert_eq!(asked.children[0].attr("id").as_deref(), Some("coven"));
        world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
        assert_eq!(bodies(&world.got(WITCH)), ["Message 1."]);
    }
}

// Row 6
#[test]
fn a_room_is_called_differently_at_every_instance() {
    let mut world = World::three();
    // The name is taken at Macbeth's service.
    world.creates(WITCH, &format!("{AT_ROOMS}/firstwitch"), &[]);
    create(&mut world);
    let uid = world.instance(COVEN).uid().unwrap();
    let shadow = format!("{uid}@{ROOMS}");
    assert_eq!(world.instance(&shadow).uid(), Some(uid));
    world.joins("hag@macbeth.lit/pda", &format!("{shadow}/hag"));
    world.joins(KIT, "coven@conference.marlowe.lit/kit");
    world.forget();
    world.says("hag@macbeth.lit/pda", &shadow, "hear me");
    for user in [CRONE, KIT] {
        assert_eq!(bodies(&world.got(user)), ["hear me"], "{user}");
    }
    world.says(WITCH, AT_ROOMS, "another room");
    assert!(world.got(CRONE).is_empty());
}

// Row 7
#[test]
fn a_room_id_is_any_localpart_and_ours_may_be_opaque() {
    let hash = "e6fd5a8a3f0a1a4c8b7d2e9c5f1a3b7c9d0e2f4a6b8c0d1e3f5a7b9c1d3e5f70";
    for id in [hash, "coven", "6f0c3a52-7f0e-4cbb-a3bb-0f5d1f1c5a11"] {
        let mut world = World::with(&[ROOMS]);
        world.allow(PLAIN);
        world.send(&format!(
            "<iq type='set' id='r' from='{PLAIN}' to='{ROOMS}'><replicate {DMUC}><room id='{id}'/></replicate></iq>"
        ));
        assert_eq!(world.mail(PLAIN)[0].ty(), "result", "{id}");
        assert!(world.instance(&format!("{id}@{ROOMS}")).uid().is_some());
    }
    let mut world = World::three();
    world.policy(CHAT).shadow_name = ShadowName::Uid;
    create(&mut world);
    let uid = world.instance(COVEN).uid().unwrap();
    assert_eq!(world.instance(&format!("{uid}@{ROOMS}")).uid(), Some(uid));
    let offer = world.wire.iter().find(|s| s.to_xml().contains("<replicate")).unwrap().to_xml();
    assert!(
        offer.contains(&format!("<room id='{uid}'/>")) && offer.contains(&format!(" uid='{uid}'")),
        "{offer}"
    );
}

// Row 8
#[test]
fn a_new_peerhost_need_not_be_named_and_is_by_us() {
    let mut world = opened_shadow_of_plain();
    world.mail(PLAIN);
    world.send(&format!("<iq type='set' id='ph1' from='{PLAIN}' to='{ROOMS}'><peerhost {DMUC}><room id='coven'/></peerhost></iq>"));
    assert_eq!(world.mail(PLAIN)[0].ty(), "result");
    let world = gathered();
    let announced = world.wire.iter().find(|s| s.to_xml().contains("<peerhost")).unwrap().to_xml();
    assert!(
        announced.contains("<instances xmlns='urn:xmpp:dmuc:sync:0'")
            && announced.contains("<room id='coven'/>")
    );
}

// Row 9
#[test]
fn the_first_configuration_from_the_firsthost_names_the_source() {
    let mut world = shadow_of_plain();
    // Neither another domain's room nor another stanza of the firsthost's.
    world.send(&format!(
        "<iq type='set' id='c' from='coven@rooms.stranger.example' to='{AT_ROOMS}'>{CONFIG}</iq>"
    ));
    assert_eq!(the_error(&world.mail("rooms.stranger.example")).0, "forbidden", "no instance of this room");
    world.send(&format!("<iq type='set' id='r' from='{AT_PLAIN}' to='{AT_ROOMS}'><roster {DMUC}/></iq>"));
    assert_eq!(the_error(&world.mail(PLAIN)).0, "forbidden");
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(the_error(&world.got(WITCH)).1, "wait", "not open yet");
    world.send(&format!("<iq type='set' id='config1' from='{AT_PLAIN}' to='{AT_ROOMS}'>{CONFIG}</iq>"));
    assert_eq!(world.instance(AT_ROOMS).config().unwrap().name, "A Dark Cave");
    // From now on it is that room and no other.
    world.mail(PLAIN);
    let usurper = CONFIG.replace("A Dark Cave", "Mine");
    world.send(&format!("<iq type='set' id='c2' from='usurper@{PLAIN}' to='{AT_ROOMS}'>{usurper}</iq>"));
    assert_eq!(the_error(&world.mail(PLAIN)).0, "forbidden");
    assert_eq!(world.instance(AT_ROOMS).config().unwrap().name, "A Dark Cave");
    let world = gathered();
    let offer = world.wire.iter().find(|s| s.to_xml().contains("<replicate")).unwrap().to_xml();
    assert!(offer.contains(&format!("source='{COVEN}'")), "we name it in the offer: {offer}");
}

// Row 10
#[test]
fn configuring_is_the_owner_s_request_to_the_room() {
    let mut world = gathered();
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "A Dark Cave")]);
    let got = world.got(CRONE);
    assert!(got.iter().any(|s| s.ty() == "result" && s.from.as_ref().unwrap().as_str() == COVEN));
    assert!(got.iter().all(|s| s.ty() != "set"), "the room asks nothing of its owner");
    assert_eq!(world.instance(AT_ROOMS).config().unwrap().name, "A Dark Cave");
}

// Row 11
#[test]
fn a_configuration_is_taken_as_form_submit_or_result_and_submitted_by_us() {
    for ty in ["form", "submit", "result"] {
        let mut world = shadow_of_plain();
        let config = CONFIG.replace("type='form'", &format!("type='{ty}'"));
        world.send(&format!("<iq type='set' id='c' from='{AT_PLAIN}' to='{AT_ROOMS}'>{config}</iq>"));
        assert_eq!(world.instance(AT_ROOMS).config().unwrap().name, "A Dark Cave", "{ty}");
    }
    let world = gathered();
    let sent = world.wire.iter().find(|s| s.child("config", "urn:xmpp:dmuc:0").is_some()).unwrap();
    assert!(sent.to_xml().contains("<x xmlns='jabber:x:data' type='submit'>"), "{sent:?}");
}

// Row 12
#[test]
fn the_invitation_to_a_shadow_is_well_formed() {
    assert!(
        Payload::parse_xml("<message from='a@b' to='c@d' <x xmlns='jabber:x:conference'/></message>")
            .is_err()
    );
    let mut world = gathered();
    world.joins("hag@macbeth.lit/pda", &format!("{COVEN}/hag"));
    let got = world.got("hag@macbeth.lit/pda");
    let invitation = got.iter().find(|s| s.kind == Kind::Message).unwrap();
    assert_eq!(stanza(&invitation.to_xml()), *invitation);
    let x = invitation.child("x", "jabber:x:conference").unwrap();
    assert_eq!(x.attr("jid").as_deref(), Some(AT_ROOMS));
}
