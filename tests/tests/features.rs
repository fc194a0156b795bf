//! The features of rooms as two client libraries find them, through Prosody and through ejabberd, at a source and at a
//! shadow: one table for all of it (docs/features.md).

use std::panic::{AssertUnwindSafe, catch_unwind};

use dmuc_tests::scene::{Cast, Place, Scene, until};
use dmuc_tests::{Answer, JoinOptions, Made, Requirement, Software, World, missing};

use Requirement as Needs;
use Software::{Ejabberd, Prosody};

type Options = &'static [(&'static str, &'static str)];

/// What is tried, in a room with these options.
type Feature = (&'static str, Options, fn(&Scene));

const FEATURES: &[Feature] = &[
    ("entry", &[], entry),
    ("history", &[], history),
    ("nick", &[], nick),
    ("subject", &[], subject),
    ("private", &[], private),
    ("kick", &[], kick),
    ("ban", &[], ban),
    ("voice", &[("muc#roomconfig_moderatedroom", "1")], voice),
    ("lists", &[], lists),
    ("configuration", &[], configuration),
    (
        "password",
        &[("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")],
        password,
    ),
    ("invitation", &[("muc#roomconfig_membersonly", "1")], invitation),
    ("ping", &[], ping),
    ("archive", &[], archive),
    ("retraction", &[], retraction),
    ("registration", &[], registration),
    ("cards", &[], cards),
    ("leaving", &[], leaving),
    ("destruction", &[], destruction),
];

fn refusal<T>(answer: Answer<T>) -> String {
    let Err(error) = answer else { panic!("it was not refused") };
    error.condition().unwrap_or_default().to_owned()
}

/// Everybody hears it once more than before.
fn all_hear(scene: &Scene, mark: usize, text: &str) {
    for (client, _) in scene.occupants() {
        client.hears(mark, text);
    }
}

/// Everybody sees this of an occupant.
fn all_see(
    scene: &Scene,
    mark: usize,
    nick: &str,
    what: &str,
    wanted: impl Fn(&dmuc_tests::Element) -> bool,
) {
    for (client, room) in scene.occupants() {
        let from = format!("{room}/{nick}");
        client.expect(mark, &format!("{nick} {what}"), |stanza| {
            stanza.name == "presence" && stanza.from() == from && wanted(stanza)
        });
    }
}

/// XEP-0045 §7.2: the others, itself, what was said, the subject.
fn entry(scene: &Scene) {
    let owner = scene.owner.join(&scene.room, "owner");
    assert_eq!(owner.own.muc_item("affiliation"), "owner");
    assert_eq!(owner.own.muc_item("role"), "moderator");
    let mark = scene.owner.mark();
    scene.far.join(&scene.far_room, "far");
    scene.owner.expect(mark, "far", |stanza| stanza.from() == scene.nick("far"));
    let guest = scene.guest.join(&scene.room, "guest");
    assert_eq!(guest.own.from(), scene.nick("guest"));
    assert!(guest.own.statuses().contains(&"110"));
    let seen: Vec<&str> = guest.occupants.iter().map(dmuc_tests::Element::nick).collect();
    assert!(["owner", "far"].iter().all(|nick| seen.contains(nick)), "{seen:?}");
    let taken = scene.bystander.try_join(&scene.room, "guest", JoinOptions::default());
    assert_eq!(taken.expect_err("the nick is taken").condition(), Some("conflict"));
    let far_taken = scene.bystander.try_join(&scene.room, "far", JoinOptions::default());
    assert_eq!(far_taken.expect_err("taken at the other instance").condition(), Some("conflict"));
}

/// XEP-0045 §7.2.14: who comes back hears what was said meanwhile.
fn history(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    for (number, (client, room)) in scene.occupants().into_iter().enumerate() {
        client.speaks(room, &format!("line {number}"));
        all_hear(scene, mark, &format!("line {number}"));
    }
    scene.guest.leaves(&scene.room, "guest");
    all_see(scene, mark, "guest", "leaving", |presence| presence.kind() == "unavailable");
    let options = JoinOptions { max_stanzas: Some(2), ..JoinOptions::default() };
    let back = scene.guest.try_join(&scene.room, "guest", options).expect("it comes back");
    let told: Vec<_> = back.history.iter().filter_map(|message| message.body()).collect();
    assert_eq!(told, ["line 1", "line 2"]);
    assert!(back.history.iter().all(|message| message.find("delay").is_some()));
}

/// XEP-0045 §7.6.
fn nick(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    assert_eq!(scene.guest.changes_nick(&scene.room, "stranger").ok().as_deref(), Some("stranger"));
    all_see(scene, mark, "guest", "changing its nick", |presence| {
        presence.statuses().contains(&"303") && presence.muc_item("nick") == "stranger"
    });
    all_see(scene, mark, "stranger", "under its new nick", |presence| presence.kind().is_empty());
}

/// XEP-0045 §8.1.
fn subject(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    scene.owner.changes_subject(&scene.room, "Fire Burn and Cauldron Bubble!");
    for (client, room) in scene.occupants() {
        client.expect(mark, "the subject", |message| {
            message.subject() == Some("Fire Burn and Cauldron Bubble!")
                && message.from() == format!("{room}/owner")
        });
    }
    let newcomer = scene.bystander.join(&scene.room, "newcomer");
    assert_eq!(newcomer.subject.subject(), Some("Fire Burn and Cauldron Bubble!"));
    scene.bystander.leaves(&scene.room, "newcomer");
}

/// XEP-0045 §7.5.
fn private(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    for (nick, listener, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)]
    {
        let text = format!("only for {nick}");
        scene.owner.confides(&scene.nick(nick), &text);
        let message = listener.hears(mark, &text);
        assert_eq!((message.kind(), message.from()), ("chat", &*format!("{room}/owner")));
    }
    scene.owner.confides(&scene.nick("nobody"), "to nobody");
    scene.owner.expect(mark, "an error", |stanza| stanza.condition() == Some("item-not-found"));
}

