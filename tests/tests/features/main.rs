//! The features of rooms as two client libraries find them, through Prosody and through ejabberd, at a source and at a
//! shadow: one table for all of it (docs/features.md).

mod archives;
mod commands;
mod conversation;
mod expectations;
mod following;
mod moderation;
mod ownership;

use std::panic::{AssertUnwindSafe, catch_unwind};

use dmuc_tests::scene::{Cast, Place, Scene};
use dmuc_tests::{Made, Requirement, Software, World, missing};

use Requirement as Needs;
use Software::{Ejabberd, Prosody};

type Options = &'static [(&'static str, &'static str)];

/// What is tried, in a room with these options.
type Feature = (&'static str, Options, fn(&Scene));

const MODERATED: Options = &[("muc#roomconfig_moderatedroom", "1")];
const MEMBERS_ONLY: Options = &[("muc#roomconfig_membersonly", "1")];
const SECRET: Options = &[("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")];
const SUBSCRIPTIONS: Options = &[("muc#roomconfig_allow_subscription", "1")];

const FEATURES: &[Feature] = &[
    ("entry", &[], conversation::entry),
    ("history", &[], conversation::history),
    ("nick", &[], conversation::nick),
    ("subject", &[], conversation::subject),
    ("private", &[], conversation::private),
    ("ping", &[], conversation::ping),
    ("leaving", &[], conversation::leaving),
    ("kick", &[], moderation::kick),
    ("ban", &[], moderation::ban),
    ("voice", MODERATED, moderation::voice),
    ("voice-requests", MODERATED, moderation::voice_requests),
    ("lists", &[], moderation::lists),
    ("configuration", &[], ownership::configuration),
    ("password", SECRET, ownership::password),
    ("invitation", MEMBERS_ONLY, ownership::invitation),
    ("registration", &[], ownership::registration),
    ("cards", &[], ownership::cards),
    ("destruction", &[], ownership::destruction),
    ("archive", &[], archives::archive),
    ("retraction", &[], archives::retraction),
    ("hats", &[], commands::hats),
    ("commands", &[], commands::of_a_room),
    ("administration", &[], commands::of_the_service),
    ("activity", &[], following::activity),
    ("subscription", SUBSCRIPTIONS, following::subscription),
    ("versions", &[], following::versions),
];

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
