//! The peer gate: who may send what, and what each refusal says (docs/protocol.md, "Who may send what", "Error cases").
//!
//! Every case is one stanza of a lying or confused peer. It is answered by exactly one error with the right condition,
//! type and application-specific condition; nothing durable changes, and nobody in the room notices.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use dmuc_core::Stanza;
use dmuc_core::policy::PeerRule;
use dmuc_core::stanza::Kind;

const COVEN: &str = "coven@chat.shakespeare.lit";
const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
const CRONE: &str = "crone1@shakespeare.lit/desktop";
const WITCH: &str = "somewitch@macbeth.lit/mobile";
const KIT: &str = "kit@marlowe.lit/quill";
/// A peer that the story plays: an instance like the others, at `evil.example`, whose users are `evil.example`'s.
const EVIL: &str = "rooms.evil.example";
const AT_EVIL: &str = "coven@rooms.evil.example";
/// A domain that nobody peers with.
const STRANGER: &str = "rooms.stranger.example";

const DMUC: &str = "xmlns='urn:xmpp:dmuc:0'";
const SYNC: &str = "xmlns='urn:xmpp:dmuc:sync:0'";
const H: &str = "0198f3a2b1c40001";
const EID: &str = "Jm3kQ0w7T5mZrYd0nF2x1A";

/// The three services and the evil one, each with somebody in.
fn gathered() -> World {
    let mut world = World::three();
    world.allow(EVIL);
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "1")]);
    world.agree(EVIL, true);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, "coven@conference.marlowe.lit/kit");
    for room in [COVEN, AT_ROOMS] {
        world.send(&format!(
            "<iq type='set' id='o' from='{AT_EVIL}' to='{room}'><occupants {SYNC} until='1'>\
             <in nick='imp' jid='imp@evil.example/x' h='{H}' role='participant'/></occupants></iq>"
        ));
    }
    world.agree(EVIL, true);
    assert!(nicks(&world.got(CRONE)).contains(&"imp".to_owned()));
    world.forget();
    world
}

fn uid(world: &World) -> String {
    world.instance(COVEN).uid().unwrap().to_string()
}

/// Sends what a peer says to `room`, and gives the answers.
fn hears(world: &mut World, room: &str, xml: &str) -> Vec<Stanza> {
    world.forget();
    world.wire.clear();
    let peer = stanza(xml).from.unwrap().domain().to_owned();
    // What the answer leads to at a real peer is another story.
    let here = jid(room).domain().to_owned();
    world.hold(&here, &peer);
    world.send(xml);
    let answers = world.held.remove(&(here, peer)).unwrap();
    answers.into_iter().collect()
}