/// XEP-0045 §8.2.
fn kick(scene: &Scene) {
    scene.gather();
    assert_eq!(refusal(scene.guest.changes_role(&scene.room, "far", "none")), "forbidden");
    for nick in ["guest", "far"] {
        let mark = scene.owner.mark();
        scene.owner.changes_role(&scene.room, nick, "none").expect("an owner kicks");
        all_see(scene, mark, nick, "kicked", |presence| {
            presence.statuses().contains(&"307") && presence.muc_item("role") == "none"
        });
        let (client, room) =
            if nick == "far" { (&scene.far, &scene.far_room) } else { (&scene.guest, &scene.room) };
        client.join(room, nick);
    }
}

/// XEP-0045 §9.1, §9.2.
fn ban(scene: &Scene) {
    scene.gather();
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        let bare = client.jid().split('/').next().expect("a JID has a bare part");
        let mark = scene.owner.mark();
        scene.owner.changes_affiliation(&scene.room, bare, "outcast").expect("an owner bans");
        all_see(scene, mark, nick, "banned", |presence| {
            presence.statuses().contains(&"301") && presence.muc_item("affiliation") == "outcast"
        });
        assert_eq!(scene.owner.lists(&scene.room, "outcast").ok(), Some(vec![bare.to_owned()]));
        let refused = client.try_join(room, nick, JoinOptions::default());
        assert_eq!(refused.expect_err("it is banned").condition(), Some("forbidden"));
        scene.owner.changes_affiliation(&scene.room, bare, "none").expect("an owner forgives");
        until("the ban is lifted everywhere", || client.try_join(room, nick, JoinOptions::default()).is_ok());
    }
}

/// XEP-0045 §8.3, §8.4.
fn voice(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        client.speaks(room, &format!("{nick} without voice"));
        client.expect(mark, "a refusal", |stanza| stanza.condition() == Some("forbidden"));
        scene.owner.changes_role(&scene.room, nick, "participant").expect("an owner gives voice");
        all_see(scene, mark, nick, "with voice", |presence| presence.muc_item("role") == "participant");
        client.speaks(room, &format!("{nick} with voice"));
        all_hear(scene, mark, &format!("{nick} with voice"));
        scene.owner.changes_role(&scene.room, nick, "visitor").expect("an owner takes voice");
        all_see(scene, mark, nick, "silenced", |presence| presence.muc_item("role") == "visitor");
    }
    scene.owner.expect_nothing(0, "a silenced word", |stanza| {
        stanza.body().is_some_and(|body| body.ends_with("without voice"))
    });
}

/// XEP-0045 §9.3 to §10.8: at this instance and at the other, whoever changes what where.
fn lists(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    let bare = scene.far.jid().split('/').next().expect("a JID has a bare part").to_owned();
    for affiliation in ["member", "admin", "owner"] {
        scene.owner.changes_affiliation(&scene.room, &bare, affiliation).expect("an owner appoints");
        all_see(scene, mark, "far", affiliation, |presence| presence.muc_item("affiliation") == affiliation);
        for (client, room) in [(&scene.owner, &scene.room), (&scene.far_owner, &scene.far_room)] {
            let listed = client.lists(room, affiliation).expect("owners see the lists");
            assert!(listed.contains(&bare), "{affiliation}s at {room}: {listed:?}");
        }
    }
    assert_eq!(refusal(scene.guest.changes_affiliation(&scene.room, &bare, "none")), "forbidden");
    scene.far_owner.changes_affiliation(&scene.far_room, &bare, "none").expect("the other owner dismisses");
    all_see(scene, mark, "far", "dismissed", |presence| presence.muc_item("affiliation") == "none");
}

