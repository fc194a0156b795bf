//! Our component against the server's side of the same protocol.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmuc_core::stanza::{Outbound, Payload, Template};
use dmuc_core::{Address, Stanza};
use dmuc_server_adapter::host::{
    Acceptor, ComponentConfig, ComponentHost, ComponentSink, Delivery, Host, Retry, Secret, Status, handshake,
};
use dmuc_server_adapter::module::{Accepted, Inbound, MucModule, Origin};
use dmuc_server_adapter::wire::{Limits, StreamCondition};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(10);

fn jid(text: &str) -> Address {
    Address::parse(text).expect("a valid address")
}

fn muc() -> Address {
    jid("chat.example.org")
}

/// Notes what comes in.
struct Notes(mpsc::UnboundedSender<Stanza>);

impl MucModule for Notes {
    fn domains(&self) -> Vec<Address> {
        vec![muc()]
    }
    fn handle(&self, inbound: Inbound) -> Accepted {
        assert_eq!(inbound.origin, Origin::Component);
        let _ = self.0.send(inbound.stanza);
        Accepted::Taken
    }
    fn session_closed(&self, _: &Address) {}
    fn peer_link(&self, _: &str, _: bool) {}
}

impl ComponentSink for Notes {
    fn stanza(&self, component: &Address, stanza: Stanza) {
        assert_eq!(*component, muc());
        let _ = self.0.send(stanza);
    }
}

struct Server {
    acceptor: Arc<Acceptor>,
    port: u16,
    heard: mpsc::UnboundedReceiver<Stanza>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("loopback has a free port");
        let port = listener.local_addr().expect("bound").port();
        let (notes, heard) = mpsc::unbounded_channel();
        let acceptor =
            Acceptor::new([(muc(), Secret::new("s3cret"))], Arc::new(Notes(notes)), Limits::default());
        let task = tokio::spawn(Arc::clone(&acceptor).serve(listener));
        Self { acceptor, port, heard, task }
    }

    async fn stop(self) -> u16 {
        self.task.abort();
        let _ = self.task.await;
        self.port
    }
}

