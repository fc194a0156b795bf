//! What is kept of what was said.

use dmuc_tests::scene::Scene;

use crate::expectations::{all_hear, refusal};

/// XEP-0313: what was said anywhere, page by page, in the same order.
pub fn archive(scene: &Scene) {
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
pub fn retraction(scene: &Scene) {
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
