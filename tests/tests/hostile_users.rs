//! Stanzas made to break the reader: whoever sends them is refused or thrown out, and nobody else notices.

use std::time::{Duration, Instant};

use dmuc_tests::story::{COVEN, Coven};
use dmuc_tests::{CHAT, Client, Element, ROOMS, Requirement, Software, World, missing};

use Requirement as Needs;

/// A message to the room with this inside.
fn message(room: &str, attributes: &str, content: &str) -> String {
    format!(
        "<message to='{room}' type='groupchat' id='hostile'{attributes}>{content}<body>boo</body></message>"
    )
}

/// Waits until the attacker has been refused or thrown out; or its stanza has come through with what was wrong with it
/// taken away, as ejabberd does with attributes it does not know.
fn refused_or_disarmed(client: &Client, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let answered =
        || client.since(0).iter().any(|stanza| stanza.attr("id") == "hostile" && is_harmless(stanza));
    while !client.is_closed() && !answered() {
        assert!(Instant::now() < deadline, "{what}: neither refused nor thrown out");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_harmless(stanza: &Element) -> bool {
    let children = stanza.all("a").len() + stanza.all("blob").len();
    stanza.kind() == "error" || (stanza.attributes.len() < 10 && children == 0)
}

fn attacks(room: &str) -> [(&'static str, String); 3] {
    let nested = format!("{}{}", "<a>".repeat(5_000), "</a>".repeat(5_000));
    let attributes: String = (0..20_000).map(|number| format!(" a{number}=''")).collect();
    let huge = format!("<blob xmlns='x'>{}</blob>", "x".repeat(10_000_000));
    [
        ("5 000 nested elements", message(room, "", &format!("<n xmlns='x'>{nested}</n>"))),
        ("20 000 attributes", message(room, &attributes, "")),
        ("10 MB", message(room, "", &huge)),
    ]
}

fn everybody_else_lives_on(software: [Software; 3]) {
    let mut coven = Coven::founded(World::new(software));
    coven.join("hag66@macbeth.lit/pda", ROOMS, "thirdwitch");
    let pids = [CHAT, ROOMS].map(|site| coven.world.dmucd(site).pid());
    for (site, jid) in [(ROOMS, "somewitch@macbeth.lit"), (CHAT, "wiccarocks@shakespeare.lit")] {
        for (number, (what, attack)) in attacks(COVEN[site]).into_iter().enumerate() {
            let attacker = coven.world.login(&format!("{jid}/{number}"));
            attacker.join(COVEN[site], &format!("attacker{number}"));
            attacker.raw(&attack);
            refused_or_disarmed(&attacker, what);
            let mark = coven.mark();
            let text = format!("still here after {what} at {site}");
            coven.witch("thirdwitch").says(&text);
            coven.all_hear(mark, &text);
            attacker.disconnect();
        }
    }
    for (site, pid) in [CHAT, ROOMS].into_iter().zip(pids) {
        let dmucd = coven.world.dmucd(site);
        assert!(dmucd.is_running() && dmucd.pid() == pid, "the daemon lives on");
    }
}

#[test]
fn behind_prosody() {
    if missing("hostile_users::behind_prosody", &[Needs::Prosody, Needs::Slixmpp]) {
        return;
    }
    everybody_else_lives_on([Software::Prosody; 3]);
}

#[test]
fn behind_ejabberd() {
    if missing("hostile_users::behind_ejabberd", &[Needs::Prosody, Needs::Ejabberd, Needs::Slixmpp]) {
        return;
    }
    everybody_else_lives_on([Software::Ejabberd, Software::Prosody, Software::Prosody]);
}
