//! Private messages (XEP-0045 §7.5), and what comes back of them.

use crate::common::*;
use crate::stage::*;

const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What `user` sends back for the message with the id `w`, which came from `nick`.
fn returns(stage: &mut Stage, user: &str, nick: &str, condition: &str) {
    let to = format!("{}/{nick}", stage.at(user));
    stage.world.send(&format!(
        "<message type='error' id='w' from='{user}' to='{to}'><error type='cancel' by='{user}'>\
         <{condition} xmlns='{ERRORS}'/><text xmlns='{ERRORS}'>{user} will not</text></error></message>"
    ));
}

fn whispers(stage: &mut Stage, from: &str, nick: &str) {
    let to = format!("{}/{nick}", stage.at(from));
    stage
        .world
        .send(&format!("<message type='chat' id='w' from='{from}' to='{to}'><body>psst</body></message>"));
}

#[test]
fn a_message_that_is_sent_back_reaches_its_sender() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        for (from, to) in [(stage.owner, stage.stranger), (stage.owner, stage.far), (stage.far, stage.owner)]
        {
            whispers(stage, from, local(to));
            assert_eq!(bodies(&stage.got(to)), ["psst"], "{from} to {to}");
            returns(stage, to, local(from), "service-unavailable");
            let got = stage.got(from);
            assert_eq!(the_error(&got), ("service-unavailable".into(), "cancel".into()), "{from} to {to}");
            let back = (got[0].from.as_ref().unwrap().as_str(), got[0].id.as_deref());
            assert_eq!(back, (&*format!("{}/{}", stage.at(from), local(to)), Some("w")));
            assert!(!got[0].to_xml().contains(bare(to)), "no real address: {}", got[0].to_xml());
            returns(stage, to, local(from), "not-acceptable");
            assert!(stage.got(from).is_empty(), "only once");
            whispers(stage, from, local(to));
            assert_eq!(bodies(&stage.got(to)), ["psst"], "and nobody is taken for gone");
        }
    });
}

#[test]
fn a_message_that_meets_nobody_any_more_shows_who_is_gone() {
    everywhere(&[], |stage| {
        stage.gather(&[stage.owner, stage.stranger, stage.far]);
        whispers(stage, stage.owner, local(stage.stranger));
        returns(stage, stage.stranger, local(stage.owner), "item-not-found");
        let got = stage.got(stage.owner);
        assert_eq!(error(&got[0]).unwrap().0, "item-not-found");
        assert_eq!((got[1].ty(), codes(&got[1])), ("unavailable", vec![333]));
        assert_eq!(codes(&stage.got(stage.far)[0]), [333]);
    });
}
