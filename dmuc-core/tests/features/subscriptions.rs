//! Hearing of a room without being in it: ejabberd's MUC/Sub.

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;

use crate::common::*;
use crate::stage::{MUC_ADMIN, MUC_OWNER, MUC_USER, Stage, everywhere};

const SUB: &str = "urn:xmpp:mucsub:0";
const ALLOWED: (&str, &str) = ("muc#roomconfig_allow_subscription", "1");

fn node(name: &str) -> String {
    format!("urn:xmpp:mucsub:nodes:{name}")
}

fn asks_to_subscribe(stage: &mut Stage, user: &str, nick: &str, more: &str, nodes: &[&str]) -> Stanza {
    let events: String = nodes.iter().map(|name| format!("<event node='{}'/>", node(name))).collect();
    stage.asks("set", user, &format!("<subscribe xmlns='{SUB}' nick='{nick}' {more}>{events}</subscribe>"))
}

fn subscribes(stage: &mut Stage, user: &str, nodes: &[&str]) {
    let answer = asks_to_subscribe(stage, user, crate::stage::local(user), "", nodes);
    assert_eq!(answer.ty(), "result", "{answer:?}");
    stage.world.forget();
}

fn bare(user: &str) -> String {
    jid(user).bare_str().to_owned()
}

/// What a user's account was told: the node, and what is inside, a stanza or another element.
fn told(stage: &mut Stage, user: &str) -> Vec<(String, minidom::Element)> {
    let got = stage.got(&bare(user));
    let notice = |stanza: &Stanza| {
        assert_eq!((stanza.kind, stanza.from.as_ref().unwrap().as_str()), (Kind::Message, stage.at(user)));
        let event =
            stanza.child("event", "http://jabber.org/protocol/pubsub#event").unwrap().element().unwrap();
        let items = event.children().next().unwrap();
        let item = items.children().next().unwrap();
        assert!(!item.attr("id").unwrap().is_empty());
        let node = items.attr("node").unwrap().rsplit(':').next().unwrap().to_owned();
        (node, item.children().next().unwrap().clone())
    };
    got.iter().map(notice).collect()
}

fn nodes(told: &[(String, minidom::Element)]) -> Vec<&str> {
    told.iter().map(|(node, _)| node.as_str()).collect()
}

fn text(element: &minidom::Element, name: &str) -> Option<String> {
    element.get_child(name, "jabber:client").map(minidom::Element::text)
}

#[test]
fn a_subscriber_hears_what_is_said_at_both_instances() {
    everywhere(&[ALLOWED], |stage| {
        let answer = asks_to_subscribe(stage, stage.member, "mole", "", &["messages", "subject", "weather"]);
        let expected = format!(
            "<subscribe xmlns='{SUB}' nick='mole'><event node='{}'/><event node='{}'/></subscribe>",
            node("messages"),
            node("subject")
        );
        assert_eq!(answer.children, [payload(&expected)], "with what it will hear of");
        stage.gather(&[stage.owner, stage.far]);
        stage.says(stage.owner, "groupchat", "<body>near</body>");
        stage.says(stage.far, "groupchat", "<body>far</body>");
        stage.says(stage.owner, "groupchat", "<subject>Spells</subject>");
        stage.says(stage.owner, "groupchat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>");
        let heard = stage.got(stage.owner);
        let raw = stage.world.inbox[&jid(&bare(stage.member))].clone();
        let told = told(stage, stage.member);
        assert_eq!(nodes(&told), ["messages", "messages", "subject"]);
        for (n, (nick, said)) in [("crone", "near"), ("far", "far")].into_iter().enumerate() {
            let message = &told[n].1;
            assert_eq!((message.name(), message.attr("type")), ("message", Some("groupchat")));
            assert!(
                message.attr("from").unwrap().starts_with(&format!("{}/{nick}", stage.room)),
                "{message:?}"
            );
            assert_eq!(text(message, "body").as_deref(), Some(said));
            let shown = heard.iter().find(|stanza| body(stanza).as_deref() == Some(said)).unwrap();
            let id = message.get_child("stanza-id", "urn:xmpp:sid:0").unwrap().attr("id").map(str::to_owned);
            assert_eq!(id, stanza_id(shown), "as occupants see it");
            assert!(message.has_child("occupant-id", "urn:xmpp:occupant-id:0"));
        }
        assert_eq!(text(&told[2].1, "subject").as_deref(), Some("Spells"));
        assert!(raw.iter().all(|stanza| stanza.child("store", "urn:xmpp:hints").is_some()), "worth keeping");
    });
}

