//! What is too much (XEP-0045 §13.6), and what stays free.

use dmuc_core::policy::ServicePolicy;
use dmuc_core::rate::{Rate, Rates};

use crate::common::*;
use crate::stage::{MUC_ADMIN, MUC_USER, Place, Stage, everywhere, local};

const TOO_FAST: (&str, &str) = ("resource-constraint", "wait");
const MUC: &str = "http://jabber.org/protocol/muc";
const THREE: Rate = Rate::per_second(3, 1);

fn limit(stage: &mut Stage, change: impl Fn(&mut ServicePolicy)) {
    [CHAT, ROOMS].iter().for_each(|domain| change(stage.world.policy(domain)));
}

/// The errors that a user got, as (condition, type).
fn refusals(stage: &mut Stage, user: &str) -> Vec<(String, String)> {
    stage.got(user).iter().filter_map(error).collect()
}

fn all(n: usize) -> Vec<(String, String)> {
    vec![(TOO_FAST.0.to_owned(), TOO_FAST.1.to_owned()); n]
}

type Change = fn(&mut Rates, Rate);

/// What is metered, and a stanza: TO stands for the room, OWN for the sender's own occupant, NICK for another one.
fn metered() -> [(&'static str, Change, String); 8] {
    let body = |bytes| format!("<body>{}</body>", "b".repeat(bytes));
    let groupchat = |bytes| format!("<message type='groupchat' TO>{}</message>", body(bytes));
    let request = "<iq type='get' id='i' TO><ping xmlns='urn:xmpp:ping'/></iq>".to_owned();
    let invite = "<invite to='hecate@elsewhere.lit'/>";
    [
        ("messages", |rates, rate| rates.messages = rate, groupchat(1)),
        (
            "private messages",
            |rates, rate| rates.messages = rate,
            groupchat(1).replace("groupchat' TO", "chat' NICK"),
        ),
        (
            "presences",
            |rates, rate| rates.presences = rate,
            "<presence OWN><show>away</show></presence>".to_owned(),
        ),
        ("joins", |rates, rate| rates.joins = rate, format!("<presence OWN><x xmlns='{MUC}'/></presence>")),
        ("requests", |rates, rate| rates.requests = rate, request.clone()),
        (
            "invitations",
            |rates, rate| rates.invitations = rate,
            format!("<message TO><x xmlns='{MUC_USER}'>{invite}</x></message>"),
        ),
        ("bytes", |rates, _| rates.bytes = Rate::per_second(1800, 600), groupchat(480)),
        ("the room", |rates, rate| rates.room = rate, request),
    ]
}

fn send(stage: &mut Stage, user: &str, xml: &str) {
    let at = stage.at(user);
    let own = format!("from='{user}' to='{at}/{}'", local(user));
    let nick = format!("from='{user}' to='{at}/{}'", local(stage.owner));
    let room = format!("from='{user}' to='{at}'");
    let now = stage.world.now;
    stage.world.send(&xml.replace("OWN", &own).replace("NICK", &nick).replace("TO", &room));
    stage.world.now = now;
}

#[test]
fn everything_has_its_rate() {
    for (name, change, xml) in metered() {
        everywhere(&[], |stage| {
            let stranger = stage.stranger;
            stage.gather(&[stage.owner, stranger]);
            limit(stage, |policy| change(&mut policy.rates, THREE));
            for _ in 0..10 {
                send(stage, stranger, &xml);
            }
            assert_eq!(refusals(stage, stranger), all(7), "{name}");
            stage.world.wait(1_000);
            send(stage, stranger, &xml);
            assert_eq!(refusals(stage, stranger), [], "{name}, a second later");
        });
    }
}

#[test]
fn owners_and_admins_are_not_held_up_and_nobody_who_leaves() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.admin, stage.stranger]);
        limit(stage, |policy| policy.rates.messages = THREE);
        limit(stage, |policy| policy.rates.presences = Rate::per_second(1, 1));
        for user in [stage.owner, stage.admin] {
            for _ in 0..10 {
                send(stage, user, "<message type='groupchat' TO><body>x</body></message>");
            }
            assert_eq!(refusals(stage, user), [], "{user}");
        }
        stage.world.forget();
        for _ in 0..3 {
            send(stage, stage.stranger, "<presence OWN><show>away</show></presence>");
        }
        send(stage, stage.stranger, "<presence type='unavailable' OWN/>");
        let got = stage.got(stage.stranger);
        assert_eq!(got.iter().filter_map(error).count(), 2);
        assert!(codes(&got[got.len() - 1]).contains(&110) && got[got.len() - 1].ty() == "unavailable");
    });
}

