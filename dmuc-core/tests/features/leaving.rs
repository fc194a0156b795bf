//! Leaving, and being found gone (XEP-0045 §7.14, §17.2).

use crate::common::*;
use crate::stage::everywhere;

#[test]
fn whoever_leaves_or_turns_away_hears_it_under_the_id_of_its_wish() {
    for (ty, inner) in [("", "<show>away</show>"), ("type='unavailable'", "<status>bye</status>")] {
        everywhere(&[], |stage| {
            stage.gather(&[stage.owner, stage.stranger, stage.far]);
            let (from, to) = (stage.stranger, stage.nick("stranger"));
            stage.world.send(&format!("<presence {ty} id='p1' from='{from}' to='{to}'>{inner}</presence>"));
            for (user, id) in [(stage.stranger, Some("p1")), (stage.owner, None), (stage.far, None)] {
                let got = stage.got(user);
                assert_eq!(got.len(), 1, "{user}: {got:?}");
                assert_eq!(got[0].id.as_deref(), id, "{user} {ty}");
            }
        });
    }
}

#[test]
fn one_of_two_clients_leaves_under_the_id_of_its_wish() {
    everywhere(&[], |stage| {
        let (desk, phone, nick) = (stage.stranger, format!("{}2", stage.stranger), stage.nick("stranger"));
        stage.gather(&[stage.owner, desk]);
        stage.world.joins(&phone, &nick);
        stage.world.forget();
        stage.world.send(&format!("<presence type='unavailable' id='p1' from='{phone}' to='{nick}'/>"));
        let got = stage.got(&phone);
        assert_eq!((got.len(), got[0].id.as_deref(), got[0].ty()), (1, Some("p1"), "unavailable"));
        assert!(stage.got(desk).is_empty() && stage.got(stage.owner).is_empty(), "it is still in");
    });
}

#[test]
fn what_bounces_from_an_occupant_tells_whether_it_is_gone() {
    const GONE: &str = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    const REFUSED: &str =
        "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for (kind, error, is_gone) in [
        ("presence", GONE, true),
        ("message", GONE, true),
        // Says no more than that nothing arrives.
        ("presence", "", true),
        ("message", "", false),
        ("presence", REFUSED, false),
        ("message", REFUSED, false),
    ] {
        everywhere(&[], |stage| {
            stage.gather(&[stage.owner, stage.stranger, stage.far]);
            let (from, to) = (stage.stranger, stage.nick("stranger"));
            stage.world.send(&format!("<{kind} type='error' from='{from}' to='{to}'>{error}</{kind}>"));
            let heard = |codes: &[u16]| if is_gone { vec![codes.to_vec()] } else { Vec::new() };
            for (user, expected) in [
                (stage.stranger, heard(&[333, 110])),
                (stage.owner, heard(&[333])),
                (stage.far, heard(&[333])),
            ] {
                let got: Vec<_> = stage.got(user).iter().map(codes).collect();
                assert_eq!(got, expected, "{user}, {kind} {error}");
            }
        });
    }
}
