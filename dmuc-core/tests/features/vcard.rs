//! The room's vCard and avatar (XEP-0054, XEP-0486).

use crate::common::*;
use crate::stage::{Stage, everywhere};
use dmuc_core::Stanza;

/// A photo of "dagger", and its SHA-1; the same of "cauldron", the base64 in two lines.
const DAGGER: &str = "<PHOTO><TYPE>image/png</TYPE><BINVAL>ZGFnZ2Vy</BINVAL></PHOTO>";
const DAGGER_SHA1: &str = "0a1b328a0bb8adbdab98e35620e4899f96a30589";
const CAULDRON: &str = "<PHOTO><TYPE>image/gif</TYPE><BINVAL>Y2F1bG\n Ryb24=</BINVAL></PHOTO>";
const CAULDRON_SHA1: &str = "a145b9f33bfa291d7cf4ec285a529d69fdc876d6";

fn vcard(inner: &str) -> String {
    payload(&format!("<vCard xmlns='vcard-temp'>{inner}</vCard>")).as_xml().to_owned()
}

fn sets(stage: &mut Stage, user: &str, inner: &str) -> Stanza {
    stage.asks("set", user, &vcard(inner))
}

/// The vCard that a user reads.
fn read(stage: &mut Stage, user: &str) -> String {
    stage.asks("get", user, &vcard("")).child("vCard", "vcard-temp").unwrap().as_xml().to_owned()
}

/// What discovery tells a user of the avatar.
fn hashes(stage: &mut Stage, user: &str) -> Vec<String> {
    let info = stage.asks("get", user, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    let query = info.children[0].element().unwrap();
    assert!(query.children().any(|feature| feature.attr("var") == Some("vcard-temp")));
    let form = query.get_child("x", "jabber:x:data").unwrap();
    let field = form.children().find(|field| field.attr("var") == Some("muc#roominfo_avatarhash"));
    assert!(field.is_none_or(|field| field.attr("type") == Some("text-multi")));
    let values = field.into_iter().flat_map(minidom::Element::children);
    values.filter(|child| child.name() == "value").map(minidom::Element::text).collect()
}

/// How often a user hears that the configuration has changed, and nothing else.
fn told(stage: &mut Stage, user: &str) -> usize {
    let got = stage.got(user);
    assert!(got.iter().all(|stanza| codes(stanza) == [104]), "{got:?}");
    got.len()
}

#[test]
fn an_avatar_is_seen_at_both_instances() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        assert_eq!(hashes(stage, stage.stranger), [""; 0]);
        assert_eq!(read(stage, stage.stranger), vcard(""), "none yet");
        let inner = format!("<FN>The Coven</FN>{DAGGER}{CAULDRON}");
        assert_eq!(sets(stage, stage.owner, &inner).ty(), "result");
        for user in [stage.owner, stage.stranger, stage.far] {
            assert_eq!(told(stage, user), 1, "{user}");
            assert_eq!(hashes(stage, user), [DAGGER_SHA1, CAULDRON_SHA1]);
        }
        let known = read(stage, stage.far_owner);
        assert_eq!(known, vcard(&inner), "who is not in the room reads it too");
        assert_eq!(sets(stage, stage.far_owner, &inner).ty(), "result");
        assert_eq!(told(stage, stage.stranger), 0, "nothing has changed");
        assert_eq!(sets(stage, stage.far_owner, "").ty(), "result");
        for user in [stage.owner, stage.far] {
            assert_eq!(told(stage, user), 1, "it is gone: {user}");
            assert_eq!((hashes(stage, user), read(stage, user)), (Vec::new(), vcard("")));
        }
    });
}

#[test]
fn a_picture_without_data_is_no_avatar() {
    everywhere(&[], |stage| {
        let empty = "<PHOTO><TYPE>image/png</TYPE><BINVAL/></PHOTO><PHOTO><EXTVAL>xmpp:x</EXTVAL></PHOTO>";
        assert_eq!(sets(stage, stage.owner, empty).ty(), "result");
        assert_eq!(hashes(stage, stage.far), [""; 0]);
    });
}

#[test]
fn what_is_refused() {
    let large = format!("<PHOTO><BINVAL>{}</BINVAL></PHOTO>", "QUJD".repeat(12_500));
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.admin]);
        for (user, inner, condition, kind) in [
            (stage.admin, DAGGER, "forbidden", "auth"),
            (stage.member, DAGGER, "forbidden", "auth"),
            (stage.stranger, "", "forbidden", "auth"),
            (stage.owner, "<PHOTO><BINVAL>Macbeth!</BINVAL></PHOTO>", "bad-request", "modify"),
            (stage.owner, "<PHOTO><BINVAL>QUI</BINVAL></PHOTO>", "bad-request", "modify"),
            (stage.owner, &large, "policy-violation", "modify"),
        ] {
            let answer = sets(stage, user, inner);
            assert_eq!(error(&answer), Some((condition.into(), kind.into())), "{user}");
        }
        let other = stage.asks("set", stage.owner, "<query xmlns='vcard-temp'/>");
        assert_eq!(error(&other), Some(("bad-request".into(), "modify".into())));
        assert_eq!(read(stage, stage.far), vcard(""));
        assert_eq!(told(stage, stage.admin), 0);
    });
}

#[test]
fn what_a_peer_does_not_take_is_refused() {
    everywhere(&[], |stage| {
        let half = format!("<PHOTO><BINVAL>{}</BINVAL></PHOTO>", "QUJD".repeat(5_000));
        for (site, other) in [(CHAT, ROOMS), (ROOMS, CHAT)] {
            let rule = dmuc_core::policy::PeerRule {
                bytes_max: 16_384,
                ..dmuc_core::policy::PeerRule::allow(other)
            };
            stage.world.policy(site).peers = [rule].into_iter().collect();
        }
        let answer = sets(stage, stage.owner, &half);
        assert_eq!(error(&answer), Some(("policy-violation".into(), "modify".into())));
    });
}

#[test]
fn a_restart_keeps_it_and_a_new_shadow_gets_it() {
    let mut world = World::with(&[CHAT, ROOMS]);
    let (crone, room) = ("crone1@shakespeare.lit/desktop", "coven@chat.shakespeare.lit");
    world.creates(crone, &format!("{room}/foo"), &[]);
    world.send(&format!("<iq type='set' id='v' from='{crone}' to='{room}'>{}</iq>", vcard(DAGGER)));
    world.restart(room);
    world.configures(crone, room, &[("muc#roomconfig_distributed", "1")]);
    world.restart("coven@rooms.macbeth.lit");
    let witch = "somewitch@macbeth.lit/mobile";
    world.send(&format!(
        "<iq type='get' id='v' from='{witch}' to='coven@rooms.macbeth.lit'>{}</iq>",
        vcard("")
    ));
    assert!(world.got(witch)[0].to_xml().contains("ZGFnZ2Vy"));
}
