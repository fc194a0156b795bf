//! What moderators, admins and owners do (XEP-0045 §8, §9, §10).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod room_support;

use common::*;
use room_support::*;

const HAG_BARE: &str = "hag66@shakespeare.lit";
const WICCA_BARE: &str = "wiccarocks@shakespeare.lit";

fn field(var: &str, values: &[&str]) -> String {
    let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
    format!("<field var='muc#roomconfig_{var}'>{values}</field>")
}

#[test]
fn a_kick_removes_names_its_author_and_gives_the_reason() {
    let mut world = gathered(&[]);
    world.send(&format!(
        "<iq type='set' id='kick1' from='{CRONE}' to='{COVEN}'><query xmlns='{MUC_ADMIN}'>\
         <item nick='thirdwitch' role='none'><reason>Avaunt!</reason></item></query></iq>"
    ));
    let own = world.got(HAG);
    assert_eq!(told(&own), ["-thirdwitch none/none 307 110"]);
    assert_eq!(actor(&own[0]).as_deref(), Some("firstwitch"));
    assert_eq!(item_text(&own[0], "reason").as_deref(), Some("Avaunt!"));
    assert_eq!(told(&world.got(CRONE)), ["iq result", "-thirdwitch none/none 307"], "first the answer");
    assert_eq!(told(&world.got(WICCA)), ["-thirdwitch none/none 307"]);
    world.joins(HAG, THIRD);
    assert!(roster(&world.got(HAG)).contains_key("thirdwitch"), "a kick is no ban");
}

#[test]
fn a_ban_removes_every_client_and_keeps_out_in_every_spelling() {
    const BALCONY: &str = "hag66@shakespeare.lit/balcony";
    let mut world = gathered(&[]);
    world.joins(BALCONY, &format!("{COVEN}/hag"));
    world.forget();
    let ban = "<item jid='Hag66@Shakespeare.lit.' affiliation='outcast'><reason>Treason</reason></item>";
    assert_eq!(world.sets(CRONE, ban), None);
    for (client, nick) in [(HAG, "thirdwitch"), (BALCONY, "hag")] {
        let got = world.got(client);
        let line = format!("-{nick} outcast/none 301 110");
        assert!(told(&got).contains(&line), "{line} in {:?}", told(&got));
        let own = got.iter().find(|s| codes(s).contains(&110)).unwrap();
        assert_eq!(item_text(own, "reason").as_deref(), Some("Treason"));
        world.joins(client, &format!("{COVEN}/back"));
        assert_eq!(the_error(&world.got(client)), ("forbidden".into(), "auth".into()));
    }
    assert_eq!(world.lists(CRONE, "affiliation='outcast'"), Ok(vec![HAG_BARE.into()]));
    world.restart(COVEN);
    world.joins("hag66@shakespeare.lit./x", &format!("{COVEN}/back"));
    assert_eq!(the_error(&world.got("hag66@shakespeare.lit/x")).0, "forbidden");
    assert_eq!(world.sets(CRONE, &format!("<item jid='{HAG_BARE}' affiliation='none'/>")), None);
    world.joins(HAG, THIRD);
    assert!(roster(&world.got(HAG)).contains_key("thirdwitch"));
}

#[test]
fn a_whole_domain_can_be_banned() {
    let mut world = coven(&[]);
    world.joins("kit@marlowe.lit/quill", &format!("{COVEN}/kit"));
    assert_eq!(world.sets(CRONE, "<item jid='marlowe.lit' affiliation='outcast'/>"), None);
    let got = world.got("kit@marlowe.lit/quill");
    assert_eq!(told(&got).last().unwrap(), "-kit outcast/none 301 110");
    world.joins("tom@marlowe.lit/x", &format!("{COVEN}/tom"));
    assert_eq!(the_error(&world.got("tom@marlowe.lit/x")), ("forbidden".into(), "auth".into()));
}

