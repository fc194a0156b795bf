//! Lists, roles, configuration and the end of a room.

use crate::wire::*;

const BAD: Expected = Some(("bad-request", "modify"));
const CONFLICT: Expected = Some(("conflict", "cancel"));
const FORBIDDEN: Expected = Some(("forbidden", "auth"));
const MALFORMED: Expected = Some(("jid-malformed", "modify"));
const NOT_ALLOWED: Expected = Some(("not-allowed", "cancel"));
const NOT_FOUND: Expected = Some(("item-not-found", "cancel"));
const TOO_MUCH: Expected = Some(("policy-violation", "modify"));
const UNACCEPTABLE: Expected = Some(("not-acceptable", "modify"));

fn admin(ty: &str, items: &str) -> String {
    format!("<iq type='{ty}' id='i' to='{COVEN}'><query xmlns='{MUC_ADMIN}'>{items}</query></iq>")
}

fn set(item: &str) -> String {
    admin("set", &format!("<item {item}/>"))
}

fn owner(ty: &str, inner: &str) -> String {
    format!("<iq type='{ty}' id='i' to='{COVEN}'><query xmlns='{MUC_OWNER}'>{inner}</query></iq>")
}

fn form(of: &str, fields: &str) -> String {
    let ty = field("FORM_TYPE", &format!("http://jabber.org/protocol/muc#{of}"));
    owner("set", &format!("<x xmlns='jabber:x:data' type='submit'>{ty}{fields}</x>"))
}

#[tokio::test]
async fn a_participant_has_no_power() {
    let mut server = Server::coven(&[]).await;
    let rows = [
        ("kick", set("nick='secondwitch' role='none'"), FORBIDDEN),
        ("take voice", set("nick='secondwitch' role='visitor'"), FORBIDDEN),
        ("make a member", set("jid='x@y.lit' affiliation='member'"), FORBIDDEN),
        ("make an owner of oneself", set("jid='hag66@shakespeare.lit' affiliation='owner'"), FORBIDDEN),
        ("list of the banned", admin("get", "<item affiliation='outcast'/>"), FORBIDDEN),
        ("list of owners", admin("get", "<item affiliation='owner'/>"), FORBIDDEN),
        ("list of moderators", admin("get", "<item role='moderator'/>"), FORBIDDEN),
        ("look at the configuration", owner("get", ""), FORBIDDEN),
        ("configure", form("roomconfig", &field("muc#roomconfig_roomname", "mine")), FORBIDDEN),
        ("destroy", owner("set", "<destroy/>"), FORBIDDEN),
    ];
    server.table(HAG, &rows).await;
    server.table(KIT, &rows).await;
}

