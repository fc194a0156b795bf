//! What occupants say to each other and ask of each other (XEP-0045 §6, §7.4, §7.5, §7.8, §7.13, §8.1).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod room_support;

use common::*;
use room_support::*;

const ERROR: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

#[test]
fn a_message_reaches_everyone_unchanged_under_the_speakers_nick() {
    let mut world = gathered(&[]);
    world.send(&format!(
        "<message type='groupchat' id='hysf1v37' xml:lang='en' from='{HAG}' to='{COVEN}'>\
         <body>Harpier cries</body><body xml:lang='de'>Harpyie ruft</body>\
         <html xmlns='http://jabber.org/protocol/xhtml-im'><p xmlns='http://www.w3.org/1999/xhtml'>x</p></html>\
         <origin-id xmlns='urn:xmpp:sid:0' id='o1'/></message>"
    ));
    let mut ids = Vec::new();
    for user in [CRONE, WICCA, HAG] {
        let got = world.got(user);
        assert_eq!(got.len(), 1, "{user}");
        let xml = got[0].to_xml();
        assert_eq!(got[0].id.as_deref(), Some("hysf1v37"));
        assert_eq!(got[0].from.as_ref().unwrap().as_str(), THIRD);
        assert!(xml.contains("xml:lang='de'") && xml.contains("xhtml") && xml.contains("id='o1'"), "{xml}");
        ids.push(stanza_id(&got[0]).unwrap());
        assert!(!xml.replace(HAG, "").contains("hag66"), "{xml}");
        assert_eq!(xml.contains(HAG), user == HAG, "only in the addressee's `to`");
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one stanza-id for all");
}

#[test]
fn forged_metadata_is_removed_and_our_own_stamped_once() {
    let forged = [
        "<stanza-id xmlns='urn:xmpp:sid:0' by='coven@chat.shakespeare.lit' id='f1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='coven@chat.shakespeare.lit.' id='f2'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='chat.shakespeare.lit' id='f3'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='coven@rooms.macbeth.lit' id='f4'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='f5'/>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='f6'/>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='f7'/>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='f8'/>",
        "<delay xmlns='urn:xmpp:delay' from='coven@chat.shakespeare.lit' stamp='2002-10-13T23:58:37Z'/>",
        "<delay xmlns='urn:xmpp:delay' from='COVEN@chat.shakespeare.lit/firstwitch' stamp='2002-10-13T23:58:38Z'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='2002-10-13T23:58:39Z'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/></x>",
        "<x xmlns='http://jabber.org/protocol/muc'/>",
        "<hats xmlns='urn:xmpp:hats:0'><hat uri='f' title='Queen'/></hats>",
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='f@x.y'/></addresses>",
        "<origin xmlns='urn:xmpp:dmuc:0'/>",
        "<ev xmlns='urn:xmpp:dmuc:sync:0' id='AAAAAAAAAAAAAAAAAAAAAA' i='1' s='1' h='1'/>",
    ]
    .concat();
    let kept =
        "<delay xmlns='urn:xmpp:delay' from='hag66@shakespeare.lit/pda' stamp='2004-09-29T01:54:37Z'/>";
    let mut world = gathered(&[]);
    let said = |to: &str, ty: &str| {
        format!("<message type='{ty}' from='{HAG}' to='{to}'>{forged}<body>x</body>{kept}</message>")
    };
    for (to, ty) in [(COVEN, "groupchat"), (FIRST, "chat")] {
        world.send(&said(to, ty));
        let got = world.got(CRONE);
        let names: Vec<String> = got[0].children.iter().map(|c| format!("{} {}", c.name(), c.ns())).collect();
        let mut expected = vec!["body jabber:client", "delay urn:xmpp:delay"];
        expected.extend(if ty == "chat" {
            ["x http://jabber.org/protocol/muc#user", "occupant-id urn:xmpp:occupant-id:0"]
        } else {
            ["stanza-id urn:xmpp:sid:0", "occupant-id urn:xmpp:occupant-id:0"]
        });
        assert_eq!(names, expected, "{ty}");
        let xml = got[0].to_xml();
        assert!((1..=8).all(|n| !xml.contains(&format!("'f{n}'"))) && !xml.contains("2002-"), "{xml}");
    }
    world.send(&format!("<presence from='{HAG}' to='{THIRD}'>{forged}<show>away</show></presence>"));
    let got = world.got(CRONE);
    let names: Vec<&str> = got[0].children.iter().map(|c| c.name()).collect();
    assert_eq!(names, ["show", "occupant-id", "x"]);
    assert_eq!(told(&got), ["+thirdwitch none/participant"]);
}

#[test]
fn occupant_ids_are_one_per_user_and_tell_nothing() {
    let mut world = gathered(&[]);
    let oid = |stanza: &dmuc_core::Stanza| {
        stanza.child("occupant-id", "urn:xmpp:occupant-id:0").and_then(|oid| oid.attr("id")).unwrap()
    };
    world.says(HAG, COVEN, "a");
    let said = oid(&world.got(CRONE)[0]);
    world.send(&format!("<presence from='{HAG}' to='{COVEN}/oldhag'/>"));
    assert_eq!(world.got(CRONE).iter().map(oid).collect::<Vec<_>>(), [said.clone(), said.clone()]);
    world.leaves(HAG, &format!("{COVEN}/oldhag"));
    world.joins("hag66@shakespeare.lit/other", &format!("{COVEN}/hag"));
    assert_eq!(oid(world.got(CRONE).last().unwrap()), said, "across clients, nicks and visits");
    world.says(WICCA, COVEN, "b");
    assert_ne!(oid(&world.got(CRONE)[0]), said);
    assert!(said.len() >= 22 && !said.contains("hag"));
}

#[test]
fn a_subject_with_a_body_is_an_ordinary_message() {
    let mut world = gathered(&[]);
    world.tells(CRONE, COVEN, "<subject>real</subject>");
    world.forget();
    for said in ["<subject>no</subject><body>b</body>", "<subject>no</subject><thread>t</thread>"] {
        world.tells(HAG, COVEN, said);
        assert_eq!(world.got(CRONE).len(), 1, "{said}");
    }
    world.joins(HECATE, &format!("{COVEN}/hecate"));
    assert_eq!(told(&world.got(HECATE)).last().unwrap(), "firstwitch subject: real");
}

#[test]
fn the_subject_is_the_moderators_unless_configured_otherwise() {
    let mut world = gathered(&[]);
    world.tells(HAG, COVEN, "<subject>mine</subject>");
    assert_eq!(the_error(&world.got(HAG)), ("forbidden".into(), "auth".into()));
    world.tells(CRONE, COVEN, "<subject>hers</subject>");
    assert_eq!(told(&world.got(HAG)), ["firstwitch subject: hers"]);
    world.submits(CRONE, "<field var='muc#roomconfig_changesubject'><value>1</value></field>");
    world.forget();
    world.tells(HAG, COVEN, "<subject>mine</subject>");
    assert_eq!(told(&world.got(CRONE)), ["thirdwitch subject: mine"]);
    world.restart(COVEN);
    world.joins(HECATE, &format!("{COVEN}/hecate"));
    let got = world.got(HECATE);
    let subject = got.last().unwrap();
    assert_eq!(told(&got).last().unwrap(), "thirdwitch subject: mine");
    assert!(stanza_id(subject).is_some() && subject.child("delay", "urn:xmpp:delay").is_some());
}

#[test]
fn typing_is_shown_and_not_kept() {
    let mut world = gathered(&[]);
    world.tells(HAG, COVEN, "<composing xmlns='http://jabber.org/protocol/chatstates'/>");
    assert_eq!(world.got(CRONE).len(), 1);
    assert!(world.log(COVEN).is_empty());
}

#[test]
fn visitors_are_heard_once_they_have_voice() {
    let mut world = gathered(&[("muc#roomconfig_moderatedroom", "1")]);
    world.says(HAG, COVEN, "muffled");
    assert_eq!(the_error(&world.got(HAG)), ("forbidden".into(), "auth".into()));
    let form = |fields: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/muc#request</value></field>{fields}</x>"
        )
    };
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let role = field("muc#role", "participant");
    world.send(&format!("<message from='{HAG}' to='{COVEN}'>{}</message>", form(&role)));
    assert!(world.got(WICCA).is_empty(), "no moderator");
    let asked = world.got(CRONE);
    let xml = asked[0].to_xml();
    assert_eq!(asked.len(), 1);
    assert!(xml.contains("type='form'") && xml.contains(HAG) && xml.contains("thirdwitch"), "{xml}");
    let grant = |allow: &str| {
        form(&[role.clone(), field("muc#roomnick", "thirdwitch"), field("muc#request_allow", allow)].concat())
    };
    world.send(&format!("<message from='{WICCA}' to='{COVEN}'>{}</message>", grant("true")));
    assert_eq!(the_error(&world.got(WICCA)), ("forbidden".into(), "auth".into()));
    world.send(&format!("<message from='{CRONE}' to='{COVEN}'>{}</message>", grant("false")));
    assert!(world.got(HAG).is_empty());
    world.send(&format!("<message from='{CRONE}' to='{COVEN}'>{}</message>", grant("true")));
    assert_eq!(told(&world.got(HAG)), ["+thirdwitch none/participant 110"]);
    world.forget();
    world.says(HAG, COVEN, "heard");
    assert_eq!(bodies(&world.got(CRONE)), ["heard"]);
    world.leaves(HAG, THIRD).joins(HAG, THIRD);
    assert_eq!(roster(&world.got(HAG))["thirdwitch"].1, "participant", "for the next visit as well");
}