#[test]
fn two_hundred_messages_at_once_are_too_many_and_harm_nobody_else() {
    everywhere(&[], |stage| {
        let (stranger, member, far) = (stage.stranger, stage.member, stage.far);
        stage.gather(&[stranger, member, far]);
        for n in 0..200 {
            send(stage, stranger, &format!("<message type='groupchat' TO><body>{n}</body></message>"));
        }
        let burst = Rates::default().messages.burst as usize;
        assert_eq!(refusals(stage, stranger), all(200 - burst));
        assert_eq!(bodies(&stage.got(far)).len(), burst);
        stage.says(member, "groupchat", "<body>still here</body>");
        assert_eq!(bodies(&stage.got(far)), ["still here"]);
        assert_eq!(refusals(stage, member), []);
    });
}

#[test]
fn the_hundred_and_first_join_in_a_minute_is_refused() {
    everywhere(&[], |stage| {
        let stranger = stage.stranger;
        let at = stage.at(stranger);
        for n in 1..=101 {
            stage.enters(stranger);
            let got = refusals(stage, stranger);
            assert_eq!(got, all(usize::from(n == 101)), "join {n}");
            stage.world.leaves(stranger, &format!("{at}/stranger"));
            stage.world.forget();
            stage.world.wait(500);
        }
        stage.world.wait(10_000);
        stage.enters(stranger);
        assert_eq!(refusals(stage, stranger), []);
    });
}

#[test]
fn one_message_with_many_invitations_counts_for_as_many() {
    everywhere(&[], |stage| {
        let stranger = stage.stranger;
        stage.gather(&[stranger]);
        limit(stage, |policy| policy.rates.invitations = Rate::per_minute(20, 20));
        let invites = |n| {
            let invites = "<invite to='hecate@elsewhere.lit'/>".repeat(n);
            format!("<message TO><x xmlns='{MUC_USER}'>{invites}</x></message>")
        };
        send(stage, stranger, &invites(15));
        assert_eq!(refusals(stage, stranger), []);
        send(stage, stranger, &invites(6));
        assert_eq!(refusals(stage, stranger), all(1));
        send(stage, stranger, &invites(5));
        assert_eq!(refusals(stage, stranger), []);
    });
}

#[test]
fn a_peer_that_sends_too_much_is_told_when_to_go_on_and_the_room_is_not_held_up() {
    everywhere(&[], |stage| {
        let (stranger, member, far) = (stage.stranger, stage.member, stage.far);
        stage.gather(&[stranger, member, far]);
        let (here, there) = if stage.place == Place::Source { (CHAT, ROOMS) } else { (ROOMS, CHAT) };
        stage.world.policy(here).rates.peer = Rate::per_minute(3, 3);
        for n in 0..10 {
            send(stage, far, &format!("<message type='groupchat' TO><body>{n}</body></message>"));
        }
        assert_eq!(bodies(&stage.got(stranger)), ["0", "1", "2"]);
        let told = stage.world.took(here, there);
        let told: Vec<_> = told.iter().filter(|stanza| stanza.is_error()).collect();
        assert_eq!(told.len(), 7);
        for stanza in told {
            assert_eq!(error(stanza), Some(("policy-violation".to_owned(), "wait".to_owned())));
            assert!(
                stanza.to_xml().contains("<retry xmlns='urn:xmpp:dmuc:sync:0' after='60'/>"),
                "{stanza:?}"
            );
        }
        assert_eq!(stage.world.reports.len(), 7);
        stage.says(member, "groupchat", "<body>still here</body>");
        assert_eq!(bodies(&stage.got(stranger)), ["still here"]);
    });
}

#[test]
fn history_is_bounded_by_bytes() {
    everywhere(&[], |stage| {
        limit(stage, |policy| policy.history_bytes_max = 10_000);
        let (stranger, member) = (stage.stranger, stage.member);
        stage.gather(&[stranger]);
        for n in 0..10 {
            stage.says(stranger, "groupchat", &format!("<body>{n}{}</body>", "b".repeat(3_000)));
        }
        stage.enters(member);
        let past: Vec<String> = bodies(&stage.got(member)).iter().map(|body| body[..1].to_owned()).collect();
        assert_eq!(past, ["7", "8", "9"]);
    });
}

