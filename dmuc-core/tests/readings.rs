//! The tolerant readings of XEP-0281 and what is said strictly in return: one test for each of the 24 rows of the table
//! in docs/protocol.md ("Core-only peers, schemas, and the XEP's own inconsistencies"), and the life of a peer that
//! knows nothing but what was published.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use dmuc_core::Stanza;
use dmuc_core::policy::{Replicate, ShadowName};
use dmuc_core::stanza::{Kind, Payload};

const COVEN: &str = "coven@chat.shakespeare.lit";
const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
const CRONE: &str = "crone1@shakespeare.lit/desktop";
const WITCH: &str = "somewitch@macbeth.lit/mobile";
const KIT: &str = "kit@marlowe.lit/quill";
/// A service as the specification has it, whose stanzas are written by hand.
const PLAIN: &str = "rooms.plain.example";
const AT_PLAIN: &str = "coven@rooms.plain.example";
const DMUC: &str = "xmlns='urn:xmpp:dmuc:0'";
const MUC: &str = "xmlns='http://jabber.org/protocol/muc'";
const DAY_MS: u64 = 86_400_000;

fn create(world: &mut World) {
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "1")]);
}

fn gathered() -> World {
    let mut world = World::three();
    create(&mut world);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, "coven@conference.marlowe.lit/kit");
    world.forget();
    world
}

/// The same with a plain instance, and `hermit` in at it.
fn with_plain_shadow() -> World {
    let mut world = World::three();
    world.allow(PLAIN);
    create(&mut world);
    world.agree(PLAIN, false);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, "coven@conference.marlowe.lit/kit");
    enters(&mut world, "hermit");
    world.agree(PLAIN, false);
    world.forget();
    world
}

/// A presence as the specification shows it.
fn enters(world: &mut World, nick: &str) {
    world.send(&format!(
        "<presence from='{AT_PLAIN}/{nick}' to='{COVEN}/{nick}'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='none' role='participant'/></x></presence>"
    ));
}

fn says(world: &mut World, nick: &str, text: &str) {
    world.send(&format!(
        "<message type='groupchat' from='{AT_PLAIN}/{nick}' to='{COVEN}/{nick}'><body>{text}</body></message>"
    ));
}

/// A room whose source is plain, with us as its shadow, `foo` in at the source.
fn shadow_of_plain() -> World {
    let mut world = World::with(&[ROOMS]);
    world.allow(PLAIN);
    world.send(&format!(
        "<iq type='set' id='replicate1' from='{PLAIN}' to='{ROOMS}'><replicate {DMUC}><room id='coven'/></replicate></iq>"
    ));
    let answer = world.mail(PLAIN).remove(0);
    assert_eq!((answer.ty(), answer.children.len()), ("result", 0), "nothing but what was published");
    world
}

const CONFIG: &str = "<config xmlns='urn:xmpp:dmuc:0'><x xmlns='jabber:x:data' type='form'>\
    <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
    <field var='muc#roomconfig_roomname'><value>A Dark Cave</value></field></x></config>";

fn opened_shadow_of_plain() -> World {
    let mut world = shadow_of_plain();
    world.send(&format!("<iq type='set' id='config1' from='{AT_PLAIN}' to='{AT_ROOMS}'>{CONFIG}</iq>"));
    world.send(&format!(
        "<iq type='set' id='roster1' from='{AT_PLAIN}' to='{AT_ROOMS}'><roster {DMUC}>\
         <item affiliation='owner' jid='crone1@plain.example/desktop' name='foo'/>\
         <item affiliation='none' name='bar'/></roster></iq>"
    ));
    world
}

/// Answers the history that the shadow has asked for; gives the request.
fn answer_history(world: &mut World, history: &str) -> Stanza {
    let mail = world.mail(PLAIN);
    let asked = mail.iter().rfind(|s| s.ty() == "get" && s.to_xml().contains("<history")).unwrap();
    world.send(&asked.result().with(payload(history)).to_xml());
    asked.clone()
}

fn past(nick: &str, text: &str, from: &str, stamp: &str) -> String {
    format!(
        "<message xmlns='jabber:client' from='{AT_PLAIN}/{nick}' type='groupchat'><body>{text}</body>\
         <delay xmlns='urn:xmpp:delay' from='{from}' stamp='{stamp}'/></message>"
    )
}

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
    assert_eq!(the_error(&world.mail("rooms.stranger.example")).0, "forbidden");
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

// The life of a plain peer.

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