#[test]
fn private_messages_are_as_private_as_configured() {
    for (setting, crone, hag) in [
        ("anyone", true, true),
        ("participants", true, false),
        ("moderators", true, false),
        ("none", false, false),
    ] {
        let mut world =
            gathered(&[("muc#roomconfig_moderatedroom", "1"), ("muc#roomconfig_allowpm", setting)]);
        for (from, may) in [(CRONE, crone), (HAG, hag)] {
            world.send(&format!("<message id='p' from='{from}' to='{SECOND}'><body>psst</body></message>"));
            let got = world.got(WICCA);
            assert_eq!(!got.is_empty(), may, "{setting} {from}");
            if may {
                assert_eq!(got[0].ty(), "", "stays as it is");
                assert!(got[0].child("x", MUC_USER).is_some());
            } else {
                assert_eq!(the_error(&world.got(from)), ("forbidden".into(), "auth".into()));
            }
        }
        assert!(world.log(COVEN).is_empty() && world.got(HAG).is_empty(), "never kept nor overheard");
    }
}

#[test]
fn real_addresses_are_seen_by_those_who_may() {
    let mut world = gathered(&[]);
    world.joins(HECATE, &format!("{COVEN}/hecate"));
    assert_eq!(item(&world.got(CRONE)[0], "jid").as_deref(), Some(HECATE), "by moderators");
    assert_eq!(item(&world.got(HAG)[0], "jid"), None);
    let got = world.got(HECATE);
    let seen: Vec<Option<String>> = got[..4].iter().map(|p| item(p, "jid")).collect();
    assert_eq!(seen, [None, None, None, Some(HECATE.to_owned())], "nobody's but its own: {:?}", told(&got));
    world.orders(CRONE, COVEN, "nick='hecate' role='moderator'");
    let got = world.got(HECATE);
    assert_eq!(roster(&got)["thirdwitch"].2.as_deref(), Some(HAG), "a new moderator learns them");
    world.submits(CRONE, "<field var='muc#roomconfig_whois'><value>anyone</value></field>");
    assert_eq!(told(&world.got(HAG)).last().unwrap(), "room message 172");
    world.leaves(WICCA, SECOND);
    assert_eq!(item(&world.got(HAG)[0], "jid").as_deref(), Some(WICCA), "by anyone now");
}

