//! Affiliation versioning (XEP-0463).

use std::collections::BTreeMap;

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

use crate::common::*;
use crate::stage::{MUC_ADMIN, MUC_USER, Stage, everywhere, local};

const MAV: &str = "urn:xmpp:muc:affiliations:1";
/// Everybody's address is known, so that members may retrieve the lists.
const OPEN: &[(&str, &str)] = &[("muc#roomconfig_whois", "anyone")];

/// What a stanza tells of versions: since, until, and the affiliation by address.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    since: Option<String>,
    until: Option<String>,
    items: BTreeMap<String, String>,
}

fn told(stanza: &Stanza) -> Option<Told> {
    let x = stanza.child("x", MUC_USER)?.element().ok()?;
    let mav = x.get_child("mav", MAV)?;
    let version = |name: &str| mav.attr(name).map(str::to_owned);
    let items = x.children().filter(|child| child.name() == "item");
    let item = |item: &minidom::Element| {
        Some((item.attr("jid")?.split('/').next()?.to_owned(), item.attr("affiliation")?.to_owned()))
    };
    Some(Told { since: version("since"), until: version("until"), items: items.filter_map(item).collect() })
}

/// Lets a user in who asks for `mav`; gives what it got.
fn enters(stage: &mut Stage, user: &str, mav: &str) -> Vec<Stanza> {
    let to = format!("{}/{}", stage.at(user), local(user));
    stage.world.send(&format!(
        "<presence id='foo' from='{user}' to='{to}'><x xmlns='http://jabber.org/protocol/muc'>{mav}</x></presence>"
    ));
    stage.got(user)
}

fn bootstrap() -> String {
    format!("<mav xmlns='{MAV}'/>")
}

fn since(version: &str) -> String {
    format!("<mav xmlns='{MAV}' since='{version}'/>")
}

/// The version that a user is told on coming in.
fn version(got: &[Stanza]) -> String {
    let own = got.iter().find(|stanza| codes(stanza).contains(&110)).unwrap();
    told(own).unwrap().until.unwrap()
}

fn lists(got: &[Stanza]) -> Vec<Told> {
    got.iter().filter(|stanza| stanza.kind == Kind::Message).filter_map(told).collect()
}

fn leaves(stage: &mut Stage, user: &str) {
    let nick = format!("{}/{}", stage.at(user), local(user));
    stage.world.leaves(user, &nick);
    stage.world.forget();
}

fn orders(stage: &mut Stage, user: &str, jid: &str, affiliation: &str) {
    let item = format!("<item jid='{jid}' affiliation='{affiliation}'/>");
    let answer = stage.asks("set", user, &format!("<query xmlns='{MUC_ADMIN}'>{item}</query>"));
    assert_eq!(answer.ty(), "result", "{answer:?}");
}

fn bare(user: &str) -> String {
    jid(user).bare_str().to_owned()
}

#[test]
fn all_lists_come_before_anything_else() {
    everywhere(OPEN, |stage| {
        stage.gather(&[stage.admin]);
        let got = enters(stage, stage.owner, &bootstrap());
        assert_eq!(got[0].kind, Kind::Message, "{got:?}");
        let list = told(&got[0]).unwrap();
        assert_eq!((list.since, list.until), (None, Some(version(&got))));
        for (jid, affiliation) in [
            (bare(stage.owner), "owner"),
            (bare(stage.far_owner), "owner"),
            (bare(stage.admin), "admin"),
            (bare(stage.member), "member"),
            (bare(stage.banned), "outcast"),
        ] {
            assert_eq!(list.items.get(&jid).map(String::as_str), Some(affiliation), "{jid}");
        }
        assert!(
            !stage.got(stage.owner).iter().any(|stanza| stanza.to_xml().contains(MAV)),
            "nobody else hears"
        );
        let info =
            stage.asks("get", stage.stranger, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(info.to_xml().contains(&format!("<feature var='{MAV}'/>")));
    });
}

#[test]
fn who_was_away_is_told_what_has_changed() {
    everywhere(OPEN, |stage| {
        let before = version(&enters(stage, stage.admin, &bootstrap()));
        leaves(stage, stage.admin);
        orders(stage, stage.owner, "peter@commons.example", "member");
        orders(stage, stage.far_owner, &bare(stage.member), "none");
        let got = enters(stage, stage.admin, &since(&before));
        let changes = lists(&got);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].since.as_deref(), Some(before.as_str()));
        assert_eq!(changes[0].until, Some(version(&got)));
        let expected = [
            ("peter@commons.example".to_owned(), "member".to_owned()),
            (bare(stage.member), "none".to_owned()),
        ];
        assert_eq!(changes[0].items, BTreeMap::from(expected));
        leaves(stage, stage.admin);
        let got = enters(stage, stage.admin, &since(&version(&got)));
        assert!(lists(&got).is_empty(), "nothing has changed since: only the presence tells the version");
        assert_ne!(version(&got), before);
    });
}

#[test]
fn versions_are_the_same_at_all_instances() {
    everywhere(OPEN, |stage| {
        let here = version(&enters(stage, stage.owner, &bootstrap()));
        let there = enters(stage, stage.far_owner, &since(&here));
        assert_eq!(version(&there), here);
        assert!(lists(&there).is_empty());
        orders(stage, stage.owner, "peter@commons.example", "member");
        let steps = [stage.owner, stage.far_owner].map(|user| lists(&stage.got(user)));
        assert_eq!(steps[0], steps[1]);
        assert_eq!(steps[0][0].since, Some(here));
        for room in [stage.room, stage.far_room] {
            stage.world.restart(room);
        }
        orders(stage, stage.far_owner, "peter@commons.example", "none");
        let after = [stage.owner, stage.far_owner].map(|user| lists(&stage.got(user)));
        assert_eq!(after[0], after[1]);
        assert_eq!(after[0][0].since, steps[0][0].until, "one step follows the other, also after a restart");
    });
}

