//! Every element of `urn:xmpp:dmuc:0` and `urn:xmpp:dmuc:sync:0` that a long story puts on the links is valid by the
//! schemas in docs/schema (checked with `xmllint`, where it is installed).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use dmuc_core::policy::PeerRule;
use minidom::Element;

const OURS: [&str; 2] = ["urn:xmpp:dmuc:0", "urn:xmpp:dmuc:sync:0"];
const COVEN: &str = "coven@chat.shakespeare.lit";
const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
const AT_CONFERENCE: &str = "coven@conference.marlowe.lit";
const CRONE: &str = "crone1@shakespeare.lit/desktop";
const WITCH: &str = "somewitch@macbeth.lit/mobile";
const KIT: &str = "kit@marlowe.lit/quill";
const PLAIN: &str = "rooms.plain.example";

/// A story in which everything happens once.
fn story() -> World {
    let mut world = World::three();
    world.allow(PLAIN);
    let ask = PeerRule { ask: true, ..PeerRule::allow(CHAT) };
    world.policy(CONFERENCE).peers = [ask, PeerRule::allow(ROOMS)].into_iter().collect();
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "1")]);
    world.agree(PLAIN, false);
    world.says(CRONE, COVEN, "before");
    world.input(CONFERENCE, &jid(AT_CONFERENCE), dmuc_core::Input::Approved);
    world.settle();
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch")).joins(KIT, &format!("{AT_CONFERENCE}/kit"));
    world.configures(CRONE, COVEN, &[("{urn:xmpp:dmuc:sync:0}registration", "approve")]);
    world.send(&format!(
        "<iq type='set' id='r' from='{KIT}' to='{AT_CONFERENCE}'><query xmlns='jabber:iq:register'><nick>kit</nick></query></iq>"
    ));
    world.says(WITCH, AT_ROOMS, "one").says(KIT, AT_CONFERENCE, "two");
    world.orders(CRONE, COVEN, "jid='somewitch@macbeth.lit' affiliation='owner' nick='firstwitch'");
    world.configures(WITCH, AT_ROOMS, &[("muc#roomconfig_moderatedroom", "1")]);
    world.send(&format!(
        "<iq type='set' id='v' from='{WITCH}' to='{AT_ROOMS}'><vCard xmlns='vcard-temp'><FN>Coven</FN></vCard></iq>"
    ));
    world.orders(WITCH, AT_ROOMS, "nick='kit' role='participant'");
    world.orders(WITCH, AT_ROOMS, "jid='spam@example.net' affiliation='outcast'");
    world.send(&format!("<presence from='{WITCH}' to='{AT_ROOMS}/oldhag'><show>away</show></presence>"));
    refusals(&mut world);
    world.leaves(KIT, &format!("{AT_CONFERENCE}/kit"));
    world.send(&format!(
        "<iq type='set' id='d' from='{CRONE}' to='{COVEN}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <destroy jid='heath@chat.shakespeare.lit'><reason>done</reason></destroy></query></iq>"
    ));
    world
}

/// Things that peers must not say, for the application-specific conditions.
fn refusals(world: &mut World) {
    let sync = "xmlns='urn:xmpp:dmuc:sync:0'";
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                <value>http://jabber.org/protocol/muc#roomconfig</value></field>\
                <field var='muc#roomconfig_weather'><value>fog</value></field></x>";
    let config = |more: &str| format!("<config xmlns='urn:xmpp:dmuc:0'>{form}{more}</config>");
    let from_source = [
        config(&format!("<ver {sync} term='0' n='9'/>")),
        config(""),
        config("").replace("muc#roomconfig_weather", "muc#roomconfig_whois"),
        format!("<affiliations {sync} term='1' since='900' until='901'/>"),
        "<roster xmlns='urn:xmpp:dmuc:0'><item affiliation='none' name=' '/></roster>".to_owned(),
    ];
    for child in &from_source {
        world.send(&format!("<iq type='set' id='x' from='{COVEN}' to='{AT_CONFERENCE}'>{child}</iq>"));
    }
    let from_shadow = [
        config(""),
        format!("<occupants {sync} since='900' until='901'/>"),
        format!(
            "<occupants {sync} until='901'><in nick='x' jid='x@shakespeare.lit/y' h='0198f3a2b1c40001'/></occupants>"
        ),
    ];
    for child in &from_shadow {
        world.send(&format!("<iq type='set' id='x' from='{AT_ROOMS}' to='{COVEN}'>{child}</iq>"));
    }
    world.send(&format!(
        "<message type='groupchat' from='{AT_ROOMS}/nobody' to='{COVEN}/nobody'><body>hi</body></message>"
    ));
    world.policy(ROOMS).peers = [PeerRule { rooms_max: 0, ..PeerRule::allow(CHAT) }].into_iter().collect();
    for domain in [CHAT, CONFERENCE] {
        world.send(&format!(
            "<iq type='set' id='x' from='{domain}' to='{ROOMS}'><replicate xmlns='urn:xmpp:dmuc:0'><room id='moor'/></replicate></iq>"
        ));
    }
    world.allow(CONFERENCE);
}