#[test]
fn who_is_in_the_room_hears_it_there() {
    everywhere(&[ALLOWED], |stage| {
        subscribes(stage, stage.member, &["messages"]);
        stage.gather(&[stage.owner, stage.member]);
        stage.says(stage.owner, "groupchat", "<body>one</body>");
        assert_eq!(bodies(&stage.got(stage.member)), ["one"]);
        assert_eq!(told(stage, stage.member), []);
        let nick = stage.nick("member");
        stage.world.leaves(stage.member, &nick);
        stage.world.restart(stage.room);
        stage.says(stage.owner, "groupchat", "<body>two</body>");
        assert_eq!(nodes(&told(stage, stage.member)), ["messages"], "also after a restart");
        let gone = stage.asks("set", stage.member, &format!("<unsubscribe xmlns='{SUB}'/>"));
        assert_eq!((gone.ty(), gone.children.len()), ("result", 0));
        stage.says(stage.owner, "groupchat", "<body>three</body>");
        assert_eq!(told(stage, stage.member), []);
        let again = stage.asks("set", stage.member, &format!("<unsubscribe xmlns='{SUB}'/>"));
        assert_eq!(again.ty(), "result");
    });
}

#[test]
fn everything_else_one_can_hear_of() {
    everywhere(&[ALLOWED, ("muc#roomconfig_whois", "anyone")], |stage| {
        let all = ["presence", "affiliations", "subscribers", "config", "system"];
        subscribes(stage, stage.member, &all);
        stage.enters(stage.far);
        let seen = told(stage, stage.member);
        assert_eq!(nodes(&seen), ["presence"]);
        assert_eq!((seen[0].1.name(), seen[0].1.attr("type")), ("presence", None));
        assert!(seen[0].1.has_child("occupant-id", "urn:xmpp:occupant-id:0"));
        let item = "<item jid='peter@commons.example' affiliation='member'/>";
        stage.asks("set", stage.owner, &format!("<query xmlns='{MUC_ADMIN}'>{item}</query>"));
        let seen = told(stage, stage.member);
        assert_eq!(nodes(&seen), ["affiliations"]);
        let item = seen[0].1.get_child("x", MUC_USER).unwrap().children().next().unwrap();
        assert_eq!(
            (item.attr("jid"), item.attr("affiliation")),
            (Some("peter@commons.example"), Some("member"))
        );
        subscribes(stage, stage.admin, &["subscribers"]);
        let answer = asks_to_subscribe(stage, stage.stranger, "newt", "", &[]);
        assert_eq!(answer.ty(), "result");
        let seen = told(stage, stage.member);
        assert_eq!(seen[0].1.name(), "subscribe");
        assert_eq!(
            (seen[0].1.attr("nick"), seen[0].1.attr("jid")),
            (Some("newt"), Some(&*bare(stage.stranger)))
        );
        stage.asks("set", stage.stranger, &format!("<unsubscribe xmlns='{SUB}'/>"));
        assert_eq!(told(stage, stage.admin).last().unwrap().1.name(), "unsubscribe");
        stage.world.forget();
        stage.world.configures(stage.far_owner, stage.far_room, &[("muc#roomconfig_roomname", "Cave")]);
        let seen = told(stage, stage.member);
        assert_eq!(nodes(&seen), ["config"]);
        assert!(
            String::from(&seen[0].1).contains("code='104'")
                || String::from(&seen[0].1).contains("code=\"104\"")
        );
        stage.asks("set", stage.owner, &format!("<query xmlns='{MUC_OWNER}'><destroy/></query>"));
        let seen = told(stage, stage.member);
        assert_eq!(seen.last().unwrap().0, "system");
        assert!(seen.last().unwrap().1.get_child("x", MUC_USER).unwrap().has_child("destroy", MUC_USER));
    });
}