/// One refusal: what is sent (`{uid}` stands for the room's), and what comes back.
struct Case {
    name: &'static str,
    /// Who hears it.
    at: &'static str,
    says: String,
    refused: (&'static str, &'static str, Option<&'static str>),
}

fn check(world: &mut World, case: &Case) {
    let name = case.name;
    let before = [COVEN, AT_ROOMS].map(|room| world.record(room));
    let said = case.says.replace("{uid}", &uid(world));
    let answers = hears(world, case.at, &said);
    assert_eq!(answers.len(), 1, "{name}: {answers:#?}");
    let (condition, kind) = error(&answers[0]).unwrap_or_else(|| panic!("{name}: {answers:#?}"));
    let got = (condition.as_str(), kind.as_str(), application(&answers[0]));
    assert_eq!(got, (case.refused.0, case.refused.1, case.refused.2.map(str::to_owned)), "{name}");
    let after = [COVEN, AT_ROOMS].map(|room| world.record(room));
    assert_eq!(before, after, "{name}: nothing is applied");
    for user in [CRONE, WITCH, KIT] {
        assert!(world.got(user).is_empty(), "{name}: {user} notices nothing");
    }
}

fn case(
    name: &'static str,
    at: &'static str,
    says: String,
    refused: (&'static str, &'static str, Option<&'static str>),
) -> Case {
    Case { name, at, says, refused }
}

/// An iq from a peer; its `to` is the room's address.
fn iq(ty: &str, from: &str, to: &str, child: &str) -> String {
    format!("<iq type='{ty}' id='x1' from='{from}' to='{to}'>{child}</iq>")
}

fn config(version: &str, fields: &str) -> String {
    format!(
        "<config {DMUC}><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
         <value>http://jabber.org/protocol/muc#roomconfig</value></field>{fields}</x>{version}</config>"
    )
}

fn replicate(id: &str, uid: &str, source: &str, term: u32) -> String {
    format!(
        "<replicate {DMUC}><room id='{id}'/><offer {SYNC} uid='{uid}' source='{source}' term='{term}'/></replicate>"
    )
}

const FORBIDDEN: (&str, &str, Option<&str>) = ("forbidden", "auth", Some("peer-denied"));
const NOT_SOURCE: (&str, &str, Option<&str>) = ("forbidden", "auth", Some("not-source"));
const NOT_AUTHORITATIVE: (&str, &str, Option<&str>) = ("forbidden", "auth", Some("not-authoritative"));
const UNKNOWN: (&str, &str, Option<&str>) = ("not-acceptable", "modify", Some("unknown-occupant"));

#[test]
fn only_the_source_mints() {
    let mut world = gathered();
    let affiliations = format!(
        "<affiliations {SYNC} term='1' since='0' until='99'><item jid='imp@evil.example' affiliation='owner' n='99'/></affiliations>"
    );
    let instances =
        format!("<instances {SYNC} uid='{{uid}}' term='1' ver='99'><instance jid='{AT_EVIL}'/></instances>");
    let tombstone = format!("<tombstone {SYNC} uid='{{uid}}' term='1' h='{H}'/>");
    let roster =
        format!("<roster {DMUC}><item affiliation='owner' name='imp' jid='imp@evil.example/x'/></roster>");
    let peerhost = format!("<peerhost {DMUC}><room id='coven'/></peerhost>");
    for at in [COVEN, AT_ROOMS] {
        let set = |child: &str| iq("set", AT_EVIL, at, child);
        for case in [
            case("config", at, set(&config("", "")), NOT_SOURCE),
            case("affiliations", at, set(&affiliations), NOT_SOURCE),
            case("instances", at, set(&instances), NOT_SOURCE),
            case("tombstone", at, set(&tombstone), NOT_SOURCE),
            case("roster", at, set(&roster), NOT_SOURCE),
            case("peerhost from a shadow", at, iq("set", EVIL, jid(at).domain(), &peerhost), NOT_SOURCE),
        ] {
            check(&mut world, &case);
        }
    }
}

#[test]
fn only_instances_are_heard() {
    let mut world = gathered();
    let room = "coven@rooms.stranger.example";
    let other = "other@rooms.evil.example";
    let history = format!("<room {DMUC} id='coven'><history xmlns='http://jabber.org/protocol/muc'/></room>");
    let occupants = format!("<occupants {SYNC} until='1'/>");
    let propose = format!(
        "<propose {SYNC} id='{EID}' h='{H}' base='1' actor='imp@evil.example'>\
         <query xmlns='http://jabber.org/protocol/muc#admin'><item jid='kit@marlowe.lit' affiliation='outcast'/></query></propose>"
    );
    for from in [room, other] {
        let ask = |ty: &str, child: &str| iq(ty, from, COVEN, child);
        for case in [
            case("history", COVEN, ask("get", &history), FORBIDDEN),
            case("config", COVEN, ask("set", &config("", "")), FORBIDDEN),
            case("occupants", COVEN, ask("set", &occupants), FORBIDDEN),
            case("propose", COVEN, ask("set", &propose), FORBIDDEN),
            case(
                "accept",
                COVEN,
                ask("set", &format!("<accept {SYNC} uid='{{uid}}' source='{COVEN}' term='1'/>")),
                FORBIDDEN,
            ),
            case(
                "groupchat to an occupant",
                COVEN,
                format!(
                    "<message type='groupchat' from='{from}/imp' to='{COVEN}/imp'><body>hi</body></message>"
                ),
                ("bad-request", "modify", None),
            ),
            case(
                "groupchat to the room",
                COVEN,
                format!("<message type='groupchat' from='{from}/imp' to='{COVEN}'><body>hi</body></message>"),
                ("not-acceptable", "cancel", None),
            ),
        ] {
            check(&mut world, &case);
        }
    }
    let service = iq("get", EVIL, COVEN, &history);
    check(&mut world, &case("history for a service", COVEN, service, FORBIDDEN));
}

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
fn what_a_configuration_is_refused_for() {
    let mut world = gathered();
    let ver = |term: u32, n: u64| format!("<ver {SYNC} term='{term}' n='{n}'/>");
    let set = |child: &str| iq("set", COVEN, AT_ROOMS, child);
    let wrong = config(&ver(1, 99), "").replace("muc#roomconfig", "muc#register");
    for case in [
        case(
            "an older term",
            AT_ROOMS,
            set(&config(&ver(0, 99), "")),
            ("unexpected-request", "modify", Some("stale")),
        ),
        case("another form", AT_ROOMS, set(&wrong), ("bad-request", "modify", None)),
        case("no form", AT_ROOMS, set(&format!("<config {DMUC}/>")), ("bad-request", "modify", None)),
        case(
            "no such shadow",
            "moor@rooms.macbeth.lit",
            iq("set", COVEN, "moor@rooms.macbeth.lit", &config(&ver(1, 9), "")),
            ("item-not-found", "cancel", None),
        ),
    ] {
        check(&mut world, &case);
    }
    let before = world.record(AT_ROOMS);
    let old = set(&config(&ver(1, 1), "<field var='muc#roomconfig_roomname'><value>old</value></field>"));
    assert_eq!(hears(&mut world, AT_ROOMS, &old)[0].ty(), "result", "an older version is no error");
    assert_eq!(world.record(AT_ROOMS), before, "and changes nothing");
    let unknown = set(&config(&ver(1, 99), "<field var='muc#roomconfig_weather'><value>fog</value></field>"));
    let answer = hears(&mut world, AT_ROOMS, &unknown).remove(0);
    assert_eq!(answer.ty(), "result");
    assert_eq!(answer.child("unsupported", "urn:xmpp:dmuc:sync:0").unwrap().text(), "muc#roomconfig_weather");
}

#[test]
fn a_shadow_that_cannot_protect_the_room_closes_it() {
    let fields = [
        ("muc#roomconfig_membersonly", "perhaps"),
        ("muc#roomconfig_moderatedroom", "perhaps"),
        ("muc#roomconfig_whois", "admins"),
        ("muc#roomconfig_maxusers", "plenty"),
        ("muc#roomconfig_passwordprotectedroom", "perhaps"),
    ];
    for (var, value) in fields {
        let mut world = gathered();
        let field = format!("<field var='{var}'><value>{value}</value></field>");
        let form = config(&format!("<ver {SYNC} term='1' n='99'/>"), &field);
        let answers = hears(&mut world, AT_ROOMS, &iq("set", COVEN, AT_ROOMS, &form));
        assert_eq!(the_error(&answers), ("not-acceptable".into(), "modify".into()), "{var}");
        assert!(
            answers[0]
                .to_xml()
                .contains(&format!("<unsupported xmlns='urn:xmpp:dmuc:sync:0'>{var}</unsupported>"))
        );
        let roster = format!("<roster {DMUC}/>");
        hears(&mut world, AT_ROOMS, &iq("set", COVEN, AT_ROOMS, &roster));
        for _ in 0..2 {
            world.joins("hag@macbeth.lit/x", &format!("{AT_ROOMS}/hag"));
            let refused = the_error(&world.got("hag@macbeth.lit/x"));
            assert_eq!(
                refused,
                ("recipient-unavailable".into(), "wait".into()),
                "{var}: a roster does not open it"
            );
            world.restart(AT_ROOMS);
        }
    }
}

#[test]
fn a_suspended_shadow_gets_nothing_until_it_can_hold_the_room() {
    let mut world = gathered();
    let name = |name: &str| [("muc#roomconfig_roomname", name.to_owned())];
    let configure = |world: &mut World, to: &str| {
        let fields = name(to);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(var, value)| (*var, value.as_str())).collect();
        world.configures(CRONE, COVEN, &fields);
    };
    configure(&mut world, "Heath");
    let asked = world.mail(EVIL).into_iter().find(|s| s.to_xml().contains("<config")).unwrap();
    let refusal =
        asked.error(&dmuc_core::stanza::StanzaError::new(dmuc_core::stanza::Condition::NotAcceptable));
    world.send(&refusal.unwrap().to_xml());
    world.agree(EVIL, true);
    world.forget();
    world.says(CRONE, COVEN, "secret").says(WITCH, AT_ROOMS, "secret too");
    assert!(world.mail(EVIL).is_empty(), "neither from the source nor from other shadows");
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>hi</body><ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    for at in [COVEN, AT_ROOMS] {
        check(&mut world, &case("suspended", at, said.replace(COVEN, at), FORBIDDEN));
    }
    configure(&mut world, "Moor");
    world.agree(EVIL, true);
    world.forget();
    world.says(CRONE, COVEN, "welcome back").says(WITCH, AT_ROOMS, "so say I");
    let mut heard = bodies(&world.mail(EVIL));
    heard.sort();
    assert_eq!(heard, ["so say I", "welcome back"]);
}

#[test]
fn what_lists_of_occupants_are_refused_for() {
    let mut world = gathered();
    let list =
        |items: &str| iq("set", AT_EVIL, COVEN, &format!("<occupants {SYNC} until='9'>{items}</occupants>"));
    let item = |nick: &str, jid: &str| format!("<in nick='{nick}' jid='{jid}' h='{H}'/>");
    let good = item("fiend", "fiend@evil.example/x");
    let crowd: String = (0..10_001).map(|n| item(&format!("n{n}"), "fiend@evil.example/x")).collect();
    let roster = |items: &str| iq("set", COVEN, AT_ROOMS, &format!("<roster {DMUC}>{items}</roster>"));
    let crowded: String = (0..10_001).map(|n| format!("<item affiliation='none' name='n{n}'/>")).collect();
    let malformed = ("jid-malformed", "modify", Some("bad-item"));
    for case in [
        case(
            "a nick that is none",
            COVEN,
            list(&(good.clone() + &item("&#x3164;", "fiend@evil.example/x"))),
            malformed,
        ),
        case("an address that is none", COVEN, list(&(good.clone() + &item("fiend2", "a@b@c"))), malformed),
        case(
            "a user of ours",
            COVEN,
            list(&(good.clone() + &item("crone", "crone1@shakespeare.lit/y"))),
            NOT_AUTHORITATIVE,
        ),
        case(
            "another instance's user",
            COVEN,
            list(&(good + &item("kit2", "kit@marlowe.lit/y"))),
            NOT_AUTHORITATIVE,
        ),
        case("a crowd", COVEN, list(&crowd), ("policy-violation", "modify", None)),
        case(
            "a gap",
            COVEN,
            list("").replace("until", "since='7' until"),
            ("unexpected-request", "wait", Some("stale")),
        ),
        case("no version", COVEN, list("").replace(" until='9'", ""), ("bad-request", "modify", None)),
        case(
            "a roster with a nick that is none",
            AT_ROOMS,
            roster("<item affiliation='none' name='good'/><item affiliation='none' name=' '/>"),
            malformed,
        ),
        case(
            "a roster with an address that is none",
            AT_ROOMS,
            roster("<item affiliation='none' name='good' jid='@'/>"),
            malformed,
        ),
        case("a crowded roster", AT_ROOMS, roster(&crowded), ("policy-violation", "modify", None)),
    ] {
        check(&mut world, &case);
    }
    let stale = hears(&mut world, COVEN, &list("").replace("until", "since='7' until")).remove(0);
    assert!(stale.to_xml().contains("<stale xmlns='urn:xmpp:dmuc:sync:0' n='1'/>"), "{stale:?}");
}

#[test]
fn changes_of_occupancy_are_taken_from_the_version_that_we_have() {
    let mut world = gathered();
    let change = format!(
        "<occupants {SYNC} since='1' until='3'><in nick='fiend' jid='fiend@evil.example/x' h='{H}'/><out nick='imp'/></occupants>"
    );
    let answers = hears(&mut world, COVEN, &iq("set", AT_EVIL, COVEN, &change));
    assert_eq!(answers[0].ty(), "result");
    let got = world.got(CRONE);
    assert_eq!(nicks(&got), ["fiend"]);
    assert!(got.iter().any(|s| s.ty() == "unavailable" && s.to_xml().contains("/imp'")));
}

#[test]
fn what_a_history_request_is_refused_for() {
    let mut world = gathered();
    let ask = |attributes: &str| {
        let history = format!("<history xmlns='http://jabber.org/protocol/muc' {attributes}/>");
        iq("get", AT_EVIL, COVEN, &format!("<room {DMUC} id='coven'>{history}</room>"))
    };
    let bad = ("bad-request", "modify", None);
    for case in [
        case("a time that is none", COVEN, ask("since='yesterday'"), bad),
        case("a number that is none", COVEN, ask("maxstanzas='-1'"), bad),
        case(
            "nothing asked for",
            COVEN,
            iq("get", AT_EVIL, COVEN, &format!("<room {DMUC} id='coven'/>")),
            bad,
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
            "a subject without the right",
            COVEN,
            say("imp", &ev(1, "")).replace("body>", "subject>"),
            ("forbidden", "auth", None),
        ),
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
    check(&mut world, &case("no voice", COVEN, say("imp", &ev(1, "")), ("forbidden", "auth", None)));
}

#[test]
fn a_banned_user_s_words_are_not_heard_from_elsewhere() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='imp@evil.example' affiliation='outcast'");
    world.mail(EVIL);
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>hi</body><ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    check(&mut world, &case("banned", COVEN, said, ("forbidden", "auth", None)));
    let again =
        format!("<occupants {SYNC} until='9'><in nick='imp2' jid='imp@evil.example/y' h='{H}'/></occupants>");
    hears(&mut world, COVEN, &iq("set", AT_EVIL, COVEN, &again));
    assert!(!nicks(&world.got(CRONE)).contains(&"imp2".to_owned()), "nor is it let in by a list");
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
            "<presence from='{AT_EVIL}/{nick}' to='{COVEN}/{nick}'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='owner' role='moderator' jid='{jid}'/></x><at {SYNC} ver='{ver}' h='{H}'/></presence>"
        )
    };
    hears(&mut world, COVEN, &claim("imp", "imp@evil.example/x", 20));
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
fn what_was_not_asked_for_is_not_an_answer() {
    let mut world = gathered();
    let history = "<history xmlns='http://jabber.org/protocol/muc'><message xmlns='jabber:client' \
                   from='coven@rooms.evil.example/imp' type='groupchat'><body>poison</body>\
                   <delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/></message></history>";
    let accept = format!("<accept {SYNC} uid='{}' source='{COVEN}' term='1'/>", uid(&world));
    for at in [COVEN, AT_ROOMS] {
        for (from, child) in [
            (AT_EVIL, history),
            ("coven@conference.marlowe.lit", history),
            (EVIL, accept.as_str()),
            (AT_EVIL, ""),
        ] {
            for ty in ["result", "error"] {
                let before = [COVEN, AT_ROOMS].map(|room| world.record(room));
                let said =
                    format!("<iq type='{ty}' id='dmuc-1-AAAAAAAA' from='{from}' to='{at}'>{child}</iq>");
                assert!(hears(&mut world, at, &said).is_empty(), "{said}");
                assert_eq!([COVEN, AT_ROOMS].map(|room| world.record(room)), before, "{said}");
            }
        }
    }
}

