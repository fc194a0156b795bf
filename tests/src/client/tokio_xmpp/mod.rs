//! Clients of tokio-xmpp: what they are told is done with that library's own types where it has them.

mod extensions;
mod rooms;
mod trees;
mod user;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_xmpp::connect::DnsConfig;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::minidom::Element as Tree;
use tokio_xmpp::parsers::presence::Presence;
use tokio_xmpp::xmlstream::Timeouts;
use tokio_xmpp::{Client, Event, IqRequest, IqResponse, Stanza};

use super::inbox::Inbox;
use super::{Library, PATIENCE};
use trees::{jid, plain, refusal, text, tree};
use user::User;

type Done = Result<Value, Value>;

/// What a session is to send.
enum Outgoing {
    Stanza(Box<Stanza>),
    Request(Jid, IqRequest, std::sync::mpsc::Sender<Done>),
    End,
}

/// All sessions, on a runtime of their own.
#[derive(Debug)]
pub(super) struct TokioXmpp {
    runtime: Runtime,
    sessions: Mutex<BTreeMap<String, UnboundedSender<Outgoing>>>,
    inbox: Arc<Inbox>,
}

impl TokioXmpp {
    pub fn start(inbox: &Arc<Inbox>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        Self { runtime, sessions: Mutex::default(), inbox: Arc::clone(inbox) }
    }

    fn login(&self, session: &str, command: &Value) -> Done {
        let (outgoing, orders) = unbounded_channel();
        let addr = format!("{}:{}", text(command, "host"), command["port"]);
        let (jid, password) = (jid(&text(command, "jid")), text(command, "password"));
        let (inbox, name) = (Arc::clone(&self.inbox), session.to_owned());
        let (ready, is_ready) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let client = Client::new_plaintext(jid, password, DnsConfig::Addr { addr }, Timeouts::tight());
            Session { client, inbox, name, ready }.run(orders).await;
        });
        is_ready.recv_timeout(PATIENCE).map_err(|error| Value::from(error.to_string()))?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(session.to_owned(), outgoing);
        Ok(Value::Null)
    }
}

impl Library for TokioXmpp {
    fn perform(&self, session: &str, command: Value) -> Done {
        if command["do"] == "login" {
            return self.login(session, &command);
        }
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let outgoing = sessions[session].clone();
        drop(sessions);
        User { session, outgoing, inbox: &self.inbox, command: &command }.perform()
    }
}

/// One session as its task sees it.
struct Session {
    client: Client,
    inbox: Arc<Inbox>,
    name: String,
    ready: std::sync::mpsc::Sender<()>,
}

impl Session {
    async fn run(mut self, mut orders: UnboundedReceiver<Outgoing>) {
        loop {
            tokio::select! {
                event = self.client.next() => match event {
                    Some(event) => self.hear(event).await,
                    None => break,
                },
                order = orders.recv() => match order {
                    Some(Outgoing::Stanza(stanza)) => drop(self.client.send_stanza(*stanza).await),
                    Some(Outgoing::Request(to, request, reply)) => self.ask(to, request, reply).await,
                    Some(Outgoing::End) | None => {
                        // The stream may be gone already, which is the aim.
                        let _ = self.client.send_end().await;
                        break;
                    }
                },
            }
        }
        self.inbox.change(|seen| seen.closed.push((self.name, "ended".to_owned())));
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::Online { .. } => {
                drop(self.client.send_stanza(Presence::available().into()).await);
                // Nobody waits any more when the stream was made anew.
                let _ = self.ready.send(());
            }
            Event::Stanza(stanza) => {
                let stanza = plain(&tree(stanza));
                self.inbox.change(|seen| seen.stanzas.push((self.name.clone(), stanza)));
            }
            Event::Disconnected(error) => {
                self.inbox.change(|seen| seen.closed.push((self.name.clone(), error.to_string())));
            }
        }
    }

    async fn ask(&mut self, to: Jid, request: IqRequest, reply: std::sync::mpsc::Sender<Done>) {
        let answer = self.client.send_iq(Some(to), request).await;
        tokio::spawn(async move {
            let answer = match answer.await {
                Ok(IqResponse::Result(payload)) => Ok(json!(payload.as_ref().map(plain))),
                Ok(IqResponse::Error(error)) => Err(json!(refusal(&Tree::from(error)))),
                Err(failure) => Err(Value::from(failure.to_string())),
            };
            // Whoever asked may have lost patience.
            let _ = reply.send(answer);
        });
    }
}

#[cfg(test)]
mod tests {
    /// With its feature `component`, xmpp-parsers would write another namespace in everything that is built with it.
    #[test]
    fn stanzas_stay_those_of_clients() {
        assert_eq!(tokio_xmpp::parsers::ns::DEFAULT_NS, "jabber:client");
    }
}