/// What is larger or more than it may be; the stanza is of the one that the row names.
#[test]
fn sizes_have_limits() {
    let too_large = ("policy-violation", "modify");
    let message = |inner: &str| format!("<message type='groupchat' TO>{inner}</message>");
    let text = |name: &str, bytes: usize| format!("<{name}>{}</{name}>", "x".repeat(bytes));
    let admin = |reason: usize| {
        let item = format!("<item jid='x@y.lit' affiliation='member'>{}</item>", text("reason", reason));
        format!("<iq type='set' id='i' TO><query xmlns='{MUC_ADMIN}'>{item}</query></iq>")
    };
    let rows = [
        (message(&text("body", 100)), None),
        (message(&text("body", 101)), Some(too_large)),
        (
            message(&format!(
                "{}{}",
                text("body", 60),
                text("body xml:lang='de'", 60).replace("</body xml:lang='de'", "</body")
            )),
            Some(too_large),
        ),
        (message(&text("body", 101)).replace("groupchat' TO", "chat' NICK"), Some(too_large)),
        (message(&text("subject", 20)), None),
        (message(&text("subject", 21)), Some(too_large)),
        (format!("<presence OWN>{}</presence>", text("status", 200)), None),
        (format!("<presence OWN>{}</presence>", text("status", 400)), Some(too_large)),
        (format!("<presence OWN><x xmlns='{MUC}'/>{}</presence>", text("status", 400)), Some(too_large)),
        (admin(2048), None),
        (admin(2049), Some(too_large)),
    ];
    everywhere(&[("muc#roomconfig_changesubject", "1")], |stage| {
        let (owner, far) = (stage.owner, stage.far);
        stage.gather(&[owner, far]);
        limit(stage, |policy| {
            (policy.body_bytes_max, policy.subject_bytes_max, policy.presence_bytes_max) = (100, 20, 300);
        });
        for (xml, expected) in &rows {
            send(stage, owner, xml);
            let expected: Vec<_> = expected.iter().map(|(c, t)| ((*c).to_owned(), (*t).to_owned())).collect();
            assert_eq!(refusals(stage, owner), expected, "{}", &xml[..xml.len().min(100)]);
            assert_eq!(stage.got(far).is_empty(), !expected.is_empty() || xml.starts_with("<iq"), "{xml}");
        }
        send(stage, owner, &format!("<presence type='unavailable' OWN>{}</presence>", text("status", 400)));
        let farewell = stage.got(far);
        assert!(
            farewell[0].ty() == "unavailable" && !farewell[0].has("status"),
            "leaving is free, its words are not"
        );
    });
}

#[test]
fn clients_under_one_nick_have_a_limit() {
    everywhere(&[], |stage| {
        limit(stage, |policy| policy.sessions_max = 2);
        let bare = stage.stranger.split('/').next().unwrap().to_owned();
        let to = stage.nick("stranger");
        let client = |n: u32| format!("{bare}/{n}");
        for n in 1..=3 {
            stage.world.joins(&client(n), &to);
            assert_eq!(refusals(stage, &client(n)), all(usize::from(n == 3)), "client {n}");
        }
        stage.world.joins(&client(1), &to);
        assert_eq!(refusals(stage, &client(1)), [], "who is in may come again");
        stage.world.leaves(&client(2), &to);
        stage.world.joins(&client(3), &to);
        assert_eq!(refusals(stage, &client(3)), [], "there is place again");
    });
}

#[test]
fn lists_have_a_limit() {
    everywhere(&[], |stage| {
        let owner = stage.owner;
        let item = |jid: &str, affiliation: &str| format!("<item jid='{jid}' affiliation='{affiliation}'/>");
        let set = |items: &str| format!("<query xmlns='{MUC_ADMIN}'>{items}</query>");
        // On the lists are already two owners, and an admin, a member and a banned user of both domains.
        limit(stage, |policy| policy.affiliations_max = 10);
        let three: String = ["a@b.lit", "c@d.lit", "e@f.lit"].iter().map(|jid| item(jid, "member")).collect();
        let full = Some((TOO_FAST.0.to_owned(), TOO_FAST.1.to_owned()));
        assert_eq!(error(&stage.asks("set", owner, &set(&three))), full);
        let two = set(&(item("a@b.lit", "member") + &item("c@d.lit", "outcast")));
        assert_eq!(error(&stage.asks("set", owner, &two)), None);
        assert_eq!(error(&stage.asks("set", owner, &set(&item("e@f.lit", "outcast")))), full);
        assert_eq!(
            error(&stage.asks("set", owner, &set(&item("a@b.lit", "admin")))),
            None,
            "a change is no more"
        );
        assert_eq!(error(&stage.asks("set", owner, &set(&item("e@f.lit", "none")))), None);
    });
}

