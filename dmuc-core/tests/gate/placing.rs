//! Who may place shadows here, and who may say where they are.

use crate::common::*;
use crate::helpers::*;
use dmuc_core::policy::PeerRule;

#[test]
fn what_a_replicate_is_refused_for() {
    let mut world = gathered();
    let shadow = "heath@rooms.macbeth.lit";
    let fresh = "00000000-0000-4000-8000-000000000001";
    let offer = |id: &str, uid: &str| replicate(id, uid, "heath@rooms.evil.example", 1);
    let ask = |from: &str, child: &str| iq("set", from, ROOMS, child);
    let bare = |room: &str| ask(EVIL, &format!("<replicate {DMUC}>{room}</replicate>"));
    let conflict = ("conflict", "cancel", None);
    for case in [
        case("a firsthost that is not allowed", shadow, ask(STRANGER, &offer("heath", fresh)), FORBIDDEN),
        case("the same for a room that exists", AT_ROOMS, ask(STRANGER, &offer("coven", fresh)), FORBIDDEN),
        case("an id that is taken", AT_ROOMS, ask(EVIL, &offer("coven", fresh)), conflict),
        case("an id that is taken, as published", AT_ROOMS, bare("<room id='coven'/>"), conflict),
        case("a room whose source we are", COVEN, iq("set", EVIL, CHAT, &offer("coven", fresh)), conflict),
        case(
            "a uid that has another source",
            AT_ROOMS,
            ask(EVIL, &offer("coven", "{uid}")),
            ("conflict", "cancel", Some("stale")),
        ),
        case("no room", ROOMS, bare(""), ("bad-request", "modify", None)),
        case("no id", ROOMS, bare("<room/>"), ("bad-request", "modify", None)),
        case("an empty id", ROOMS, bare("<room id=''/>"), ("bad-request", "modify", None)),
        case(
            "an id that is no localpart",
            ROOMS,
            bare("<room id='../etc'/>"),
            ("jid-malformed", "modify", None),
        ),
        case(
            "a long id",
            ROOMS,
            bare(&format!("<room id='{}'/>", "a".repeat(1024))),
            ("jid-malformed", "modify", None),
        ),
        case(
            "from a user",
            ROOMS,
            ask("imp@evil.example/x", &offer("heath", fresh)),
            ("bad-request", "modify", None),
        ),
        case("a malformed uid", shadow, ask(EVIL, &offer("heath", "../x")), ("bad-request", "modify", None)),
        case(
            "an offer without its attributes",
            shadow,
            bare(&format!("<room id='heath'/><offer {SYNC} uid='{fresh}'/>")),
            ("bad-request", "modify", None),
        ),
        case("a source elsewhere", shadow, ask(EVIL, &replicate("heath", fresh, COVEN, 1)), NOT_SOURCE),
        case("a source that is no room", shadow, ask(EVIL, &replicate("heath", fresh, EVIL, 1)), NOT_SOURCE),
    ] {
        check(&mut world, &case);
    }
}

#[test]
fn a_peer_may_have_so_many_shadows_and_no_more() {
    let mut world = World::three();
    world.policy(ROOMS).peers = [PeerRule { rooms_max: 3, ..PeerRule::allow(EVIL) }].into_iter().collect();
    let mut accepted = 0;
    for n in 0..10_000 {
        let uid = format!("00000000-0000-4000-8000-{n:012}");
        let asked = replicate(&format!("heath{n}"), &uid, &format!("heath{n}@{EVIL}"), 1);
        world.send(&iq("set", EVIL, ROOMS, &asked));
        let answer = world.mail(EVIL).remove(0);
        if answer.ty() == "result" {
            accepted += 1;
            continue;
        }
        assert_eq!(error(&answer).unwrap(), ("resource-constraint".into(), "wait".into()));
        assert!(answer.to_xml().contains("<retry xmlns='urn:xmpp:dmuc:sync:0' after='600'/>"));
    }
    assert_eq!(accepted, 3);
    assert_eq!(world.sites[ROOMS].rooms.values().filter(|node| !node.is_vacant()).count(), 3);
}

