//! The archive (XEP-0313, XEP-0059).

use dmuc_core::Stanza;
use minidom::Element;

use crate::common::*;
use crate::stage::{Stage, everywhere};

const MAM: &str = "urn:xmpp:mam:2";
const RSM: &str = "http://jabber.org/protocol/rsm";
const FORWARD: &str = "urn:xmpp:forward:0";

/// What a query got.
pub struct Got {
    pub messages: Vec<Stanza>,
    fin: Element,
}

impl Got {
    fn results(&self) -> Vec<Element> {
        self.messages.iter().filter_map(|m| m.child("result", MAM)?.element().ok()).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.results().iter().map(|result| result.attr("id").unwrap().to_owned()).collect()
    }

    pub fn originals(&self) -> Vec<Element> {
        let original = |result: &Element| {
            let forwarded = result.get_child("forwarded", FORWARD).unwrap();
            forwarded.get_child("message", "jabber:client").unwrap().clone()
        };
        self.results().iter().map(original).collect()
    }

    fn texts(&self) -> Vec<String> {
        let body = |m: &Element| m.get_child("body", "jabber:client").map(Element::text).unwrap_or_default();
        self.originals().iter().map(body).collect()
    }

    fn set(&self, name: &str) -> Option<String> {
        self.fin.get_child("set", RSM).unwrap().get_child(name, RSM).map(Element::text)
    }

    fn index(&self) -> Option<String> {
        let set = self.fin.get_child("set", RSM).unwrap();
        set.get_child("first", RSM).and_then(|first| first.attr("index")).map(str::to_owned)
    }

    fn complete(&self) -> bool {
        self.fin.attr("complete") == Some("true")
    }
}

/// Sends a query of which these are the contents.
pub fn query(stage: &mut Stage, user: &str, inner: &str) -> Result<Got, (String, String)> {
    let answer = stage.asks("set", user, &format!("<query xmlns='{MAM}' queryid='f27'>{inner}</query>"));
    let messages = stage.got(user);
    match error(&answer) {
        Some(error) => {
            assert!(messages.is_empty(), "nothing but the refusal");
            Err(error)
        }
        None => Ok(Got { messages, fin: answer.child("fin", MAM).unwrap().element().unwrap() }),
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{MAM}</value></field>{fields}</x>"
    )
}

fn set(inner: &str) -> String {
    format!("<set xmlns='{RSM}'>{inner}</set>")
}

fn say(stage: &mut Stage, user: &str, text: &str) {
    stage.says(user, "groupchat", &format!("<body>{text}</body>"));
}

/// A talk: the member and somebody at the other instance take turns, a second apart.
fn talk(stage: &mut Stage, count: u32) {
    stage.gather(&[stage.member, stage.far]);
    for n in 1..=count {
        stage.world.wait(1000);
        let user = if n % 2 == 1 { stage.member } else { stage.far };
        say(stage, user, &format!("{n}"));
    }
    stage.world.forget();
}

#[test]
fn who_may_read() {
    let members = [("muc#roomconfig_membersonly", "1")];
    let secret = [("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")];
    let forbidden = || Err(("forbidden".to_owned(), "auth".to_owned()));
    for (options, user, expected) in [
        (&[][..], "stranger", Ok(())),
        (&[], "member", Ok(())),
        (&[], "banned", forbidden()),
        (&members, "stranger", forbidden()),
        (&members, "member", Ok(())),
        (&members, "banned", forbidden()),
        (&secret, "stranger", forbidden()),
        (&secret, "member", Ok(())),
        (&secret, "owner", Ok(())),
    ] {
        everywhere(options, |stage| {
            let user = match user {
                "stranger" => stage.stranger,
                "banned" => stage.banned,
                "owner" => stage.owner,
                _ => stage.member,
            };
            let got = query(stage, user, "").map(|_| ());
            assert_eq!(got, expected, "{user} with {options:?}");
            let ends = stage.asks("get", user, &format!("<metadata xmlns='{MAM}'/>"));
            assert_eq!(error(&ends).is_some(), expected.is_err(), "{user} with {options:?}");
        });
    }
}