#[test]
fn the_room_invites_in_the_name_of_an_occupant() {
    let mut world = gathered(&[]);
    world.submits(
        CRONE,
        "<field var='muc#roomconfig_passwordprotectedroom'><value>1</value></field>\
         <field var='muc#roomconfig_roomsecret'><value>cauldronburn</value></field>",
    );
    world.forget();
    world.send(&format!(
        "<message id='nzd143v8' from='{HAG}' to='{COVEN}'><x xmlns='{MUC_USER}'>\
         <invite to='hecate@shakespeare.lit'><reason>come</reason><continue thread='e0ff'/></invite>\
         <invite to='kit@marlowe.lit/quill'/></x></message>"
    ));
    let got = world.got("hecate@shakespeare.lit");
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].from.as_ref().unwrap().as_str(), got[0].ty()), (COVEN, ""));
    let x = x(&got[0]);
    let invite = x.get_child("invite", MUC_USER).unwrap();
    assert_eq!(invite.attr("from"), Some(THIRD), "no real address");
    assert_eq!(invite.get_child("reason", MUC_USER).unwrap().text(), "come");
    assert_eq!(invite.get_child("continue", MUC_USER).unwrap().attr("thread"), Some("e0ff"));
    assert_eq!(x.get_child("password", MUC_USER).unwrap().text(), "cauldronburn");
    let direct = got[0].child("x", "jabber:x:conference").unwrap();
    let attributes =
        ["jid", "password", "reason", "continue", "thread"].map(|name| direct.attr(name).unwrap());
    assert_eq!(attributes, [COVEN, "cauldronburn", "come", "true", "e0ff"]);
    assert_eq!(world.got("kit@marlowe.lit/quill").len(), 1);
    assert!(world.got(HAG).is_empty());
}

