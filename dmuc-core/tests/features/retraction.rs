//! Messages that are taken back (XEP-0424, XEP-0425).

use dmuc_core::io::Timer;
use dmuc_core::{Input, Stanza};
use minidom::Element;

use crate::archive::query;
use crate::common::*;
use crate::stage::{Stage, everywhere};

const RETRACT: &str = "urn:xmpp:message-retract:1";
const MODERATE: &str = "urn:xmpp:message-moderate:1";
const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";

/// Says something; gives the id that the room gives it.
fn said(stage: &mut Stage, user: &str, text: &str) -> String {
    stage.world.forget();
    stage.says(user, "groupchat", &format!("<body>{text}</body>"));
    stanza_id(stage.got(user).last().unwrap()).unwrap()
}

fn takes_back(stage: &mut Stage, user: &str, id: &str) {
    stage.world.forget();
    let to = stage.at(user);
    stage.world.send(&format!(
        "<message type='groupchat' id='retract-message-1' from='{user}' to='{to}'><retract id='{id}' xmlns='{RETRACT}'/>\
         <fallback xmlns='urn:xmpp:fallback:0' for='{RETRACT}'/><body>/me retracted a previous message</body>\
         <store xmlns='urn:xmpp:hints'/></message>"
    ));
}

/// What a moderator asks for.
fn moderate(id: &str) -> String {
    format!(
        "<moderate id='{id}' xmlns='{MODERATE}'><retract xmlns='{RETRACT}'/><reason>Off topic</reason></moderate>"
    )
}

/// The archived messages as a stranger, and as somebody at the other instance, reads them.
fn archives(stage: &mut Stage) -> [Vec<Element>; 2] {
    let (here, there) = (stage.stranger, stage.far);
    [here, there].map(|user| query(stage, user, "").unwrap().originals())
}

fn child(message: &Element, name: &str) -> Option<Element> {
    message.get_child(name, RETRACT).cloned()
}

/// No word of it is left in what either instance keeps.
fn assert_gone(stage: &Stage, word: &str) {
    for room in [stage.room, stage.far_room] {
        let kept = format!("{:?}", stage.world.log(room));
        assert!(!kept.contains(word), "at {room}: {kept}");
    }
}

#[test]
fn an_author_takes_a_message_back() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.member, stage.far]);
        for author in [stage.member, stage.far] {
            let id = said(stage, author, "treason");
            let digests = |stage: &Stage| -> Vec<_> {
                let log = stage.world.log(stage.room).iter();
                log.filter(|entry| entry.event.id.to_string() == id).map(|entry| entry.digest).collect()
            };
            let before = digests(stage);
            takes_back(stage, author, &id);
            for user in [stage.member, stage.far] {
                let got = stage.got(user);
                let retract = got[0].child("retract", RETRACT).unwrap();
                assert_eq!((got.len(), retract.attr("id")), (1, Some(id.clone())), "{user}");
                assert!(stanza_id(&got[0]).is_some(), "the retraction is archived itself");
            }
            assert_eq!((before.len(), digests(stage)), (1, before), "the chain of digests is as it was");
            for messages in archives(stage) {
                let of_author = messages.len() - 2..;
                let [target, retraction] = &messages[of_author] else { panic!("two messages") };
                let stone = child(target, "retracted").unwrap();
                assert_eq!(stone.attr("id"), Some("retract-message-1"));
                assert!(stone.attr("stamp").is_some() && stone.children().next().is_none());
                assert!(!target.has_child("body", "jabber:client"));
                assert!(target.has_child("occupant-id", OCCUPANT_ID));
                assert!(child(retraction, "retract").is_some());
                assert!(retraction.has_child("body", "jabber:client"));
            }
            assert_gone(stage, "treason");
        }
    });
}

#[test]
fn those_who_join_later_see_that_there_was_a_message() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.member]);
        let id = said(stage, stage.member, "treason");
        takes_back(stage, stage.member, &id);
        for restarted in [false, true] {
            if restarted {
                let (room, far_room) = (stage.room, stage.far_room);
                stage.world.restart(room);
                stage.world.restart(far_room);
            }
            for user in [stage.stranger, stage.far] {
                stage.world.forget();
                stage.enters(user);
                let got = stage.got(user);
                let of_id = |m: &&Stanza| stanza_id(m).as_deref() == Some(id.as_str());
                let target = got.iter().find(of_id).unwrap_or_else(|| panic!("{user}: {got:?}"));
                assert!(target.child("retracted", RETRACT).is_some() && body(target).is_none());
                let (room, nick) = (stage.at(user), crate::stage::local(user));
                stage.world.leaves(user, &format!("{room}/{nick}"));
            }
        }
    });
}

