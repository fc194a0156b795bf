//! What occupants say of themselves and ask of each other (XEP-0045 §7.6, §7.7, §17.3).

use dmuc_core::Stanza;

use crate::common::*;
use crate::stage::*;

fn shown(stanzas: &[dmuc_core::Stanza], name: &str) -> Vec<String> {
    let said = stanzas.iter().filter_map(|stanza| stanza.child(name, "jabber:client"));
    said.map(dmuc_core::stanza::Payload::text).collect()
}

#[test]
fn presence_for_the_room_itself_is_the_occupants() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far, stage.stranger]);
        let xml =
            format!("<presence from='{}' to='{}'><show>away</show></presence>", stage.stranger, stage.room);
        stage.world.send(&xml);
        for user in [stage.owner, stage.far, stage.stranger] {
            assert_eq!(shown(&stage.got(user), "show"), ["away"], "{user}");
        }
        stage.world.joins(stage.stranger, stage.room);
        assert_eq!(the_error(&stage.got(stage.stranger)).0, "jid-malformed", "a wish to enter needs a nick");
    });
}

#[test]
fn a_refusal_says_that_the_room_refuses() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger]);
        stage.world.send(&format!(
            "<presence from='{}' to='{}'/>",
            stage.stranger,
            stage.nick(local(stage.owner))
        ));
        let got = stage.got(stage.stranger);
        assert_eq!(the_error(&got), ("conflict".into(), "cancel".into()));
        assert!(got[0].child("x", "http://jabber.org/protocol/muc").is_some(), "{got:?}");
        let refusal = got[0].child("error", "jabber:client").unwrap();
        assert_eq!(refusal.attr("by").as_deref(), Some(stage.room));
    });
}

#[test]
fn whoever_is_not_in_learns_nothing_by_probing() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        for nick in [local(stage.owner), local(stage.far), "nobody"] {
            let to = stage.nick(nick);
            stage.world.send(&format!("<presence type='probe' from='{}' to='{to}'/>", stage.stranger));
            assert_eq!(
                the_error(&stage.got(stage.stranger)),
                ("not-acceptable".into(), "cancel".into()),
                "{nick}"
            );
            stage.world.send(&format!("<presence type='probe' from='{}' to='{to}'/>", stage.owner));
            let ty = if nick == "nobody" { "unavailable" } else { "" };
            assert_eq!(stage.got(stage.owner)[0].ty(), ty, "{nick}");
        }
    });
}

#[test]
fn a_client_that_joins_again_under_another_nick_is_told_everything() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        stage.world.says(stage.owner, stage.room, "said").forget();
        stage.world.joins(stage.stranger, &stage.nick("puck"));
        let got = stage.got(stage.stranger);
        assert_eq!(nicks(&got), [local(stage.owner), local(stage.far), "puck"]);
        assert_eq!(bodies(&got), ["said"]);
        assert!(got.last().unwrap().has("subject"), "{got:?}");
        for user in [stage.owner, stage.far] {
            let seen: Vec<_> = stage.got(user).iter().map(|s| (s.ty().to_owned(), codes(s))).collect();
            assert_eq!(seen, [("unavailable".to_owned(), vec![303]), (String::new(), vec![])], "{user}");
        }
    });
}

#[test]
fn whoever_spells_its_nick_anew_is_seen_to_change_it_once() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        let to = stage.nick("Stranger");
        stage.world.send(&format!("<presence from='{}' to='{to}'/>", stage.stranger));
        let seen = |got: &[Stanza]| -> Vec<_> {
            got.iter().map(|s| (s.from.as_ref().unwrap().resource().unwrap().to_owned(), codes(s))).collect()
        };
        for user in [stage.owner, stage.far] {
            let expected = [("stranger".to_owned(), vec![303]), ("Stranger".to_owned(), vec![])];
            assert_eq!(seen(&stage.got(user)), expected, "{user}");
        }
        let expected = [("stranger".to_owned(), vec![303, 110]), ("Stranger".to_owned(), vec![110])];
        assert_eq!(seen(&stage.got(stage.stranger)), expected);
    });
}
