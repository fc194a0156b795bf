//! Leaving, and being found gone (XEP-0045 §7.14, §17.2).

use crate::common::*;
use crate::stage::everywhere;

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
