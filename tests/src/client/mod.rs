//! Real clients, told what to do in the words of the specification.

mod inbox;
mod rooms;
mod slixmpp;
mod tokio_xmpp;

use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::element::Element;
use crate::site::PASSWORD;
use inbox::Inbox;
pub use rooms::Answer;
use slixmpp::Slixmpp;
use tokio_xmpp::TokioXmpp;

/// How long a client waits for what it expects: generous, since a failure is the only case that takes it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing must happen before a client believes that nothing will.
const QUIET: Duration = Duration::from_millis(700);

/// A client library: it carries out what its sessions are told to do, and fills their inbox.
trait Library: fmt::Debug + Send + Sync {
    /// Has a session do something (`do`); gives what came of it, or the error that was answered.
    fn perform(&self, session: &str, command: Value) -> Result<Value, Value>;
}

/// Which library the clients are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// slixmpp, in a Python process.
    WithSlixmpp,
    /// tokio-xmpp, in this process.
    WithTokioXmpp,
}

/// The clients of one world, made with one library.
#[derive(Debug)]
pub struct Driver {
    library: Arc<dyn Library>,
    inbox: Arc<Inbox>,
}

impl Driver {
    /// Starts slixmpp; its log goes to `clients.log` in `directory`.
    ///
    /// # Panics
    /// When Python cannot be started.
    pub fn start(directory: &Path) -> Self {
        Self::made(Made::WithSlixmpp, directory)
    }

    /// Starts a library; what it logs goes to `directory`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn made(made: Made, directory: &Path) -> Self {
        let inbox = Arc::new(Inbox::default());
        let library: Arc<dyn Library> = match made {
            Made::WithSlixmpp => Arc::new(Slixmpp::start(directory, &inbox)),
            Made::WithTokioXmpp => Arc::new(TokioXmpp::start(&inbox)),
        };
        Self { library, inbox }
    }

    /// Logs a user in, under a session name of its own.
    ///
    /// # Panics
    /// When the server does not let the user in.
    pub fn login(&self, jid: &str, host: Ipv4Addr) -> Client {
        self.login_at(jid, PASSWORD, host, 5_222)
    }

    /// Logs a user in at a server on any port, with any password.
    ///
    /// # Panics
    /// When the server does not let the user in.
    pub fn login_at(&self, jid: &str, password: &str, host: Ipv4Addr, port: u16) -> Client {
        let (library, inbox) = (Arc::clone(&self.library), Arc::clone(&self.inbox));
        let client = Client { jid: jid.to_owned(), session: jid.to_owned(), library, inbox };
        let command = json!({ "do": "login", "jid": jid, "password": password, "host": host.to_string(), "port": port });
        client.command(command).unwrap_or_else(|error| panic!("{jid} cannot log in: {error}"));
        client
    }
}

/// What a client may ask for when it joins.
#[derive(Debug, Clone, Copy, Default)]
pub struct JoinOptions<'a> {
    /// The room's password.
    pub password: Option<&'a str>,
    /// At most so many messages of history.
    pub max_stanzas: Option<u32>,
}

/// A room as a client found it on joining.
#[derive(Debug, Deserialize)]
pub struct Joined {
    /// Its own presence (status 110).
    pub own: Element,
    /// The message with the subject, the last of the join.
    pub subject: Element,
    /// The presences of the others, as the library recognised them.
    pub occupants: Vec<Element>,
    /// The messages sent before.
    pub history: Vec<Element>,
}

/// One logged-in user. It remembers everything it received.
#[derive(Clone)]
pub struct Client {
    jid: String,
    session: String,
    library: Arc<dyn Library>,
    inbox: Arc<Inbox>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Client").field(&self.jid).finish()
    }
}

impl Client {
    /// The full address it logged in with.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// The address of the account.
    pub fn bare_jid(&self) -> &str {
        self.jid.split('/').next().unwrap_or_default()
    }

    /// Joins a room and waits until it is in.
    ///
    /// # Panics
    /// When the room refuses.
    pub fn join(&self, room: &str, nick: &str) -> Joined {
        self.try_join(room, nick, JoinOptions::default())
            .unwrap_or_else(|error| panic!("{} cannot join {room}: {error}{}", self.jid, self.arrived(0)))
    }

    /// Tries to join a room: what it found there, or the error presence.
    ///
    /// # Panics
    /// When neither comes in time.
    pub fn try_join(&self, room: &str, nick: &str, options: JoinOptions<'_>) -> Result<Joined, Box<Element>> {
        let mut command = json!({ "do": "join", "room": room, "nick": nick, "timeout": PATIENCE.as_secs() });
        if let Some(password) = options.password {
            command["password"] = password.into();
        }
        if let Some(max) = options.max_stanzas {
            command["maxstanzas"] = max.into();
        }
        let from = self.mark();
        match self.command(command) {
            Ok(joined) => Ok(serde_json::from_value(joined).expect("the driver reports a join")),
            Err(error) => Err(Box::new(serde_json::from_value(error.clone()).unwrap_or_else(|_| {
                panic!("{} neither joined {room} nor was refused: {error}{}", self.jid, self.arrived(from))
            }))),
        }
    }

    /// Leaves a room, without waiting.
    pub fn leave(&self, room: &str, nick: &str) {
        self.raw(&format!("<presence to='{room}/{}' type='unavailable'/>", escape(nick)));
    }

