//! Two small servers in one process, with real sockets for their users.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use dmuc_core::stanza::{Outbound, Payload, Template};
use dmuc_core::{Address, Stanza};
use dmuc_server_adapter::host::{Accounts, Cut, Delivery, Host, Router};
use dmuc_server_adapter::module::{Accepted, Inbound, MucModule, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

fn jid(text: &str) -> Address {
    Address::parse(text).expect("a valid address")
}

#[derive(Debug, PartialEq)]
enum Note {
    Stanza(Stanza, Origin),
    Closed(Address),
    Link(String, bool),
}

struct Notes(Address, mpsc::UnboundedSender<Note>);

impl MucModule for Notes {
    fn domains(&self) -> Vec<Address> {
        vec![self.0.clone()]
    }
    fn handle(&self, inbound: Inbound) -> Accepted {
        let _ = self.1.send(Note::Stanza(inbound.stanza, inbound.origin));
        Accepted::Taken
    }
    fn session_closed(&self, jid: &Address) {
        let _ = self.1.send(Note::Closed(jid.clone()));
    }
    fn peer_link(&self, domain: &str, up: bool) {
        let _ = self.1.send(Note::Link(domain.to_owned(), up));
    }
}

/// A server with users at `domain` and a module at `chat.domain`.
struct Site {
    host: Arc<dyn Host>,
    module: mpsc::UnboundedReceiver<Note>,
    domain: String,
    port: u16,
}

impl Site {
    async fn new(router: &Arc<Router>, domain: &str) -> Self {
        let (notes, module) = mpsc::unbounded_channel();
        let chat = jid(&format!("chat.{domain}"));
        let notes: Arc<dyn MucModule> = Arc::new(Notes(chat.clone(), notes));
        router.add_module(domain, &notes);
        router.add_users(
            domain,
            &jid(domain),
            Accounts::default().with("alice", "sesame").with("bob", "sesame"),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(Arc::clone(router).serve_clients(jid(domain), listener));
        Self { host: router.host(&chat), module, domain: domain.to_owned(), port }
    }

    async fn note(&mut self) -> Note {
        timeout(PATIENCE, self.module.recv()).await.expect("in time").expect("the module lives")
    }

    async fn client(&self, user: &str, resource: &str) -> Client {
        let mut client = Client::connect(self.port, &self.domain).await;
        assert!(client.plain(user, "sesame").await.contains("<success"));
        client.open(&self.domain, "<bind").await;
        let bind = format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        );
        let bound = client.ask(&bind, "</iq>").await;
        assert!(bound.contains(&format!("<jid>{user}@{}/{resource}</jid>", self.domain)), "{bound}");
        client
    }
}

struct Client(TcpStream);

impl Client {
    async fn connect(port: u16, domain: &str) -> Self {
        let mut client = Self(TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens"));
        client.open(domain, "SCRAM-SHA-256").await;
        client
    }

    async fn open(&mut self, domain: &str, feature: &str) {
        let header = format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
        );
        let answer = self.ask(&header, "</stream:features>").await;
        assert!(answer.contains(feature), "{answer}");
    }

    async fn plain(&mut self, user: &str, password: &str) -> String {
        let said = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        self.ask(
            &format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{said}</auth>"),
            ">",
        )
        .await
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("connected");
    }

    async fn hear(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let byte = timeout(PATIENCE, self.0.read_u8()).await;
            text.push(
                byte.unwrap_or_else(|_| panic!("only heard {}", String::from_utf8_lossy(&text)))
                    .expect("a byte"),
            );
        }
        String::from_utf8(text).expect("UTF-8")
    }

    async fn ask(&mut self, text: &str, end: &str) -> String {
        self.say(text).await;
        self.hear(end).await
    }

    /// Speaks no more, and is sure that nothing is waiting to be heard.
    async fn heard_nothing(&mut self) {
        let pong = self.ask("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", "/>").await;
        assert!(pong.starts_with("<iq ") && pong.contains("id='p' type='result'"), "{pong}");
    }
}

async fn two_sites() -> (Arc<Router>, Site, Site) {
    let router = Router::new();
    let (a, b) = (Site::new(&router, "a.example").await, Site::new(&router, "b.example").await);
    (router, a, b)
}

