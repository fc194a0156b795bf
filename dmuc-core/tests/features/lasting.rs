//! What is archived, and what is only passed on: corrections, reactions, replies, markers, receipts, chat states and
//! hints.

use crate::archive::query;
use crate::common::*;
use crate::stage::everywhere;

const HINTS: &str = "urn:xmpp:hints";

/// Content, whether it is archived, and whether those who join later are shown it.
fn cases() -> Vec<(String, bool, bool)> {
    let hint = |name: &str| format!("<{name} xmlns='{HINTS}'/>");
    let body = "<body>Hail</body>";
    let id = "AAAAAAAAAAAAAAAAAAAAAA";
    let reaction =
        format!("<reactions id='{id}' xmlns='urn:xmpp:reactions:0'><reaction>x</reaction></reactions>");
    let encrypted = "<encrypted xmlns='eu.siacs.conversations.axolotl'/>";
    vec![
        (body.to_owned(), true, true),
        (format!("{body}<active xmlns='http://jabber.org/protocol/chatstates'/>"), true, true),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>".to_owned(), false, false),
        (
            format!(
                "<composing xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>{}",
                hint("no-copy")
            ),
            false,
            false,
        ),
        (format!("{body}<replace id='bad1' xmlns='urn:xmpp:message-correct:0'/>"), true, true),
        (format!("{body}<reply to='x@y/z' id='{id}' xmlns='urn:xmpp:reply:0'/>"), true, true),
        (reaction.clone(), true, false),
        (format!("{reaction}{}", hint("store")), true, false),
        (format!("{reaction}{}", hint("no-store")), false, false),
        (format!("<displayed id='{id}' xmlns='urn:xmpp:chat-markers:0'/>"), true, false),
        (format!("{body}<markable xmlns='urn:xmpp:chat-markers:0'/>"), true, true),
        (format!("<received id='{id}' xmlns='urn:xmpp:receipts'/>"), false, false),
        (format!("{body}<request xmlns='urn:xmpp:receipts'/>"), true, true),
        (format!("<received id='{id}' xmlns='urn:xmpp:receipts'/>{}", hint("store")), true, true),
        (format!("{body}{}", hint("no-store")), false, false),
        (format!("{body}{}", hint("no-permanent-store")), false, false),
        (format!("{body}{}", hint("no-copy")), true, true),
        (format!("{body}{}", hint("store")), true, true),
        (encrypted.to_owned(), true, true),
        (format!("{encrypted}{}", hint("no-store")), false, false),
        (format!("<retract id='{id}' xmlns='urn:xmpp:message-retract:1'/>{}", hint("no-store")), true, true),
        (format!("<subject>Hail</subject>{}", hint("no-store")), true, false),
        (format!("{body}<origin-id id='o' xmlns='urn:xmpp:sid:0'/>"), true, true),
    ]
}

#[test]
fn what_belongs_in_the_archive_is_there_at_every_instance() {
    everywhere(&[("muc#roomconfig_changesubject", "1")], |stage| {
        for (content, archived, history) in cases() {
            stage.gather(&[stage.member, stage.far]);
            for speaker in [stage.member, stage.far] {
                let before = query(stage, stage.stranger, "").unwrap().messages.len();
                stage.world.forget();
                stage.says(speaker, "groupchat", &content);
                for user in [stage.member, stage.far] {
                    let got = stage.got(user);
                    assert_eq!(got.len(), 1, "everybody gets it: {content}");
                    assert_eq!(stanza_id(&got[0]).is_some(), archived, "{content}");
                    let said = stanza(&format!("<message>{content}</message>")).children;
                    assert_eq!(got[0].children[..said.len()], said, "as it was said");
                }
                for reader in [stage.stranger, stage.far] {
                    let after = query(stage, reader, "").unwrap().messages.len();
                    assert_eq!(after - before, usize::from(archived), "{content}");
                }
            }
            stage.world.forget();
            stage.enters(stage.stranger);
            let got = stage.got(stage.stranger);
            let shown =
                got.iter().filter(|m| m.ty() == "groupchat" && m.child("subject", "jabber:client").is_none());
            let said = stanza(&format!("<message>{content}</message>")).children;
            let shown = shown.filter(|m| m.children.starts_with(&said) && m.children.len() == said.len() + 3);
            assert_eq!(shown.count() > 0, history, "shown to those who join: {content}");
            for user in [stage.stranger, stage.member, stage.far] {
                let (room, nick) = (stage.at(user), crate::stage::local(user));
                stage.world.leaves(user, &format!("{room}/{nick}"));
            }
        }
    });
}