#[test]
fn a_declined_invitation_is_told_to_the_inviter_alone() {
    let mut world = gathered(&[]);
    for to in [THIRD, "hag66@shakespeare.lit"] {
        world.send(&format!(
            "<message id='jk2' from='{HECATE}' to='{COVEN}'><x xmlns='{MUC_USER}'><decline to='{to}'>\
             <reason>too busy</reason></decline></x></message>"
        ));
        let got = world.got(HAG);
        let x = x(&got[0]);
        let decline = x.get_child("decline", MUC_USER).unwrap();
        assert_eq!(decline.attr("from"), Some("hecate@shakespeare.lit"));
        assert_eq!(decline.get_child("reason", MUC_USER).unwrap().text(), "too busy");
        assert!(world.got(CRONE).is_empty() && world.got(HECATE).is_empty(), "{to}");
    }
    world.send(&format!(
        "<message from='{HECATE}' to='{COVEN}'><x xmlns='{MUC_USER}'><decline to='puck@shakespeare.lit'/></x></message>"
    ));
    assert!(world.got(HECATE).is_empty(), "nobody learns who is not in");
}

#[test]
fn inviting_to_a_members_only_room_makes_members() {
    let mut world = coven(&[("muc#roomconfig_membersonly", "1"), ("muc#roomconfig_allowinvites", "0")]);
    world.sets(CRONE, "<item jid='hag66@shakespeare.lit' affiliation='member'/>");
    world.joins(HAG, THIRD);
    world.forget();
    let invite = |from: &str| {
        format!(
            "<message from='{from}' to='{COVEN}'><x xmlns='{MUC_USER}'><invite to='hecate@shakespeare.lit'/></x></message>"
        )
    };
    world.send(&invite(HAG));
    assert_eq!(the_error(&world.got(HAG)), ("forbidden".into(), "auth".into()));
    world.send(&invite(WICCA));
    assert_eq!(the_error(&world.got(WICCA)), ("not-acceptable".into(), "cancel".into()));
    world.submits(CRONE, "<field var='muc#roomconfig_allowinvites'><value>1</value></field>");
    world.send(&invite(HAG));
    world.joins(HECATE, &format!("{COVEN}/hecate"));
    assert_eq!(roster(&world.got(HECATE))["hecate"].0, "member");
}

