//! Who has missed what was said (XEP-0437).

use crate::common::*;
use crate::stage::{Stage, everywhere};

fn missed(stage: &Stage) -> Vec<String> {
    let missed = stage.world.missed.get(&jid(stage.room)).cloned().unwrap_or_default();
    missed.iter().map(ToString::to_string).collect()
}

fn knows(stage: &Stage, user: &str) -> bool {
    missed(stage).iter().any(|missed| missed == jid(user).bare_str())
}

#[test]
fn those_who_belong_and_are_not_in_have_missed_it() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.far]);
        stage.says(stage.far, "groupchat", "<body>hail</body>");
        for (user, expected) in [
            (stage.admin, true),
            (stage.member, true),
            (stage.owner, false),
            (stage.stranger, false),
            (stage.banned, false),
            (stage.far, false),
            (stage.far_owner, true),
        ] {
            assert_eq!(knows(stage, user), expected, "{user}: {:?}", missed(stage));
        }
    });
}

#[test]
fn whoever_comes_in_at_any_instance_has_caught_up() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        stage.says(stage.owner, "groupchat", "<body>hail</body>");
        for user in [stage.member, stage.far_owner] {
            assert!(knows(stage, user), "{user}");
            stage.enters(user);
            assert!(!knows(stage, user), "{user}");
            stage.world.leaves(user, &format!("{}/{}", stage.at(user), crate::stage::local(user)));
            assert!(!knows(stage, user), "{user} has heard everything");
            stage.says(stage.owner, "groupchat", "<body>thrice</body>");
            assert!(knows(stage, user), "{user} is out again");
        }
    });
}

#[test]
fn only_what_is_said_counts() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        for inner in
            ["<subject>Scene 1</subject>", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"]
        {
            stage.says(stage.owner, "groupchat", inner);
            assert!(missed(stage).is_empty(), "{inner}");
        }
    });
}

#[test]
fn whoever_belongs_no_more_is_told_nothing() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner]);
        stage.says(stage.owner, "groupchat", "<body>hail</body>");
        for (user, affiliation) in [(stage.member, "none"), (stage.admin, "outcast")] {
            assert!(knows(stage, user));
            let item = format!("jid='{}' affiliation='{affiliation}'", jid(user).bare_str());
            stage.world.orders(stage.owner, stage.room, &item);
            assert!(!knows(stage, user), "{user}");
        }
    });
}