fn said(from: &str, id: &str) -> Stanza {
    Stanza::message("groupchat")
        .with_from(&jid(from))
        .with_id(id)
        .with(Payload::text_element("body", "hello"))
}

fn one(stanza: Stanza) -> Outbound {
    Outbound::One(Box::new(stanza))
}

#[tokio::test]
async fn only_the_right_password_logs_in() {
    let (_, a, _) = two_sites().await;
    let mut client = Client::connect(a.port, "a.example").await;
    let not_yet = "<iq type='get' id='1' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>";
    for password in ["wrong", "worse"] {
        assert!(client.plain("alice", password).await.contains("<failure"));
        assert_eq!(client.hear("</failure>").await, "<not-authorized/></failure>");
    }
    let end = client.ask(not_yet, "</stream:stream>").await;
    assert!(end.contains("<not-authorized "), "{end}");
}

#[tokio::test]
async fn users_talk_to_each_other_across_sites() {
    let (router, a, b) = two_sites().await;
    let (mut alice, mut bob) = (a.client("alice", "1").await, b.client("bob", "2").await);
    bob.ask("<presence/>", "/>").await;
    alice
        .say("<message to='bob@b.example' from='mallory@a.example' type='chat'><body>hi</body></message>")
        .await;
    let heard = bob.hear("</message>").await;
    assert_eq!(
        heard,
        "<message from='alice@a.example/1' type='chat' to='bob@b.example'><body>hi</body></message>"
    );
    let unknown = alice.ask("<message to='x@nowhere.example' id='1'/>", "</message>").await;
    assert!(unknown.contains("<remote-server-not-found"), "{unknown}");
    let absent = alice.ask("<message to='alice@b.example' id='1'/>", "</message>").await;
    assert!(absent.contains("<service-unavailable"), "{absent}");
    let items = alice.ask("<iq type='get' id='1' to='a.example'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>", "</iq>").await;
    assert!(items.contains("jid='chat.a.example'") && !items.contains("b.example"), "{items}");
    let link = router.links().into_iter().find(|link| link.to == "b.example").expect("was used");
    assert_eq!((link.stanzas, link.lost), (2, 0));
}

#[tokio::test]
async fn a_module_learns_who_vouches_for_a_sender_and_when_a_session_ends() {
    let (_, mut a, mut b) = two_sites().await;
    let mut alice = a.client("alice", "1").await;
    alice.say("<presence to='r@chat.a.example/n'/><presence to='r@chat.b.example/n'/>").await;
    let joined = |room: &str| Stanza::presence().with_from(&jid("alice@a.example/1")).with_to(&jid(room));
    assert_eq!(a.note().await, Note::Stanza(joined("r@chat.a.example/n"), Origin::Session));
    assert_eq!(b.note().await, Note::Stanza(joined("r@chat.b.example/n"), Origin::Peer("a.example".into())));
    drop(alice);
    let left = |room: &str| joined(room).with_type("unavailable");
    let notes = [a.note().await, a.note().await];
    assert!(notes.contains(&Note::Closed(jid("alice@a.example/1"))), "{notes:?}");
    assert!(notes.contains(&Note::Stanza(left("r@chat.a.example/n"), Origin::Session)), "{notes:?}");
    assert_eq!(b.note().await, Note::Stanza(left("r@chat.b.example/n"), Origin::Peer("a.example".into())));
}

#[tokio::test]
async fn a_fan_out_reaches_sessions_and_modules() {
    let (router, a, mut b) = two_sites().await;
    let taps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&taps);
    let (mut alice, mut bob) = (a.client("alice", "1").await, a.client("bob", "2").await);
    router.observe(move |tap| {
        seen.lock().expect("no panic").push((tap.from.to_owned(), tap.to.to_string(), tap.cut));
    });
    let to = ["alice@a.example/1", "bob@a.example/2", "r@chat.b.example", "nobody@a.example/3"].map(jid);
    let out = Outbound::FanOut {
        template: Template::new(&said("r@chat.a.example/n", "1")),
        to: to.as_slice().into(),
    };
    assert_eq!(a.host.try_send(out), Delivery::Accepted);
    for client in [&mut alice, &mut bob] {
        assert!(client.hear("</message>").await.starts_with("<message from='r@chat.a.example/n' id='1'"));
    }
    let peer = said("r@chat.a.example/n", "1").with_to(&to[2]);
    assert_eq!(b.note().await, Note::Stanza(peer, Origin::Peer("chat.a.example".into())));
    let expected: Vec<_> = to.iter().map(|to| ("chat.a.example".to_owned(), to.to_string(), None)).collect();
    assert_eq!(*taps.lock().expect("no panic"), expected);
}

