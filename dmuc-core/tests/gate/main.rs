//! The peer gate: who may send what, and what each refusal says (docs/protocol.md, "Who may send what", "Error cases").
//!
//! Every case is one stanza of a lying or confused peer. It is answered by exactly one error with the right condition,
//! type and application-specific condition; nothing durable changes, and nobody in the room notices.
#![allow(missing_docs, clippy::unwrap_used)]

mod asking;
#[path = "../common/mod.rs"]
mod common;
mod helpers;
mod placing;
mod protecting;
mod speaking;
mod telling;

use common::*;
use helpers::*;

#[test]
fn only_the_source_mints() {
    let mut world = gathered();
    let affiliations = format!(
        "<affiliations {SYNC} term='1' since='0' until='99'><item jid='imp@evil.example' affiliation='owner' n='99'/></affiliations>"
    );
    let instances =
        format!("<instances {SYNC} uid='{{uid}}' term='1' ver='99'><instance jid='{AT_EVIL}'/></instances>");
    let vcard =
        format!("<vcard {SYNC} term='1' n='99'><vCard xmlns='vcard-temp'><FN>Imps</FN></vCard></vcard>");
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
            case("vcard", at, set(&vcard), NOT_SOURCE),
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
