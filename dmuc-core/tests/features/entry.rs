//! Entering (XEP-0045 §7.2).

use crate::common::*;
use crate::stage::everywhere;

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