#[test]
fn a_semi_anonymous_room_shows_no_addresses() {
    everywhere(&[ALLOWED], |stage| {
        for user in [stage.member, stage.admin] {
            subscribes(stage, user, &["presence", "affiliations", "subscribers"]);
        }
        assert_eq!(asks_to_subscribe(stage, stage.stranger, "newt", "", &[]).ty(), "result");
        stage.enters(stage.far);
        let item = "<item jid='peter@commons.example' affiliation='member'/>";
        stage.asks("set", stage.owner, &format!("<query xmlns='{MUC_ADMIN}'>{item}</query>"));
        let seen = told(stage, stage.member);
        assert_eq!(nodes(&seen), ["subscribers", "presence"]);
        let seen: String = seen.iter().map(|(_, element)| String::from(element)).collect();
        assert!(!seen.contains("stranger@") && !seen.contains("far@"), "{seen}");
        let seen = told(stage, stage.admin);
        assert_eq!(nodes(&seen), ["subscribers", "presence", "affiliations"]);
        assert_eq!(seen[0].1.attr("jid"), Some(&*bare(stage.stranger)));
    });
}

#[test]
fn who_may_subscribe() {
    let password = [
        ALLOWED,
        ("muc#roomconfig_passwordprotectedroom", "1"),
        ("muc#roomconfig_roomsecret", "cauldronburn"),
    ];
    let members = [ALLOWED, ("muc#roomconfig_membersonly", "1")];
    let right = "password='cauldronburn'";
    let refused = |condition: &str, kind: &str| Some((condition.to_owned(), kind.to_owned()));
    for (options, who, nick, more, expected) in [
        (&[][..], "member", "mole", "", refused("not-allowed", "cancel")),
        (&[ALLOWED], "stranger", "mole", "", None),
        (&[ALLOWED], "banned", "mole", "", refused("forbidden", "auth")),
        (&[ALLOWED], "stranger", "", "", refused("jid-malformed", "modify")),
        (&[ALLOWED], "stranger", "far", "", refused("conflict", "cancel")),
        (&[ALLOWED], "stranger", "mole", "jid='x@y.example'", refused("forbidden", "auth")),
        (&members, "stranger", "mole", "", refused("registration-required", "auth")),
        (&members, "member", "mole", "", None),
        (&password, "stranger", "mole", "", refused("not-authorized", "auth")),
        (&password, "stranger", "mole", right, None),
    ] {
        everywhere(options, |stage| {
            if options.len() == 1 {
                stage.gather(&[stage.far]);
            }
            let user = match who {
                "member" => stage.member,
                "banned" => stage.banned,
                _ => stage.stranger,
            };
            let answer = asks_to_subscribe(stage, user, nick, more, &["messages"]);
            assert_eq!(error(&answer), expected, "{who} {nick} {more}");
        });
    }
}

#[test]
fn a_nick_is_kept_for_its_subscriber() {
    everywhere(&[ALLOWED], |stage| {
        subscribes(stage, stage.member, &["messages"]);
        let nick = stage.nick("Member");
        stage.world.joins(stage.stranger, &nick);
        assert_eq!(the_error(&stage.got(stage.stranger)), ("conflict".into(), "cancel".into()));
        let other = asks_to_subscribe(stage, stage.stranger, "member", "", &[]);
        assert_eq!(error(&other), Some(("conflict".into(), "cancel".into())));
        assert_eq!(asks_to_subscribe(stage, stage.member, "mole", "", &[]).ty(), "result", "another nick");
        stage.world.joins(stage.stranger, &nick);
        assert!(
            stage.got(stage.stranger).iter().any(|stanza| codes(stanza).contains(&110)),
            "frees the first"
        );
    });
}

#[test]
fn subscriptions_end_with_the_right_to_them() {
    let changes: [fn(&mut Stage); 3] = [
        |stage| {
            let item = format!("<item jid='{}' affiliation='outcast'/>", bare(stage.stranger));
            stage.asks("set", stage.owner, &format!("<query xmlns='{MUC_ADMIN}'>{item}</query>"));
        },
        |stage| {
            let closed = [("muc#roomconfig_membersonly", "1")];
            stage.world.configures(stage.far_owner, stage.far_room, &closed);
        },
        |stage| {
            let off = [("muc#roomconfig_allow_subscription", "0")];
            stage.world.configures(stage.owner, stage.room, &off);
        },
    ];
    for change in changes {
        everywhere(&[ALLOWED], |stage| {
            subscribes(stage, stage.stranger, &["messages", "config", "presence"]);
            stage.gather(&[stage.owner]);
            change(stage);
            stage.world.forget();
            stage.world.restart(stage.room);
            stage.says(stage.owner, "groupchat", "<body>one</body>");
            assert_eq!(told(stage, stage.stranger), []);
        });
    }
}

