//! The evil peer, and how a refusal is checked.

use crate::common::*;
use dmuc_core::Stanza;

pub const COVEN: &str = "coven@chat.shakespeare.lit";
pub const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
pub const CRONE: &str = "crone1@shakespeare.lit/desktop";
pub const WITCH: &str = "somewitch@macbeth.lit/mobile";
pub const KIT: &str = "kit@marlowe.lit/quill";
/// A peer that the story plays: an instance like the others, at `evil.example`, whose users are `evil.example`'s.
pub const EVIL: &str = "rooms.evil.example";
pub const AT_EVIL: &str = "coven@rooms.evil.example";
/// A domain that nobody peers with.
pub const STRANGER: &str = "rooms.stranger.example";

pub const DMUC: &str = "xmlns='urn:xmpp:dmuc:0'";
pub const SYNC: &str = "xmlns='urn:xmpp:dmuc:sync:0'";
pub const H: &str = "0198f3a2b1c40001";
pub const EID: &str = "Jm3kQ0w7T5mZrYd0nF2x1A";

/// The three services and the evil one, each with somebody in.
pub fn gathered() -> World {
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

pub fn uid(world: &World) -> String {
    world.instance(COVEN).uid().unwrap().to_string()
}

/// Sends what a peer says to `room`, and gives the answers.
pub fn hears(world: &mut World, room: &str, xml: &str) -> Vec<Stanza> {
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
pub struct Case {
    pub name: &'static str,
    /// Who hears it.
    pub at: &'static str,
    pub says: String,
    pub refused: (&'static str, &'static str, Option<&'static str>),
}

pub fn check(world: &mut World, case: &Case) {
    let name = case.name;
    let before = [COVEN, AT_ROOMS].map(|room| world.record(room));
    assert_eq!(refused(world, case), 0, "{name}: nothing else is answered");
    let after = [COVEN, AT_ROOMS].map(|room| world.record(room));
    assert_eq!(before, after, "{name}: nothing is applied");
    for user in [CRONE, WITCH, KIT] {
        assert!(world.got(user).is_empty(), "{name}: {user} notices nothing");
    }
}

/// The same of what is said without the right to: its place is kept, that the log has no hole, and nobody hears it.
pub fn check_withheld(world: &mut World, case: &Case) {
    let before = world.log(case.at).len();
    refused(world, case);
    let added: Vec<_> =
        world.log(case.at)[before..].iter().filter(|entry| &*entry.event.pos.o == EVIL).collect();
    assert!(matches!(added[..], [entry] if entry.withheld), "{}: {added:?}", case.name);
    for user in [CRONE, WITCH, KIT] {
        let got = world.got(user);
        assert!(!got.iter().any(|s| format!("{s:?}").contains("hi<")), "{}: {user} hears {got:?}", case.name);
    }
}

/// Checks the refusal; gives how much more was answered.
fn refused(world: &mut World, case: &Case) -> usize {
    let name = case.name;
    let said = case.says.replace("{uid}", &uid(world));
    let (answers, others): (Vec<_>, Vec<_>) =
        hears(world, case.at, &said).into_iter().partition(Stanza::is_error);
    assert_eq!(answers.len(), 1, "{name}: {answers:#?}");
    let (condition, kind) = error(&answers[0]).unwrap_or_else(|| panic!("{name}: {answers:#?}"));
    let got = (condition.as_str(), kind.as_str(), application(&answers[0]));
    assert_eq!(got, (case.refused.0, case.refused.1, case.refused.2.map(str::to_owned)), "{name}");
    others.len()
}

pub fn case(
    name: &'static str,
    at: &'static str,
    says: String,
    refused: (&'static str, &'static str, Option<&'static str>),
) -> Case {
    Case { name, at, says, refused }
}

/// An iq from a peer; its `to` is the room's address.
pub fn iq(ty: &str, from: &str, to: &str, child: &str) -> String {
    format!("<iq type='{ty}' id='x1' from='{from}' to='{to}'>{child}</iq>")
}

pub fn config(version: &str, fields: &str) -> String {
    format!(
        "<config {DMUC}><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
         <value>http://jabber.org/protocol/muc#roomconfig</value></field>{fields}</x>{version}</config>"
    )
}

pub fn replicate(id: &str, uid: &str, source: &str, term: u32) -> String {
    format!(
        "<replicate {DMUC}><room id='{id}'/><offer {SYNC} uid='{uid}' source='{source}' term='{term}'/></replicate>"
    )
}

pub const FORBIDDEN: (&str, &str, Option<&str>) = ("forbidden", "auth", Some("peer-denied"));
pub const NOT_SOURCE: (&str, &str, Option<&str>) = ("forbidden", "auth", Some("not-source"));
pub const NOT_AUTHORITATIVE: (&str, &str, Option<&str>) = ("forbidden", "auth", Some("not-authoritative"));
pub const UNKNOWN: (&str, &str, Option<&str>) = ("not-acceptable", "modify", Some("unknown-occupant"));