#[test]
fn granting_and_revoking_are_shown_to_all() {
    let mut world = gathered(&[("muc#roomconfig_moderatedroom", "1")]);
    let steps = [
        ("nick='thirdwitch' role='participant'", "none/participant"),
        ("nick='thirdwitch' role='visitor'", "none/visitor"),
        ("nick='thirdwitch' role='moderator'", "none/moderator"),
        ("jid='hag66@shakespeare.lit' affiliation='member'", "member/participant"),
        ("jid='hag66@shakespeare.lit' affiliation='admin'", "admin/moderator"),
        ("jid='hag66@shakespeare.lit' affiliation='owner'", "owner/moderator"),
        ("nick='thirdwitch' affiliation='member'", "member/participant"),
        ("jid='hag66@shakespeare.lit' affiliation='none'", "none/visitor"),
    ];
    for (order, shown) in steps {
        world.forget();
        assert_eq!(world.sets(CRONE, &format!("<item {order}/>")), None, "{order}");
        let own = told(&world.got(HAG));
        assert!(own.contains(&format!("+thirdwitch {shown} 110")), "{order}: {own:?}");
        assert_eq!(told(&world.got(WICCA)), [format!("+thirdwitch {shown}")], "{order}");
    }
}

#[test]
fn a_role_granted_for_a_visit_ends_with_it() {
    let mut world = gathered(&[("muc#roomconfig_persistentroom", "1")]);
    for end in ["leave", "kick", "restart"] {
        assert_eq!(world.sets(CRONE, "<item nick='thirdwitch' role='moderator'/>"), None);
        match end {
            "leave" => drop(world.leaves(HAG, THIRD)),
            "kick" => drop(world.sets(CRONE, "<item nick='thirdwitch' role='none'/>")),
            _ => {
                world.restart(COVEN);
                world.sets(CRONE, "<item nick='secondwitch' role='moderator'/>");
                world.leaves(HAG, THIRD);
            }
        }
        world.forget();
        world.joins(HAG, THIRD);
        assert_eq!(roster(&world.got(HAG))["thirdwitch"].1, "participant", "{end}");
    }
}

#[test]
fn a_change_is_all_or_nothing() {
    let mut world = gathered(&[]);
    world.sets(CRONE, &format!("<item jid='{WICCA_BARE}' affiliation='admin'/>"));
    world.forget();
    let refused = world.sets(
        WICCA,
        "<item jid='eve@x.lit' affiliation='outcast'/><item jid='crone1@shakespeare.lit' affiliation='outcast'/>",
    );
    assert_eq!(refused, of("not-allowed", "cancel"));
    assert_eq!(world.lists(CRONE, "affiliation='outcast'"), Ok(vec![]));
    let mixed =
        world.sets(WICCA, "<item nick='thirdwitch' role='none'/><item jid='x@y.lit' affiliation='owner'/>");
    assert_eq!(mixed, of("forbidden", "auth"));
    assert!(world.got(HAG).is_empty(), "not kicked either");
    let both = "<item jid='a@x.lit' affiliation='member'/><item jid='b@x.lit' affiliation='outcast'/>";
    assert_eq!(world.sets(WICCA, both), None);
    assert_eq!(world.lists(WICCA, "affiliation='member'"), Ok(vec!["a@x.lit".into()]));
    assert_eq!(world.lists(WICCA, "affiliation='outcast'"), Ok(vec!["b@x.lit".into()]));
}

#[test]
fn items_about_one_user_add_up() {
    let mut world = gathered(&[]);
    let items =
        "<item jid='hag66@shakespeare.lit' affiliation='member'/><item nick='thirdwitch' role='moderator'/>";
    assert_eq!(world.sets(CRONE, items), None);
    assert_eq!(told(&world.got(WICCA)), ["+thirdwitch member/moderator"]);
}

#[test]
fn a_room_keeps_an_owner() {
    let mut world = gathered(&[]);
    for item in [
        "<item jid='crone1@shakespeare.lit' affiliation='admin'/>",
        "<item nick='firstwitch' affiliation='none'/>",
        "<item jid='x@y.lit' affiliation='owner'/><item jid='x@y.lit' affiliation='none'/>\
         <item jid='crone1@shakespeare.lit' affiliation='member'/>",
    ] {
        assert_eq!(world.sets(CRONE, item), of("conflict", "cancel"), "{item}");
    }
    for form in [
        field("roomowners", &[]),
        field("roomadmins", &["crone1@shakespeare.lit"]) + &field("roomowners", &[]),
    ] {
        assert_eq!(world.submits(CRONE, &form), of("conflict", "cancel"), "{form}");
    }
    assert_eq!(world.lists(CRONE, "affiliation='owner'"), Ok(vec!["crone1@shakespeare.lit".into()]));
    assert_eq!(world.sets(CRONE, &format!("<item jid='{HAG_BARE}' affiliation='owner'/>")), None);
    assert_eq!(world.sets(CRONE, "<item nick='firstwitch' affiliation='admin'/>"), None, "now she may go");
    assert_eq!(world.submits(CRONE, ""), of("forbidden", "auth"));
    assert_eq!(world.submits(HAG, ""), None);
}