#[test]
fn lists_of_subscribers() {
    everywhere(&[ALLOWED], |stage| {
        subscribes(stage, stage.member, &["messages"]);
        subscribes(stage, stage.stranger, &[]);
        let list = |stage: &mut Stage, user: &str| {
            let answer = stage.asks("get", user, &format!("<subscriptions xmlns='{SUB}'/>"));
            answer
                .child("subscriptions", SUB)
                .map(|list| list.element().unwrap())
                .ok_or_else(|| error(&answer))
        };
        let jids = |list: &minidom::Element| -> Vec<Option<String>> {
            list.children().map(|one| one.attr("jid").map(str::to_owned)).collect()
        };
        let full = list(stage, stage.admin).unwrap();
        assert_eq!(jids(&full), [stage.member, stage.stranger].map(|user| Some(bare(user))));
        let first = full.children().next().unwrap();
        assert_eq!(first.attr("nick"), Some("member"));
        assert_eq!(first.children().next().unwrap().attr("node"), Some(&*node("messages")));
        assert_eq!(jids(&list(stage, stage.stranger).unwrap()), [None, None], "subscribers see nicks");
        assert_eq!(list(stage, stage.far), Err(Some(("forbidden".into(), "auth".into()))));
        let others = format!("<unsubscribe xmlns='{SUB}' nick='member'/>");
        let refused = stage.asks("set", stage.stranger, &others);
        assert_eq!(error(&refused), Some(("forbidden".into(), "auth".into())));
        assert_eq!(stage.asks("set", stage.admin, &others).ty(), "result");
        let jid = format!("<unsubscribe xmlns='{SUB}' jid='{}'/>", bare(stage.stranger));
        assert_eq!(stage.asks("set", stage.admin, &jid).ty(), "result");
        assert_eq!(jids(&list(stage, stage.owner).unwrap()), []);
    });
}

#[test]
fn a_user_asks_the_service_what_it_subscribes_to() {
    everywhere(&[ALLOWED], |stage| {
        let service = jid(stage.room).domain().to_owned();
        let ask = format!("<subscriptions xmlns='{SUB}'/>");
        let none = stage.asks_of("get", stage.member, &service, &ask);
        assert_eq!(none.children[0].as_xml(), ask);
        subscribes(stage, stage.member, &["messages"]);
        subscribes(stage, stage.stranger, &["subject"]);
        let one = stage.asks_of("get", stage.member, &service, &ask);
        let expected = format!(
            "<subscriptions xmlns='{SUB}'><subscription jid='{}' nick='member'><event node='{}'/></subscription>\
             </subscriptions>",
            stage.room,
            node("messages")
        );
        assert_eq!(one.children, [payload(&expected)]);
    });
}

#[test]
fn what_is_no_request() {
    everywhere(&[ALLOWED], |stage| {
        for (ty, child) in [
            ("get", format!("<subscribe xmlns='{SUB}' nick='x'/>")),
            ("set", format!("<subscriptions xmlns='{SUB}'/>")),
            ("set", format!("<subscribe xmlns='{SUB}'/>")),
            ("set", format!("<weather xmlns='{SUB}'/>")),
        ] {
            let answer = stage.asks(ty, stage.member, &child);
            assert_eq!(error(&answer), Some(("bad-request".into(), "modify".into())), "{child}");
        }
    });
}

#[test]
fn there_is_a_limit_and_a_feature() {
    everywhere(&[ALLOWED], |stage| {
        let domain = jid(stage.room).domain().to_owned();
        stage.world.policy(&domain).subscribers_max = 1;
        subscribes(stage, stage.member, &["messages"]);
        let more = asks_to_subscribe(stage, stage.stranger, "newt", "", &[]);
        assert_eq!(error(&more), Some(("resource-constraint".into(), "wait".into())));
        assert_eq!(asks_to_subscribe(stage, stage.member, "mole", "", &[]).ty(), "result");
        let info = stage.asks("get", stage.far, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(info.to_xml().contains(&format!("<feature var='{SUB}'/>")));
    });
    everywhere(&[], |stage| {
        let info = stage.asks("get", stage.far, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(!info.to_xml().contains(SUB));
    });
}
