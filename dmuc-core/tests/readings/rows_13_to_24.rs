//! Rows 13 to 24 of the table.

use crate::common::*;
use crate::helpers::*;
use dmuc_core::Stanza;
use dmuc_core::policy::Replicate;
use dmuc_core::stanza::Kind;

// Row 13
#[test]
fn a_redirect_comes_from_the_nick_that_was_asked_for() {
    let mut world = gathered();
    world.joins("hag@macbeth.lit/pda", &format!("{COVEN}/hag"));
    let refusal = &world.got("hag@macbeth.lit/pda")[0];
    assert_eq!(refusal.from.as_ref().unwrap().as_str(), format!("{COVEN}/hag"));
}

// Row 14
#[test]
fn a_redirect_holds_a_uri_and_may_be_tried_elsewhere() {
    let mut world = gathered();
    world.joins("hag@macbeth.lit/pda", &format!("{COVEN}/hag"));
    let refusal = world.got("hag@macbeth.lit/pda")[0].clone();
    assert_eq!(error(&refusal), Some(("redirect".into(), "modify".into())));
    assert!(refusal.to_xml().contains(">xmpp:coven@rooms.macbeth.lit?join</redirect>"), "{refusal:?}");
    // In whatever shape one comes back to us, it is an error like others: neither answered nor an end of anything.
    for (target, ty) in [
        ("rooms.macbeth.lit", "cancel"),
        (AT_ROOMS, "modify"),
        ("xmpp:coven@rooms.macbeth.lit?join", "cancel"),
    ] {
        world.wire.clear();
        let before = world.record(COVEN);
        world.send(&format!(
            "<presence type='error' from='{AT_ROOMS}/foo' to='{COVEN}/foo'><error type='{ty}'>\
             <redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{target}</redirect></error></presence>"
        ));
        assert_eq!((world.wire.len(), world.record(COVEN)), (1, before), "{target}");
    }
}

// Row 15
#[test]
fn groupchat_to_an_occupant_is_for_registered_instances_only() {
    let mut world = with_plain_shadow();
    for to in [format!("{COVEN}/hermit"), COVEN.to_owned()] {
        world.forget();
        world.send(&format!(
            "<message type='groupchat' from='{AT_PLAIN}/hermit' to='{to}'><body>to {to}</body></message>"
        ));
        assert_eq!(bodies(&world.got(CRONE)), [format!("to {to}")], "with or without resource");
    }
    world.forget();
    world.send(&format!(
        "<message type='groupchat' from='{WITCH}' to='{COVEN}/foo'><body>no</body></message>"
    ));
    assert_eq!(the_error(&world.got(WITCH)), ("bad-request".into(), "modify".into()));
    world.says(CRONE, COVEN, "hear");
    let pushed = world.took(CHAT, ROOMS).remove(0);
    assert_eq!(pushed.to.unwrap().as_str(), format!("{AT_ROOMS}/foo"), "as published");
}

// Row 16
#[test]
fn a_presence_without_an_address_is_hearsay() {
    let mut world = with_plain_shadow();
    world.send(&format!(
        "<presence from='{AT_PLAIN}/anon' to='{COVEN}/anon'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='owner' role='moderator'/></x></presence>"
    ));
    let shown = roster(&world.got(CRONE))["anon"].clone();
    assert_eq!(shown, ("none".into(), "participant".into(), None));
    world.joins("late@marlowe.lit/x", "coven@conference.marlowe.lit/late");
    let sent = world.took(CONFERENCE, CHAT);
    let presence = sent.iter().find(|s| s.kind == Kind::Presence).unwrap().to_xml();
    assert!(presence.contains("jid='late@marlowe.lit/x'"), "ours names it: {presence}");
}