/// The outermost elements of our namespaces, wherever they stand.
fn ours(element: &Element, found: &mut Vec<Element>) {
    if OURS.contains(&element.ns().as_str()) {
        found.push(element.clone());
    } else {
        element.children().for_each(|child| ours(child, found));
    }
}

fn elements(world: &World) -> Vec<Element> {
    let mut found = Vec::new();
    for stanza in &world.wire {
        stanza.children.iter().for_each(|child| ours(&child.element().unwrap(), &mut found));
    }
    found
}

/// Names below `element`, for the count of what was seen.
fn names(element: &Element, seen: &mut BTreeMap<String, usize>) {
    if OURS.contains(&element.ns().as_str()) {
        *seen.entry(element.name().to_owned()).or_default() += 1;
    }
    element.children().for_each(|child| names(child, seen));
}

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema").canonicalize().unwrap()
}

/// One schema for both namespaces, since elements of one stand in those of the other.
fn both(dir: &Path) -> PathBuf {
    let mut xsd = "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'>".to_owned();
    for (ns, file) in OURS.iter().zip(["dmuc.xsd", "dmuc-sync.xsd"]) {
        write!(xsd, "<xs:import namespace='{ns}' schemaLocation='{}'/>", schemas().join(file).display())
            .unwrap();
    }
    let path = dir.join("both.xsd");
    std::fs::write(&path, xsd + "</xs:schema>").unwrap();
    path
}

/// Files that `xmllint` finds invalid, with its words; none if it is not there.
fn invalid(name: &str, documents: &[String]) -> Option<Vec<String>> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let xsd = both(&dir);
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--nonet", "--schema"]).arg(&xsd);
    for (n, document) in documents.iter().enumerate() {
        let file = dir.join(format!("{n}.xml"));
        std::fs::write(&file, document).unwrap();
        command.arg(file);
    }
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: xmllint is not installed; nothing was checked against docs/schema");
        return None;
    };
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let validated = words.lines().filter(|line| line.ends_with(" validates")).count();
    // It also warns, of namespaces as old as `vcard-temp`, which are no URIs.
    let complains = |line: &&str| line.contains(" error ") || line.ends_with(" fails to validate");
    let complaints: Vec<String> = words.lines().filter(complains).map(str::to_owned).collect();
    assert_eq!(validated == documents.len(), complaints.is_empty(), "{words}");
    Some(complaints)
}

#[test]
fn what_crosses_the_links_is_valid() {
    let world = story();
    let elements = elements(&world);
    let mut seen = BTreeMap::new();
    elements.iter().for_each(|element| names(element, &mut seen));
    // What the schema describes and the story must show, so that this test cannot pass by silence.
    for name in [
        "replicate",
        "offer",
        "accept",
        "room",
        "config",
        "ver",
        "roster",
        "peerhost",
        "instances",
        "instance",
        "vouch",
        "affiliations",
        "vcard",
        "occupants",
        "in",
        "at",
        "ev",
        "dep",
        "propose",
        "verdict",
        "tombstone",
        "reason",
        "not-source",
        "not-authoritative",
        "unknown-occupant",
        "bad-item",
        "unsupported",
        "stale",
        "retry",
        "peer-denied",
    ] {
        assert!(seen.contains_key(name), "no <{name}/> in the story: {seen:?}");
    }
    let documents: Vec<String> = elements.iter().map(String::from).collect();
    assert!(documents.len() > 80, "{}", documents.len());
    if let Some(complaints) = invalid("valid", &documents) {
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}

#[test]
fn what_is_wrong_is_found_wrong() {
    let wrong = [
        "<replicate xmlns='urn:xmpp:dmuc:0'/>",
        "<roster xmlns='urn:xmpp:dmuc:0'><item affiliation='superowner' name='x'/></roster>",
        "<ev xmlns='urn:xmpp:dmuc:sync:0' i='1' s='0' h='0198f3a2b1c40001' id='Jm3kQ0w7T5mZrYd0nF2x1A'/>",
        "<at xmlns='urn:xmpp:dmuc:sync:0' ver='1' h='soon'/>",
        "<instances xmlns='urn:xmpp:dmuc:sync:0' uid='u' term='1'/>",
    ];
    for (n, wrong) in wrong.iter().enumerate() {
        if let Some(complaints) = invalid(&format!("wrong{n}"), &[(*wrong).to_owned()]) {
            assert!(!complaints.is_empty(), "{wrong}");
        }
    }
}