#[test]
fn the_form_changes_the_lists_too() {
    let mut world = gathered(&[]);
    let form = field("roomadmins", &[WICCA_BARE, "x@y.lit"])
        + &field("roomowners", &["crone1@shakespeare.lit", HAG_BARE]);
    assert_eq!(world.submits(CRONE, &form), None);
    let shown = roster(&world.got(HAG));
    assert_eq!((&*shown["secondwitch"].0, &*shown["thirdwitch"].0), ("admin", "owner"));
    let form = field("roomadmins", &["crone1@shakespeare.lit"]) + &field("roomowners", &[HAG_BARE]);
    assert_eq!(world.submits(HAG, &form), None);
    assert_eq!(world.lists(HAG, "affiliation='owner'"), Ok(vec![HAG_BARE.into()]));
    assert_eq!(world.lists(HAG, "affiliation='admin'"), Ok(vec!["crone1@shakespeare.lit".into()]));
    assert_eq!(world.lists(HAG, "affiliation='member'"), Ok(vec![WICCA_BARE.into(), "x@y.lit".into()]));
}

#[test]
fn lists_are_for_those_of_rank() {
    let mut world = gathered(&[]);
    for (jid, affiliation) in [(WICCA_BARE, "admin"), (HAG_BARE, "member"), ("x@y.lit", "outcast")] {
        world.sets(CRONE, &format!("<item jid='{jid}' affiliation='{affiliation}'/>"));
    }
    world.joins(HECATE, &format!("{COVEN}/hecate"));
    let forbidden = || Err::<Vec<String>, String>("forbidden".into());
    let rows = [
        (CRONE, [true, true, true, true]),
        (WICCA, [false, false, true, true]),
        (HAG, [false, false, false, false]),
        (HECATE, [false, false, false, false]),
        ("outsider@x.lit/y", [false, false, false, false]),
    ];
    for (user, may) in rows {
        for (affiliation, may) in ["owner", "admin", "member", "outcast"].iter().zip(may) {
            let answer = world.lists(user, &format!("affiliation='{affiliation}'"));
            assert_eq!(answer.is_ok(), may, "{user} {affiliation}: {answer:?}");
        }
        let moderates = user == CRONE || user == WICCA;
        assert_eq!(world.lists(user, "role='participant'").is_ok(), moderates, "{user}");
    }
    assert_eq!(world.lists(HAG, "affiliation='member'"), forbidden(), "they would learn real addresses");
    world.sets(CRONE, "<item nick='thirdwitch' role='moderator'/>");
    assert!(world.lists(HAG, "role='participant'").is_ok(), "a moderator sees who has voice");
    assert_eq!(world.lists(HAG, "role='moderator'"), forbidden(), "moderators are the admins' to manage");
    world.sets(CRONE, "<item nick='thirdwitch' role='participant'/>");
    world.submits(CRONE, &field("whois", &["anyone"]));
    assert_eq!(world.lists(HAG, "affiliation='owner'"), Ok(vec!["crone1@shakespeare.lit".into()]));
    assert_eq!(world.lists(HECATE, "affiliation='owner'"), forbidden(), "but no stranger");
    assert_eq!(world.lists(HAG, "affiliation='outcast'"), forbidden());
    assert_eq!(
        world.lists(HAG, "affiliation='member'"),
        Ok(vec![HAG_BARE.into()]),
        "now they know them anyway"
    );
    world.leaves(HAG, THIRD);
    assert_eq!(world.lists(HAG, "affiliation='member'"), Ok(vec![HAG_BARE.into()]), "from outside as well");
    world.joins(HAG, THIRD);
    world.submits(CRONE, &field("getmemberlist", &["moderator"]));
    assert_eq!(world.lists(HAG, "affiliation='member'"), forbidden());
    assert_eq!(world.lists(CRONE, "role='participant'"), Ok(vec!["hecate".into(), "thirdwitch".into()]));
}