#[test]
fn nobody_takes_back_what_somebody_else_said() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far]);
        let id = said(stage, stage.member, "my words");
        for other in [stage.far, stage.owner] {
            takes_back(stage, other, &id);
            assert_eq!(the_error(&stage.got(other)), ("forbidden".to_owned(), "auth".to_owned()), "{other}");
            assert!(stage.got(stage.member).is_empty());
        }
        for messages in archives(stage) {
            assert_eq!((messages.len(), child(&messages[0], "retracted")), (1, None));
        }
    });
}

#[test]
fn messages_older_than_history_are_found_in_the_store() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.member, stage.far]);
        let id = said(stage, stage.member, "treason");
        said(stage, stage.far, "something else");
        for (domain, room) in [(CHAT, "coven@chat.shakespeare.lit"), (ROOMS, "coven@rooms.macbeth.lit")] {
            stage.world.policy(domain).history_max = 1;
            stage.world.restart(room);
        }
        takes_back(stage, stage.far, &id);
        for messages in archives(stage) {
            assert_eq!(child(&messages[0], "retracted"), None, "it is not the author's word");
        }
        takes_back(stage, stage.member, &id);
        for messages in archives(stage) {
            assert!(child(&messages[0], "retracted").is_some());
        }
        assert_gone(stage, "treason");
        for room in [stage.room, stage.far_room] {
            let waiting = stage.world.record(room).0.into_keys().filter(|key| key.starts_with("retraction/"));
            assert_eq!(waiting.count(), 0, "what is done is not waited for");
        }
    });
}

#[test]
fn a_store_that_did_not_answer_is_asked_again() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member]);
        let id = said(stage, stage.member, "treason");
        let rooms = [stage.room, stage.far_room];
        for room in rooms {
            stage.world.policy(jid(room).domain()).history_max = 0;
            stage.world.restart(room);
        }
        stage.world.mute = true;
        takes_back(stage, stage.member, &id);
        assert!(stage.got(stage.member)[0].child("retract", RETRACT).is_some(), "all the same");
        for payload in [moderate(&id), "<query xmlns='urn:xmpp:mam:2'/>".to_owned()] {
            let answer = stage.asks("set", stage.owner, &payload);
            assert_eq!(error(&answer), Some(("resource-constraint".to_owned(), "wait".to_owned())));
        }
        stage.world.mute = false;
        for (room, restarted) in [(rooms[0], false), (rooms[1], true)] {
            if restarted {
                stage.world.restart(room);
            }
            // As whoever wakes a room does.
            stage.world.input(jid(room).domain(), &jid(room), Input::Timer(Timer::Retry));
        }
        assert_gone(stage, ">treason<");
    });
}

#[test]
fn a_retraction_may_come_before_its_message() {
    for restarted in [false, true] {
        let mut world = World::three();
        let owner = "crone1@shakespeare.lit/desktop";
        world.creates(owner, "coven@chat.shakespeare.lit/crone", &[("muc#roomconfig_distributed", "1")]);
        let (far, third) = ("far@macbeth.lit/x", "kit@marlowe.lit/quill");
        world.joins(far, "coven@rooms.macbeth.lit/far");
        world.joins(third, "coven@conference.marlowe.lit/kit");
        world.forget();
        world.hold(ROOMS, CONFERENCE);
        world.says(far, "coven@rooms.macbeth.lit", "treason");
        let id = stanza_id(&world.got(owner)[0]).unwrap();
        let ask = moderate(&id);
        world.send(&format!(
            "<iq type='set' id='q' from='{owner}' to='coven@chat.shakespeare.lit'>{ask}</iq>"
        ));
        assert!(world.got(third).iter().any(|got| got.child("retract", RETRACT).is_some()));
        if restarted {
            world.restart("coven@conference.marlowe.lit");
        }
        world.release(ROOMS, CONFERENCE);
        let got = world.got(third);
        assert_eq!(stanza_id(&got[0]), Some(id.clone()));
        assert!(got[0].child("retracted", RETRACT).is_some() && body(&got[0]).is_none(), "{got:?}");
        let kept = format!("{:?}", world.log("coven@conference.marlowe.lit"));
        assert!(!kept.contains(">treason<"), "{kept}");
        let parts = world.record("coven@conference.marlowe.lit").0;
        assert!(!parts.keys().any(|key| key.starts_with("retraction/")));
    }
}

