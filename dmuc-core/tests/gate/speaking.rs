//! Presences, messages, and what moderators elsewhere want.

use crate::common::*;
use crate::helpers::*;
use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

#[test]
fn what_presences_and_messages_are_refused_for() {
    let mut world = gathered();
    let ev = |s: u64, more: &str| format!("<ev {SYNC} i='1' s='{s}' h='{H}' id='{EID}'{more}/>");
    let say = |nick: &str, rest: &str| {
        format!(
            "<message type='groupchat' id='m' from='{AT_EVIL}/{nick}' to='{COVEN}/{nick}'><body>hi</body>{rest}</message>"
        )
    };
    let presence = |nick: &str, jid: &str| {
        format!(
            "<presence from='{AT_EVIL}/{nick}' to='{COVEN}/{nick}'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='none' role='participant' jid='{jid}'/></x><at {SYNC} ver='9' h='{H}'/></presence>"
        )
    };
    let deps: String = (0..100).map(|n| format!("<dep o='h{n}.example' i='1' s='1'/>")).collect();
    let crowded = format!("<ev {SYNC} i='1' s='1' h='{H}' id='{EID}'>{deps}</ev>");
    for case in [
        case("a message of nobody", COVEN, say("nobody", &ev(1, "")), UNKNOWN),
        case("a message of another instance's occupant", COVEN, say("kit", &ev(1, "")), UNKNOWN),
        case("a message of an occupant of ours", COVEN, say("foo", &ev(1, "")), UNKNOWN),
        case(
            "a message that claims another origin",
            COVEN,
            say("imp", &ev(1, " o='conference.marlowe.lit'")),
            ("not-allowed", "cancel", Some("not-authoritative")),
        ),
        case(
            "a message that claims to be ours",
            COVEN,
            say("imp", &ev(1, " o='chat.shakespeare.lit'")),
            ("not-allowed", "cancel", Some("not-authoritative")),
        ),
        case("a message without its position", COVEN, say("imp", ""), ("bad-request", "modify", None)),
        case(
            "a malformed position",
            COVEN,
            say("imp", &format!("<ev {SYNC} i='1' s='one'/>")),
            ("bad-request", "modify", None),
        ),
        case("position zero", COVEN, say("imp", &ev(0, "")), ("bad-request", "modify", None)),
        case("too many dependencies", COVEN, say("imp", &crowded), ("policy-violation", "modify", None)),
        case(
            "a presence of a user of ours",
            COVEN,
            presence("crone", "crone1@shakespeare.lit/y"),
            NOT_AUTHORITATIVE,
        ),
        case(
            "a presence of another instance's user",
            COVEN,
            presence("kit2", "kit@marlowe.lit/y"),
            NOT_AUTHORITATIVE,
        ),
        case(
            "a presence under a nick that is none",
            COVEN,
            presence("&#x3164;", "fiend@evil.example/x"),
            ("jid-malformed", "modify", Some("bad-item")),
        ),
        case(
            "a presence with an address that is none",
            COVEN,
            presence("fiend", "a@b@c"),
            ("jid-malformed", "modify", Some("bad-item")),
        ),
        case(
            "a presence of an odd type",
            COVEN,
            presence("imp", "imp@evil.example/x").replace("<presence", "<presence type='subscribe'"),
            ("bad-request", "modify", None),
        ),
        case("a private message of nobody", COVEN, say("nobody", "").replace("groupchat", "chat"), UNKNOWN),
        case(
            "a private message to nobody here",
            COVEN,
            say("imp", "")
                .replace("groupchat", "chat")
                .replace(&format!("{COVEN}/imp"), &format!("{COVEN}/kit")),
            ("item-not-found", "cancel", None),
        ),
    ] {
        check(&mut world, &case);
    }
    world.orders(CRONE, COVEN, "jid='devil@evil.example' affiliation='outcast'");
    world.configures(CRONE, COVEN, &[("muc#roomconfig_moderatedroom", "1")]);
    world.agree(EVIL, true);
    check(
        &mut world,
        &case("a banned user", COVEN, presence("devil", "devil@evil.example/x"), ("forbidden", "auth", None)),
    );
    check_withheld(&mut world, &case("no voice", COVEN, say("imp", &ev(1, "")), ("forbidden", "auth", None)));
}

