//! The server that the component connects to, played by hand: bytes go in as they are, stanzas come out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dmuc_core::policy::ServicePolicy;
use dmuc_core::storage::{MemoryStore, Storage};
use dmuc_core::{Address, Stanza};
use dmuc_server_adapter::host::{ComponentConfig, ComponentHost, Retry, Secret};
use dmuc_server_adapter::service::{Service, Tuning};
use dmuc_server_adapter::wire::{Limits, Read, Reader, SenderRule, ns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::common::{CHAT, jid};

pub const COVEN: &str = "coven@chat.shakespeare.lit";
pub const CRONE: &str = "crone1@shakespeare.lit/desktop";
pub const WICCA: &str = "wiccarocks@shakespeare.lit/laptop";
pub const HAG: &str = "hag66@shakespeare.lit/pda";
/// A stranger, who is in no room.
pub const KIT: &str = "kit@marlowe.lit/quill";

pub const MUC: &str = "http://jabber.org/protocol/muc";
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";

pub const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
                          xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='chat.shakespeare.lit'>";
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The one who asks whether everything before has been dealt with.
const CLOCK: &str = "clock@elsewhere.lit/tower";

/// What is expected of an input: a condition and its type, or nothing.
pub type Expected = Option<(&'static str, &'static str)>;

pub struct Server {
    listener: TcpListener,
    pub socket: TcpStream,
    reader: Reader,
    buffer: Vec<u8>,
    read: VecDeque<Stanza>,
    running: JoinHandle<()>,
    _shutdown: oneshot::Sender<()>,
    clock: u32,
}

impl Server {
    /// A service on a store, connected as the component of this server.
    pub async fn start(change: impl FnOnce(&mut ServicePolicy)) -> Self {
        Self::on(Arc::new(MemoryStore::default()), change).await
    }

    pub async fn on(store: Arc<dyn Storage>, change: impl FnOnce(&mut ServicePolicy)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("bound").port();
        let mut config = ComponentConfig::new("127.0.0.1", port, jid(CHAT), Secret::new("s3cret"));
        let short = Duration::from_millis(10);
        config.retry = Retry { first: short, most: short, refused: short };
        let mut policy = ServicePolicy::new(&jid(CHAT));
        change(&mut policy);
        let host = ComponentHost::new(config);
        let service = Service::start(store, host.clone(), policy, Tuning::default()).await.expect("starts");
        let service = Arc::new(service);
        let (shutdown, stop) = oneshot::channel::<()>();
        let running = tokio::spawn(host.run(service, async move { drop(stop.await) }));
        let socket = open(&listener).await;
        Self {
            listener,
            socket,
            reader: reader(),
            buffer: vec![0; 64 * 1024],
            read: VecDeque::new(),
            running,
            _shutdown: shutdown,
            clock: 0,
        }
    }

    /// Three witches in a room: an owner, an admin, and a participant; somebody and a domain are banned.
    pub async fn coven(options: &[(&str, &str)]) -> Self {
        let mut server = Self::start(|_| {}).await;
        server.gather(options).await;
        server
    }

    pub async fn gather(&mut self, options: &[(&str, &str)]) {
        self.exchange(&join(CRONE, COVEN, "firstwitch")).await;
        self.exchange(&configure(CRONE, COVEN, options)).await;
        let items = "<item jid='wiccarocks@shakespeare.lit' affiliation='admin'/>\
                     <item jid='tom@marlowe.lit' affiliation='outcast'/>\
                     <item jid='evil.example' affiliation='outcast'/>\
                     <item jid='hag66@shakespeare.lit' affiliation='member'/>\
                     <item jid='hecate@shakespeare.lit' nick='Hecate' affiliation='member'/>";
        let done = self.exchange(&admin(CRONE, items)).await;
        assert!(done.iter().any(|stanza| stanza.ty() == "result"), "{done:?}");
        self.exchange(&join(WICCA, COVEN, "secondwitch")).await;
        self.exchange(&join(HAG, COVEN, "thirdwitch")).await;
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.expect("connected");
    }

    /// Sends this and gives all that comes of it, to whomever.
    pub async fn exchange(&mut self, xml: &str) -> Vec<Stanza> {
        self.send(xml).await;
        self.settled(&[COVEN]).await
    }

    /// Everything that came out until the service and these rooms had dealt with all that went in.
    pub async fn settled(&mut self, rooms: &[&str]) -> Vec<Stanza> {
        let mut seen = Vec::new();
        for place in rooms.iter().chain([&CHAT]) {
            self.clock += 1;
            let id = format!("tick{}", self.clock);
            let ping = "<ping xmlns='urn:xmpp:ping'/>";
            self.send(format!("<iq type='get' id='{id}' from='{CLOCK}' to='{place}'>{ping}</iq>")).await;
            loop {
                let stanza = self.next().await;
                match stanza.id.as_deref() == Some(&id) && stanza.to == Some(jid(CLOCK)) {
                    true => break,
                    false => seen.push(stanza),
                }
            }
        }
        seen
    }

    /// The next stanza out.
    pub async fn next(&mut self) -> Stanza {
        loop {
            if let Some(stanza) = self.read.pop_front() {
                return stanza;
            }
            let bytes = timeout(PATIENCE, self.socket.read(&mut self.buffer)).await.expect("in time");
            let bytes = bytes.expect("connected");
            assert!(bytes > 0, "the component hung up");
            let mut input = &self.buffer[..bytes];
            while let Some(read) = self.reader.read(&mut input) {
                match read {
                    Read::Stanza(stanza) => self.read.push_back(*stanza),
                    other => panic!("what the component sends is right: {other:?}"),
                }
            }
        }
    }

    /// What else the component says on this stream, up to its end, as text.
    pub async fn last_words(&mut self, name: &str) -> String {
        let mut text = Vec::new();
        let ended = timeout(PATIENCE, self.socket.read_to_end(&mut text)).await;
        assert!(ended.is_ok(), "{name}: the component does not hang up");
        String::from_utf8(text).expect("text")
    }

    /// Hangs up, as a server that is restarted, and takes the component back.
    pub async fn reconnect(&mut self) {
        self.socket = open(&self.listener).await;
        self.reader = reader();
        self.read.clear();
    }

    /// The component's next connection, before anything was said on it.
    pub async fn next_connection(&mut self) -> TcpStream {
        timeout(PATIENCE, self.listener.accept()).await.expect("in time").expect("a connection").0
    }

    /// Puts each row in, from its sender: the sender is answered as it says, and nobody hears anything else.
    pub async fn table(&mut self, from: &str, rows: &[(&str, String, Expected)]) {
        for (name, xml, expected) in rows {
            let got = self.exchange(&sent_by(from, xml)).await;
            check(name, from, xml, &got, *expected);
        }
        self.still_serves().await;
    }

    /// The very same service lets somebody in and carries a message.
    pub async fn still_serves(&mut self) {
        assert!(!self.running.is_finished());
        let room = format!("proof{}@{CHAT}", self.clock);
        self.send(join("proof@elsewhere.lit/x", &room, "proof")).await;
        self.send(groupchat("proof@elsewhere.lit/x", &room, "still here")).await;
        let got = self.settled(&[&room]).await;
        let came = got.iter().any(|stanza| stanza.ty() == "groupchat" && stanza.has("body"));
        // A new room may be locked until it is configured, which stops nobody who made it.
        assert!(came, "the service does not serve any more: {got:?}");
        self.send(format!("<presence type='unavailable' from='proof@elsewhere.lit/x' to='{room}/proof'/>"))
            .await;
        self.settled(&[&room]).await;
    }
}

/// What is true of every answer (see the rows for the rest).
pub fn check(name: &str, from: &str, xml: &str, got: &[Stanza], expected: Expected) {
    let shown: String = xml.chars().take(300).collect();
    let Some((condition, kind)) = expected else {
        assert!(got.is_empty(), "{name}: {shown}: {got:?}");
        return;
    };
    assert_eq!(got.len(), 1, "{name}: {shown}: {got:?}");
    let answer = &got[0];
    assert_eq!(answer.to.as_ref().map(Address::as_str), Some(from), "{name}");
    assert_eq!(error(answer), Some((condition.to_owned(), kind.to_owned())), "{name}: {shown}: {answer:?}");
    echoes_nothing(name, from, answer);
}

/// An error carries the error, on a join the mark of one (XEP-0045 §7.2), and no more; and no real JID of others.
pub fn echoes_nothing(name: &str, from: &str, answer: &Stanza) {
    let is_mark = |child: &dmuc_core::stanza::Payload| child.as_xml() == format!("<x xmlns='{MUC}'/>");
    let other: Vec<_> =
        answer.children.iter().filter(|c| !c.is("error", "jabber:client") && !is_mark(c)).collect();
    assert!(other.is_empty(), "{name}: the answer echoes {other:?}");
    let error = answer.child("error", "jabber:client").expect("an error");
    let text = error.as_xml().replace(from, "");
    let leaks = ["@shakespeare.lit", "@marlowe.lit", "@evil.example"].iter().any(|jid| text.contains(jid));
    assert!(!leaks && text.len() < 600, "{name}: {text}");
}

/// The condition and type of an error.
pub fn error(stanza: &Stanza) -> Option<(String, String)> {
    let error = stanza.child("error", "jabber:client")?.element().ok()?;
    let condition = error.children().find(|child| child.ns() == "urn:ietf:params:xml:ns:xmpp-stanzas")?;
    Some((condition.name().to_owned(), error.attr("type")?.to_owned()))
}

/// A stanza with its sender put in.
pub fn sent_by(from: &str, xml: &str) -> String {
    let head = xml.find([' ', '>', '/']).expect("a stanza");
    format!("{} from='{from}'{}", &xml[..head], &xml[head..])
}

pub fn join(from: &str, room: &str, nick: &str) -> String {
    format!("<presence from='{from}' to='{room}/{nick}'><x xmlns='{MUC}'/></presence>")
}

pub fn groupchat(from: &str, room: &str, body: &str) -> String {
    format!("<message type='groupchat' id='g' from='{from}' to='{room}'><body>{body}</body></message>")
}

pub fn admin(from: &str, items: &str) -> String {
    format!(
        "<iq type='set' id='a' from='{from}' to='{COVEN}'><query xmlns='{MUC_ADMIN}'>{items}</query></iq>"
    )
}

pub fn field(var: &str, value: &str) -> String {
    format!("<field var='{var}'><value>{value}</value></field>")
}

pub fn configure(from: &str, room: &str, options: &[(&str, &str)]) -> String {
    let fields: String =
        options.iter().map(|(var, value)| field(&format!("muc#roomconfig_{var}"), value)).collect();
    let ty = field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig");
    format!(
        "<iq type='set' id='c' from='{from}' to='{room}'><query xmlns='{MUC_OWNER}'>\
         <x xmlns='jabber:x:data' type='submit'>{ty}{fields}</x></query></iq>"
    )
}

/// Of a stream on which the component may send stanzas already.
fn reader() -> Reader {
    let mut reader = Reader::new(ns::COMPONENT, SenderRule::Required, Limits::default());
    assert!(matches!(reader.read(&mut HEADER.as_bytes()), Some(Read::Opened(_))));
    reader
}

/// The next connection, up to where stanzas may flow. The component's side of the handshake is checked elsewhere.
async fn open(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a connection");
    read_until(&mut socket, &format!("to='{CHAT}'>")).await;
    socket.write_all(HEADER.as_bytes()).await.expect("connected");
    read_until(&mut socket, "</handshake>").await;
    socket.write_all(b"<handshake/>").await.expect("connected");
    socket
}

pub async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(timeout(PATIENCE, socket.read_u8()).await.expect("in time").expect("a byte"));
    }
    String::from_utf8(text).expect("text")
}
