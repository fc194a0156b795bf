//! What discovery tells of a room (XEP-0045 §6.4, §15.5.4; XEP-0128).

use std::collections::BTreeMap;

use crate::common::*;
use crate::stage::{Place, Stage, everywhere};

/// The fields of `muc#roominfo`: type and values by name.
fn info(stage: &mut Stage, user: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let info = stage.asks("get", user, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    let form = info.children[0].element().unwrap().get_child("x", "jabber:x:data").unwrap().clone();
    assert_eq!(form.attr("type"), Some("result"));
    let values = |field: &minidom::Element| {
        field.children().filter(|child| child.name() == "value").map(minidom::Element::text).collect()
    };
    let fields = form.children().map(|field| {
        let ty = field.attr("type").unwrap_or("text-single").to_owned();
        (field.attr("var").unwrap().to_owned(), (ty, values(field)))
    });
    fields.collect()
}

#[test]
fn every_registered_field_is_told() {
    let options = [
        ("muc#roomconfig_roomdesc", "The place for all good witches!"),
        ("muc#roomconfig_lang", "en"),
        ("muc#maxhistoryfetch", "50"),
        ("muc#roomconfig_changesubject", "1"),
        ("muc#roomconfig_enablelogging", "1"),
        ("muc#roomconfig_pubsub", "xmpp:pubsub.shakespeare.lit?;node=the-coven-node"),
        ("{urn:xmpp:dmuc:sync:0}contacts", "crone1@shakespeare.lit"),
    ];
    everywhere(&options, |stage| {
        let domain = jid(stage.room).domain().to_owned();
        stage.world.policy(&domain).logs_url = Some("https://logs.example/{room}/".to_owned());
        stage.gather(&[stage.owner, stage.far]);
        stage.says(stage.owner, "groupchat", "<subject>Spells</subject>");
        let told = info(stage, stage.stranger);
        for (var, ty, value) in [
            ("muc#roominfo_description", "text-single", "The place for all good witches!"),
            ("muc#roominfo_contactjid", "jid-multi", "crone1@shakespeare.lit"),
            ("muc#roominfo_subject", "text-single", "Spells"),
            ("muc#roominfo_subjectmod", "boolean", "1"),
            ("muc#roominfo_occupants", "text-single", "2"),
            ("muc#roominfo_lang", "text-single", "en"),
            ("muc#roominfo_logs", "text-single", "https://logs.example/coven/"),
            ("muc#maxhistoryfetch", "text-single", "50"),
            ("muc#roomconfig_changesubject", "boolean", "1"),
            ("muc#roomconfig_pubsub", "text-single", "xmpp:pubsub.shakespeare.lit?;node=the-coven-node"),
        ] {
            let expected = (ty.to_owned(), vec![value.to_owned()]);
            assert_eq!(told.get(var), Some(&expected), "{var}");
        }
        let source = told.get("dmuc-source").map(|(_, values)| values.clone());
        let named = (stage.place == Place::Shadow).then(|| vec![stage.far_room.to_owned()]);
        assert_eq!(source, named, "a shadow names its source");
    });
}

#[test]
fn what_is_not_set_is_not_told() {
    everywhere(&[("muc#roomconfig_enablelogging", "1")], |stage| {
        let told = info(stage, stage.stranger);
        for var in [
            "muc#roominfo_description",
            "muc#roominfo_contactjid",
            "muc#roominfo_lang",
            "muc#roominfo_logs",
            "muc#roominfo_ldapgroup",
            "muc#roominfo_avatarhash",
            "muc#roomconfig_pubsub",
            "hats#hash",
        ] {
            assert_eq!(told.get(var), None, "{var}");
        }
    });
}

#[test]
fn too_many_contacts_are_refused() {
    everywhere(&[], |stage| {
        let values: String = (0..17).map(|n| format!("<value>c{n}@x.example</value>")).collect();
        let form = format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
             <field var='{{urn:xmpp:dmuc:sync:0}}contacts'>{values}</field></x></query>"
        );
        let answer = stage.asks("set", stage.owner, &form);
        assert_eq!(error(&answer), Some(("not-acceptable".into(), "modify".into())));
    });
}

#[test]
fn what_only_looks_like_a_request_is_refused() {
    everywhere(&[], |stage| {
        for (ty, payload) in [
            ("get", "<item xmlns='http://jabber.org/protocol/disco#items' jid='coven'/>"),
            ("get", "<identity xmlns='http://jabber.org/protocol/disco#info'/>"),
            ("get", "<version xmlns='jabber:iq:version'/>"),
            ("get", "<pong xmlns='urn:xmpp:ping'/>"),
            ("get", "<item xmlns='http://jabber.org/protocol/muc#admin' affiliation='member'/>"),
            ("get", "<x xmlns='http://jabber.org/protocol/muc#owner'/>"),
            ("set", "<destroy xmlns='http://jabber.org/protocol/muc#owner'><destroy/></destroy>"),
            ("set", "<remove xmlns='jabber:iq:register'><remove/></remove>"),
            ("set", "<note xmlns='http://jabber.org/protocol/commands' node='x'/>"),
        ] {
            let service = stage.room.split('@').next_back().unwrap();
            for to in [stage.room, service] {
                let answer = stage.asks_of(ty, stage.owner, to, payload);
                assert_eq!(error(&answer), Some(("bad-request".into(), "modify".into())), "{to}: {payload}");
            }
        }
        assert_eq!(
            stage.asks("get", stage.owner, "<ping xmlns='urn:xmpp:ping'/>").ty(),
            "result",
            "it stands"
        );
    });
}