#[test]
fn a_subject_without_the_right_is_withheld() {
    let mut world = gathered();
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><subject>hi</subject><ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    check_withheld(&mut world, &case("a subject", COVEN, said, ("forbidden", "auth", None)));
}

#[test]
fn a_banned_user_s_words_are_not_heard_from_elsewhere() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='imp@evil.example' affiliation='outcast'");
    world.mail(EVIL);
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>hi</body><ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    check_withheld(&mut world, &case("banned", COVEN, said, ("forbidden", "auth", None)));
    let again =
        format!("<occupants {SYNC} until='9'><in nick='imp2' jid='imp@evil.example/y' h='{H}'/></occupants>");
    hears(&mut world, COVEN, &iq("set", AT_EVIL, COVEN, &again));
    assert!(!nicks(&world.got(CRONE)).contains(&"imp2".to_owned()), "nor is it let in by a list");
}

#[test]
fn a_peer_moderates_only_by_those_who_moderate_here() {
    let mut world = gathered();
    world.says(CRONE, COVEN, "hail");
    let id = stanza_id(&world.got(WITCH)[0]).unwrap();
    let oid = |world: &World, key: &str| {
        let occupant: serde_json::Value = serde_json::from_str(world.part(COVEN, key).unwrap()).unwrap();
        occupant["oid"].as_str().unwrap().to_owned()
    };
    let imp = oid(&world, "occupant/rooms.evil.example/imp");
    let crone = oid(&world, "occupant/chat.shakespeare.lit/foo");
    let ev = format!("<ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/>");
    let moderation = |nick: &str, oid: &str, ev: &str| {
        format!(
            "<message type='groupchat' id='m' from='{AT_EVIL}' to='{COVEN}'><retract id='{id}' xmlns='urn:xmpp:message-retract:1'>\
             <moderated by='{AT_EVIL}/{nick}' xmlns='urn:xmpp:message-moderate:1'>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='{oid}'/></moderated></retract>{ev}</message>"
        )
    };
    let anonymous = moderation("imp", &imp, &ev).replace("moderated", "moderate");
    for case in [
        case("moderation by nobody", COVEN, moderation("nobody", "x", &ev), UNKNOWN),
        case("moderation by our own moderator", COVEN, moderation("foo", &crone, &ev), UNKNOWN),
        case("moderation under another's id", COVEN, moderation("imp", &crone, &ev), UNKNOWN),
        case(
            "moderation by who does not moderate",
            COVEN,
            moderation("imp", &imp, &ev),
            ("forbidden", "auth", None),
        ),
        case("a retraction of the room without moderator", COVEN, anonymous, UNKNOWN),
    ] {
        check(&mut world, &case);
    }
    world.orders(CRONE, COVEN, "jid='imp@evil.example' affiliation='admin'");
    world.agree(EVIL, true);
    let unpositioned = case(
        "moderation without position",
        COVEN,
        moderation("imp", &imp, ""),
        ("bad-request", "modify", None),
    );
    check(&mut world, &unpositioned);
    assert!(hears(&mut world, COVEN, &moderation("imp", &imp, &ev)).is_empty());
    let got = world.got(CRONE);
    assert_eq!(got[0].from.as_ref().unwrap().as_str(), COVEN);
    assert!(got[0].to_xml().contains(&format!("by='{COVEN}/imp'")), "as it is known here: {got:?}");
    assert!(!format!("{:?}", world.log(COVEN)[0]).contains("<body>"));
}

#[test]
fn no_occupant_of_a_peer_says_what_only_rooms_say() {
    let mut world = gathered();
    let claims = "<retracted id='x' stamp='2020-01-01T00:00:00Z' xmlns='urn:xmpp:message-retract:1'/>\
         <retract id='AAAAAAAAAAAAAAAAAAAAAA' xmlns='urn:xmpp:message-retract:1'>\
         <moderated by='coven@chat.shakespeare.lit/foo' xmlns='urn:xmpp:message-moderate:1'/></retract>";
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>hi</body>{claims}<ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    hears(&mut world, COVEN, &said);
    let got = world.got(CRONE);
    assert_eq!(bodies(&got), ["hi"]);
    assert!(!got[0].to_xml().contains("urn:xmpp:message-"), "{got:?}");
}

