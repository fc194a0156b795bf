//! Who may see and change the lists of a room (XEP-0045 §9, §10.3 to §10.8).

use crate::common::*;
use crate::stage::*;

/// A `muc#admin` request of a user; its refusal, or the `jid` and `nick` of each item.
fn asks(stage: &mut Stage, ty: &str, user: &str, items: &str) -> Result<Vec<String>, (String, String)> {
    let answer = stage.asks(ty, user, &format!("<query xmlns='{MUC_ADMIN}'>{items}</query>"));
    if let Some(refusal) = error(&answer) {
        return Err(refusal);
    }
    let query = answer.child("query", MUC_ADMIN).map(|query| query.element().unwrap());
    let text = |item: &minidom::Element| {
        format!("{} {}", item.attr("jid").unwrap_or(""), item.attr("nick").unwrap_or(""))
    };
    Ok(query.iter().flat_map(|query| query.children()).map(|item| text(item).trim().to_owned()).collect())
}

fn refused(condition: &str, kind: &str) -> Result<Vec<String>, (String, String)> {
    Err((condition.to_owned(), kind.to_owned()))
}

#[test]
fn the_lists_of_owners_and_admins_are_the_owners() {
    everywhere(&[], |stage| {
        for affiliation in ["owner", "admin"] {
            let item = format!("<item affiliation='{affiliation}'/>");
            assert!(asks(stage, "get", stage.owner, &item).is_ok(), "{affiliation}");
            for user in [stage.admin, stage.member, stage.stranger, stage.banned] {
                assert_eq!(
                    asks(stage, "get", user, &item),
                    refused("forbidden", "auth"),
                    "{user} {affiliation}"
                );
            }
            let item = format!("<item affiliation='{affiliation}' jid='x@y.lit'/>");
            assert_eq!(asks(stage, "set", stage.admin, &item), refused("forbidden", "auth"), "{affiliation}");
        }
        let ban = format!("<item affiliation='outcast' jid='{}'/>", bare(stage.owner));
        assert_eq!(asks(stage, "set", stage.admin, &ban), refused("not-allowed", "cancel"));
    });
}

#[test]
fn where_addresses_are_known_members_see_who_runs_the_room() {
    everywhere(&[("muc#roomconfig_whois", "anyone"), ("muc#roomconfig_membersonly", "1")], |stage| {
        for affiliation in ["owner", "admin", "member"] {
            let item = format!("<item affiliation='{affiliation}'/>");
            assert!(asks(stage, "get", stage.member, &item).is_ok(), "{affiliation}, from outside");
            assert_eq!(
                asks(stage, "get", stage.stranger, &item),
                refused("forbidden", "auth"),
                "{affiliation}"
            );
        }
        let banned = "<item affiliation='outcast'/>";
        assert_eq!(asks(stage, "get", stage.member, banned), refused("forbidden", "auth"));
        assert!(asks(stage, "get", stage.admin, banned).is_ok());
    });
}

#[test]
fn a_full_address_stands_for_its_bare_one() {
    everywhere(&[], |stage| {
        let grant = "<item affiliation='member' jid='Hecate@shakespeare.lit/broom'/>";
        assert_eq!(asks(stage, "set", stage.admin, grant), Ok(vec![]));
        let members = asks(stage, "get", stage.admin, "<item affiliation='member'/>").unwrap();
        assert!(members.contains(&"hecate@shakespeare.lit".to_owned()), "{members:?}");
    });
}

#[test]
fn members_are_listed_with_the_nick_that_they_reserved_or_are_in_with() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.member]);
        let members = asks(stage, "get", stage.admin, "<item affiliation='member'/>").unwrap();
        assert!(members.contains(&format!("{} member", bare(stage.member))), "{members:?}");
        let reserve = format!("<item affiliation='member' jid='{}' nick='mab'/>", bare(stage.member));
        assert_eq!(asks(stage, "set", stage.admin, &reserve), Ok(vec![]));
        let members = asks(stage, "get", stage.admin, "<item affiliation='member'/>").unwrap();
        assert!(members.contains(&format!("{} mab", bare(stage.member))), "{members:?}");
    });
}

#[test]
fn an_empty_nick_frees_the_reserved_one() {
    everywhere(&[], |stage| {
        let item = |nick: &str| format!("<item affiliation='member' jid='puck@shakespeare.lit'{nick}/>");
        let members =
            |stage: &mut Stage| asks(stage, "get", stage.owner, "<item affiliation='member'/>").unwrap();
        assert_eq!(asks(stage, "set", stage.owner, &item(" nick='puck'")), Ok(vec![]));
        assert_eq!(asks(stage, "set", stage.owner, &item("")), Ok(vec![]), "says nothing of the nick");
        assert!(members(stage).contains(&"puck@shakespeare.lit puck".to_owned()));
        assert_eq!(asks(stage, "set", stage.owner, &item(" nick=''")), Ok(vec![]));
        assert!(members(stage).contains(&"puck@shakespeare.lit".to_owned()));
        stage.world.joins(stage.stranger, &stage.nick("puck"));
        assert!(stage.got(stage.stranger).iter().all(|stanza| !stanza.is_error()), "anybody may have it");
    });
}