#[test]
fn list_items_say_what_they_must() {
    let mut world = gathered(&[]);
    world.sets(CRONE, &format!("<item jid='{HAG_BARE}' nick='hag' affiliation='member'/>"));
    let get = |item: &str| format!("<query xmlns='{MUC_ADMIN}'><item {item}/></query>");
    let members = world.asks("get", CRONE, COVEN, &get("affiliation='member'"))[0].to_xml();
    assert!(
        members.contains("<item affiliation='member' jid='hag66@shakespeare.lit' nick='hag'/>"),
        "{members}"
    );
    let voices = world.asks("get", CRONE, COVEN, &get("role='participant'"))[0].to_xml();
    let hag = format!("<item affiliation='member' jid='{HAG}' nick='thirdwitch' role='participant'/>");
    assert!(voices.contains(&hag), "{voices}");
}

#[test]
fn turning_members_only_on_sends_the_others_away() {
    let mut world = gathered(&[]);
    world.sets(CRONE, &format!("<item jid='{WICCA_BARE}' affiliation='member'/>"));
    world.forget();
    assert_eq!(world.submits(CRONE, &field("membersonly", &["1"])), None);
    assert_eq!(told(&world.got(HAG)), ["room message 104", "-thirdwitch none/none 322 110"]);
    assert_eq!(told(&world.got(WICCA)), ["room message 104", "-thirdwitch none/none 322"]);
    world.forget();
    world.sets(CRONE, &format!("<item jid='{WICCA_BARE}' affiliation='none'/>"));
    assert_eq!(told(&world.got(WICCA)), ["-secondwitch none/none 321 110"], "and whoever loses membership");
}

#[test]
fn configuration_changes_are_told_by_kind() {
    let mut world = gathered(&[]);
    let steps = [
        (field("roomname", &["Heath"]), vec![104]),
        (field("enablelogging", &["1"]), vec![170]),
        (field("enablelogging", &["0"]), vec![171]),
        (field("whois", &["anyone"]), vec![172]),
        (field("whois", &["moderators"]), vec![173]),
        (field("roomname", &["Heath"]), vec![]),
    ];
    for (form, expected) in steps {
        world.forget();
        assert_eq!(world.submits(CRONE, &form), None);
        let got = world.got(HAG);
        assert_eq!(got.iter().flat_map(codes).collect::<Vec<_>>(), expected, "{form}");
        assert!(got.iter().all(|m| m.ty() == "groupchat" && m.from.as_ref().unwrap().as_str() == COVEN));
    }
}

#[test]
fn limits_stay_within_the_services_policy() {
    let mut world = World::with(&[CHAT]);
    world.policy(CHAT).history_max = 5;
    world.policy(CHAT).occupants_max = 2;
    world.creates(CRONE, FIRST, &[("muc#maxhistoryfetch", "5000"), ("muc#roomconfig_maxusers", "1000")]);
    let config = world.instance(COVEN).config().unwrap().clone();
    assert_eq!((config.history_length, config.max_users), (5, Some(2)));
    world.joins(HAG, THIRD).joins(WICCA, SECOND);
    assert_eq!(the_error(&world.got(WICCA)), ("service-unavailable".into(), "wait".into()));
    world.joins("hag66@shakespeare.lit/other", THIRD);
    assert!(!world.got("hag66@shakespeare.lit/other").is_empty(), "no occupant more");
    world.sets(CRONE, &format!("<item jid='{WICCA_BARE}' affiliation='admin'/>"));
    world.joins(WICCA, SECOND);
    assert!(roster(&world.got(WICCA)).contains_key("secondwitch"), "admins always get in");
}

#[test]
fn a_password_is_asked_of_everybody() {
    let mut world = coven(&[]);
    let form = field("passwordprotectedroom", &["1"]) + &field("roomsecret", &["cauldronburn"]);
    assert_eq!(world.submits(CRONE, &form), None);
    let join = |password: &str| {
        format!(
            "<presence from='{HAG}' to='{THIRD}'><x xmlns='http://jabber.org/protocol/muc'>{password}</x></presence>"
        )
    };
    for wrong in ["", "<password/>", "<password>cauldronburN</password>"] {
        world.send(&join(wrong));
        let got = world.got(HAG);
        assert_eq!(the_error(&got), ("not-authorized".into(), "auth".into()));
        assert!(got[0].child("x", "http://jabber.org/protocol/muc").is_some(), "marked as a join");
    }
    world.send(&join("<password>cauldronburn</password>"));
    assert!(roster(&world.got(HAG)).contains_key("thirdwitch"));
    world.joins(HAG, THIRD);
    assert!(roster(&world.got(HAG)).contains_key("thirdwitch"), "who is in may ask again without");
    world.leaves(CRONE, FIRST).forget();
    world.joins(CRONE, FIRST);
    assert_eq!(the_error(&world.got(CRONE)), ("not-authorized".into(), "auth".into()), "owners can read it");
}