#[test]
fn a_replay_is_silent() {
    let mut world = gathered();
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>once</body><ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    assert!(hears(&mut world, COVEN, &said).is_empty());
    assert_eq!(bodies(&world.got(CRONE)), ["once"]);
    let before = world.record(COVEN);
    assert!(hears(&mut world, COVEN, &said).is_empty(), "no answer");
    assert!(world.got(CRONE).is_empty(), "no delivery");
    assert_eq!(world.record(COVEN), before);
    // The name of an event cannot be given to another one.
    let again = said.replace("s='1'", "s='2'").replace("once", "twice");
    check(&mut world, &case("an id given twice", COVEN, again, ("conflict", "cancel", None)));
    // A presence from before a departure does not bring anybody back.
    let presence = |ver: u32, ty: &str| {
        format!(
            "<presence {ty} from='{AT_EVIL}/imp' to='{COVEN}/imp'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='none' role='participant' jid='imp@evil.example/x'/></x><at {SYNC} ver='{ver}' h='{H}'/></presence>"
        )
    };
    hears(&mut world, COVEN, &presence(2, ""));
    hears(&mut world, COVEN, &presence(3, "type='unavailable'"));
    world.forget();
    assert!(hears(&mut world, COVEN, &presence(2, "")).is_empty());
    assert!(world.got(CRONE).is_empty());
}

#[test]
fn nobody_speaks_in_the_name_of_another_instance_s_room() {
    let mut world = gathered();
    let forged = format!(
        "<stanza-id xmlns='urn:xmpp:sid:0' by='{COVEN}' id='forged'/><delay xmlns='urn:xmpp:delay' from='{COVEN}' stamp='2020-01-01T00:00:00Z'/>"
    );
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>hi</body>{forged}<ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    hears(&mut world, COVEN, &said);
    let got = world.got(CRONE);
    let ids: Vec<_> =
        got[0].children.iter().filter(|c| c.name() == "stanza-id").map(|c| c.attr("id").unwrap()).collect();
    assert_eq!(ids, [EID]);
    assert!(!got[0].to_xml().contains("2020-01-01"), "{:?}", got[0]);
    let state = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'>{forged}<composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    );
    hears(&mut world, COVEN, &state);
    assert!(!world.got(CRONE)[0].to_xml().contains("forged"));
    let presence =
        format!("<presence from='{AT_EVIL}/imp' to='{COVEN}/imp'>{forged}<show>away</show></presence>");
    hears(&mut world, COVEN, &presence);
    let got = world.got(CRONE);
    assert!(
        got.iter().all(|s| s.kind == Kind::Presence
            && !s.to_xml().contains("2020-01-01")
            && !s.to_xml().contains("forged")),
        "{got:?}"
    );
}

#[test]
fn an_occupant_id_is_what_the_address_gives_whatever_its_instance_says() {
    let mut world = gathered();
    world.joins("late@shakespeare.lit/x", &format!("{COVEN}/late"));
    let oid_of = |got: &[Stanza], nick: &str| {
        let of_nick =
            |s: &&Stanza| s.kind == Kind::Presence && s.from.as_ref().unwrap().resource() == Some(nick);
        got.iter()
            .find(of_nick)
            .unwrap()
            .child("occupant-id", "urn:xmpp:occupant-id:0")
            .unwrap()
            .attr("id")
            .unwrap()
    };
    let kit = oid_of(&world.got("late@shakespeare.lit/x"), "kit");
    let forged = format!(
        "<presence from='{AT_EVIL}/fiend' to='{COVEN}/fiend'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='none' role='participant' jid='fiend@evil.example/x'/></x><at {SYNC} ver='9' h='{H}' oid='{kit}'/></presence>"
    );
    hears(&mut world, COVEN, &forged);
    assert_ne!(oid_of(&world.got(CRONE), "fiend"), kit);
}