    /// Says something in a room, without waiting.
    pub fn say(&self, room: &str, text: &str) {
        let id = escape(text).replace(' ', "-");
        self.raw(&format!(
            "<message to='{room}' type='groupchat' id='{id}'><body>{}</body></message>",
            escape(text)
        ));
    }

    /// Says something to one occupant.
    pub fn whisper(&self, occupant: &str, text: &str) {
        self.raw(&format!(
            "<message to='{}' type='chat'><body>{}</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>",
            escape(occupant),
            escape(text)
        ));
    }

    /// Sets the subject of a room.
    pub fn set_subject(&self, room: &str, subject: &str) {
        self.raw(&format!(
            "<message to='{room}' type='groupchat'><subject>{}</subject></message>",
            escape(subject)
        ));
    }

    /// Sends presence with this content to an address: a change of nick or of availability.
    pub fn presence(&self, to: &str, content: &str) {
        self.raw(&format!("<presence to='{}'>{content}</presence>", escape(to)));
    }

    /// Sends a stanza as it is.
    ///
    /// # Panics
    /// When the driver is gone.
    pub fn raw(&self, xml: &str) {
        self.command(json!({ "do": "raw", "xml": xml })).expect("writing needs no answer");
    }

    /// Sends a request and returns the answer, a result or an error.
    ///
    /// # Panics
    /// When no answer comes in time.
    pub fn iq(&self, to: &str, kind: &str, payload: &str) -> Element {
        self.try_iq(to, kind, payload, PATIENCE)
            .unwrap_or_else(|error| panic!("{}: no answer from {to} to {payload}: {error}", self.jid))
    }

    /// Sends a request and returns the answer, or why there is none.
    ///
    /// # Errors
    /// When no answer comes in time.
    pub fn try_iq(&self, to: &str, kind: &str, payload: &str, patience: Duration) -> Result<Element, Value> {
        let command = json!({
            "do": "iq", "to": to, "kind": kind, "payload": payload, "timeout": patience.as_secs_f32()
        });
        self.command(command)
            .map(|answer| serde_json::from_value(answer).expect("the driver reports an answer"))
    }

    /// Sends a request which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn request(&self, to: &str, kind: &str, payload: &str) -> Element {
        let answer = self.iq(to, kind, payload);
        assert_eq!(answer.kind(), "result", "{} asked {to} for {payload} and got {answer}", self.jid);
        answer
    }

    /// Logs out in an orderly way.
    pub fn disconnect(&self) {
        // The stream may be gone already, which is the aim.
        let _ = self.command(json!({ "do": "disconnect" }));
    }

    /// Whether the server has closed the stream.
    pub fn is_closed(&self) -> bool {
        self.inbox.seen().closed.iter().any(|(session, _)| *session == self.session)
    }

    /// How much it has received so far: to be given to the functions that look only at what came later.
    pub fn mark(&self) -> usize {
        self.inbox.seen().stanzas.len()
    }

    /// Everything it received since `mark`.
    pub fn since(&self, mark: usize) -> Vec<Element> {
        let seen = self.inbox.seen();
        let mine = seen.stanzas[mark..].iter().filter(|(session, _)| *session == self.session);
        mine.map(|(_, stanza)| stanza.clone()).collect()
    }

    /// Waits for a stanza that `wanted` accepts, among all that arrived since `mark` or still arrive.
    ///
    /// # Panics
    /// When none comes in time; the message lists what did arrive.
    pub fn expect(&self, mark: usize, what: &str, wanted: impl Fn(&Element) -> bool) -> Element {
        let found = self.inbox.stanza(&self.session, mark, PATIENCE, wanted);
        found.unwrap_or_else(|| panic!("{} waited in vain for {what}{}", self.jid, self.arrived(mark)))
    }

    /// Waits for a message with this body in a room.
    ///
    /// # Panics
    /// When it does not come.
    pub fn hears(&self, mark: usize, text: &str) -> Element {
        self.expect(mark, &format!("the message {text:?}"), |stanza| {
            stanza.name == "message" && stanza.body() == Some(text)
        })
    }

    /// Every message with this body, after a moment in which a duplicate could still have come.
    pub fn copies_of(&self, text: &str) -> Vec<Element> {
        self.since(0)
            .into_iter()
            .filter(|stanza| stanza.name == "message" && stanza.body() == Some(text))
            .collect()
    }

    /// Asserts that nothing that `unwanted` accepts has come since `mark`, nor comes within a moment.
    ///
    /// # Panics
    /// When it did.
    pub fn expect_nothing(&self, mark: usize, what: &str, unwanted: impl Fn(&Element) -> bool) {
        std::thread::sleep(QUIET);
        let came = self.since(mark).into_iter().find(|stanza| unwanted(stanza));
        assert!(came.is_none(), "{} got {what}: {}", self.jid, came.expect("it is there"));
    }

    /// Waits until the server has closed the stream.
    ///
    /// # Panics
    /// When it does not.
    pub fn expect_closed(&self) {
        let closed_it = |(closed, _): &(String, String)| *closed == self.session;
        let closed = self.inbox.wait(PATIENCE, |seen| seen.closed.iter().any(closed_it).then_some(()));
        assert!(closed.is_some(), "{} is still connected", self.jid);
    }

    fn arrived(&self, mark: usize) -> String {
        let mut text = format!("; {} received:", self.jid);
        for stanza in self.since(mark) {
            let _ = write!(text, "\n    {stanza}");
        }
        text
    }

    fn command(&self, command: Value) -> Result<Value, Value> {
        self.library.perform(&self.session, command)
    }
}

/// Makes text safe between tags and in attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}