#[test]
fn a_moderator_takes_back_what_anybody_said() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far, stage.far_owner]);
        for (moderator, author) in
            [(stage.owner, stage.member), (stage.owner, stage.far), (stage.far_owner, stage.member)]
        {
            let id = said(stage, author, "treason");
            stage.world.forget();
            let answer = stage.asks("set", moderator, &moderate(&id));
            assert_eq!((answer.ty(), answer.children.len()), ("result", 0), "{answer:?}");
            let nick = crate::stage::local(moderator);
            for user in [stage.owner, stage.member, stage.far] {
                let got = stage.got(user);
                let room = stage.at(user);
                assert_eq!((got.len(), got[0].from.as_ref().unwrap().as_str()), (1, room));
                let retract = got[0].child("retract", RETRACT).unwrap().element().unwrap();
                assert_eq!(retract.attr("id"), Some(id.as_str()));
                moderated(&retract, &format!("{room}/{nick}"));
                assert!(got[0].id.is_some() && stanza_id(&got[0]).is_some());
            }
            let rooms = [stage.room, stage.far_room];
            for (messages, room) in archives(stage).into_iter().zip(rooms) {
                let stone = child(&messages[messages.len() - 2], "retracted").unwrap();
                assert!(stone.attr("id").is_some() && stone.attr("stamp").is_some());
                moderated(&stone, &format!("{room}/{nick}"));
                let retraction = messages.last().unwrap();
                assert_eq!(retraction.attr("from"), Some(room));
                moderated(&child(retraction, "retract").unwrap(), &format!("{room}/{nick}"));
            }
            assert_gone(stage, "treason");
        }
    });
}

#[test]
fn a_subject_that_was_taken_back_is_no_subject_any_more() {
    everywhere(&[("muc#roomconfig_changesubject", "1")], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far]);
        stage.says(stage.member, "groupchat", "<subject>treason</subject>");
        let id = stanza_id(&stage.got(stage.owner)[0]).unwrap();
        stage.world.forget();
        stage.asks("set", stage.owner, &moderate(&id));
        for user in [stage.owner, stage.member, stage.far] {
            let got = stage.got(user);
            let subjects: Vec<_> = got.iter().filter_map(|s| s.child("subject", "jabber:client")).collect();
            assert_eq!(subjects.iter().map(|s| s.text()).collect::<Vec<_>>(), [""], "{user}: {got:?}");
        }
        assert_gone(stage, "treason");
        for user in [stage.stranger, stage.far_owner] {
            stage.enters(user);
            let subject = stage.got(user).pop().unwrap();
            assert_eq!(subject.child("subject", "jabber:client").unwrap().text(), "", "{user}");
        }
    });
}

fn moderated(element: &Element, by: &str) {
    let moderated = element.get_child("moderated", MODERATE).unwrap();
    assert_eq!(moderated.attr("by"), Some(by));
    assert!(moderated.has_child("occupant-id", OCCUPANT_ID));
    assert_eq!(element.get_child("reason", RETRACT).map(Element::text).as_deref(), Some("Off topic"));
}

#[test]
fn what_cannot_be_moderated_is_refused() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far]);
        let id = said(stage, stage.far, "fair words");
        let gone = said(stage, stage.far, "foul words");
        stage.asks("set", stage.owner, &moderate(&gone));
        let notice = stanza_id(stage.got(stage.owner).last().unwrap()).unwrap();
        let (bad, unknown) = (("bad-request", "modify"), ("item-not-found", "cancel"));
        let retract = format!("<retract xmlns='{RETRACT}'/>");
        for (user, payload, expected) in [
            (stage.member, moderate(&id), ("forbidden", "modify")),
            (stage.stranger, moderate(&id), ("forbidden", "modify")),
            (stage.banned, moderate(&id), ("forbidden", "modify")),
            (stage.owner, moderate("AAAAAAAAAAAAAAAAAAAAAA"), unknown),
            (stage.owner, moderate("stanza-id-1"), unknown),
            (stage.owner, moderate(&gone), unknown),
            (stage.owner, moderate(&notice), unknown),
            (stage.owner, format!("<moderate xmlns='{MODERATE}'>{retract}</moderate>"), bad),
            (stage.owner, format!("<moderate id='{id}' xmlns='{MODERATE}'/>"), bad),
            (stage.owner, format!("<mod id='{id}' xmlns='{MODERATE}'>{retract}</mod>"), bad),
        ] {
            stage.world.forget();
            let answer = stage.asks("set", user, &payload);
            let (condition, kind) = error(&answer).unwrap();
            assert_eq!((condition.as_str(), kind.as_str()), expected, "{user}: {payload}");
            assert!(stage.got(stage.far).is_empty());
        }
        for messages in archives(stage) {
            assert_eq!((messages.len(), child(&messages[0], "retracted")), (3, None));
        }
    });
}