#[test]
fn what_proposals_and_kicks_are_refused_for() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='roamer@elsewhere.example' affiliation='owner'");
    world.agree(EVIL, true);
    let propose = |actor: &str, item: &str| {
        let query = format!("<query xmlns='http://jabber.org/protocol/muc#admin'><item {item}/></query>");
        format!("<propose {SYNC} id='{EID}' h='{H}' base='1' actor='{actor}'>{query}</propose>")
    };
    let ban = "jid='kit@marlowe.lit' affiliation='outcast'";
    let set = |from: &str, child: &str| iq("set", from, COVEN, child);
    let kick = "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='foo' role='none'/></query>";
    let grant = "<query xmlns='http://jabber.org/protocol/muc#admin'><item jid='imp@evil.example' affiliation='owner'/></query>";
    let imp = format!("{AT_EVIL}/imp");
    for case in [
        case(
            "an owner of ours as actor",
            COVEN,
            set(AT_EVIL, &propose("crone1@shakespeare.lit", ban)),
            NOT_AUTHORITATIVE,
        ),
        case(
            "another instance's user as actor",
            COVEN,
            set(AT_EVIL, &propose("somewitch@macbeth.lit", ban)),
            NOT_AUTHORITATIVE,
        ),
        case(
            "an owner of a third domain as actor",
            COVEN,
            set(AT_EVIL, &propose("roamer@elsewhere.example", ban)),
            NOT_AUTHORITATIVE,
        ),
        case(
            "an actor without the right",
            COVEN,
            set(AT_EVIL, &propose("imp@evil.example", ban)),
            ("forbidden", "auth", None),
        ),
        case(
            "an actor that is none",
            COVEN,
            set(AT_EVIL, &propose("a@b@c", ban)),
            ("jid-malformed", "modify", None),
        ),
        case(
            "nothing proposed",
            COVEN,
            set(AT_EVIL, &format!("<propose {SYNC} id='{EID}' h='{H}' base='1' actor='imp@evil.example'/>")),
            ("bad-request", "modify", None),
        ),
        case(
            "to a shadow",
            AT_ROOMS,
            iq("set", AT_EVIL, AT_ROOMS, &propose("imp@evil.example", ban)),
            NOT_SOURCE,
        ),
        case("a kick by a participant", COVEN, set(&imp, kick), ("forbidden", "auth", None)),
        case("a kick by nobody", COVEN, set(AT_EVIL, kick), ("forbidden", "auth", Some("unknown-occupant"))),
        case("more than a kick", COVEN, set(&imp, grant), NOT_SOURCE),
        case(
            "a user's own request through its instance",
            COVEN,
            set(&imp, "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>"),
            ("service-unavailable", "cancel", None),
        ),
    ] {
        check(&mut world, &case);
    }
}

#[test]
fn privileges_are_never_taken_from_a_peer() {
    let mut world = gathered();
    world.configures(CRONE, COVEN, &[("muc#roomconfig_moderatedroom", "1")]);
    world.orders(CRONE, COVEN, "jid='roamer@elsewhere.example' affiliation='owner'");
    world.agree(EVIL, true);
    let claim = |nick: &str, jid: &str, ver: u32| {
        format!(
            "<presence from='{AT_EVIL}/{nick}' to='{COVEN}/{nick}'><status>{ver}</status><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='owner' role='moderator' jid='{jid}'/></x><at {SYNC} ver='{ver}' h='{H}'/></presence>"
        )
    };
    let news = claim("imp", "imp@evil.example/x", 20).replace("<x ", "<show>away</show><x ");
    hears(&mut world, COVEN, &news);
    assert_eq!(roster(&world.got(CRONE))["imp"].0, "none");
    hears(&mut world, COVEN, &claim("fiend", "fiend@evil.example/x", 21));
    let shown = roster(&world.got(CRONE))["fiend"].clone();
    assert_eq!((shown.0.as_str(), shown.1.as_str()), ("none", "visitor"));
    // Of a user of a third domain there is only the peer's word: an owner's name gives no owner's rights.
    hears(&mut world, COVEN, &claim("roamer", "roamer@elsewhere.example/x", 22));
    let shown = roster(&world.got(CRONE))["roamer"].clone();
    assert_eq!((shown.0.as_str(), shown.1.as_str()), ("member", "participant"));
    let kick = "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='foo' role='none'/></query>";
    let kick = iq("set", &format!("{AT_EVIL}/roamer"), COVEN, kick);
    check(&mut world, &case("a kick on hearsay", COVEN, kick, ("forbidden", "auth", None)));
    // A peer's word may lower.
    hears(
        &mut world,
        COVEN,
        &claim("roamer", "roamer@elsewhere.example/x", 23).replace("moderator", "visitor"),
    );
    assert_eq!(roster(&world.got(CRONE))["roamer"].1, "visitor");
}