#[test]
fn errors_are_never_answered() {
    let mut world = gathered();
    let error = "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for from in [
        format!("{AT_EVIL}/imp"),
        format!("{AT_EVIL}/nobody"),
        AT_EVIL.to_owned(),
        format!("coven@{STRANGER}/x"),
    ] {
        for kind in ["message", "presence", "iq"] {
            let before = world.record(COVEN);
            let said = format!("<{kind} type='error' id='e' from='{from}' to='{COVEN}/imp'>{error}</{kind}>");
            assert!(hears(&mut world, COVEN, &said).is_empty(), "{said}");
            assert_eq!(world.record(COVEN), before, "{said}");
        }
    }
}

#[test]
fn a_peer_that_does_not_know_our_occupant_gets_the_list() {
    let mut world = gathered();
    let bounce = format!(
        "<presence type='error' from='{AT_EVIL}/foo' to='{COVEN}/foo'><error type='modify'>\
         <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><unknown-occupant {SYNC}/></error></presence>"
    );
    let answers = hears(&mut world, COVEN, &bounce);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].to_xml().contains("<occupants") && answers[0].to_xml().contains("nick='foo'"));
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
fn a_peer_tells_only_its_own_past() {
    let mut world = gathered();
    // A new instance of Macbeth's service meets the evil one, and asks it for its past.
    world.restart(AT_ROOMS);
    let occupants =
        format!("<occupants {SYNC} until='50'><in nick='imp' jid='imp@evil.example/x' h='{H}'/></occupants>");
    let answers = hears(&mut world, AT_ROOMS, &iq("set", AT_EVIL, AT_ROOMS, &occupants));
    let asked = answers.iter().find(|s| s.to_xml().contains("<history")).unwrap().clone();
    let past = |o: &str, s: u64, id: &str, body: &str| {
        format!(
            "<message xmlns='jabber:client' from='{AT_EVIL}/imp' type='groupchat'><body>{body}</body>\
             <ev {SYNC} o='{o}' i='1' s='{s}' h='{H}' id='{id}'/><delay xmlns='urn:xmpp:delay' stamp='2026-08-21T10:00:00Z'/></message>"
        )
    };
    let own = past(EVIL, 1, EID, "mine");
    let others = past(CONFERENCE, 77, "AAAAAAAAAAAAAAAAAAAAAA", "forged")
        + &past(ROOMS, 78, "BBBBBBBBBBBBBBBBBBBBBA", "yours");
    let answer = asked
        .result()
        .with(payload(&format!("<history xmlns='http://jabber.org/protocol/muc'>{own}{others}</history>")));
    hears(&mut world, AT_ROOMS, &answer.to_xml());
    assert_eq!(bodies(&world.got(WITCH)), ["mine"]);
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

#[test]
fn a_room_that_is_not_distributed_knows_nothing_of_it() {
    let mut world = World::three();
    world.creates(CRONE, &format!("{COVEN}/foo"), &[]);
    let refused = ("service-unavailable".to_owned(), "cancel".to_owned());
    for child in [
        config("", ""),
        format!("<roster {DMUC}/>"),
        format!("<room {DMUC} id='coven'><history xmlns='http://jabber.org/protocol/muc'/></room>"),
    ] {
        let answers = hears(&mut world, COVEN, &iq("set", AT_ROOMS, COVEN, &child));
        assert_eq!(the_error(&answers), refused, "{child}");
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
