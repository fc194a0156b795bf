//! Requests and private messages between occupants of any two instances (XEP-0045 §7.5, §17.4; XEP-0410).

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

use crate::common::*;
use crate::stage::*;

const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";
const VERSION: &str = "<query xmlns='jabber:iq:version'/>";
const VCARD: &str = "<vCard xmlns='vcard-temp'/>";

/// Sends a request of the stranger to an occupant; gives what reached `client` of it.
fn asks(stage: &mut Stage, nick: &str, payload: &str, client: &str) -> Stanza {
    let (from, to) = (stage.stranger, stage.nick(nick));
    stage.world.send(&format!("<iq type='get' id='q9' from='{from}' to='{to}'>{payload}</iq>"));
    let mut got = stage.got(client);
    assert_eq!(got.len(), 1, "{client}: {got:?}");
    got.remove(0)
}

fn answers(stage: &mut Stage, from: &str, request: &Stanza, ty: &str, inner: &str) {
    let to = request.from.as_ref().unwrap();
    let id = request.id.as_deref().unwrap();
    stage.world.send(&format!("<iq type='{ty}' id='{id}' from='{from}' to='{to}'>{inner}</iq>"));
}

/// The answer that the stranger got to its own id.
fn answer(stage: &mut Stage) -> Stanza {
    let mut got = stage.got(stage.stranger);
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!(got[0].id.as_deref(), Some("q9"));
    got.remove(0)
}

/// Occupants at either instance: nick and client.
fn others(stage: &Stage) -> [(&'static str, &'static str); 2] {
    [("member", stage.member), ("far", stage.far)]
}

#[test]
fn a_request_reaches_the_client_and_its_answer_the_asker_and_neither_sees_an_address() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.member, stage.far]);
        for (nick, client) in others(stage) {
            for payload in [PING, VERSION, "<query xmlns='http://jabber.org/protocol/disco#info'/>"] {
                let request = asks(stage, nick, payload, client);
                let asker = format!("{}/stranger", stage.at(client));
                assert_eq!(
                    (request.from.clone(), request.to.clone()),
                    (Some(jid(&asker)), Some(jid(client)))
                );
                answers(stage, client, &request, "result", VERSION);
                let answer = answer(stage);
                assert_eq!((answer.from.clone(), answer.ty()), (Some(jid(&stage.nick(nick))), "result"));
                assert_eq!(answer.children.len(), 1);
                let seen =
                    request.to_xml().replace(client, "") + &answer.to_xml().replace(stage.stranger, "");
                assert!(
                    !seen.contains(local_at(client)) && !seen.contains(local_at(stage.stranger)),
                    "{seen}"
                );
            }
        }
    });
}

fn local_at(user: &str) -> &str {
    user.split('/').next().unwrap()
}

#[test]
fn a_vcard_is_asked_of_the_account() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.member, stage.far]);
        for (nick, client) in others(stage) {
            let account = local_at(client);
            let request = asks(stage, nick, VCARD, account);
            answers(stage, account, &request, "result", "<vCard xmlns='vcard-temp'><FN>Hag</FN></vCard>");
            let answer = answer(stage);
            assert_eq!(answer.from, Some(jid(&stage.nick(nick))));
            assert!(answer.to_xml().contains("<FN>Hag</FN>"));
        }
    });
}

#[test]
fn an_error_is_passed_on_without_the_address_of_whose_it_is() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.member, stage.far]);
        for (nick, client) in others(stage) {
            for (condition, shown) in [
                (
                    "<feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>",
                    "feature-not-implemented",
                ),
                (
                    "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:secret@example.net</gone>",
                    "recipient-unavailable",
                ),
            ] {
                let request = asks(stage, nick, VERSION, client);
                let error_xml = format!("<error type='cancel' by='{client}'>{condition}</error>");
                answers(stage, client, &request, "error", &error_xml);
                let answer = answer(stage);
                assert_eq!(error(&answer), Some((shown.to_owned(), "cancel".to_owned())));
                assert!(!answer.to_xml().contains("secret") && !answer.to_xml().contains(client));
            }
        }
    });
}