#[test]
fn who_is_in_a_room_with_a_password_may_read_also_with_another_client() {
    let secret = [("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")];
    everywhere(&secret, |stage| {
        let x = "<x xmlns='http://jabber.org/protocol/muc'><password>s</password></x>";
        let (user, to) = (stage.stranger, stage.nick("stranger"));
        stage.world.send(&format!("<presence from='{user}' to='{to}'>{x}</presence>"));
        stage.got(user);
        assert!(query(stage, user, "").is_ok());
        let other = format!("{}/other", jid(user).bare_str());
        assert!(query(stage, &other, "").is_ok());
    });
}

#[test]
fn access_is_checked_for_every_page() {
    everywhere(&[], |stage| {
        talk(stage, 4);
        let reader = stage.stranger;
        let first = query(stage, reader, &set("<max>2</max>")).unwrap();
        let next = set(&format!("<max>2</max><after>{}</after>", first.set("last").unwrap()));
        assert!(query(stage, reader, &next).is_ok());
        let ban = format!("jid='{}' affiliation='outcast'", jid(reader).bare_str());
        let (owner, room) = (stage.owner, stage.room);
        stage.world.orders(owner, room, &ban);
        assert_eq!(query(stage, reader, &next).err().unwrap().0, "forbidden");
    });
}

#[test]
fn filters_select() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        let before = stage.world.now;
        talk(stage, 6);
        let owner = stage.owner;
        let ids = query(stage, owner, "").unwrap().ids();
        let at = |s: u64| before.plus(s * 1010).to_stamp();
        let member = jid(stage.member).to_bare();
        let (nick, room) = (stage.nick("far"), stage.room);
        let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
            (vec![], "1 2 3 4 5 6"),
            (vec![("with", member.as_str())], "1 3 5"),
            (vec![("with", stage.member)], ""),
            (vec![("with", &nick)], "2 4 6"),
            (vec![("with", room)], "1 2 3 4 5 6"),
            (vec![("after-id", &ids[1])], "3 4 5 6"),
            (vec![("before-id", &ids[1])], "1"),
            (vec![("after-id", &ids[0]), ("before-id", &ids[4])], "2 3 4"),
            (vec![("ids", &ids[3])], "4"),
            (vec![("ids", &ids[3]), ("with", member.as_str())], ""),
            (vec![("include-groupchat", "true")], "1 2 3 4 5 6"),
            (vec![("include-groupchat", "0")], ""),
        ];
        for (fields, expected) in cases {
            let got = query(stage, owner, &form(&fields)).unwrap();
            assert_eq!(got.texts().join(" "), expected, "{fields:?}");
            assert!(got.complete(), "{fields:?}");
            assert_eq!(got.set("count"), Some(got.messages.len().to_string()), "{fields:?}");
        }
        let some = query(stage, owner, &form(&[("start", &at(3)), ("end", &at(5))])).unwrap();
        assert!(!some.texts().is_empty() && some.texts().len() < 6, "{:?}", some.texts());
    });
}

#[test]
fn times_are_exact_and_inclusive() {
    everywhere(&[], |stage| {
        talk(stage, 3);
        let user = stage.stranger;
        let stamps: Vec<String> = query(stage, user, "").unwrap().results().iter().map(stamp).collect();
        let got = query(stage, user, &form(&[("start", &stamps[1]), ("end", &stamps[1])])).unwrap();
        assert_eq!(got.texts(), ["2"]);
        assert_eq!(query(stage, user, &form(&[("start", &stamps[1])])).unwrap().texts(), ["2", "3"]);
        assert_eq!(query(stage, user, &form(&[("end", &stamps[1])])).unwrap().texts(), ["1", "2"]);
    });
}

