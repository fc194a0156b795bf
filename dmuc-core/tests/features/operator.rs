//! What operators order of a room at one instance, and how long ago somebody spoke (XEP-0012).

use dmuc_core::Input;
use dmuc_core::io::OperatorOrder;

use crate::common::*;
use crate::stage::{Place, Stage, everywhere, local};

fn ordered(stage: &mut Stage, order: OperatorOrder) {
    let room = jid(stage.room);
    stage.world.input(room.domain(), &room, Input::Operator(order));
    stage.world.settle();
}

#[test]
fn an_announcement_is_for_those_here_and_is_not_kept() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        ordered(stage, OperatorOrder::Announce("The wood moves!".into()));
        let got = stage.got(stage.owner);
        assert_eq!(bodies(&got), ["The wood moves!"]);
        assert_eq!(got[0].from, Some(jid(stage.room)));
        assert!(stage.got(stage.far).is_empty());
        stage.enters(stage.member);
        assert!(bodies(&stage.got(stage.member)).is_empty());
    });
}

#[test]
fn whoever_is_put_out_of_this_instance_is_seen_to_go_at_all() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.far]);
        let reason = Some("Lay on!".to_owned());
        for user in [stage.stranger, stage.far] {
            ordered(stage, OperatorOrder::Expel { user: jid(user).to_bare(), reason: reason.clone() });
        }
        let out = stage.got(stage.stranger).pop().unwrap().to_xml();
        assert!(out.contains("code='307'") && out.contains("Lay on!"), "{out}");
        let seen = stage.got(stage.far);
        assert_eq!(seen.len(), 1, "it is not ours to put out: {seen:?}");
        assert_eq!(seen[0].from.as_ref().unwrap().resource(), Some(local(stage.stranger)));
    });
}

#[test]
fn only_the_source_ends_a_room() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        let alternate = Some(jid("heath@chat.shakespeare.lit"));
        ordered(stage, OperatorOrder::End { alternate, reason: None });
        for user in [stage.owner, stage.far] {
            let ended = stage.got(user).iter().any(|stanza| stanza.to_xml().contains("<destroy jid='heath@"));
            assert_eq!(ended, stage.place == Place::Source, "{user}");
        }
    });
}

const LAST: &str = "<query xmlns='jabber:iq:last'/>";

#[test]
fn a_room_tells_how_long_ago_somebody_spoke() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        stage.says(stage.far, "groupchat", "<body>hail</body>");
        stage.world.wait(42_000);
        for user in [stage.owner, stage.stranger] {
            let answer = stage.asks("get", user, LAST);
            let seconds = answer.child("query", "jabber:iq:last").and_then(|query| query.attr("seconds"));
            assert_eq!(seconds.as_deref(), Some("42"), "{user}: {answer:?}");
        }
    });
}

#[test]
fn strangers_do_not_learn_what_goes_on_behind_a_door() {
    for door in [
        &[("muc#roomconfig_membersonly", "1")][..],
        &[("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")],
    ] {
        everywhere(door, |stage| {
            let refused = stage.asks("get", stage.stranger, LAST);
            assert_eq!(error(&refused).unwrap(), ("forbidden".to_owned(), "auth".to_owned()));
            assert!(stage.asks("get", stage.member, LAST).child("query", "jabber:iq:last").is_some());
        });
    }
}