#[test]
fn a_room_describes_itself() {
    let mut world = gathered(&[
        ("muc#roomconfig_roomname", "A Dark Cave"),
        ("muc#roomconfig_membersonly", "0"),
        ("muc#roomconfig_persistentroom", "1"),
    ]);
    world.tells(CRONE, COVEN, "<subject>Fire</subject>");
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let xml = world.asks("get", HECATE, COVEN, info)[0].to_xml();
    for part in [
        "category='conference'",
        "type='text'",
        "name='A Dark Cave'",
        "var='http://jabber.org/protocol/muc'",
        "var='muc_persistent'",
        "var='muc_open'",
        "var='muc_unmoderated'",
        "var='muc_semianonymous'",
        "var='muc_unsecured'",
        "var='muc_public'",
        "var='urn:xmpp:sid:0'",
        "var='urn:xmpp:occupant-id:0'",
        "var='http://jabber.org/protocol/muc#self-ping-optimization'",
        "var='http://jabber.org/protocol/muc#stable_id'",
        "muc#roominfo_occupants",
        "<value>Fire</value>",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    assert!(!xml.contains("crone1"), "{xml}");
    world.submits(CRONE, "<field var='muc#roomconfig_membersonly'><value>1</value></field>");
    let xml = world.asks("get", HECATE, COVEN, info)[0].to_xml();
    assert!(xml.contains("muc_membersonly") && !xml.contains("<value>Fire</value>"), "{xml}");
}

#[test]
fn a_service_lists_its_public_rooms_and_a_room_its_occupants_to_those_inside() {
    let mut world = gathered(&[("muc#roomconfig_roomname", "Cave")]);
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let xml = world.asks("get", HECATE, CHAT, items)[0].to_xml();
    assert!(xml.contains("jid='coven@chat.shakespeare.lit'") && xml.contains("name='Cave'"), "{xml}");
    let inside = world.asks("get", HAG, COVEN, items)[0].to_xml();
    assert!(["firstwitch", "secondwitch", "thirdwitch"].iter().all(|n| inside.contains(n)), "{inside}");
    assert!(world.asks("get", HECATE, COVEN, items)[0].to_xml().contains("witch"), "anybody may walk in");
    world.sets(CRONE, "<item jid='hecate@shakespeare.lit' affiliation='outcast'/>");
    assert!(!world.asks("get", HECATE, COVEN, items)[0].to_xml().contains("witch"), "but she may not");
    world.sets(CRONE, "<item jid='hecate@shakespeare.lit' affiliation='none'/>");
    world.submits(CRONE, "<field var='muc#roomconfig_publicroom'><value>0</value></field>");
    assert!(!world.asks("get", HECATE, COVEN, items)[0].to_xml().contains("witch"), "strangers see nobody");
    assert!(!world.asks("get", HECATE, CHAT, items)[0].to_xml().contains("coven"), "hidden");
    let info = world.asks("get", HECATE, CHAT, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    for feature in ["", "#stable_id"] {
        assert!(info[0].to_xml().contains(&format!("var='http://jabber.org/protocol/muc{feature}'")));
    }
}

#[test]
fn a_reserved_nick_is_told_to_its_holder_and_kept_for_it() {
    let mut world = coven(&[]);
    world.sets(CRONE, "<item jid='hag66@shakespeare.lit' nick='thirdwitch' affiliation='member'/>");
    let node = "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>";
    assert!(world.asks("get", HAG, COVEN, node)[0].to_xml().contains("name='thirdwitch'"));
    assert!(!world.asks("get", HECATE, COVEN, node)[0].to_xml().contains("identity"));
    world.joins(HECATE, &format!("{COVEN}/ThirdWitch"));
    assert_eq!(the_error(&world.got(HECATE)), ("conflict".into(), "cancel".into()));
    assert_eq!(
        world.sets(CRONE, "<item jid='hecate@shakespeare.lit' nick='thirdwitch' affiliation='member'/>"),
        of("conflict", "cancel"),
        "one nick, one holder"
    );
    world.restart(COVEN);
    world.sets(CRONE, "<item jid='hag66@shakespeare.lit' affiliation='outcast'/>");
    world.joins(HECATE, &format!("{COVEN}/ThirdWitch"));
    assert!(roster(&world.got(HECATE)).contains_key("ThirdWitch"), "a ban frees the nick");
}

#[test]
fn requests_to_occupants_pass_without_showing_addresses() {
    let mut world = gathered(&[]);
    let disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    world.send(&format!("<iq type='get' id='d1' from='{HAG}' to='{SECOND}'>{disco}</iq>"));
    let passed = world.got(WICCA).remove(0);
    assert_eq!(passed.from.as_ref().unwrap().as_str(), THIRD);
    let id = passed.id.as_deref().unwrap().to_owned();
    world.send(&format!("<iq type='result' id='{id}' from='{WICCA}' to='{THIRD}'>{disco}</iq>"));
    let answer = world.got(HAG).remove(0);
    assert_eq!((answer.from.as_ref().unwrap().as_str(), answer.id.as_deref()), (SECOND, Some("d1")));
    world.send(&format!("<iq type='result' id='{id}' from='{WICCA}' to='{THIRD}'>{disco}</iq>"));
    assert!(world.got(HAG).is_empty() && world.got(WICCA).is_empty(), "asked once, answered once");
}

#[test]
fn a_vcard_is_the_accounts_to_give() {
    let mut world = gathered(&[]);
    world
        .send(&format!("<iq type='get' id='v1' from='{HAG}' to='{SECOND}'><vCard xmlns='vcard-temp'/></iq>"));
    let account = "wiccarocks@shakespeare.lit";
    let id = world.got(account)[0].id.as_deref().unwrap().to_owned();
    world.send(&format!(
        "<iq type='result' id='{id}' from='{account}' to='{THIRD}'><vCard xmlns='vcard-temp'/></iq>"
    ));
    let answer = world.got(HAG).remove(0);
    assert_eq!((answer.from.as_ref().unwrap().as_str(), answer.id.as_deref()), (SECOND, Some("v1")));
}

#[test]
fn pings_tell_whether_one_is_in() {
    let mut world = gathered(&[]);
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    for to in [COVEN, THIRD, CHAT] {
        assert_eq!(world.asks("get", HAG, to, ping)[0].ty(), "result", "{to}");
    }
    assert_eq!(error(&world.asks("get", HECATE, THIRD, ping)[0]), of("not-acceptable", "cancel"));
    assert_eq!(
        error(&world.asks("get", HAG, &format!("{COVEN}/gone"), ping)[0]),
        of("item-not-found", "cancel")
    );
}

#[test]
fn errors_and_unasked_results_are_never_answered() {
    let mut world = gathered(&[]);
    let error = format!("<error type='cancel'><bad-request xmlns='{ERROR}'/></error>");
    for to in [COVEN, SECOND, CHAT, "nowhere@chat.shakespeare.lit", "nowhere@chat.shakespeare.lit/x"] {
        for from in [HAG, HECATE] {
            world.send(&format!("<iq type='result' id='r' from='{from}' to='{to}'/>"));
            world.send(&format!("<iq type='error' id='r' from='{from}' to='{to}'>{error}</iq>"));
            world.send(&format!("<message type='error' from='{from}' to='{to}'>{error}</message>"));
            world.send(&format!("<presence type='error' from='{from}' to='{to}'>{error}</presence>"));
        }
    }
    for user in [CRONE, WICCA, HAG, HECATE] {
        assert!(world.got(user).is_empty(), "{user}");
    }
}
