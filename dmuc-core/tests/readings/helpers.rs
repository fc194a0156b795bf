//! Rooms with and without a peer that knows nothing but what was published.

use crate::common::*;
use dmuc_core::Stanza;

pub const COVEN: &str = "coven@chat.shakespeare.lit";
pub const AT_ROOMS: &str = "coven@rooms.macbeth.lit";
pub const CRONE: &str = "crone1@shakespeare.lit/desktop";
pub const WITCH: &str = "somewitch@macbeth.lit/mobile";
pub const KIT: &str = "kit@marlowe.lit/quill";
/// A service as the specification has it, whose stanzas are written by hand.
pub const PLAIN: &str = "rooms.plain.example";
pub const AT_PLAIN: &str = "coven@rooms.plain.example";
pub const DMUC: &str = "xmlns='urn:xmpp:dmuc:0'";
pub const MUC: &str = "xmlns='http://jabber.org/protocol/muc'";
pub const DAY_MS: u64 = 86_400_000;

pub fn create(world: &mut World) {
    world.creates(CRONE, &format!("{COVEN}/foo"), &[("muc#roomconfig_distributed", "1")]);
}

pub fn gathered() -> World {
    let mut world = World::three();
    create(&mut world);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, "coven@conference.marlowe.lit/kit");
    world.forget();
    world
}

/// The same with a plain instance, and `hermit` in at it.
pub fn with_plain_shadow() -> World {
    let mut world = World::three();
    world.allow(PLAIN);
    create(&mut world);
    world.agree(PLAIN, false);
    world.joins(WITCH, &format!("{AT_ROOMS}/firstwitch"));
    world.joins(KIT, "coven@conference.marlowe.lit/kit");
    enters(&mut world, "hermit");
    world.agree(PLAIN, false);
    world.forget();
    world
}

/// A presence as the specification shows it.
pub fn enters(world: &mut World, nick: &str) {
    world.send(&format!(
        "<presence from='{AT_PLAIN}/{nick}' to='{COVEN}/{nick}'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='none' role='participant'/></x></presence>"
    ));
}

pub fn says(world: &mut World, nick: &str, text: &str) {
    world.send(&format!(
        "<message type='groupchat' from='{AT_PLAIN}/{nick}' to='{COVEN}/{nick}'><body>{text}</body></message>"
    ));
}

/// A room whose source is plain, with us as its shadow, `foo` in at the source.
pub fn shadow_of_plain() -> World {
    let mut world = World::with(&[ROOMS]);
    world.allow(PLAIN);
    world.send(&format!(
        "<iq type='set' id='replicate1' from='{PLAIN}' to='{ROOMS}'><replicate {DMUC}><room id='coven'/></replicate></iq>"
    ));
    let answer = world.mail(PLAIN).remove(0);
    assert_eq!((answer.ty(), answer.children.len()), ("result", 0), "nothing but what was published");
    world
}

pub const CONFIG: &str = "<config xmlns='urn:xmpp:dmuc:0'><x xmlns='jabber:x:data' type='form'>\
    <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
    <field var='muc#roomconfig_roomname'><value>A Dark Cave</value></field></x></config>";

pub fn opened_shadow_of_plain() -> World {
    let mut world = shadow_of_plain();
    world.send(&format!("<iq type='set' id='config1' from='{AT_PLAIN}' to='{AT_ROOMS}'>{CONFIG}</iq>"));
    world.send(&format!(
        "<iq type='set' id='roster1' from='{AT_PLAIN}' to='{AT_ROOMS}'><roster {DMUC}>\
         <item affiliation='owner' jid='crone1@plain.example/desktop' name='foo'/>\
         <item affiliation='none' name='bar'/></roster></iq>"
    ));
    world
}

/// Answers the history that the shadow has asked for; gives the request.
pub fn answer_history(world: &mut World, history: &str) -> Stanza {
    let mail = world.mail(PLAIN);
    let asked = mail.iter().rfind(|s| s.ty() == "get" && s.to_xml().contains("<history")).unwrap();
    world.send(&asked.result().with(payload(history)).to_xml());
    asked.clone()
}

pub fn past(nick: &str, text: &str, from: &str, stamp: &str) -> String {
    format!(
        "<message xmlns='jabber:client' from='{AT_PLAIN}/{nick}' type='groupchat'><body>{text}</body>\
         <delay xmlns='urn:xmpp:delay' from='{from}' stamp='{stamp}'/></message>"
    )
}
