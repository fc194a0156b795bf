//! Entering (XEP-0045 §7.2).

use crate::common::*;
use crate::stage::*;

#[test]
fn who_may_enter_and_who_may_not() {
    for (options, user, expected) in [
        (&[][..], "stranger", None),
        (&[], "banned", Some(("forbidden", "auth"))),
        (&[("muc#roomconfig_membersonly", "1")], "stranger", Some(("registration-required", "auth"))),
        (&[("muc#roomconfig_membersonly", "1")], "member", None),
        (
            &[("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")],
            "member",
            Some(("not-authorized", "auth")),
        ),
    ] {
        everywhere(options, |stage| {
            let user = match user {
                "stranger" => stage.stranger,
                "banned" => stage.banned,
                _ => stage.member,
            };
            stage.enters(user);
            let got = stage.got(user);
            let refusal = got.iter().find_map(error);
            let expected = expected.map(|(condition, kind)| (condition.to_owned(), kind.to_owned()));
            assert_eq!(refusal, expected, "{user} with {options:?}: {got:?}");
        });
    }
}

#[test]
fn an_occupant_is_seen_at_both_instances() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        stage.enters(stage.stranger);
        for user in [stage.owner, stage.far] {
            assert_eq!(nicks(&stage.got(user)), ["stranger"], "{user}");
        }
    });
}

#[test]
fn history_that_cannot_be_understood_keeps_nobody_out() {
    let secret = [("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "s")];
    everywhere(&secret, |stage| {
        let enter = |stage: &mut Stage, user: &str, history: &str| {
            let to = format!("{}/{}", stage.at(user), local(user));
            stage.world.send(&format!(
                "<presence from='{user}' to='{to}'><x xmlns='http://jabber.org/protocol/muc'>\
                 <password>s</password>{history}</x></presence>"
            ));
        };
        enter(stage, stage.owner, "");
        for text in ["one", "two"] {
            stage.world.says(stage.owner, stage.room, text);
        }
        for (n, (history, expected)) in [
            ("<history since='yesterday'/>", &["one", "two"][..]),
            ("<history maxstanzas='-1' seconds='99999999999'/>", &["one", "two"]),
            ("<history since='' maxstanzas='1'/>", &["two"]),
            ("<history since='?' maxchars='0'/>", &[]),
        ]
        .into_iter()
        .enumerate()
        {
            let user = format!("hag{n}@{}", stage.stranger.split('@').nth(1).unwrap());
            enter(stage, &user, history);
            assert_eq!(bodies(&stage.got(&user)), expected, "{history}");
        }
    });
}

#[test]
fn groupchat_1_is_spoken_where_the_operator_wants_it() {
    use dmuc_core::policy::Groupchat1;
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        let to = stage.nick("stranger");
        let old = format!("<presence from='{}' to='{to}'/>", stage.stranger);
        stage.world.send(&old);
        let got = stage.got(stage.stranger);
        assert_eq!((got.len(), got[0].ty(), codes(&got[0])), (1, "unavailable", vec![110, 307, 333]));
        let domain = jid(stage.room).domain().to_owned();
        stage.world.policy(&domain).groupchat_1 = Groupchat1::Accept;
        stage.world.send(&old);
        let got = stage.got(stage.stranger);
        assert_eq!(nicks(&got), [local(stage.owner), "stranger"], "{got:?}");
        assert!(got.last().unwrap().has("subject"));
        let new = format!("<presence from='{}' to='heath@{domain}/stranger'/>", stage.stranger);
        stage.world.send(&new).joins(stage.owner, &format!("heath@{domain}/owner"));
        assert_eq!(nicks(&stage.got(stage.owner)).len(), 2, "an instant room: nobody could unlock it");
    });
}