#[test]
fn rooms_have_a_limit_in_all_and_for_each_user() {
    let (crone, hag) = ("crone1@shakespeare.lit/desktop", "hag66@shakespeare.lit/pda");
    let mut world = World::with(&[CHAT]);
    world.policy(CHAT).rooms_per_user_max = 2;
    world.policy(CHAT).rooms_max = 4;
    let creates = |world: &mut World, user: &str, room: &str| {
        world.joins(user, &format!("{room}@{CHAT}/x"));
        let refusal = world.got(user).iter().find_map(error);
        assert!(refusal.as_ref().is_none_or(|error| *error == all(1)[0]), "{refusal:?}");
        refusal.is_none()
    };
    assert!(creates(&mut world, crone, "one") && creates(&mut world, crone, "two"));
    assert!(!creates(&mut world, crone, "three"));
    world.leaves(crone, &format!("one@{CHAT}/x"));
    world.got(crone);
    assert!(creates(&mut world, crone, "three"), "the first is gone");
    assert!(creates(&mut world, hag, "four") && creates(&mut world, hag, "five"));
    assert!(!creates(&mut world, "wiccarocks@shakespeare.lit/x", "six"), "all are taken");
    world.policy(CHAT).admins = vec![jid("hecate@shakespeare.lit")];
    assert!(creates(&mut world, "hecate@shakespeare.lit/broom", "six"), "but for whoever runs the service");
}

#[test]
fn a_full_service_takes_no_shadows() {
    let mut world = World::with(&[CHAT, ROOMS]);
    world.policy(ROOMS).rooms_max = 0;
    world.creates(
        "crone1@shakespeare.lit/desktop",
        &format!("coven@{CHAT}/x"),
        &[("muc#roomconfig_distributed", "1")],
    );
    let told = world.took(ROOMS, CHAT);
    let refused = told.iter().find(|stanza| stanza.is_error()).expect("a refusal");
    assert_eq!(error(refused), Some(all(1)[0].clone()));
    assert!(refused.to_xml().contains("<retry xmlns='urn:xmpp:dmuc:sync:0' after='600'/>"));
}

#[test]
fn nicks_that_look_like_anothers_are_an_option_and_other_spellings_are_not() {
    let lookalike = "str\u{430}nger";
    let option = "{urn:xmpp:dmuc:sync:0}lookalike_nicks";
    for (options, may) in [(&[][..], false), (&[(option, "1")], true), (&[(option, "0")], false)] {
        everywhere(options, |stage| {
            let (stranger, member, far) = (stage.stranger, stage.member, stage.far);
            stage.gather(&[stranger]);
            let conflict = ("conflict".to_owned(), "cancel".to_owned());
            for nick in ["Stranger", " stranger ", "\u{ff33}tranger"] {
                for user in [member, far] {
                    stage.world.joins(user, &format!("{}/{nick}", stage.at(user)));
                    assert_eq!(
                        refusals(stage, user),
                        std::slice::from_ref(&conflict),
                        "{user} as {nick:?} with {options:?}"
                    );
                }
            }
            for user in [member, far] {
                stage.world.joins(user, &format!("{}/{lookalike}", stage.at(user)));
                let expected = if may { vec![] } else { vec![conflict.clone()] };
                assert_eq!(refusals(stage, user), expected, "{user} with {options:?}");
                stage.world.leaves(user, &format!("{}/{lookalike}", stage.at(user)));
            }
            stage.world.joins(stranger, &format!("{}/{lookalike}", stage.room));
            assert_eq!(refusals(stage, stranger), [], "one may look like oneself");
        });
    }
}

#[test]
fn a_reserved_nick_is_not_to_be_imitated() {
    everywhere(&[], |stage| {
        let item = "<item jid='hecate@macbeth.lit' nick='Hecate' affiliation='member'/>";
        stage.asks("set", stage.owner, &format!("<query xmlns='{MUC_ADMIN}'>{item}</query>"));
        for nick in ["hecate", "hec\u{430}te"] {
            let to = stage.nick(nick);
            stage.world.joins(stage.stranger, &to);
            let refused = refusals(stage, stage.stranger);
            assert_eq!(refused, [("conflict".to_owned(), "cancel".to_owned())], "{nick}");
        }
    });
}
