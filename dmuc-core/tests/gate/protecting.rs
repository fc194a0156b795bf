//! Configuration: what cannot be held closes the room.

use crate::common::*;
use crate::helpers::*;

#[test]
fn what_a_configuration_is_refused_for() {
    let mut world = gathered();
    let ver = |term: u32, n: u64| format!("<ver {SYNC} term='{term}' n='{n}'/>");
    let set = |child: &str| iq("set", COVEN, AT_ROOMS, child);
    let wrong = config(&ver(1, 99), "").replace("muc#roomconfig", "muc#register");
    for case in [
        case(
            "an older term",
            AT_ROOMS,
            set(&config(&ver(0, 99), "")),
            ("unexpected-request", "modify", Some("stale")),
        ),
        case("another form", AT_ROOMS, set(&wrong), ("bad-request", "modify", None)),
        case("no form", AT_ROOMS, set(&format!("<config {DMUC}/>")), ("bad-request", "modify", None)),
        case(
            "no such shadow",
            "moor@rooms.macbeth.lit",
            iq("set", COVEN, "moor@rooms.macbeth.lit", &config(&ver(1, 9), "")),
            ("item-not-found", "cancel", None),
        ),
    ] {
        check(&mut world, &case);
    }
    let before = world.record(AT_ROOMS);
    let old = set(&config(&ver(1, 1), "<field var='muc#roomconfig_roomname'><value>old</value></field>"));
    assert_eq!(hears(&mut world, AT_ROOMS, &old)[0].ty(), "result", "an older version is no error");
    assert_eq!(world.record(AT_ROOMS), before, "and changes nothing");
    let unknown = set(&config(&ver(1, 99), "<field var='muc#roomconfig_weather'><value>fog</value></field>"));
    let answer = hears(&mut world, AT_ROOMS, &unknown).remove(0);
    assert_eq!(answer.ty(), "result");
    assert_eq!(answer.child("unsupported", "urn:xmpp:dmuc:sync:0").unwrap().text(), "muc#roomconfig_weather");
}

#[test]
fn a_shadow_that_cannot_protect_the_room_closes_it() {
    let fields = [
        ("muc#roomconfig_membersonly", "perhaps"),
        ("muc#roomconfig_moderatedroom", "perhaps"),
        ("muc#roomconfig_whois", "admins"),
        ("muc#roomconfig_maxusers", "plenty"),
        ("muc#roomconfig_passwordprotectedroom", "perhaps"),
    ];
    for (var, value) in fields {
        let mut world = gathered();
        let field = format!("<field var='{var}'><value>{value}</value></field>");
        let form = config(&format!("<ver {SYNC} term='1' n='99'/>"), &field);
        let answers = hears(&mut world, AT_ROOMS, &iq("set", COVEN, AT_ROOMS, &form));
        assert_eq!(the_error(&answers), ("not-acceptable".into(), "modify".into()), "{var}");
        assert!(
            answers[0]
                .to_xml()
                .contains(&format!("<unsupported xmlns='urn:xmpp:dmuc:sync:0'>{var}</unsupported>"))
        );
        let roster = format!("<roster {DMUC}/>");
        hears(&mut world, AT_ROOMS, &iq("set", COVEN, AT_ROOMS, &roster));
        for _ in 0..2 {
            world.joins("hag@macbeth.lit/x", &format!("{AT_ROOMS}/hag"));
            let refused = the_error(&world.got("hag@macbeth.lit/x"));
            assert_eq!(
                refused,
                ("recipient-unavailable".into(), "wait".into()),
                "{var}: a roster does not open it"
            );
            world.restart(AT_ROOMS);
        }
    }
}

#[test]
fn a_suspended_shadow_gets_nothing_until_it_can_hold_the_room() {
    let mut world = gathered();
    let name = |name: &str| [("muc#roomconfig_roomname", name.to_owned())];
    let configure = |world: &mut World, to: &str| {
        let fields = name(to);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(var, value)| (*var, value.as_str())).collect();
        world.configures(CRONE, COVEN, &fields);
    };
    configure(&mut world, "Heath");
    let asked = world.mail(EVIL).into_iter().find(|s| s.to_xml().contains("<config")).unwrap();
    let refusal =
        asked.error(&dmuc_core::stanza::StanzaError::new(dmuc_core::stanza::Condition::NotAcceptable));
    world.send(&refusal.unwrap().to_xml());
    world.agree(EVIL, true);
    world.forget();
    world.says(CRONE, COVEN, "secret").says(WITCH, AT_ROOMS, "secret too");
    assert!(world.mail(EVIL).is_empty(), "neither from the source nor from other shadows");
    let said = format!(
        "<message type='groupchat' from='{AT_EVIL}/imp' to='{COVEN}/imp'><body>hi</body><ev {SYNC} i='1' s='1' h='{H}' id='{EID}'/></message>"
    );
    for at in [COVEN, AT_ROOMS] {
        check(&mut world, &case("suspended", at, said.replace(COVEN, at), FORBIDDEN));
    }
    configure(&mut world, "Moor");
    world.agree(EVIL, true);
    world.forget();
    world.says(CRONE, COVEN, "welcome back").says(WITCH, AT_ROOMS, "so say I");
    let mut heard = bodies(&world.mail(EVIL));
    heard.sort();
    assert_eq!(heard, ["so say I", "welcome back"]);
}

#[test]
fn what_a_vcard_is_refused_for() {
    let mut world = gathered();
    let vcard = |attributes: &str, inner: &str| {
        iq("set", COVEN, AT_ROOMS, &format!("<vcard {SYNC} {attributes}>{inner}</vcard>"))
    };
    let card = |inner: &str| format!("<vCard xmlns='vcard-temp'>{inner}</vCard>");
    let bad = ("bad-request", "modify", None);
    let large = card(&format!("<PHOTO><BINVAL>{}</BINVAL></PHOTO>", "QUJD".repeat(12_500)));
    for case in [
        case(
            "one that is larger than our operator allows",
            AT_ROOMS,
            vcard("term='1' n='1'", &large),
            ("policy-violation", "modify", None),
        ),
        case(
            "an older term",
            AT_ROOMS,
            vcard("term='0' n='1'", &card("")),
            ("unexpected-request", "modify", Some("stale")),
        ),
        case("no version", AT_ROOMS, vcard("term='1'", &card("")), bad),
        case("no vCard", AT_ROOMS, vcard("term='1' n='1'", ""), bad),
        case("no base64", AT_ROOMS, vcard("term='1' n='1'", &card("<PHOTO><BINVAL>!</BINVAL></PHOTO>")), bad),
    ] {
        check(&mut world, &case);
    }
    let set = |n: u64, name: &str| vcard(&format!("term='1' n='{n}'"), &card(&format!("<FN>{name}</FN>")));
    hears(&mut world, AT_ROOMS, &set(2, "new"));
    let before = world.record(AT_ROOMS);
    assert_eq!(hears(&mut world, AT_ROOMS, &set(1, "old"))[0].ty(), "result", "an older version is no error");
    assert_eq!(world.record(AT_ROOMS), before, "and changes nothing");
}
