//! Roles in a moderated room, and what is told of people who are not in it (XEP-0045 §5.1, §8, §9, §10).

use crate::common::*;
use crate::stage::*;

#[test]
fn voice_in_a_moderated_room_outlives_the_visit() {
    everywhere(&[("muc#roomconfig_moderatedroom", "1")], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        for (role, kept) in [("participant", "participant"), ("moderator", "visitor"), ("visitor", "visitor")]
        {
            for user in [stage.stranger, stage.far] {
                let nick = format!("nick='{}' role='{role}'", local(user));
                let (owner, room, at) =
                    (stage.owner, stage.room, format!("{}/{}", stage.at(user), local(user)));
                stage.world.orders(owner, room, &nick).leaves(user, &at).forget();
                stage.enters(user);
                assert_eq!(roster(&stage.got(user))[local(user)].1, kept, "{user} was {role}");
            }
        }
    });
}

#[test]
fn whoever_was_silenced_may_speak_where_everybody_may() {
    everywhere(&[("muc#roomconfig_moderatedroom", "1")], |stage| {
        stage.gather(&[stage.owner, stage.stranger]);
        let (owner, room, stranger) = (stage.owner, stage.room, stage.stranger);
        stage.world.orders(owner, room, &format!("nick='{}' role='participant'", local(stranger)));
        stage.world.orders(owner, room, &format!("nick='{}' role='visitor'", local(stranger)));
        stage.world.leaves(stranger, &stage.nick(local(stranger)));
        stage.world.configures(owner, room, &[("muc#roomconfig_moderatedroom", "0")]).forget();
        stage.enters(stranger);
        assert_eq!(roster(&stage.got(stranger))[local(stranger)].1, "participant");
    });
}

/// `affiliation jid status` of each message about somebody who is not in.
fn absent(stanzas: &[dmuc_core::Stanza]) -> Vec<String> {
    let told = stanzas.iter().filter(|stanza| stanza.kind == dmuc_core::stanza::Kind::Message);
    told.filter_map(|stanza| {
        let x = stanza.child("x", MUC_USER)?.element().unwrap();
        let item = x.get_child("item", MUC_USER)?;
        let text = |name| item.attr(name).unwrap_or("-").to_owned();
        Some(format!("{} {} {} {:?}", text("affiliation"), text("jid"), text("role"), codes(stanza)))
    })
    .collect()
}

#[test]
fn the_affiliations_of_absent_people_are_told_to_those_who_may_know_addresses() {
    for (whois, all) in [("moderators", false), ("anyone", true)] {
        everywhere(&[("muc#roomconfig_whois", whois)], |stage| {
            stage.gather(&[stage.owner, stage.stranger, stage.far, stage.far_owner]);
            for (affiliation, line) in [
                ("member", "member puck@x.lit none []"),
                ("owner", "owner puck@x.lit none []"),
                ("outcast", "outcast puck@x.lit none [301]"),
                ("none", "none puck@x.lit none []"),
            ] {
                let item = format!("jid='puck@x.lit' affiliation='{affiliation}'");
                stage.world.orders(stage.owner, stage.room, &item);
                for (user, told) in
                    [(stage.owner, true), (stage.far_owner, true), (stage.stranger, all), (stage.far, all)]
                {
                    let expected: Vec<&str> = if told { vec![line] } else { Vec::new() };
                    assert_eq!(absent(&stage.got(user)), expected, "{user}, {whois}");
                }
                stage.world.orders(stage.owner, stage.room, &item);
                assert!(absent(&stage.got(stage.owner)).is_empty(), "no change");
            }
            let item = format!("jid='{}' affiliation='member'", bare(stage.stranger));
            stage.world.orders(stage.owner, stage.room, &item);
            assert!(absent(&stage.got(stage.owner)).is_empty(), "who is in shows it by presence");
        });
    }
}

#[test]
fn whoever_is_let_into_a_members_only_room_is_invited() {
    everywhere(&[("muc#roomconfig_membersonly", "1")], |stage| {
        stage.gather(&[stage.owner, stage.far_owner]);
        let invitation = |stage: &mut Stage| {
            let got = stage.got("puck@x.lit");
            let x = got.first()?.child("x", MUC_USER)?.element().ok()?;
            x.get_child("invite", MUC_USER)?.attr("from").map(str::to_owned)
        };
        let grant = |stage: &mut Stage, affiliation: &str| {
            stage.world.orders(
                stage.owner,
                stage.room,
                &format!("jid='puck@x.lit' affiliation='{affiliation}'"),
            );
        };
        grant(stage, "member");
        let by = invitation(stage).expect("an invitation");
        assert!(by.ends_with(&format!("/{}", local(stage.owner))), "{by}");
        assert_eq!(the_result(&stage.got(stage.owner)), 1, "the request is answered once");
        grant(stage, "admin");
        grant(stage, "member");
        assert_eq!(invitation(stage), None, "they knew the way in");
        grant(stage, "none");
        stage.world.configures(stage.owner, stage.room, &[("muc#roomconfig_membersonly", "0")]);
        grant(stage, "member");
        assert_eq!(invitation(stage), None, "anybody may come in");
    });
}

fn the_result(stanzas: &[dmuc_core::Stanza]) -> usize {
    stanzas.iter().filter(|stanza| stanza.kind == dmuc_core::stanza::Kind::Iq).count()
}