#[test]
fn a_replicate_said_again_changes_nothing() {
    let mut world = gathered();
    let before = world.record(AT_ROOMS);
    let again = iq("set", CHAT, ROOMS, &replicate("coven", &uid(&world), COVEN, 1));
    let answers = hears(&mut world, AT_ROOMS, &again);
    assert_eq!(answers[0].ty(), "result");
    assert_eq!(world.record(AT_ROOMS), before);
}

#[test]
fn a_destroyed_room_is_not_shadowed_again() {
    let mut world = gathered();
    let uid = uid(&world);
    world.send(&format!(
        "<iq type='set' id='d' from='{CRONE}' to='{COVEN}'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>"
    ));
    world.agree(EVIL, true);
    for (uid, condition) in [(uid.as_str(), "gone"), ("00000000-0000-4000-8000-000000000001", "conflict")] {
        let asked = iq("set", CHAT, ROOMS, &replicate("coven", uid, COVEN, 1));
        assert_eq!(the_error(&hears(&mut world, AT_ROOMS, &asked)), (condition.into(), "cancel".into()));
    }
}

#[test]
fn a_shadow_that_waits_for_an_operator_opens_when_approved() {
    let mut world = World::three();
    let rule = PeerRule { ask: true, ..PeerRule::allow(CHAT) };
    world.policy(ROOMS).peers = [rule, PeerRule::allow(CONFERENCE)].into_iter().collect();
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "1")]);
    let accept = world.took(ROOMS, CHAT).into_iter().find(|s| s.to_xml().contains("<accept")).unwrap();
    assert!(accept.ty() == "result" && accept.to_xml().contains("pending='true'"), "{accept:?}");
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(the_error(&world.got(WITCH)).1, "wait");
    world.says(CRONE, COVEN, "patience");
    assert!(!world.took(CHAT, ROOMS).iter().any(|s| body(s).is_some()), "it gets nothing yet");
    world.wait(600_000);
    assert!(world.is_quiet(), "nobody is kept awake by it");
    world.restart(AT_ROOMS);
    world.input(ROOMS, &jid(AT_ROOMS), dmuc_core::Input::Approved);
    world.settle();
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    let got = world.got(WITCH);
    assert_eq!(
        (nicks(&got), bodies(&got)),
        (vec!["firstwitch".to_owned(), "foo".to_owned()], vec!["patience".to_owned()])
    );
    // Once more, or at a room that waits for nothing, it does nothing.
    for room in [AT_ROOMS, COVEN] {
        let before = world.record(room);
        world.input(jid(room).domain(), &jid(room), dmuc_core::Input::Approved);
        assert_eq!(world.record(room), before, "{room}");
    }
}

#[test]
fn a_shadow_that_waits_opens_once_its_rule_asks_no_more() {
    let mut world = World::with(&[CHAT, ROOMS]);
    let rule = |ask| [PeerRule { ask, ..PeerRule::allow(CHAT) }].into_iter().collect();
    world.policy(ROOMS).peers = rule(true);
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "1")]);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(the_error(&world.got(WITCH)).1, "wait");
    world.policy(ROOMS).peers = rule(false);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(the_error(&world.got(WITCH)).1, "wait", "the source is only now told");
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    assert_eq!(nicks(&world.got(WITCH)), ["firstwitch", "foo"]);
}

#[test]
fn an_approval_that_nobody_asked_for_is_refused() {
    let mut world = gathered();
    let accept = |uid: &str| format!("<accept {SYNC} uid='{uid}' source='{COVEN}' term='1'/>");
    for case in [
        case("of a stranger", COVEN, iq("set", STRANGER, COVEN, &accept("{uid}")), FORBIDDEN),
        case(
            "of another room",
            COVEN,
            iq("set", EVIL, COVEN, &accept("00000000-0000-4000-8000-000000000001")),
            ("item-not-found", "cancel", None),
        ),
        case("at a shadow", AT_ROOMS, iq("set", EVIL, AT_ROOMS, &accept("{uid}")), FORBIDDEN),
        case(
            "without terms",
            COVEN,
            iq("set", EVIL, COVEN, &format!("<accept {SYNC}/>")),
            ("bad-request", "modify", None),
        ),
    ] {
        check(&mut world, &case);
    }
}