#[test]
fn only_who_was_asked_answers_and_only_once() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.member, stage.far]);
        for (nick, client) in others(stage) {
            let request = asks(stage, nick, VERSION, client);
            let wrong = if client == stage.far { stage.far_owner } else { stage.admin };
            answers(stage, wrong, &request, "result", VERSION);
            assert_eq!(stage.got(stage.stranger), [], "not from them");
            answers(stage, client, &request, "result", VERSION);
            answer(stage);
            answers(stage, client, &request, "result", VERSION);
            assert_eq!(stage.got(stage.stranger), []);
        }
    });
}

#[test]
fn whoever_asks_in_vain_is_told_after_a_while() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.member, stage.far]);
        for (nick, client) in others(stage) {
            asks(stage, nick, VERSION, client);
            stage.world.wait(121_000);
            assert_eq!(error(&answer(stage)), Some(("remote-server-timeout".into(), "wait".into())));
        }
        assert!(stage.world.is_quiet());
    });
}

#[test]
fn nobody_has_more_than_some_requests_open() {
    everywhere(&[], |stage| {
        stage.world.policy(CHAT).rates.requests = dmuc_core::rate::Rate::per_second(1_000, 1_000);
        stage.world.policy(ROOMS).rates.requests = dmuc_core::rate::Rate::per_second(1_000, 1_000);
        stage.gather(&[stage.stranger, stage.far]);
        for _ in 0..32 {
            asks(stage, "far", VERSION, stage.far);
        }
        let to = stage.nick("far");
        let refused = stage.asks_of("get", stage.stranger, &to, VERSION);
        assert_eq!(error(&refused), Some(("resource-constraint".into(), "wait".into())));
    });
}

#[test]
fn each_instance_answers_the_self_ping_of_its_own() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.far]);
        for user in [stage.stranger, stage.far] {
            let to = format!("{}/{}", stage.at(user), local(user));
            assert_eq!(stage.asks_of("get", user, &to, PING).ty(), "result", "{user}");
        }
        for (user, nick, condition) in
            [(stage.member, "member", "not-acceptable"), (stage.stranger, "ghost", "item-not-found")]
        {
            let to = stage.nick(nick);
            let refused = stage.asks_of("get", user, &to, PING);
            assert_eq!(error(&refused), Some((condition.to_owned(), "cancel".to_owned())));
        }
    });
}

#[test]
fn a_private_message_that_comes_back_is_told_to_its_sender_alone() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.member, stage.far]);
        for (nick, client) in others(stage) {
            let to = stage.nick(nick);
            stage.world.send(&format!(
                "<message type='chat' id='pm' from='{}' to='{to}'><body>psst</body></message>",
                stage.stranger
            ));
            let got = stage.got(client);
            assert_eq!(bodies(&got), ["psst"], "{client}");
            let back = got[0].from.as_ref().unwrap();
            stage.world.send(&format!(
                "<message type='error' id='pm' from='{client}' to='{back}'><error type='modify' by='{client}'>\
                 <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
            ));
            let got = stage.got(stage.stranger);
            assert_eq!(the_error(&got), ("not-acceptable".into(), "modify".into()), "{client}");
            assert_eq!((got[0].from.clone(), got[0].id.as_deref()), (Some(jid(&to)), Some("pm")));
            assert!(!got[0].to_xml().contains(client), "no real address");
        }
    });
}

#[test]
fn a_bounced_groupchat_message_is_told_to_nobody() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.stranger, stage.member]);
        stage.says(stage.stranger, "groupchat", "<body>hi</body>");
        stage.world.forget();
        let from = stage.nick("stranger");
        stage.world.send(&format!(
            "<message type='error' id='m1' from='{}' to='{from}'><error type='modify'>\
             <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
            stage.member
        ));
        assert!(stage.got(stage.stranger).iter().all(|s| s.kind != Kind::Message));
    });
}
