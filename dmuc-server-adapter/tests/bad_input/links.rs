//! The component's link: what a server does that goes down, comes back, and repeats itself.

use crate::wire::*;

#[tokio::test]
async fn a_server_that_hangs_up_within_a_stanza_loses_that_stanza_alone() {
    let mut server = Server::coven(&[]).await;
    server.send(format!("<message type='groupchat' from='{HAG}' to='{COVEN}'><body>half a")).await;
    drop(std::mem::replace(&mut server.socket, spare().await));
    server.reconnect().await;
    let got = server.exchange(&groupchat(HAG, COVEN, "whole")).await;
    assert_eq!(got.len(), 3, "the three are still in, and the half is gone: {got:?}");
    assert!(got.iter().all(|stanza| stanza.to_xml().contains("whole")), "{got:?}");
}

#[tokio::test]
async fn joins_and_departures_that_are_repeated_change_nothing() {
    let mut server = Server::coven(&[]).await;
    let others = [CRONE, WICCA];
    let again = server.exchange(&join(HAG, COVEN, "thirdwitch").repeat(3)).await;
    let heard = |got: &[dmuc_core::Stanza]| {
        got.iter().filter(|s| s.to.as_ref().is_some_and(|to| others.contains(&to.as_str()))).count()
    };
    assert_eq!(heard(&again), 0, "nobody else hears that somebody is in who is in: {again:?}");
    let leave = format!("<presence type='unavailable' from='{HAG}' to='{COVEN}/thirdwitch'/>");
    let gone = server.exchange(&leave.repeat(3)).await;
    assert_eq!(gone.len(), 3, "once to each: {gone:?}");
}

/// A socket to put in the place of one that is to be dropped.
async fn spare() -> tokio::net::TcpStream {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    tokio::net::TcpStream::connect(address).await.expect("listening")
}
