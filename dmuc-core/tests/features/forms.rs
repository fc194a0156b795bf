//! Forms that clients show to people (XEP-0004).

use dmuc_core::Stanza;

use crate::stage::{MUC_OWNER, Stage, everywhere};

const DATA: &str = "jabber:x:data";

/// The forms in a stanza.
fn forms(stanza: &Stanza) -> Vec<minidom::Element> {
    let inside = |element: minidom::Element| {
        let below = element.children().filter(|child| child.is("x", DATA)).cloned().collect::<Vec<_>>();
        if element.is("x", DATA) { vec![element] } else { below }
    };
    stanza.children.iter().flat_map(|child| inside(child.element().unwrap())).collect()
}

fn every_field_has_a_type(what: &str, stanza: &Stanza) {
    let forms = forms(stanza);
    let fields: Vec<_> =
        forms.iter().flat_map(minidom::Element::children).filter(|child| child.name() == "field").collect();
    assert!(!fields.is_empty(), "{what}: {stanza:?}");
    for field in fields {
        assert!(field.attr("type").is_some(), "{what}: {:?} in {stanza:?}", field.attr("var"));
    }
}

fn command(stage: &mut Stage, user: &str, node: &str) -> Stanza {
    let commands = "http://jabber.org/protocol/commands";
    stage.asks("set", user, &format!("<command xmlns='{commands}' node='{node}'/>"))
}

/// XEP-0004 §3.2: a form to fill in says of every field what it is; there are clients which show no other.
#[test]
fn whoever_is_given_a_form_is_told_what_its_fields_are() {
    everywhere(&[("muc#roomconfig_moderatedroom", "1")], |stage| {
        let (owner, stranger) = (stage.owner, stage.stranger);
        for (user, payload) in [
            (owner, format!("<query xmlns='{MUC_OWNER}'/>")),
            (stranger, "<query xmlns='jabber:iq:register'/>".to_owned()),
            (stage.member, "<query xmlns='urn:xmpp:mam:2'/>".to_owned()),
        ] {
            every_field_has_a_type(&payload, &stage.asks("get", user, &payload));
        }
        for node in ["ban", "statistics", "urn:xmpp:hats:commands:create", "urn:xmpp:hats:commands:assign"] {
            every_field_has_a_type(node, &command(stage, owner, node));
        }
        stage.gather(&[owner, stranger]);
        stage.says(
            stranger,
            "normal",
            "<x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field>\
             <field var='muc#role'><value>participant</value></field></x>",
        );
        let asked = stage.got(owner);
        let asked = asked.iter().find(|stanza| stanza.child("x", DATA).is_some()).expect("it is asked");
        every_field_has_a_type("a request of voice", asked);
        let form = &forms(asked)[0];
        let role = form.children().find(|field| field.attr("var") == Some("muc#role")).unwrap();
        assert_eq!(role.attr("type"), Some("list-single"), "as XEP-0045 §16.5.2 has it");
    });
}
