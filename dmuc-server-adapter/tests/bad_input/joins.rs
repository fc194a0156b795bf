//! Nicks and joining.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dmuc_core::policy::MayCreate;

use crate::common::{CHAT, TestStore};
use crate::wire::*;

const MALFORMED: Expected = Some(("jid-malformed", "modify"));
const CONFLICT: Expected = Some(("conflict", "cancel"));
const FORBIDDEN: Expected = Some(("forbidden", "auth"));

fn muc(nick: &str) -> String {
    format!("<presence to='{COVEN}/{nick}'><x xmlns='{MUC}'/></presence>")
}

#[tokio::test]
async fn nicks() {
    let mut server = Server::coven(&[]).await;
    let bare = format!("<presence to='{COVEN}'><x xmlns='{MUC}'/></presence>");
    let rows = [
        ("no nick", bare.clone(), MALFORMED),
        ("no nick, to no room", bare.replace("coven", "nowhere"), MALFORMED),
        ("a space", muc(" "), MALFORMED),
        ("Hangul filler", muc("\u{3164}"), MALFORMED),
        ("braille blank", muc("\u{2800}"), MALFORMED),
        ("zero width space", muc("third\u{200b}witch"), MALFORMED),
        ("right to left override", muc("\u{202e}hctiwdriht"), MALFORMED),
        ("soft hyphen", muc("third\u{ad}witch"), MALFORMED),
        ("1 024 bytes", muc(&"n".repeat(1024)), MALFORMED),
        ("65 characters", muc(&"n".repeat(65)), Some(("policy-violation", "modify"))),
        ("taken", muc("thirdwitch"), CONFLICT),
        ("taken, in capitals", muc("ThirdWitch"), CONFLICT),
        ("taken, with a space", muc("thirdwitch "), CONFLICT),
        ("taken, Cyrillic", muc("thirdwit\u{441}h"), CONFLICT),
        ("taken, full width", muc("\u{ff34}hirdwitch"), CONFLICT),
        ("reserved", muc("Hecate"), CONFLICT),
        ("reserved, otherwise spelt", muc("hec\u{430}te"), CONFLICT),
    ];
    server.table(KIT, &rows).await;
    let emoji = server.exchange(&sent_by(KIT, &muc("\u{1f9d9}"))).await;
    assert!(
        emoji.iter().all(|stanza| stanza.ty().is_empty() || stanza.ty() == "groupchat"),
        "emoji are welcome"
    );
}

#[tokio::test]
async fn who_may_not_come_in() {
    let mut server = Server::coven(&[]).await;
    for banned in ["tom@marlowe.lit/x", "user@evil.example/x"] {
        server.table(banned, &[("banned", muc("somebody"), FORBIDDEN)]).await;
    }
    // However it is spelt: the answer goes to the address as it is.
    for spelt in ["TOM@Marlowe.lit/x", "tom@marlowe.lit./x", "user@EVIL.example./x"] {
        let got = server.exchange(&sent_by(spelt, &muc("somebody"))).await;
        assert_eq!(
            got.iter().filter_map(error).collect::<Vec<_>>(),
            [("forbidden".to_owned(), "auth".to_owned())]
        );
    }
    let mut server = Server::coven(&[("membersonly", "1")]).await;
    server.table(KIT, &[("not a member", muc("kit"), Some(("registration-required", "auth")))]).await;
    let mut server = Server::coven(&[("passwordprotectedroom", "1"), ("roomsecret", "cauldronburn")]).await;
    let wrong = muc("kit").replace("/></presence>", "><password>boil</password></x></presence>");
    let not_authorized = Some(("not-authorized", "auth"));
    server
        .table(KIT, &[("no password", muc("kit"), not_authorized), ("another", wrong, not_authorized)])
        .await;
    let mut server = Server::coven(&[("maxusers", "3")]).await;
    server.table(KIT, &[("full", muc("kit"), Some(("service-unavailable", "wait")))]).await;
}

#[tokio::test]
async fn rooms_that_are_not_there_for_everybody() {
    let mut server = Server::start(|_| {}).await;
    server.exchange(&join(CRONE, COVEN, "firstwitch")).await;
    server.table(KIT, &[("not configured yet", muc("kit"), Some(("item-not-found", "cancel")))]).await;
    let mut server = Server::start(|policy| policy.may_create = MayCreate::Local).await;
    let got = server.exchange(&sent_by(KIT, &muc("kit"))).await;
    check("may not create", KIT, "", &got, Some(("not-allowed", "cancel")));
    let mut server = Server::coven(&[]).await;
    let destroy = format!(
        "<iq type='set' id='d' from='{CRONE}' to='{COVEN}'><query xmlns='{MUC_OWNER}'>\
         <destroy jid='heath@{CHAT}'/></query></iq>"
    );
    server.exchange(&destroy).await;
    let got = server.exchange(&sent_by(KIT, &muc("kit"))).await;
    check("destroyed", KIT, "", &got, Some(("gone", "cancel")));
    assert!(got[0].to_xml().contains(&format!(">xmpp:heath@{CHAT}?join</gone>")), "{got:?}");
}

#[tokio::test]
async fn one_who_is_not_in_is_told_so() {
    let mut server = Server::coven(&[]).await;
    let got = server.exchange(&sent_by(KIT, &format!("<presence to='{COVEN}/kit'/>"))).await;
    let xml = got[0].to_xml();
    assert!(got.len() == 1 && got[0].ty() == "unavailable", "{got:?}");
    assert!(["110", "307", "333"].iter().all(|code| xml.contains(&format!("code='{code}'"))), "{xml}");
}

#[tokio::test]
async fn the_hundred_and_first_join_in_a_minute() {
    let mut server = Server::coven(&[]).await;
    let leave = sent_by(KIT, &format!("<presence type='unavailable' to='{COVEN}/kit'/>"));
    for _ in 0..100 {
        let got = server.exchange(&format!("{}{leave}", sent_by(KIT, &muc("kit")))).await;
        assert!(got.iter().all(|stanza| !stanza.is_error()), "{got:?}");
    }
    server.table(KIT, &[("101st", muc("kit"), Some(("resource-constraint", "wait")))]).await;
}

/// A room that cannot be read is not taken to be absent: nobody becomes its owner that way.
#[tokio::test]
async fn a_store_that_is_down_gives_no_room_away() {
    let store = Arc::<TestStore>::default();
    let mut server = Server::on(store.clone(), |_| {}).await;
    server.gather(&[("persistentroom", "1")]).await;
    let affiliations = store.parts("affiliation/");
    drop(server);
    let mut server = Server::on(store.clone(), |_| {}).await;
    store.down.store(true, Ordering::SeqCst);
    let got = server.exchange(&sent_by(KIT, &muc("kit"))).await;
    let got: Vec<_> =
        got.into_iter().filter(|stanza| stanza.to.as_ref().is_some_and(|to| to.as_str() == KIT)).collect();
    assert_eq!(
        got.iter().filter_map(error).collect::<Vec<_>>(),
        [("resource-constraint".to_owned(), "wait".to_owned())]
    );
    store.down.store(false, Ordering::SeqCst);
    assert_eq!((store.rooms(), store.parts("affiliation/")), (1, affiliations));
    let got = server.exchange(&sent_by(KIT, &muc("kit"))).await;
    assert!(got.iter().any(|stanza| stanza.ty() == "groupchat"), "it may enter now: {got:?}");
}