fn stamp(result: &Element) -> String {
    let delay = result.get_child("forwarded", FORWARD).unwrap().get_child("delay", "urn:xmpp:delay");
    delay.unwrap().attr("stamp").unwrap().to_owned()
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let nothing = "AAAAAAAAAAAAAAAAAAAAAA";
    let plain_form = |ty: &str, of: &str| {
        format!("<x xmlns='jabber:x:data' type='{ty}'><field var='FORM_TYPE'><value>{of}</value></field></x>")
    };
    let bad = ("bad-request", "modify");
    let unknown = ("item-not-found", "cancel");
    let cases = [
        (form(&[("start", "yesterday")]), bad),
        (form(&[("end", "")]), bad),
        (form(&[("with", "@")]), bad),
        (form(&[("include-groupchat", "maybe")]), bad),
        (form(&[("start", "2026-01-01T00:00:00Z</value><value>2026-01-02T00:00:00Z")]), bad),
        (plain_form("result", MAM), bad),
        (plain_form("submit", "urn:xmpp:mam:1"), bad),
        ("<x xmlns='jabber:x:data' type='submit'/>".to_owned(), bad),
        (set("<max>many</max>"), bad),
        (form(&[("{http://example.com/}free-text-search", "hail")]), ("feature-not-implemented", "cancel")),
        (form(&[("start", "yesterday"), ("whatever", "1")]), ("feature-not-implemented", "cancel")),
        (form(&[("before-id", nothing)]), unknown),
        (form(&[("after-id", "28482-98726-73623")]), unknown),
        (form(&[("ids", nothing)]), unknown),
        (set(&format!("<after>{nothing}</after>")), unknown),
        (set("<before>09af3-cc343-b409f</before>"), unknown),
        (form(&[("with", "owner@elsewhere.lit")]), ("forbidden", "auth")),
    ];
    everywhere(&[], |stage| {
        talk(stage, 1);
        for (inner, (condition, ty)) in &cases {
            let got = query(stage, stage.stranger, inner).err();
            assert_eq!(got, Some(((*condition).to_owned(), (*ty).to_owned())), "{inner}");
        }
        for (ty, payload, expected) in [
            ("get", "<prefs xmlns='urn:xmpp:mam:2'/>", ("feature-not-implemented", "cancel")),
            ("set", "<prefs xmlns='urn:xmpp:mam:2' default='never'/>", ("feature-not-implemented", "cancel")),
            ("set", "<metadata xmlns='urn:xmpp:mam:2'/>", bad),
            ("get", "<page xmlns='urn:xmpp:mam:2'/>", bad),
            ("set", "<query xmlns='urn:xmpp:mam:2' node='blog'/>", unknown),
        ] {
            let answer = stage.asks(ty, stage.stranger, payload);
            let (condition, kind) = error(&answer).unwrap();
            assert_eq!((condition.as_str(), kind.as_str()), expected, "{payload}");
        }
    });
}

#[test]
fn everybody_finds_their_own_words_and_no_one_elses() {
    everywhere(&[], |stage| {
        talk(stage, 2);
        let (member, far) = (jid(stage.member).to_bare(), jid(stage.far).to_bare());
        let own = query(stage, stage.member, &form(&[("with", member.as_str())])).unwrap();
        assert_eq!(own.texts(), ["1"]);
        let spying = query(stage, stage.member, &form(&[("with", far.as_str())]));
        assert_eq!(spying.err().unwrap().0, "forbidden");
    });
    everywhere(&[("muc#roomconfig_whois", "anyone")], |stage| {
        talk(stage, 2);
        let far = jid(stage.far).to_bare();
        let got = query(stage, stage.stranger, &form(&[("with", far.as_str())])).unwrap();
        assert_eq!(got.texts(), ["2"], "everybody knows who is who");
    });
}