/// XEP-0045 §10.2.
fn configuration(scene: &Scene) {
    scene.gather();
    assert_eq!(refusal(scene.guest.reads_configuration(&scene.room)), "forbidden");
    for (number, (client, room)) in
        [(&scene.owner, &scene.room), (&scene.far_owner, &scene.far_room)].into_iter().enumerate()
    {
        let mark = scene.owner.mark();
        let name = format!("A Dark Cave {number}");
        client
            .changes_configuration(room, &[("muc#roomconfig_roomname", &name)])
            .expect("an owner configures");
        for (occupant, _) in scene.occupants() {
            occupant.expect(mark, "word of it", |stanza| stanza.statuses().contains(&"104"));
        }
        let form = scene.owner.reads_configuration(&scene.room).expect("an owner reads");
        assert_eq!(form.form_values("muc#roomconfig_roomname"), Some(vec![&*name]));
    }
}

/// XEP-0045 §7.2.6.
fn password(scene: &Scene) {
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        for (given, refused) in [(None, true), (Some("wrong"), true), (Some("s"), false)] {
            let options = JoinOptions { password: given, ..JoinOptions::default() };
            let joined = client.try_join(room, nick, options);
            let condition = joined.as_ref().err().and_then(|error| error.condition());
            assert_eq!(condition, refused.then_some("not-authorized"), "{given:?} at {room}");
        }
    }
}

/// XEP-0045 §7.8.2: who is invited to a members-only room by an owner is a member then.
fn invitation(scene: &Scene) {
    scene.owner.join(&scene.room, "owner");
    for (client, room) in [(&scene.bystander, &scene.room), (&scene.far, &scene.far_room)] {
        let refused = client.try_join(room, "invited", JoinOptions::default());
        assert_eq!(refused.expect_err("it is no member").condition(), Some("registration-required"));
        let mark = client.mark();
        let bare = client.jid().split('/').next().expect("a JID has a bare part");
        scene.owner.invites(&scene.room, bare);
        client.expect(mark, "the invitation", |message| message.find("invite").is_some());
        until("the invited is let in", || client.try_join(room, "invited", JoinOptions::default()).is_ok());
        client.leaves(room, "invited");
    }
}

/// XEP-0410.
fn ping(scene: &Scene) {
    scene.gather();
    scene.guest.pings(&scene.nick("guest")).expect("it is in");
    scene.guest.leaves(&scene.room, "guest");
    until("it is out", || scene.guest.pings(&scene.nick("guest")).is_err());
    assert_eq!(refusal(scene.guest.pings(&scene.nick("guest"))), "not-acceptable");
    scene.guest.pings(&scene.room).expect("the room itself may be pinged");
}

/// XEP-0313: what was said anywhere, page by page, in the same order.
fn archive(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    let said = ["first", "second", "third", "fourth", "fifth"];
    for (number, text) in said.iter().enumerate() {
        let (client, room) = scene.occupants()[number % 3];
        client.speaks(room, text);
        all_hear(scene, mark, text);
    }
    for (client, room) in [(&scene.guest, &scene.room), (&scene.far, &scene.far_room)] {
        let archived = client.reads_archive(room).expect("occupants read the archive");
        let texts: Vec<_> = archived.iter().filter_map(|message| message.body()).collect();
        assert_eq!(texts, said, "{room}");
        assert!(
            archived.iter().all(|message| message.from().starts_with(&format!("{room}/"))),
            "{archived:?}"
        );
    }
}

/// XEP-0424, XEP-0425: what is taken back is a tombstone in both archives.
fn retraction(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    for (text, retracts) in [("taken back", true), ("moderated", false)] {
        scene.guest.speaks(&scene.room, text);
        all_hear(scene, mark, text);
        let heard = scene.owner.hears(mark, text);
        let id = heard.stanza_id(&scene.room).expect("a room's message has a stanza-id").to_owned();
        if retracts {
            scene.guest.retracts(&scene.room, &id);
        } else {
            assert_eq!(refusal(scene.guest.moderates(&scene.room, &id)), "forbidden");
            scene.owner.moderates(&scene.room, &id).expect("an owner moderates");
        }
        for (client, _) in scene.occupants() {
            let told = client.expect(mark, "the retraction", |stanza| {
                stanza.all("retract").iter().any(|retract| retract.attr("id") == id)
            });
            assert_eq!(told.find("moderated").is_some(), !retracts, "{told}");
        }
    }
    for (client, room) in [(&scene.guest, &scene.room), (&scene.far, &scene.far_room)] {
        let archived = client.reads_archive(room).expect("occupants read the archive");
        assert!(archived.iter().all(|message| message.body() != Some("moderated")), "{archived:?}");
        assert_eq!(
            archived.iter().filter(|message| message.find("retracted").is_some()).count(),
            2,
            "{room}"
        );
    }
}