struct Component {
    host: Arc<ComponentHost>,
    heard: mpsc::UnboundedReceiver<Stanza>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Component {
    fn start(port: u16, secret: &str, change: impl FnOnce(&mut ComponentConfig)) -> Self {
        let mut config = ComponentConfig::new("127.0.0.1", port, muc(), Secret::new(secret));
        let short = Duration::from_millis(20);
        config.retry = Retry { first: short, most: short * 4, refused: short * 5 };
        change(&mut config);
        let (notes, heard) = mpsc::unbounded_channel();
        let (shutdown, stop) = oneshot::channel::<()>();
        let host = ComponentHost::new(config);
        let running = Arc::clone(&host).run(Arc::new(Notes(notes)), async move { drop(stop.await) });
        Self { host, heard, shutdown: Some(shutdown), task: tokio::spawn(running) }
    }

    async fn is(&self, wanted: impl Fn(&Status) -> bool) {
        let mut status = self.host.status();
        timeout(PATIENCE, status.wait_for(wanted)).await.expect("in time").expect("the host lives");
    }

    async fn connected(&self) {
        self.is(|status| *status == Status::Connected).await;
    }

    async fn refused_with(&self, condition: StreamCondition) {
        self.is(|status| match status {
            Status::Disconnected(Some(error)) => error.to_string().contains(condition.name()),
            _ => false,
        })
        .await;
    }
}

async fn next(heard: &mut mpsc::UnboundedReceiver<Stanza>) -> Stanza {
    timeout(PATIENCE, heard.recv()).await.expect("in time").expect("somebody speaks")
}

fn said(id: &str) -> Stanza {
    let body = Payload::text_element("body", "hello");
    Stanza::message("groupchat")
        .with_id(id)
        .with_from(&jid("room@chat.example.org/n"))
        .with_to(&jid("u@example.org/r"))
        .with(body)
}

fn one(stanza: Stanza) -> Outbound {
    Outbound::One(Box::new(stanza))
}

#[tokio::test]
async fn stanzas_flow_both_ways() {
    let mut server = Server::start(0).await;
    let mut component = Component::start(server.port, "s3cret", |_| {});
    component.connected().await;
    assert_eq!(component.host.try_send(one(said("1"))), Delivery::Accepted);
    assert_eq!(next(&mut server.heard).await, said("1"));
    let to: Arc<[Address]> = (0..1000).map(|n| jid(&format!("u{n}@example.org/r"))).collect();
    let out = Outbound::FanOut { template: Template::new(&said("2")), to: Arc::clone(&to) };
    assert_eq!(component.host.try_send(out), Delivery::Accepted);
    for to in &*to {
        assert_eq!(next(&mut server.heard).await, said("2").with_to(to));
    }
    let request = Stanza::iq("get", "i").with_from(&jid("u@example.org/r")).with_to(&muc());
    assert_eq!(server.acceptor.try_send(&muc(), &one(request.clone())), Delivery::Accepted);
    assert_eq!(next(&mut component.heard).await, request);
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let server = Server::start(0).await;
    let component = Component::start(server.port, "wrong", |_| {});
    component.refused_with(StreamCondition::NotAuthorized).await;
    assert!(server.acceptor.components().is_empty());
}

#[tokio::test]
async fn a_second_connection_conflicts_and_the_first_stays() {
    let mut server = Server::start(0).await;
    let first = Component::start(server.port, "s3cret", |_| {});
    first.connected().await;
    let second = Component::start(server.port, "s3cret", |_| {});
    second.refused_with(StreamCondition::Conflict).await;
    assert_eq!(first.host.try_send(one(said("1"))), Delivery::Accepted);
    assert_eq!(next(&mut server.heard).await, said("1"));
}

#[tokio::test]
async fn what_is_said_while_the_host_is_away_is_kept_up_to_a_bound() {
    let server = Server::start(0).await;
    let component = Component::start(server.port, "s3cret", |config| config.away_bytes_max = 2000);
    component.connected().await;
    let port = server.stop().await;
    component.is(|status| *status != Status::Connected).await;
    let mut queued = Vec::new();
    let mut number = 0;
    let last = loop {
        let id = number.to_string();
        match component.host.try_send(one(said(&id))) {
            Delivery::Queued => queued.push(id),
            other => break other,
        }
        number += 1;
    };
    assert_eq!(last, Delivery::NotConnected);
    assert!((5..20).contains(&queued.len()), "{}", queued.len());
    let mut server = Server::start(port).await;
    component.connected().await;
    for id in queued {
        assert_eq!(next(&mut server.heard).await, said(&id));
    }
    assert_eq!(component.host.try_send(one(said("again"))), Delivery::Accepted);
    assert_eq!(next(&mut server.heard).await, said("again"));
}

#[tokio::test]
async fn shutting_down_sends_what_waits_and_ends_the_stream() {
    let mut server = Server::start(0).await;
    let mut component = Component::start(server.port, "s3cret", |_| {});
    component.connected().await;
    for number in 0..500 {
        assert_eq!(component.host.try_send(one(said(&number.to_string()))), Delivery::Accepted);
    }
    drop(component.shutdown.take());
    timeout(PATIENCE, component.task).await.expect("in time").expect("no panic");
    assert_eq!(component.host.try_send(one(said("late"))), Delivery::Closed);
    for number in 0..500 {
        assert_eq!(next(&mut server.heard).await, said(&number.to_string()));
    }
}

#[tokio::test]
async fn a_full_queue_says_so_and_is_ready_again() {
    let (listener, mut component) = by_hand(|config| config.queue_bytes_max = 100_000).await;
    let (mut socket, _) = shake_hands(&listener).await;
    component.connected().await;
    let big = said("big").with(Payload::text_element("subject", &"s".repeat(90_000)));
    let mut sent = 0;
    while component.host.try_send(one(big.clone())) != Delivery::Full {
        sent += 1;
        assert!(sent < 1000, "the socket takes everything");
        sleep(Duration::from_millis(1)).await;
    }
    assert!(timeout(Duration::from_millis(50), component.host.ready()).await.is_err());
    let reading = tokio::spawn(async move {
        let mut chunk = vec![0; 1 << 20];
        while socket.read(&mut chunk).await.is_ok_and(|bytes| bytes > 0) {}
    });
    timeout(PATIENCE, component.host.ready()).await.expect("there is room again");
    assert_eq!(component.host.try_send(one(big)), Delivery::Accepted);
    drop(component.shutdown.take());
    timeout(PATIENCE, reading).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn a_stanza_too_large_for_the_host_is_not_sent() {
    let mut server = Server::start(0).await;
    let component = Component::start(server.port, "s3cret", |config| config.stanza_bytes_max = 10_000);
    component.connected().await;
    let big = said("big").with(Payload::text_element("subject", &"s".repeat(10_000)));
    assert_eq!(component.host.try_send(one(big)), Delivery::NoRoute);
    assert_eq!(component.host.try_send(one(said("small"))), Delivery::Accepted);
    assert_eq!(next(&mut server.heard).await, said("small"));
}

/// A server that we play ourselves, byte by byte.
async fn by_hand(change: impl FnOnce(&mut ComponentConfig)) -> (TcpListener, Component) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, Component::start(port, "s3cret", change))
}

async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = timeout(PATIENCE, socket.read_u8()).await.expect("in time").expect("a byte");
        text.push(char::from(byte));
    }
    text
}