#[test]
fn it_is_read_page_by_page() {
    everywhere(&[], |stage| {
        talk(stage, 5);
        let user = stage.stranger;
        let all = query(stage, user, "").unwrap().ids();
        let page = |stage: &mut Stage, rest: &str| query(stage, user, &set(&format!("<max>2</max>{rest}")));
        // (page, texts, complete, index)
        let cases = [
            (String::new(), "1 2", false, "0"),
            (format!("<after>{}</after>", all[1]), "3 4", false, "2"),
            (format!("<after>{}</after>", all[3]), "5", true, "4"),
            ("<before/>".to_owned(), "4 5", false, "3"),
            (format!("<before>{}</before>", all[3]), "2 3", false, "1"),
            (format!("<before>{}</before>", all[1]), "1", true, "0"),
            ("<index>1</index>".to_owned(), "2 3", false, "1"),
            ("<index>3</index>".to_owned(), "4 5", true, "3"),
        ];
        for (rest, texts, complete, index) in cases {
            let got = page(stage, &rest).unwrap();
            assert_eq!((got.texts().join(" ").as_str(), got.complete()), (texts, complete), "{rest}");
            assert_eq!((got.set("count"), got.index()), (Some("5".into()), Some(index.into())), "{rest}");
            let ids = got.ids();
            assert_eq!((got.set("first"), got.set("last")), (ids.first().cloned(), ids.last().cloned()));
        }
        for (rest, complete) in
            [(format!("<after>{}</after>", all[4]), true), ("<index>9</index>".into(), true)]
        {
            let beyond = page(stage, &rest).unwrap();
            assert_eq!((beyond.messages.len(), beyond.complete()), (0, complete));
            assert_eq!(
                (beyond.set("first"), beyond.set("last"), beyond.set("count")),
                (None, None, Some("5".into()))
            );
        }
        let count = query(stage, user, &set("<max>0</max>")).unwrap();
        assert_eq!(
            (count.messages.len(), count.set("count"), count.complete()),
            (0, Some("5".into()), false)
        );
    });
}

#[test]
fn a_flipped_page_is_the_same_page_the_other_way_round() {
    everywhere(&[], |stage| {
        talk(stage, 4);
        let user = stage.stranger;
        let plain = query(stage, user, &set("<max>3</max>")).unwrap();
        let flipped = query(stage, user, &format!("{}<flip-page/>", set("<max>3</max>"))).unwrap();
        assert_eq!(flipped.texts(), ["3", "2", "1"]);
        assert_eq!((flipped.set("first"), flipped.set("last")), (plain.set("first"), plain.set("last")));
    });
}

#[test]
fn pages_are_bounded_in_number_and_bytes() {
    everywhere(&[], |stage| {
        for domain in [CHAT, ROOMS] {
            stage.world.policy(domain).archive_page_max = 3;
        }
        talk(stage, 5);
        let user = stage.stranger;
        assert_eq!(
            query(stage, user, "").unwrap().texts(),
            ["1", "2", "3"],
            "although nothing was said of pages"
        );
        assert_eq!(query(stage, user, &set("<max>999999999999</max>")).unwrap().texts().len(), 3);
        for domain in [CHAT, ROOMS] {
            stage.world.policy(domain).archive_page_max = 250;
        }
        let long = "x".repeat(50_000);
        for _ in 0..12 {
            stage.world.wait(1000);
            say(stage, stage.member, &long);
        }
        stage.world.forget();
        let forwards = query(stage, user, "").unwrap();
        assert!((10..17).contains(&forwards.messages.len()) && !forwards.complete());
        assert_eq!(forwards.texts()[0], "1");
        let backwards = query(stage, user, &set("<before/>")).unwrap();
        assert_eq!((backwards.messages.len(), backwards.complete()), (10, false));
        assert_eq!(backwards.index().as_deref(), Some("7"), "the end is what was asked for");
    });
}