#[test]
fn a_split_does_not_keep_moderators_from_their_work() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far]);
        let id = said(stage, stage.member, "treason");
        for (from, to) in [(CHAT, ROOMS), (ROOMS, CHAT)] {
            stage.world.cut.insert((from.to_owned(), to.to_owned()));
        }
        assert_eq!(stage.asks("set", stage.owner, &moderate(&id)).ty(), "result");
        assert!(stage.got(stage.member)[0].child("retract", RETRACT).is_some());
        let messages = query(stage, stage.stranger, "").unwrap().originals();
        assert!(child(&messages[0], "retracted").is_some());
    });
}

#[test]
fn users_do_not_say_what_only_the_room_says() {
    let claims = [
        format!(
            "<retract id='AAAAAAAAAAAAAAAAAAAAAA' xmlns='{RETRACT}'><moderated by='coven@chat.shakespeare.lit/owner' xmlns='{MODERATE}'>\
             <occupant-id xmlns='{OCCUPANT_ID}' id='x'/></moderated></retract>"
        ),
        format!("<retracted id='x' stamp='2020-01-01T00:00:00Z' xmlns='{RETRACT}'/>"),
        format!("<moderated by='coven@chat.shakespeare.lit/owner' xmlns='{MODERATE}'/>"),
    ];
    everywhere(&[], |stage| {
        stage.gather(&[stage.member, stage.far]);
        for claim in &claims {
            stage.says(stage.member, "groupchat", &format!("<body>hear</body>{claim}"));
            for user in [stage.member, stage.far] {
                let got = stage.got(user);
                assert_eq!(bodies(&got), ["hear"]);
                assert!(!got[0].to_xml().contains("message-retract"), "{:?}", got[0]);
                assert!(!got[0].to_xml().contains("message-moderate"), "{:?}", got[0]);
            }
        }
    });
}

#[test]
fn a_shadow_that_comes_later_learns_what_was_taken_back() {
    let mut world = World::with(&[CHAT, ROOMS]);
    let owner = "crone1@shakespeare.lit/desktop";
    world.creates(owner, "coven@chat.shakespeare.lit/crone", &[]);
    for text in ["treason", "sedition", "praise"] {
        world.says(owner, "coven@chat.shakespeare.lit", text);
    }
    let ids: Vec<String> =
        world.got(owner).iter().filter(|m| body(m).is_some()).filter_map(stanza_id).collect();
    world.send(&format!(
        "<message type='groupchat' id='r' from='{owner}' to='coven@chat.shakespeare.lit'><retract id='{}' xmlns='{RETRACT}'/></message>",
        ids[0]
    ));
    let ask = moderate(&ids[1]);
    world.send(&format!("<iq type='set' id='q' from='{owner}' to='coven@chat.shakespeare.lit'>{ask}</iq>"));
    world.configures(owner, "coven@chat.shakespeare.lit", &[("muc#roomconfig_distributed", "1")]);
    world.forget();
    let far = "far@macbeth.lit/x";
    world.joins(far, "coven@rooms.macbeth.lit/far");
    let got = world.got(far);
    assert!(bodies(&got).iter().all(|text| text == "praise"), "{got:?}");
    let stones: Vec<&Stanza> = got.iter().filter(|m| m.child("retracted", RETRACT).is_some()).collect();
    assert_eq!(stones.iter().map(|m| stanza_id(m).unwrap()).collect::<Vec<_>>(), ids[..2]);
    assert!(stones[1].to_xml().contains("by='coven@rooms.macbeth.lit/crone'"), "{stones:?}");
    let moderation = got.iter().find(|m| {
        m.from.as_ref().is_some_and(|from| from.is_bare()) && m.child("retract", RETRACT).is_some()
    });
    assert!(moderation.unwrap().to_xml().contains("by='coven@rooms.macbeth.lit/crone'"));
}

#[test]
fn both_are_advertised() {
    everywhere(&[], |stage| {
        for user in [stage.stranger, stage.far] {
            let info =
                stage.asks("get", user, "<query xmlns='http://jabber.org/protocol/disco#info'/>").to_xml();
            for feature in [RETRACT, "urn:xmpp:message-retract:1#tombstone", MODERATE] {
                assert!(info.contains(&format!("var='{feature}'")), "{feature}");
            }
        }
    });
}
