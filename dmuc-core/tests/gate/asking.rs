//! What occupants elsewhere ask of one alone: who they are and what they may do is ours to know.

use crate::common::*;
use crate::helpers::*;

const USER: &str = "xmlns='http://jabber.org/protocol/muc#user'";
const BAD: (&str, &str, Option<&str>) = ("bad-request", "modify", None);

#[test]
fn what_asides_are_refused_for() {
    let mut world = gathered();
    world.orders(CRONE, COVEN, "jid='villain@shakespeare.lit' affiliation='outcast'");
    world.agree(EVIL, true);
    let message = |from: &str, to: &str, child: &str| {
        format!("<message id='x1' from='{from}' to='{to}'>{child}</message>")
    };
    let (imp, nobody) = (format!("{AT_EVIL}/imp"), format!("{AT_EVIL}/nobody"));
    let (kit, ghost) = (format!("{COVEN}/kit"), format!("{COVEN}/ghost"));
    let foo = format!("{COVEN}/foo");
    let version = "<query xmlns='jabber:iq:version'/>";
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                <value>http://jabber.org/protocol/muc#request</value></field></x>";
    let invite = |to: &str| format!("<x {USER}><invite to='{to}'/></x>");
    let decline = |from: &str| format!("<x {USER}><decline from='{from}'/></x>");
    let item_not_found = ("item-not-found", "cancel", None);
    for case in [
        case("a request of nobody", COVEN, iq("get", &nobody, &foo, version), UNKNOWN),
        case("a request of the room itself", COVEN, iq("get", AT_EVIL, &foo, version), UNKNOWN),
        case("a request to one of another instance", COVEN, iq("get", &imp, &kit, version), item_not_found),
        case("a request to nobody", COVEN, iq("get", &imp, &ghost, version), item_not_found),
        case(
            "an invitation of nobody",
            COVEN,
            iq("set", &nobody, COVEN, &invite("hag@shakespeare.lit")),
            UNKNOWN,
        ),
        case("an invitation of none", COVEN, iq("set", &imp, COVEN, &format!("<x {USER}/>")), BAD),
        case(
            "an invitation of a malformed address",
            COVEN,
            iq("set", &imp, COVEN, &invite("@@")),
            ("jid-malformed", "modify", None),
        ),
        case(
            "an invitation of somebody else's user",
            COVEN,
            iq("set", &imp, COVEN, &invite("hag@macbeth.lit")),
            ("not-allowed", "cancel", None),
        ),
        case(
            "an invitation of the banned",
            COVEN,
            iq("set", &imp, COVEN, &invite("villain@shakespeare.lit")),
            ("not-allowed", "cancel", None),
        ),
        case(
            "a decline of a user of ours",
            COVEN,
            message(AT_EVIL, &foo, &decline("hag@shakespeare.lit")),
            NOT_AUTHORITATIVE,
        ),
        case(
            "a decline of another peer's user",
            COVEN,
            message(AT_EVIL, &foo, &decline("hag@macbeth.lit")),
            NOT_AUTHORITATIVE,
        ),
        case(
            "a decline to one of another instance",
            COVEN,
            message(AT_EVIL, &kit, &decline("hag@evil.example")),
            item_not_found,
        ),
        case("a request of voice of nobody", COVEN, message(&nobody, COVEN, form), UNKNOWN),
        case(
            "a request of voice of one who has it",
            COVEN,
            message(&imp, COVEN, form),
            ("forbidden", "auth", None),
        ),
        case("a message to the room about nothing", COVEN, message(&imp, COVEN, "<body>hi</body>"), BAD),
    ] {
        check(&mut world, &case);
    }
}

#[test]
fn a_peer_registers_only_those_whom_it_answers_for_and_none_but_as_members() {
    let mut world = gathered();
    let propose = |actor: &str, wish: &str| {
        let proposal =
            format!("<propose {SYNC} id='{EID}' h='{H}' base='1' actor='{actor}'>{wish}</propose>");
        iq("set", AT_EVIL, COVEN, &proposal)
    };
    let register = |nick: &str| format!("<query xmlns='jabber:iq:register'><nick>{nick}</nick></query>");
    for case in [
        case("a user of ours", COVEN, propose("hag@shakespeare.lit", &register("hag")), NOT_AUTHORITATIVE),
        case(
            "the nick of another",
            COVEN,
            propose("imp@evil.example", &register("foo")),
            ("conflict", "cancel", None),
        ),
        case("no nick", COVEN, propose("imp@evil.example", "<query xmlns='jabber:iq:register'/>"), BAD),
    ] {
        check(&mut world, &case);
    }
    world.send(&propose("imp@evil.example", &register("imp")));
    world.agree(EVIL, true);
    let seen = world.got(CRONE);
    assert_eq!(roster(&seen)["imp"].0, "member", "{seen:?}");
}