#[test]
fn presence_is_broadcast_for_the_roles_configured() {
    let mut world = gathered(&[("muc#roomconfig_moderatedroom", "1")]);
    let broadcast = field("presencebroadcast", &["moderator", "participant"]);
    assert_eq!(world.submits(CRONE, &broadcast), None);
    assert!(told(&world.got(CRONE)).contains(&"-thirdwitch none/none".to_owned()), "now hidden");
    world.forget();
    world.joins(HECATE, &format!("{COVEN}/hecate"));
    assert_eq!(
        told(&world.got(HECATE)),
        ["+firstwitch owner/moderator", "+hecate none/visitor 110", "room subject: "]
    );
    assert!(world.got(CRONE).is_empty());
    world.orders(CRONE, COVEN, "nick='hecate' role='participant'");
    assert!(told(&world.got(CRONE)).contains(&"+hecate none/participant".to_owned()), "now shown");
    world.orders(CRONE, COVEN, "nick='hecate' role='visitor'");
    assert!(told(&world.got(CRONE)).contains(&"-hecate none/none".to_owned()), "hidden again");
}

#[test]
fn destruction_sends_everyone_elsewhere() {
    let mut world = gathered(&[("muc#roomconfig_persistentroom", "1")]);
    let destroy = "<destroy jid='heath@chat.shakespeare.lit'><password>p</password><reason>Macbeth doth come.</reason></destroy>";
    assert_eq!(world.destroys(WICCA, destroy), of("forbidden", "auth"));
    assert_eq!(world.destroys(CRONE, destroy), None);
    for (user, nick) in [(CRONE, "firstwitch"), (WICCA, "secondwitch"), (HAG, "thirdwitch")] {
        let got = world.got(user);
        assert_eq!(told(&got), [format!("-{nick} none/none 110")], "{user}: one presence each");
        let x = x(&got[0]);
        let destroy = x.get_child("destroy", MUC_USER).unwrap();
        assert_eq!(destroy.attr("jid"), Some("heath@chat.shakespeare.lit"));
        let text = |name| destroy.get_child(name, MUC_USER).unwrap().text();
        assert_eq!((text("password"), text("reason")), ("p".into(), "Macbeth doth come.".into()));
    }
    world.joins(HAG, THIRD);
    let got = world.got(HAG);
    assert_eq!(the_error(&got), ("gone".into(), "cancel".into()));
    assert!(got[0].to_xml().contains("xmpp:heath@chat.shakespeare.lit?join"));
}

#[test]
fn a_destroyed_room_leaves_its_address_free_unless_others_know_it() {
    for (options, stays) in [(vec![], false), (vec![("muc#roomconfig_distributed", "1")], true)] {
        let mut world = coven(&options);
        assert_eq!(world.destroys(CRONE, "<destroy/>"), None);
        world.joins(HAG, THIRD);
        let got = world.got(HAG);
        if stays {
            assert_eq!(the_error(&got), ("gone".into(), "cancel".into()));
            world.says(HAG, COVEN, "anybody?");
            assert_eq!(the_error(&world.got(HAG)), ("gone".into(), "cancel".into()));
            world.wait(366 * 86_400_000);
            world.joins(HAG, THIRD);
            assert_eq!(codes(&world.got(HAG)[0]), [110, 201], "a year later");
        } else {
            assert_eq!(codes(&got[0]), [110, 201], "a new room, a new owner");
        }
    }
}

#[test]
fn service_administrators_own_every_room() {
    let mut world = gathered(&[]);
    world.policy(CHAT).admins = vec![jid("puck@shakespeare.lit")];
    assert_eq!(world.submits("puck@shakespeare.lit/x", &field("roomname", &["Forest"])), None);
    assert_eq!(
        world.sets(CRONE, "<item jid='puck@shakespeare.lit' affiliation='outcast'/>"),
        of("not-allowed", "cancel")
    );
}