#[test]
fn what_a_peerhost_announcement_is_refused_for() {
    let mut world = gathered();
    let announce = |id: &str, list: &str| {
        let instances = format!("<instances {SYNC} uid='{{uid}}' term='1' ver='99'>{list}</instances>");
        iq("set", CHAT, ROOMS, &format!("<peerhost {DMUC}><room id='{id}'/>{instances}</peerhost>"))
    };
    let item = |jid: &str| format!("<instance jid='{jid}'/>");
    let ours = item(COVEN) + &item(AT_ROOMS);
    let bad = ("bad-request", "modify", None);
    let many: String = (0..70).map(|n| item(&format!("coven@rooms{n}.evil.example"))).collect();
    for case in [
        case("an unknown room", ROOMS, announce("moor", &ours), ("item-not-found", "cancel", None)),
        case("without the source", AT_ROOMS, announce("coven", &item(AT_ROOMS)), bad),
        case(
            "a service twice",
            AT_ROOMS,
            announce("coven", &(ours.clone() + &item("other@chat.shakespeare.lit"))),
            bad,
        ),
        case(
            "us somewhere else",
            AT_ROOMS,
            announce("coven", &(item(COVEN) + &item("other@rooms.macbeth.lit"))),
            bad,
        ),
        case("no address", AT_ROOMS, announce("coven", &(ours.clone() + "<instance/>")), bad),
        case(
            "too many",
            AT_ROOMS,
            announce("coven", &(ours.clone() + &many)),
            ("policy-violation", "modify", None),
        ),
        case(
            "another room's",
            AT_ROOMS,
            announce("coven", &ours).replace("{uid}", "00000000-0000-4000-8000-000000000001"),
            ("item-not-found", "cancel", None),
        ),
        case(
            "an older term",
            AT_ROOMS,
            announce("coven", &ours).replace("term='1'", "term='0'"),
            ("unexpected-request", "modify", Some("stale")),
        ),
    ] {
        check(&mut world, &case);
    }
    // The operator's word is above the source's: with that one we have nothing to do, with the others as before.
    let with_stranger = ours + &item("coven@conference.marlowe.lit") + &item("coven@rooms.stranger.example");
    let said = announce("coven", &with_stranger).replace("{uid}", &uid(&world));
    let answers = hears(&mut world, AT_ROOMS, &said);
    assert_eq!(the_error(&answers), ("not-allowed".into(), "cancel".into()));
    assert_eq!(application(&answers[0]).as_deref(), Some("peer-denied"));
    let known = world.part(AT_ROOMS, "instances").unwrap();
    assert!(known.contains("conference.marlowe.lit") && !known.contains("stranger"), "{known}");
    assert!(!known.contains("evil"), "what the list lacks is no instance any more");
    assert!(world.got(WITCH).iter().any(|s| s.ty() == "unavailable" && s.to_xml().contains("/imp'")));
}

#[test]
fn a_peerhost_announcement_that_names_us_again_is_only_acknowledged() {
    let mut world = gathered();
    let before = world.record(AT_ROOMS);
    let answers = hears(
        &mut world,
        AT_ROOMS,
        &iq("set", CHAT, ROOMS, &format!("<peerhost {DMUC}><room id='coven'/></peerhost>")),
    );
    assert_eq!(answers[0].ty(), "result");
    assert_eq!(world.record(AT_ROOMS), before);
}

#[test]
fn a_peer_that_the_operator_drops_is_out_at_once() {
    let mut world = gathered();
    for domain in [CHAT, ROOMS] {
        let policy = world.policy(domain);
        policy.peers = policy.peers.iter().filter(|rule| rule.domain != EVIL).cloned().collect();
    }
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>hi</body><ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    check(&mut world, &case("dropped", COVEN, said, FORBIDDEN));
    world.says(CRONE, COVEN, "among us").says(WITCH, AT_ROOMS, "so it is");
    assert!(world.mail(EVIL).is_empty());
}