/// XEP-0045 §7.10: a registered nick is its user's at all instances.
fn registration(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    scene.guest.registers(&scene.room, "weird sister").expect("anybody may register");
    all_see(scene, mark, "guest", "a member", |presence| presence.muc_item("affiliation") == "member");
    for (client, room) in [(&scene.bystander, &scene.room), (&scene.far_owner, &scene.far_room)] {
        let taken = client.try_join(room, "weird sister", JoinOptions::default());
        assert_eq!(taken.expect_err("the nick is reserved").condition(), Some("conflict"), "{room}");
    }
    assert_eq!(refusal(scene.far.registers(&scene.far_room, "weird sister")), "conflict");
    scene.guest.unregisters(&scene.room).expect("it may end that");
    all_see(scene, mark, "guest", "nothing any more", |presence| presence.muc_item("affiliation") == "none");
}

/// XEP-0054, XEP-0486: of the room, and of an occupant of the other instance.
fn cards(scene: &Scene) {
    scene.gather();
    assert_eq!(refusal(scene.guest.publishes_card(&scene.room, "a cauldron")), "forbidden");
    scene.owner.publishes_card(&scene.room, "a cauldron").expect("an owner gives the room a picture");
    for (client, room) in scene.occupants() {
        until("the room has its picture", || {
            let card = client.reads_card(room);
            card.is_ok_and(|card| card.find("BINVAL").is_some_and(|photo| photo.text == "YSBjYXVsZHJvbg=="))
        });
    }
}

/// XEP-0045 §7.14.
fn leaving(scene: &Scene) {
    scene.gather();
    for (nick, client, room) in [("guest", &scene.guest, &scene.room), ("far", &scene.far, &scene.far_room)] {
        let mark = scene.owner.mark();
        client.leaves(room, nick);
        let farewell = client.expect(mark, "its farewell", |stanza| stanza.statuses().contains(&"110"));
        assert_eq!(farewell.kind(), "unavailable");
        scene.owner.expect(mark, "it leaving", |stanza| {
            stanza.from() == scene.nick(nick) && stanza.kind() == "unavailable"
        });
    }
}

/// XEP-0045 §10.9.
fn destruction(scene: &Scene) {
    scene.gather();
    let mark = scene.owner.mark();
    assert_eq!(refusal(scene.guest.destroys(&scene.room)), "forbidden");
    scene.owner.destroys(&scene.room).expect("an owner destroys");
    for (client, room) in scene.occupants() {
        client.expect(mark, "the end", |stanza| {
            stanza.find("destroy").is_some()
                && stanza.from().starts_with(room)
                && stanza.kind() == "unavailable"
        });
        let refused = client.try_join(room, "again", JoinOptions::default());
        assert_eq!(refused.expect_err("it is gone").condition(), Some("gone"), "{room}");
    }
}

/// Tries everything with one library at a source and at a shadow; gives what failed.
fn tries(world: &World, made: Made) -> Vec<String> {
    let cast = Cast::of(world, made);
    let mut failed = Vec::new();
    for place in [Place::Source, Place::Shadow] {
        for (feature, options, tries) in FEATURES {
            let tried = catch_unwind(AssertUnwindSafe(|| {
                let scene = cast.scene(place, feature, options);
                tries(&scene);
                empty(&scene);
            }));
            if tried.is_err() {
                failed.push(format!("{feature} at the {place:?}, {made:?}"));
            }
        }
    }
    failed
}

/// Both libraries at once.
fn everything(software: [Software; 2]) {
    let world = World::new(software);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let world = &world;
        let running =
            [Made::WithSlixmpp, Made::WithTokioXmpp].map(|made| scope.spawn(move || tries(world, made)));
        running.into_iter().flat_map(|thread| thread.join().expect("failures are caught")).collect()
    });
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Nobody stays in a room that is done with.
fn empty(scene: &Scene) {
    for (client, room) in scene.occupants() {
        for nick in ["owner", "guest", "stranger", "far"] {
            client.leaves(room, nick);
        }
    }
}

#[test]
fn a_source_behind_prosody_and_a_shadow_behind_ejabberd() {
    if missing("a_source_behind_prosody", &[Needs::Prosody, Needs::Ejabberd, Needs::Slixmpp]) {
        return;
    }
    everything([Prosody, Ejabberd]);
}

#[test]
fn a_source_behind_ejabberd_and_a_shadow_behind_prosody() {
    if missing("a_source_behind_ejabberd", &[Needs::Prosody, Needs::Ejabberd, Needs::Slixmpp]) {
        return;
    }
    everything([Ejabberd, Prosody]);
}