#[test]
fn what_the_room_has_never_said_is_no_version() {
    everywhere(OPEN, |stage| {
        let version = version(&enters(stage, stage.admin, &bootstrap()));
        let mut forged = version.into_bytes();
        forged[12] = if forged[12] == b'A' { b'B' } else { b'A' };
        for unknown in [String::from_utf8(forged).unwrap(), "ruz41312vw".to_owned(), String::new()] {
            leaves(stage, stage.admin);
            let got = enters(stage, stage.admin, &since(&unknown));
            assert_eq!(lists(&got)[0].since, None, "all is told");
            assert!(lists(&got)[0].items.len() >= 5);
        }
    });
}

#[test]
fn changes_are_told_as_steps() {
    everywhere(OPEN, |stage| {
        stage.gather(&[stage.stranger, stage.far]);
        let start = version(&enters(stage, stage.owner, &bootstrap()));
        stage.world.forget();
        let mut known = start;
        for (jid, affiliation, role) in [
            (bare(stage.stranger), "member", "participant"),
            (bare(stage.far), "admin", "moderator"),
            ("peter@commons.example".to_owned(), "owner", "none"),
            (bare(stage.stranger), "outcast", "none"),
            (bare(stage.far), "outcast", "none"),
        ] {
            orders(stage, stage.owner, &jid, affiliation);
            let got = stage.got(stage.owner);
            let steps: Vec<Told> = got.iter().filter_map(told).collect();
            assert_eq!(steps.len(), 1, "{jid} {affiliation}: {got:?}");
            assert_eq!(steps[0].since.as_deref(), Some(known.as_str()));
            assert_eq!(steps[0].items, BTreeMap::from([(jid.clone(), affiliation.to_owned())]));
            let told = got.iter().find(|stanza| told(stanza).is_some()).unwrap().to_xml();
            assert!(told.contains(&format!("role='{role}'")), "{told}");
            known = steps[0].until.clone().unwrap();
        }
        leaves(stage, stage.owner);
        assert_eq!(version(&enters(stage, stage.owner, &since(&known))), known);
    });
}

#[test]
fn who_does_not_keep_the_lists_hears_nothing_of_versions() {
    everywhere(OPEN, |stage| {
        stage.gather(&[stage.owner, stage.far]);
        orders(stage, stage.owner, &bare(stage.far), "member");
        orders(stage, stage.owner, "peter@commons.example", "member");
        for user in [stage.owner, stage.far] {
            let got = stage.got(user);
            assert!(!got.is_empty() && got.iter().all(|stanza| !stanza.to_xml().contains(MAV)), "{user}");
        }
    });
}

#[test]
fn who_may_not_retrieve_lists_gets_none() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        let got = enters(stage, stage.stranger, &bootstrap());
        assert_eq!(error(&got[0]), Some(("forbidden".into(), "auth".into())));
        assert_eq!((got[0].kind, got[0].id.as_deref()), (Kind::Message, Some("foo")));
        assert!(got.iter().all(|stanza| !stanza.to_xml().contains(MAV)), "but it is in: {got:?}");
        assert!(got.iter().any(|stanza| codes(stanza).contains(&110)));
        orders(stage, stage.owner, "peter@commons.example", "member");
        assert!(stage.got(stage.stranger).is_empty());
    });
}

#[test]
fn members_do_not_learn_who_is_banned() {
    everywhere(OPEN, |stage| {
        let got = enters(stage, stage.member, &bootstrap());
        let list = &lists(&got)[0];
        assert!(list.items.contains_key(&bare(stage.member)));
        assert!(list.items.values().all(|affiliation| affiliation != "outcast"), "{list:?}");
    });
}

#[test]
fn a_password_is_read_beside_it() {
    let locked = [
        ("muc#roomconfig_passwordprotectedroom", "1"),
        ("muc#roomconfig_roomsecret", "cauldronburn"),
        OPEN[0],
    ];
    everywhere(&locked, |stage| {
        let got = enters(stage, stage.admin, &format!("{}<password>cauldronburn</password>", bootstrap()));
        assert_eq!(lists(&got).len(), 1, "{got:?}");
    });
}

#[test]
fn a_long_list_comes_in_steps() {
    everywhere(OPEN, |stage| {
        for n in 0..3 {
            let item = |m: u32| format!("<item jid='m{m}@example.{n}' affiliation='member'/>");
            let items: String = (0..150).map(item).collect();
            let answer =
                stage.asks("set", stage.owner, &format!("<query xmlns='{MUC_ADMIN}'>{items}</query>"));
            assert_eq!(answer.ty(), "result");
        }
        let got = enters(stage, stage.far_owner, &bootstrap());
        let lists = lists(&got);
        assert!(lists.len() > 1 && lists.iter().all(|list| list.items.len() <= 200));
        assert_eq!(lists[0].since, None);
        assert!(lists.windows(2).all(|pair| pair[0].until == pair[1].since), "adjacent");
        assert_eq!(lists.last().unwrap().until, Some(version(&got)));
        assert!(lists.iter().map(|list| list.items.len()).sum::<usize>() >= 450 + 8);
    });
}
