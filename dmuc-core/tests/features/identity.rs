//! Knowing who is who, and whether one is still in: occupant ids (XEP-0421), the self-ping (XEP-0410).

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

use crate::common::*;
use crate::stage::{Stage, everywhere, local};

const OID: &str = "urn:xmpp:occupant-id:0";
const FORGED: &str = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>\
                      <occupant-id xmlns='urn:xmpp:occupant-id:0' id='again'/>";

/// The occupant id of a stanza, which must be one, and not what anybody says of itself.
fn oid(stanza: &Stanza) -> String {
    let oids: Vec<String> =
        stanza.children.iter().filter(|child| child.ns() == OID).map(|oid| oid.attr("id").unwrap()).collect();
    assert_eq!(oids.len(), 1, "{stanza:?}");
    assert!(!["forged", "again"].contains(&oids[0].as_str()) && (1..=128).contains(&oids[0].len()));
    oids[0].clone()
}

fn of_nick<'a>(got: &'a [Stanza], nick: &'a str) -> impl Iterator<Item = &'a Stanza> {
    got.iter().filter(move |stanza| stanza.from.as_ref().and_then(|from| from.resource()) == Some(nick))
}

/// The ids that a user sees a nick have, over everything that it got.
fn ids(stage: &mut Stage, user: &str, nick: &str) -> Vec<String> {
    let got = stage.got(user);
    let mut ids: Vec<String> =
        of_nick(&got, nick).filter(|stanza| stanza.kind != Kind::Iq).map(oid).collect();
    assert!(!ids.is_empty(), "{user} sees {nick}");
    ids.dedup();
    ids
}

#[test]
fn everything_that_an_occupant_does_has_its_one_id() {
    everywhere(&[("muc#roomconfig_changesubject", "1")], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        let to = stage.nick("stranger");
        stage.world.send(&format!(
            "<presence from='{}' to='{to}'><x xmlns='http://jabber.org/protocol/muc'/>{FORGED}</presence>",
            stage.stranger
        ));
        stage.world.send(&format!(
            "<presence from='{}' to='{to}'><show>away</show>{FORGED}</presence>",
            stage.stranger
        ));
        let own = [stage.stranger, stage.owner, stage.far].map(|user| ids(stage, user, "stranger"));
        assert_eq!(own[0].len(), 1);
        assert!(own.iter().all(|seen| *seen == own[0]), "the same for everybody, everywhere: {own:?}");
        for said in [
            "<body>hi</body>",
            "<subject>Spells</subject>",
            "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        ] {
            stage.says(stage.stranger, "groupchat", &format!("{said}{FORGED}"));
            for user in [stage.stranger, stage.owner, stage.far] {
                assert_eq!(ids(stage, user, "stranger"), own[0], "{user}: {said}");
            }
        }
        for nick in ["crone1", "crone2"].iter().filter(|nick| stage.owner.starts_with(**nick)) {
            let to = stage.nick(nick);
            let (from, body) = (stage.stranger, "<body>psst</body>");
            stage
                .world
                .send(&format!("<message type='chat' from='{from}' to='{to}'>{body}{FORGED}</message>"));
            assert_eq!(ids(stage, stage.owner, "stranger"), own[0], "privately");
        }
        let to = stage.nick("far");
        stage.world.send(&format!(
            "<message type='chat' from='{}' to='{to}'><body>psst</body>{FORGED}</message>",
            stage.stranger
        ));
        assert_eq!(ids(stage, stage.far, "stranger"), own[0], "privately, at the other instance");
        let newt = stage.nick("newt");
        stage.world.send(&format!("<presence from='{}' to='{newt}'/>", stage.stranger));
        for user in [stage.stranger, stage.owner, stage.far] {
            let got = stage.got(user);
            let both = of_nick(&got, "stranger").chain(of_nick(&got, "newt"));
            assert!(both.map(oid).all(|id| id == own[0][0]), "{user}: a nick is not who one is");
        }
        stage.world.leaves(stage.stranger, &newt);
        for user in [stage.owner, stage.far] {
            assert_eq!(ids(stage, user, "newt"), own[0], "{user} sees it go");
        }
    });
}

#[test]
fn an_id_outlives_a_visit_and_tells_nothing() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        stage.enters(stage.stranger);
        let [near, far] = [stage.owner, stage.far].map(|user| ids(stage, user, "stranger"));
        let nick = stage.nick("stranger");
        stage.says(stage.stranger, "groupchat", "<body>hi</body>");
        stage.world.leaves(stage.stranger, &nick);
        stage.world.forget();
        stage.world.restart(stage.room);
        stage.enters(stage.stranger);
        assert_eq!(ids(stage, stage.owner, "stranger"), near);
        assert_eq!(ids(stage, stage.stranger, "stranger"), near, "in the history too");
        assert_eq!(near, far);
        let others = ids(stage, stage.far, "stranger");
        stage.enters(stage.member);
        assert_ne!(ids(stage, stage.far, "member"), others);
        assert!(!near[0].contains("stranger"));
    });
}

#[test]
fn the_features_are_announced() {
    everywhere(&[], |stage| {
        let query = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        let room = stage.asks("get", stage.stranger, query).to_xml();
        for feature in [OID, "http://jabber.org/protocol/muc#self-ping-optimization"] {
            assert!(room.contains(&format!("<feature var='{feature}'/>")), "{feature}");
        }
        let service = jid(stage.room).domain().to_owned();
        let service = stage.asks_of("get", stage.stranger, &service, query).to_xml();
        assert!(service.contains(&format!("<feature var='{OID}'/>")), "all rooms have it (XEP-0421 §4)");
    });
}

fn pings(stage: &mut Stage, user: &str, to: &str) -> Stanza {
    stage.asks_of("get", user, to, "<ping xmlns='urn:xmpp:ping'/>")
}

#[test]
fn a_self_ping_tells_whether_a_client_is_in() {
    everywhere(&[], |stage| {
        let nick = stage.nick("stranger");
        let out = Some(("not-acceptable".to_owned(), "cancel".to_owned()));
        assert_eq!(error(&pings(stage, stage.stranger, &nick)), out, "not yet");
        stage.gather(&[stage.stranger, stage.far]);
        assert_eq!(pings(stage, stage.stranger, &nick).ty(), "result");
        assert_eq!(stage.got(stage.stranger).len(), 0, "no client is bothered");
        assert_eq!(error(&pings(stage, "stranger@shakespeare.lit/other", &nick)), out, "another client");
        let far = format!("{}/far", stage.far_room);
        assert_eq!(pings(stage, stage.far, &far).ty(), "result", "the same at the other instance");
        assert_eq!(error(&pings(stage, stage.far, &nick)), out, "where one is not");
        stage.world.restart(stage.room);
        assert_eq!(pings(stage, stage.stranger, &nick).ty(), "result", "and after a restart");
        stage.world.leaves(stage.stranger, &nick);
        assert_eq!(error(&pings(stage, stage.stranger, &nick)), out, "no more");
    });
}

#[test]
fn a_ping_under_a_nick_given_up_is_not_found() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger]);
        let (old, new) = (stage.nick(local(stage.stranger)), stage.nick("newt"));
        stage.world.send(&format!("<presence from='{}' to='{new}'/>", stage.stranger));
        stage.world.forget();
        let answer = pings(stage, stage.stranger, &old);
        assert_eq!(error(&answer), Some(("item-not-found".into(), "cancel".into())), "XEP-0410 §3.2");
        assert_eq!(pings(stage, stage.stranger, &new).ty(), "result");
    });
}
