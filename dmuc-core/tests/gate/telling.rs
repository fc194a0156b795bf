//! Lists of occupants, history, answers.

use crate::common::*;
use crate::helpers::*;

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