#[tokio::test]
async fn an_admin_has_limits() {
    let mut server = Server::coven(&[]).await;
    let ten_thousand = "<item jid='x@y.lit' affiliation='member'/>".repeat(1_900);
    let rows = [
        ("kick an owner", set("nick='firstwitch' role='none'"), NOT_ALLOWED),
        ("take an owner's voice", set("nick='firstwitch' role='visitor'"), NOT_ALLOWED),
        ("ban an owner", set("jid='crone1@shakespeare.lit' affiliation='outcast'"), NOT_ALLOWED),
        ("depose an owner", set("jid='crone1@shakespeare.lit' affiliation='none'"), FORBIDDEN),
        ("make an admin", set("jid='x@y.lit' affiliation='admin'"), FORBIDDEN),
        ("make an owner", set("nick='thirdwitch' affiliation='owner'"), FORBIDDEN),
        ("ban oneself", set("jid='wiccarocks@shakespeare.lit' affiliation='outcast'"), CONFLICT),
        ("ban oneself by nick", set("nick='secondwitch' affiliation='outcast'"), CONFLICT),
        ("no JID", set("jid='x y@z' affiliation='outcast'"), MALFORMED),
        ("unknown affiliation", set("jid='x@y.lit' affiliation='superowner'"), BAD),
        ("unknown role", set("nick='thirdwitch' role='king'"), BAD),
        ("role and affiliation", set("nick='thirdwitch' role='none' affiliation='outcast'"), BAD),
        ("neither", set("jid='x@y.lit'"), BAD),
        ("nobody", set("affiliation='outcast'"), BAD),
        ("no items", admin("set", ""), BAD),
        ("who is not there", set("nick='nobody' role='none'"), NOT_FOUND),
        ("1 900 items", admin("set", &ten_thousand), TOO_MUCH),
        // More than 2 000 elements do not even reach the room.
        (
            "10 000 items",
            admin("set", &"<item jid='x@y.lit' affiliation='member'/>".repeat(10_000)),
            TOO_MUCH,
        ),
        ("unknown list", admin("get", "<item affiliation='x'/>"), BAD),
        ("list of nothing", admin("get", ""), BAD),
        ("look at the configuration", owner("get", ""), FORBIDDEN),
        ("configure", form("roomconfig", ""), FORBIDDEN),
        ("destroy", owner("set", "<destroy/>"), FORBIDDEN),
        (
            "kick nobody and ban somebody",
            admin("set", "<item jid='x@y.lit' affiliation='outcast'/><item nick='nobody' role='none'/>"),
            NOT_FOUND,
        ),
    ];
    server.table(WICCA, &rows).await;
    let banned = server.exchange(&sent_by(WICCA, &admin("get", "<item affiliation='outcast'/>"))).await;
    assert!(!banned[0].to_xml().contains("x@y.lit"), "one refused, none applied: {banned:?}");
}

#[tokio::test]
async fn an_owner_may_not_do_everything() {
    let mut server = Server::coven(&[]).await;
    let value = |var: &str, value: &str| field(&format!("muc#roomconfig_{var}"), value);
    let rows = [
        ("last owner steps down", set("jid='crone1@shakespeare.lit' affiliation='admin'"), CONFLICT),
        ("last owner bans itself", set("jid='crone1@shakespeare.lit' affiliation='outcast'"), CONFLICT),
        ("another form", form("register", ""), BAD),
        ("nothing", owner("set", ""), BAD),
        ("form of a type that is none", owner("set", "<x xmlns='jabber:x:data' type='wish'/>"), BAD),
        ("destroy, for no JID", owner("set", "<destroy jid='a b@c'/>"), MALFORMED),
        (
            "password protection without a password",
            form("roomconfig", &value("passwordprotectedroom", "1")),
            UNACCEPTABLE,
        ),
        (
            "empty password",
            form("roomconfig", &(value("passwordprotectedroom", "1") + &value("roomsecret", ""))),
            UNACCEPTABLE,
        ),
        ("nobody at most", form("roomconfig", &value("maxusers", "0")), UNACCEPTABLE),
        ("nobody may know", form("roomconfig", &value("whois", "nobody")), UNACCEPTABLE),
        ("maybe", form("roomconfig", &value("membersonly", "maybe")), UNACCEPTABLE),
        ("long name", form("roomconfig", &value("roomname", &"n".repeat(256))), UNACCEPTABLE),
        ("twice", form("roomconfig", &value("membersonly", "1").repeat(2)), BAD),
    ];
    server.table(CRONE, &rows).await;
}

#[tokio::test]
async fn strangers_leave_a_room_that_becomes_members_only() {
    let mut server = Server::coven(&[]).await;
    server.exchange(&join(KIT, COVEN, "kit")).await;
    let got = server.exchange(&configure(CRONE, COVEN, &[("membersonly", "1")])).await;
    let told = |who: &str| {
        got.iter()
            .any(|s| s.to.as_ref().is_some_and(|to| to.as_str() == who) && s.to_xml().contains("code='322'"))
    };
    assert!([KIT, CRONE, WICCA, HAG].iter().all(|who| told(who)), "{got:?}");
}