#[test]
fn results_are_as_the_room_sent_them() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far]);
        let forged = "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='king@shakespeare.lit'/></x>\
                      <stanza-id xmlns='urn:xmpp:sid:0' by='else@where.lit' id='forged'/>";
        stage.says(stage.far, "groupchat", &format!("<body>Hail</body>{forged}<thread>t</thread>"));
        let live = stage.got(stage.member).pop().unwrap();
        stage.world.forget();
        for (reader, knows) in [(stage.member, false), (stage.owner, true), (stage.stranger, false)] {
            let got = query(stage, reader, "").unwrap();
            let wrapper = &got.messages[0];
            assert_eq!(wrapper.from.as_ref().unwrap().as_str(), stage.room);
            let result = &got.results()[0];
            assert_eq!(result.attr("queryid"), Some("f27"));
            assert_eq!(result.attr("id").map(str::to_owned), stanza_id(&live));
            let original = &got.originals()[0];
            assert_eq!(original.attr("from"), Some(stage.nick("far").as_str()));
            assert_eq!((original.attr("to"), original.attr("type")), (None, Some("groupchat")));
            assert_eq!(original.attr("id"), live.id.as_deref());
            assert!(original.has_child("thread", "jabber:client"));
            let oid = original.get_child("occupant-id", "urn:xmpp:occupant-id:0").unwrap().attr("id");
            let live_oid = live.child("occupant-id", "urn:xmpp:occupant-id:0").unwrap().attr("id");
            assert_eq!(oid.map(str::to_owned), live_oid);
            assert_eq!(original.children().filter(|child| child.name() == "stanza-id").count(), 1);
            let x = original.get_child("x", "http://jabber.org/protocol/muc#user");
            let item = x.and_then(|x| x.children().next()).map(|item| item.attr("jid").unwrap().to_owned());
            let known = knows.then(|| jid(stage.far).bare_str().to_owned());
            assert_eq!(item, known, "{reader}");
        }
    });
}

#[test]
fn both_instances_have_the_same_messages_under_the_same_ids() {
    everywhere(&[], |stage| {
        talk(stage, 4);
        let here = query(stage, stage.stranger, "").unwrap();
        let there = query(stage, stage.far, "").unwrap();
        assert_eq!((here.ids(), here.texts()), (there.ids(), there.texts()));
        assert_eq!(here.texts(), ["1", "2", "3", "4"]);
    });
}

#[test]
fn what_comes_late_is_appended_with_its_own_time() {
    everywhere(&[], |stage| {
        talk(stage, 2);
        let (here, there) = match stage.place {
            crate::stage::Place::Source => (CHAT, ROOMS),
            crate::stage::Place::Shadow => (ROOMS, CHAT),
        };
        stage.world.hold(there, here);
        say(stage, stage.far, "late");
        stage.world.wait(60_000);
        say(stage, stage.member, "early");
        stage.world.release(there, here);
        stage.world.forget();
        let got = query(stage, stage.stranger, "").unwrap();
        assert_eq!(got.texts(), ["1", "2", "early", "late"], "the order of arrival");
        let stamps: Vec<String> = got.results().iter().map(stamp).collect();
        assert!(stamps[3] < stamps[2], "{stamps:?}");
        let there = query(stage, stage.far, "").unwrap();
        assert_eq!(there.texts(), ["1", "2", "late", "early"]);
        stage.enters(stage.stranger);
        let history = bodies(&stage.got(stage.stranger));
        assert_eq!(history, ["1", "2", "late", "early"], "history for those who join is in canonical order");
    });
}

#[test]
fn subjects_are_archived_and_private_words_are_not() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.member, stage.far]);
        stage.says(stage.owner, "groupchat", "<subject>Brewing</subject>");
        let (member, to, far_to) = (stage.member, stage.nick("owner"), stage.nick("far"));
        for to in [to, far_to] {
            stage
                .world
                .send(&format!("<message type='chat' from='{member}' to='{to}'><body>psst</body></message>"));
        }
        stage.world.forget();
        for reader in [stage.stranger, stage.far] {
            let got = query(stage, reader, "").unwrap();
            let subject = got.originals()[0].get_child("subject", "jabber:client").unwrap().text();
            assert_eq!((got.messages.len(), subject.as_str()), (1, "Brewing"));
        }
    });
}