// Row 17
#[test]
fn a_roster_without_roles_gets_them_from_the_configuration() {
    let mut world = shadow_of_plain();
    let moderated =
        CONFIG.replace("</x>", "<field var='muc#roomconfig_moderatedroom'><value>1</value></field></x>");
    world.send(&format!("<iq type='set' id='config1' from='{AT_PLAIN}' to='{AT_ROOMS}'>{moderated}</iq>"));
    world.send(&format!(
        "<iq type='set' id='roster1' from='{AT_PLAIN}' to='{AT_ROOMS}'><roster {DMUC}>\
         <item affiliation='owner' jid='crone1@plain.example/desktop' name='foo'/>\
         <item affiliation='member' jid='crone2@plain.example/desktop' name='bar'/>\
         <item affiliation='none' name='baz'/></roster></iq>"
    ));
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    let roster = roster(&world.got(WITCH));
    let role = |nick: &str| roster[nick].1.as_str();
    assert_eq!((role("foo"), role("bar"), role("baz")), ("moderator", "participant", "visitor"));
    let world = gathered();
    for element in ["<affiliations", "<occupants"] {
        assert!(world.wire.iter().any(|s| s.to_xml().contains(element)), "we send {element} besides");
    }
}

// Row 18
#[test]
fn a_message_without_id_and_position_is_taken_from_a_plain_peer() {
    let mut world = with_plain_shadow();
    says(&mut world, "hermit", "Message 4.");
    for user in [CRONE, WITCH, KIT] {
        let got = world.got(user);
        assert_eq!(bodies(&got), ["Message 4."], "{user}");
        assert!(stanza_id(&got[0]).is_some());
    }
    world.says(CRONE, COVEN, "ours");
    let pushed = world.took(CHAT, ROOMS).pop().unwrap();
    assert!(pushed.id.is_some() && pushed.child("ev", "urn:xmpp:dmuc:sync:0").is_some());
}

// Row 19
#[test]
fn a_real_address_in_a_delay_is_not_shown() {
    let mut world = opened_shadow_of_plain();
    let message = past("foo", "Message 1.", "crone1@plain.example/desktop", "2026-08-21T10:14:01Z");
    answer_history(&mut world, &format!("<history {MUC}>{message}</history>"));
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    let got = world.got(WITCH);
    let shown = got.iter().find(|s| body(s).is_some()).unwrap().to_xml();
    assert!(!shown.contains("crone1@"), "{shown}");
    assert!(
        shown.contains(&format!(
            "<delay xmlns='urn:xmpp:delay' from='{AT_ROOMS}' stamp='2026-08-21T10:14:01.000Z'/>"
        )),
        "{shown}"
    );
    let mut world = gathered();
    world.says(CRONE, COVEN, "Message 1.");
    world.forget();
    world.send(&format!("<iq type='get' id='h' from='{AT_ROOMS}' to='{COVEN}'><history {MUC}/></iq>"));
    let answer = world.took(CHAT, ROOMS).remove(0).to_xml();
    assert!(answer.contains(&format!("from='{COVEN}' stamp=")) && !answer.contains("crone1@"), "{answer}");
}