/// The socket of an authenticated component, and what it sent to get there.
async fn shake_hands(listener: &TcpListener) -> (TcpStream, String) {
    let (mut socket, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a connection");
    let mut heard = read_until(&mut socket, "to='chat.example.org'>").await;
    let header = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
                  xmlns:stream='http://etherx.jabber.org/streams' id='a&amp;b' from='chat.example.org'>";
    socket.write_all(header.as_bytes()).await.expect("connected");
    let proof = read_until(&mut socket, "</handshake>").await;
    assert!(proof.contains(&handshake("a&b", &Secret::new("s3cret"))), "{proof}");
    heard.push_str(&proof);
    socket.write_all(b"<handshake/>").await.expect("connected");
    (socket, heard)
}

#[tokio::test]
async fn a_connection_cut_within_a_stanza_loses_that_stanza_alone() {
    let (listener, mut component) = by_hand(|_| {}).await;
    let (mut socket, heard) = shake_hands(&listener).await;
    assert!(!heard.contains("s3cret"));
    component.connected().await;
    let half = "<presence from='u@x.y/r' to='r@chat.example.org/n'/><message from='u@x.y/r' to='r@chat.example.org'><body>ha";
    socket.write_all(half.as_bytes()).await.expect("connected");
    assert_eq!(next(&mut component.heard).await.kind.name(), "presence");
    drop(socket);
    let (mut socket, _) = shake_hands(&listener).await;
    socket
        .write_all(b"<iq type='get' id='2' from='u@x.y/r' to='chat.example.org'><a/></iq>")
        .await
        .expect("connected");
    assert_eq!(next(&mut component.heard).await.id.as_deref(), Some("2"));
}

#[tokio::test]
async fn hostile_stanzas_are_refused_and_the_link_lives() {
    let (listener, mut component) = by_hand(|_| {}).await;
    let (mut socket, _) = shake_hands(&listener).await;
    component.connected().await;
    let attributes: String = (0..20_000).map(|n| format!(" a{n}='x'")).collect();
    let bad = [
        ("deep", format!("{}{}", "<a>".repeat(5_000), "</a>".repeat(5_000))),
        ("long", format!("<body>{}</body>", "b".repeat(10_000_000))),
        ("wide", format!("<a{attributes}/>")),
    ];
    for (id, inner) in &bad {
        let stanza =
            format!("<message from='u@x.y/r' to='room@chat.example.org' id='{id}'>{inner}</message>");
        socket.write_all(stanza.as_bytes()).await.expect("connected");
        let answer = read_until(&mut socket, "</message>").await;
        let head = format!("<message from='room@chat.example.org' id='{id}' to='u@x.y/r' type='error'>");
        assert!(answer.starts_with(&head) && answer.contains("<policy-violation"), "{answer}");
        assert!(answer.len() < 500, "the payload is not echoed");
    }
    socket
        .write_all(
            b"<message to='room@chat.example.org'/><message from='u@x.y/r' to='chat.example.org' id='ok'/>",
        )
        .await
        .expect("connected");
    assert_eq!(next(&mut component.heard).await.id.as_deref(), Some("ok"));
}

#[tokio::test]
async fn a_stream_that_cannot_go_on_is_ended_with_its_error_and_opened_again() {
    let (listener, component) = by_hand(|_| {}).await;
    let (mut socket, _) = shake_hands(&listener).await;
    component.connected().await;
    socket.write_all(b"<message from='u@x.y/r'><!-- -->").await.expect("connected");
    let end = read_until(&mut socket, "</stream:stream>").await;
    assert!(end.contains("<restricted-xml"), "{end}");
    shake_hands(&listener).await;
}

/// One raw connection to a server of ours: what it answers until it closes.
async fn raw(port: u16, text: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    socket.write_all(text.as_bytes()).await.expect("connected");
    let mut answer = String::new();
    let _ = timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("the server hangs up");
    answer
}

#[tokio::test]
async fn nothing_goes_through_before_the_handshake() {
    let server = Server::start(0).await;
    let header = |to: &str| {
        format!(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{to}'>"
        )
    };
    let (ours, stanza) = (header("chat.example.org"), said("1").to_xml());
    let rows = [
        (format!("{ours}{stanza}"), "not-authorized"),
        (format!("{ours}<handshake>{}</handshake>", "0".repeat(40)), "not-authorized"),
        (format!("{ours}<handshake/>"), "not-authorized"),
        (header("other.example.org"), "host-unknown"),
        (header("chat.example.org").replace("component:accept", "client"), "invalid-namespace"),
    ];
    for (text, condition) in rows {
        let answer = raw(server.port, &text).await;
        assert!(answer.contains(&format!("<{condition} ")), "{text}: {answer}");
    }
    assert!(server.acceptor.components().is_empty());
}

#[tokio::test]
async fn a_component_speaks_for_its_own_domain_only() {
    let server = Server::start(0).await;
    let component = Component::start(server.port, "s3cret", |_| {});
    component.connected().await;
    assert_eq!(
        component.host.try_send(one(said("1").with_from(&jid("room@other.org/n")))),
        Delivery::Accepted
    );
    component.refused_with(StreamCondition::InvalidFrom).await;
}

/// Everything logged through it, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic while logging").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_secret_is_never_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(0).await;
    let component = Component::start(server.port, "hunter2", |_| {});
    component.refused_with(StreamCondition::NotAuthorized).await;
    tracing::info!(host = ?component.host, "in full");
    let text =
        String::from_utf8(log.0.lock().expect("no panic while logging").clone()).expect("logs are text");
    assert!(text.contains("not-authorized") && text.contains("in full"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