#[test]
fn what_is_sent_again_is_not_said_twice() {
    let content = "<body>Hail</body><origin-id id='o1' xmlns='urn:xmpp:sid:0'/>";
    everywhere(&[], |stage| {
        stage.gather(&[stage.member, stage.stranger, stage.far]);
        stage.says(stage.member, "groupchat", content);
        let first = stage.got(stage.member);
        stage.world.forget();
        stage.says(stage.member, "groupchat", content);
        let again = stage.got(stage.member);
        assert_eq!(
            (again.len(), stanza_id(&again[0])),
            (1, stanza_id(&first[0])),
            "the sender hears it again"
        );
        for other in [stage.stranger, stage.far] {
            assert!(stage.got(other).is_empty(), "{other}");
        }
        // Another's words, other words, and the same ten minutes later are something else.
        stage.says(stage.stranger, "groupchat", content);
        stage.says(stage.member, "groupchat", &content.replace("Hail", "Hail!"));
        stage.world.wait(601_000);
        stage.says(stage.member, "groupchat", content);
        assert_eq!(bodies(&stage.got(stage.far)), ["Hail", "Hail!", "Hail"]);
    });
}

#[test]
fn what_a_server_delivers_twice_is_not_said_twice() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.member, stage.far]);
        let room = stage.at(stage.member).to_owned();
        let says = |stage: &mut crate::stage::Stage, id: &str| {
            let from = stage.member;
            stage.world.send(&format!(
                "<message type='groupchat'{id} from='{from}' to='{room}'><body>Hail</body></message>"
            ));
            bodies(&stage.got(stage.far)).len()
        };
        assert_eq!([says(stage, " id='1'"), says(stage, " id='1'"), says(stage, " id='2'")], [1, 0, 1]);
        assert_eq!([says(stage, ""), says(stage, "")], [1, 1], "what has no id cannot be known again");
        // Ids of clients that count begin anew.
        stage.world.leaves(stage.member, &format!("{room}/{}", crate::stage::local(stage.member)));
        stage.enters(stage.member);
        stage.world.forget();
        assert_eq!([says(stage, " id='1'"), says(stage, " id='1'")], [1, 0]);
    });
}

#[test]
fn without_an_archive_words_are_gone_once_they_are_no_history() {
    everywhere(&[("muc#roomconfig_enablearchiving", "0")], |stage| {
        for (domain, room) in [(CHAT, "coven@chat.shakespeare.lit"), (ROOMS, "coven@rooms.macbeth.lit")] {
            stage.world.policy(domain).history_max = 2;
            stage.world.restart(room);
        }
        stage.gather(&[stage.member, stage.far]);
        for text in ["treason", "two", "three"] {
            stage.says(stage.member, "groupchat", &format!("<body>{text}</body>"));
        }
        for room in [stage.room, stage.far_room] {
            let kept: Vec<bool> = stage.world.log(room).iter().map(|entry| entry.withheld).collect();
            assert_eq!(kept, [true, false, false], "{room}");
            assert!(!format!("{:?}", stage.world.log(room)).contains("treason"));
            stage.world.restart(room);
        }
        stage.world.forget();
        stage.enters(stage.stranger);
        assert_eq!(bodies(&stage.got(stage.stranger)), ["two", "three"]);
    });
}