// Row 20
#[test]
fn a_shadow_names_its_source_as_published() {
    let mut world = gathered();
    world.send(&format!(
        "<iq type='get' id='i' from='{WITCH}' to='{AT_ROOMS}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    ));
    let info = world.got(WITCH)[0].to_xml();
    assert!(
        info.contains("var='dmuc-source'") && info.contains(&format!("<value>{COVEN}</value>")),
        "{info}"
    );
}

// Row 21
#[test]
fn booleans_are_read_in_both_spellings_and_written_in_one() {
    for (value, is) in [("1", true), ("true", true), ("0", false), ("false", false)] {
        let mut world = World::three();
        world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", value)]);
        assert_eq!(world.instance(COVEN).config().unwrap().distributed, is, "{value}");
        assert_eq!(world.sites[ROOMS].rooms.contains_key(&jid(AT_ROOMS)), is, "{value}");
    }
    let world = gathered();
    let sent = world.wire.iter().find(|s| s.child("config", "urn:xmpp:dmuc:0").is_some()).unwrap().to_xml();
    assert!(sent.contains("<value>1</value>") && !sent.contains("<value>true</value>"), "{sent}");
}

// Row 22
#[test]
fn everything_that_is_sent_reads_back_as_it_was() {
    let mut world = gathered();
    world.says(CRONE, COVEN, "a &lt; b &amp; c &gt; &apos;d&apos;&#10;");
    world.leaves(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert!(world.wire.len() > 30);
    for sent in &world.wire {
        assert_eq!(stanza(&sent.to_xml()), *sent);
    }
}

// Row 23
#[test]
fn what_the_specification_lacks_works_at_a_shadow() {
    let mut world = gathered();
    let secret =
        [("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "cauldronburn")];
    world.configures(CRONE, COVEN, &secret);
    world.joins("hag@macbeth.lit/pda", &format!("{AT_ROOMS}/hag"));
    assert_eq!(the_error(&world.got("hag@macbeth.lit/pda")), ("not-authorized".into(), "auth".into()));
    world.send(&format!(
        "<presence from='hag@macbeth.lit/pda' to='{AT_ROOMS}/hag'><x {MUC}><password>cauldronburn</password></x></presence>"
    ));
    assert!(nicks(&world.got("hag@macbeth.lit/pda")).contains(&"hag".to_owned()));
    world.send(&format!(
        "<presence from='hag@macbeth.lit/pda' to='{AT_ROOMS}/hag'><show>away</show></presence>"
    ));
    assert!(world.got(KIT).last().unwrap().to_xml().contains("<show>away</show>"), "a presence update");
    world.leaves("hag@macbeth.lit/pda", &format!("{AT_ROOMS}/hag"));
    assert_eq!(world.got(KIT).last().unwrap().ty(), "unavailable");
    world.send(&format!(
        "<message from='{WITCH}' to='{AT_ROOMS}'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <invite to='hecate@macbeth.lit'/></x></message>"
    ));
    let invitation = world.got("hecate@macbeth.lit");
    assert!(
        invitation.iter().any(|s| s.to_xml().contains("cauldronburn")),
        "an invitation from a shadow: {invitation:?}"
    );
}

// Row 24
#[test]
fn a_peerhost_is_asked_what_it_can_do_before_and_not_again_for_a_day() {
    let mut world = World::three();
    world.policy(CHAT).replicate = Replicate::AtOnce;
    world.allow(PLAIN);
    create(&mut world);
    let asked = world.mail(PLAIN);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].to_xml().contains("disco#info"));
    let none = "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='http://jabber.org/protocol/muc'/></query>";
    world.send(&asked[0].result().with(payload(none)).to_xml());
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "Heath")]);
    world.restart(COVEN);
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "Moor")]);
    assert!(world.mail(PLAIN).is_empty(), "not at once");
    assert!(world.is_quiet(), "and nothing waits for the day to pass");
    world.wait(DAY_MS);
    world.configures(CRONE, COVEN, &[("muc#roomconfig_roomname", "Cave")]);
    assert_eq!(world.mail(PLAIN).len(), 1, "on the next occasion");
}

// Row 24
#[test]
fn a_peerhost_that_does_not_say_what_it_can_do_is_tried() {
    for (answer, unsupported) in [("service-unavailable", true), ("forbidden", false)] {
        let mut world = World::three();
        world.allow(PLAIN);
        create(&mut world);
        let refuse = |asked: &Stanza, condition: &str| {
            format!(
                "<iq type='error' id='{}' from='{PLAIN}' to='{CHAT}'><error type='cancel'>\
                 <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
                asked.id.as_deref().unwrap()
            )
        };
        let asked = world.mail(PLAIN).remove(0);
        world.send(&refuse(&asked, "service-unavailable"));
        let tried = world.mail(PLAIN).remove(0);
        assert!(tried.to_xml().contains("<replicate"));
        world.send(&refuse(&tried, answer));
        let placement = world.part(COVEN, &format!("placement/{PLAIN}")).unwrap();
        assert_eq!(placement.contains("unsupported"), unsupported, "{placement}");
        assert_eq!(placement.contains("refused"), !unsupported, "{placement}");
    }
}
