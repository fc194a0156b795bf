//! What everybody should notice, wherever it is.

use dmuc_tests::scene::Scene;
use dmuc_tests::{Answer, Element};

/// The condition with which something was refused.
pub fn refusal<T>(answer: Answer<T>) -> String {
    let Err(error) = answer else { panic!("it was not refused") };
    error.condition().unwrap_or_default().to_owned()
}

/// Everybody hears it once more than before.
pub fn all_hear(scene: &Scene, mark: usize, text: &str) {
    for (client, _) in scene.occupants() {
        client.hears(mark, text);
    }
}

/// Everybody sees this of an occupant.
pub fn all_see(scene: &Scene, mark: usize, nick: &str, what: &str, wanted: impl Fn(&Element) -> bool) {
    for (client, room) in scene.occupants() {
        let from = format!("{room}/{nick}");
        client.expect(mark, &format!("{nick} {what}"), |stanza| {
            stanza.name == "presence" && stanza.from() == from && wanted(stanza)
        });
    }
}