#[test]
fn the_ends_of_the_archive_are_told() {
    everywhere(&[], |stage| {
        let ask = format!("<metadata xmlns='{MAM}'/>");
        let empty = stage.asks("get", stage.stranger, &ask);
        assert_eq!(empty.child("metadata", MAM).unwrap().element().unwrap().children().count(), 0);
        talk(stage, 3);
        let results = query(stage, stage.stranger, "").unwrap().results();
        let told = stage.asks("get", stage.stranger, &ask).child("metadata", MAM).unwrap().element().unwrap();
        for (name, result) in [("start", &results[0]), ("end", &results[2])] {
            let end = told.get_child(name, MAM).unwrap();
            assert_eq!(end.attr("id"), result.attr("id"));
            let time = |text: &str| dmuc_core::Millis::from_stamp(text).unwrap();
            assert_eq!(time(end.attr("timestamp").unwrap()), time(&stamp(result)));
        }
    });
}

#[test]
fn the_fields_of_a_query_are_told() {
    everywhere(&[], |stage| {
        let answer = stage.asks("get", stage.stranger, &format!("<query xmlns='{MAM}'/>"));
        let form = answer.child("query", MAM).unwrap().element().unwrap();
        let form = form.get_child("x", "jabber:x:data").unwrap();
        let fields: Vec<_> = form
            .children()
            .map(|f| (f.attr("var").unwrap(), f.attr("type").unwrap_or("text-single")))
            .collect();
        let expected = [
            ("FORM_TYPE", "hidden"),
            ("with", "jid-single"),
            ("start", "text-single"),
            ("end", "text-single"),
            ("before-id", "text-single"),
            ("after-id", "text-single"),
            ("ids", "list-multi"),
            ("include-groupchat", "boolean"),
        ];
        assert_eq!(fields, expected);
        let ids = form.children().find(|field| field.attr("var") == Some("ids")).unwrap();
        let validate = ids.get_child("validate", "http://jabber.org/protocol/xdata-validate").unwrap();
        assert!(validate.has_child("open", "http://jabber.org/protocol/xdata-validate"));
    });
}

fn features(stage: &mut Stage, user: &str) -> String {
    stage.asks("get", user, "<query xmlns='http://jabber.org/protocol/disco#info'/>").to_xml()
}

#[test]
fn an_owner_may_do_without_an_archive() {
    everywhere(&[], |stage| {
        talk(stage, 1);
        for (user, feature) in [
            (stage.stranger, "urn:xmpp:mam:2'"),
            (stage.far, "urn:xmpp:mam:2#extended'"),
            (stage.far, "urn:xmpp:sid:0'"),
        ] {
            assert!(features(stage, user).contains(feature), "{feature}");
        }
        let (owner, room) = (stage.owner, stage.room);
        stage.world.configures(owner, room, &[("muc#roomconfig_enablearchiving", "0")]);
        stage.world.forget();
        for user in [stage.stranger, stage.far] {
            assert!(!features(stage, user).contains("urn:xmpp:mam:2"));
            let refusal = query(stage, user, "").err().unwrap();
            assert_eq!(refusal, ("service-unavailable".to_owned(), "cancel".to_owned()));
        }
        stage.enters(stage.stranger);
        assert_eq!(bodies(&stage.got(stage.stranger)), ["1"], "history for those who join is another matter");
    });
}

#[test]
fn what_is_older_than_the_operator_wants_is_not_shown() {
    everywhere(&[], |stage| {
        for domain in [CHAT, ROOMS] {
            stage.world.policy(domain).archive_ms = 86_400_000;
        }
        talk(stage, 2);
        stage.world.wait(86_400_000);
        say(stage, stage.member, "today");
        stage.world.forget();
        assert_eq!(query(stage, stage.stranger, "").unwrap().texts(), ["today"]);
        let early = form(&[("start", "2020-01-01T00:00:00Z")]);
        assert_eq!(query(stage, stage.stranger, &early).unwrap().texts(), ["today"]);
        stage.enters(stage.stranger);
        assert_eq!(bodies(&stage.got(stage.stranger)), ["today"]);
    });
}