#[tokio::test]
async fn a_cut_link_loses_or_bounces_and_heals() {
    let (router, mut a, mut b) = two_sites().await;
    let (chat_a, chat_b) = ("chat.a.example", "chat.b.example");
    let send =
        |id: &str| a.host.try_send(one(said("r@chat.a.example", id).with_to(&jid("r@chat.b.example"))));
    router.cut(chat_a, chat_b);
    assert_eq!(send("lost"), Delivery::Accepted);
    router.heal(chat_a, chat_b);
    assert_eq!(send("arrives"), Delivery::Accepted);
    let arrived = said("r@chat.a.example", "arrives").with_to(&jid("r@chat.b.example"));
    assert_eq!(b.note().await, Note::Stanza(arrived, Origin::Peer(chat_a.into())));
    router.cut_bouncing(chat_a, chat_b);
    assert_eq!(send("bounces"), Delivery::Accepted);
    assert_eq!(a.note().await, Note::Link(chat_b.into(), false));
    let Note::Stanza(error, Origin::Peer(from)) = a.note().await else { panic!("no bounce") };
    assert!(error.is_error() && error.to_xml().contains("<remote-server-timeout"), "{}", error.to_xml());
    assert_eq!(from, chat_b);
    router.heal(chat_a, chat_b);
    assert_eq!(a.note().await, Note::Link(chat_b.into(), true));
    let link = router.links().into_iter().find(|link| link.from == chat_a).expect("was used");
    assert_eq!((link.stanzas, link.lost, link.cut), (1, 2, None));
    router.cut_one_way(chat_b, chat_a, Cut::Vanish);
    assert_eq!(
        a.host.try_send(one(said("r@chat.a.example", "one way").with_to(&jid("r@chat.b.example")))),
        Delivery::Accepted
    );
    assert!(matches!(b.note().await, Note::Link(domain, false) if domain == chat_a));
    assert!(matches!(b.note().await, Note::Link(domain, true) if domain == chat_a));
    assert!(matches!(b.note().await, Note::Stanza(stanza, _) if stanza.id.as_deref() == Some("one way")));
}

#[tokio::test]
async fn a_second_login_with_the_same_resource_takes_the_place_of_the_first() {
    let (_, mut a, _) = two_sites().await;
    let mut first = a.client("alice", "1").await;
    let mut second = a.client("alice", "1").await;
    let end = first.hear("</stream:stream>").await;
    assert!(end.contains("<conflict "), "{end}");
    second.heard_nothing().await;
    second.say("<presence to='r@chat.a.example/n'/>").await;
    assert!(matches!(a.note().await, Note::Stanza(..)), "the first one's end is not the second one's");
}

#[tokio::test]
async fn a_hostile_client_harms_itself_alone() {
    let (_, mut a, _) = two_sites().await;
    let (mut alice, mut bob) = (a.client("alice", "1").await, a.client("bob", "2").await);
    let deep = format!(
        "<message to='r@chat.a.example' id='d'>{}{}</message>",
        "<a>".repeat(5000),
        "</a>".repeat(5000)
    );
    let answer = alice.ask(&deep, "</message>").await;
    assert!(answer.starts_with("<message from='r@chat.a.example' id='d' type='error'>"), "{answer}");
    let end = alice.ask("<!-- -->", "</stream:stream>").await;
    assert!(end.contains("<restricted-xml "), "{end}");
    assert_eq!(a.note().await, Note::Closed(jid("alice@a.example/1")));
    bob.heard_nothing().await;
}
