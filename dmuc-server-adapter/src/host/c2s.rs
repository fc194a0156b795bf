//! Streams of clients (RFC 6120), unencrypted: for loopback only. A real server brings its own, with TLS.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dmuc_core::stanza::{Condition, El, Kind, Payload};
use dmuc_core::{Address, Stanza};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::in_process::{Parcel, Router};
use super::sasl::{Accounts, MECHANISMS};
use super::users::Session;
use crate::wire::{
    Connection, Expect, Limits, Read, Reader, SenderRule, StreamCondition, StreamError, StreamHeader, ns,
};

/// How long a client may take to log in.
const LOGIN_TIME: Duration = Duration::from_secs(60);

/// Failed logins after which the stream ends (RFC 6120 §6.4.5 asks for 2 to 5).
const LOGINS_MAX: usize = 3;

/// One client's connection before its session exists.
struct Client {
    connection: Connection<OwnedReadHalf>,
    sink: OwnedWriteHalf,
    domain: Address,
}

impl Router {
    /// Accepts clients of a domain until dropped, and drops them then. There is no TLS: listen on loopback only.
    pub async fn serve_clients(self: Arc<Self>, domain: Address, listener: TcpListener) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = clients.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => drop(clients.spawn(Arc::clone(&self).client(domain.clone(), socket))),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a client");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    async fn client(self: Arc<Self>, domain: Address, socket: TcpStream) {
        let _ = socket.set_nodelay(true);
        let (source, sink) = socket.into_split();
        let reader = Reader::new(ns::CLIENT, SenderRule::Ignored, Limits::before_login());
        let mut client = Client { connection: Connection::new(source, reader), sink, domain };
        let logged_in = timeout(LOGIN_TIME, client.log_in(&self)).await;
        let ended = match logged_in {
            Ok(Ok(Some(session))) => self.session(&session, &mut client).await,
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StreamCondition::ConnectionTimeout.into()),
        };
        if let Err(error) = &ended {
            tracing::debug!(%error, "a client's stream ends");
            let _ = timeout(Duration::from_secs(1), client.write(&error.to_xml())).await;
        }
        let _ = timeout(Duration::from_secs(1), client.write("</stream:stream>")).await;
        let _ = client.sink.shutdown().await;
    }

    /// Everything between binding and the end.
    async fn session(&self, session: &Arc<Session>, client: &mut Client) -> Result<(), StreamError> {
        let place = Place { router: self, session };
        tokio::select! {
            // Ended by the server, with its last words written, or the socket failed.
            _ = session.writer.run(&mut client.sink) => Ok(()),
            ended = place.receive(&mut client.connection) => ended,
        }
    }
}

/// A session's place in the router; gives it up when dropped.
struct Place<'a> {
    router: &'a Router,
    session: &'a Arc<Session>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.session.writer.close("");
        self.go_offline(&Stanza::presence().with_type("unavailable").with_from(&self.session.jid));
        self.router.session_closed(self.session);
    }
}

impl Place<'_> {
    async fn receive(&self, connection: &mut Connection<OwnedReadHalf>) -> Result<(), StreamError> {
        loop {
            match heard(connection.next().await)? {
                Some(Read::Stanza(stanza)) => self.take(*stanza),
                Some(Read::Refused(refused)) => {
                    let domain = self.session.jid.domain();
                    let _ = refused.answer(domain).map(|answer| self.session.writer.push_text(&answer));
                }
                Some(Read::Opened(_) | Read::Element(_)) => {}
                Some(Read::Closed | Read::Failed(_)) | None => return Ok(()),
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    fn take(&self, mut stanza: Stanza) {
        let jid = &self.session.jid;
        stanza.from = Some(jid.clone());
        let Some(to) = stanza.to.clone() else {
            return match stanza.kind {
                Kind::Presence => self.presence(&stanza),
                _ => self.route(&stanza.with_to(&jid.to_bare())),
            };
        };
        if stanza.kind == Kind::Presence {
            self.session.note_directed(&stanza, &to);
        }
        self.route(&stanza);
    }

    fn route(&self, stanza: &Stanza) {
        if let Some(to) = &stanza.to {
            self.router.deliver_or_bounce(self.session.jid.domain(), to, Parcel::Stanza(stanza));
        }
    }

    fn presence(&self, presence: &Stanza) {
        match presence.ty() {
            "" => self.broadcast(presence),
            "unavailable" => self.go_offline(presence),
            _ => {
                let error = presence.error(&Condition::BadRequest.into());
                let _ = error.map(|error| self.session.push(Parcel::Stanza(&error)));
            }
        }
    }

    fn broadcast(&self, presence: &Stanza) {
        self.router.with_users(self.session.jid.domain(), |users| users.presence(self.session, presence));
    }

    fn go_offline(&self, presence: &Stanza) {
        self.broadcast(presence);
        for to in self.session.take_directed() {
            self.route(&presence.clone().with_to(&to));
        }
    }
}

impl Client {
    async fn write(&mut self, text: &str) -> Result<(), StreamError> {
        self.sink.write_all(text.as_bytes()).await.map_err(|error| lost(&error))
    }

    /// Everything up to and including resource binding; `None` if the client leaves before.
    async fn log_in(&mut self, router: &Arc<Router>) -> Result<Option<Arc<Session>>, StreamError> {
        let accounts = router.accounts(self.domain.domain()).ok_or(StreamCondition::HostUnknown)?;
        self.connection.expect(Expect::SASL);
        let offers = MECHANISMS.iter().map(|name| El::new("mechanism", ns::SASL).text(name));
        let offers = El::new("mechanisms", ns::SASL).children(offers).payload();
        self.open_stream(&[offers]).await?;
        let Some(user) = self.authenticate(&accounts).await? else { return Ok(None) };
        self.connection.restart(Reader::new(ns::CLIENT, SenderRule::Ignored, Limits::default()));
        let session = El::new("session", ns::SESSION).child(El::new("optional", ns::SESSION));
        self.open_stream(&[El::new("bind", ns::BIND).payload(), session.payload()]).await?;
        self.bind(router, &user).await
    }

    async fn open_stream(&mut self, features: &[Payload]) -> Result<(), StreamError> {
        let opened = heard(self.connection.next().await);
        let answer = StreamHeader {
            from: Some(self.domain.to_string()),
            id: Some(Uuid::new_v4().simple().to_string()),
            version: Some("1.0".to_owned()),
            ..StreamHeader::default()
        };
        self.write(&answer.to_xml(ns::CLIENT)).await?;
        let Some(Read::Opened(header)) = opened? else { return Err(StreamCondition::BadFormat.into()) };
        let to = header.to.as_deref().map(Address::parse);
        if to != Some(Ok(self.domain.clone())) {
            return Err(StreamCondition::HostUnknown.into());
        }
        let features: String = features.iter().map(Payload::as_xml).collect();
        self.write(&format!("<stream:features>{features}</stream:features>")).await
    }

    async fn authenticate(&mut self, accounts: &Accounts) -> Result<Option<String>, StreamError> {
        for _ in 0..LOGINS_MAX {
            let Some(Read::Element(auth)) = heard(self.connection.next().await)? else { return Ok(None) };
            match self.attempt(accounts, &auth).await? {
                Ok((user, last_words)) => {
                    let success = El::new("success", ns::SASL).text(&last_words).payload();
                    self.write(success.as_xml()).await?;
                    return Ok(Some(user));
                }
                Err(condition) => {
                    let failure = El::new("failure", ns::SASL).child(El::new(condition, ns::SASL)).payload();
                    self.write(failure.as_xml()).await?;
                }
            }
        }
        Err(StreamCondition::PolicyViolation.into())
    }

    /// One exchange: the user and what the mechanism says last, or the condition of the failure.
    async fn attempt(
        &mut self,
        accounts: &Accounts,
        auth: &Payload,
    ) -> Result<Result<(String, String), &'static str>, StreamError> {
        if auth.name() != "auth" {
            return Ok(Err("malformed-request"));
        }
        let mechanism = auth.attr("mechanism").unwrap_or_default();
        let Some(mut login) = accounts.login(self.domain.domain(), &mechanism) else {
            return Ok(Err("invalid-mechanism"));
        };
        let mut said = decode(auth);
        loop {
            let Some(input) = said else { return Ok(Err("incorrect-encoding")) };
            let mut output = Vec::new();
            match login.step(Some(&input), &mut output) {
                Ok(state) if state.is_running() => {
                    let challenge = El::new("challenge", ns::SASL).text(&BASE64.encode(&output)).payload();
                    self.write(challenge.as_xml()).await?;
                }
                Ok(_) => {
                    let user = login.validation().flatten();
                    return Ok(user.map(|user| (user, BASE64.encode(&output))).ok_or("not-authorized"));
                }
                Err(_) => return Ok(Err("not-authorized")),
            }
            said = match heard(self.connection.next().await)? {
                Some(Read::Element(response)) if response.name() == "response" => decode(&response),
                Some(Read::Element(_)) => return Ok(Err("aborted")),
                _ => return Err(StreamCondition::NotAuthorized.into()),
            };
        }
    }

    async fn bind(&mut self, router: &Arc<Router>, user: &str) -> Result<Option<Arc<Session>>, StreamError> {
        loop {
            let Some(Read::Stanza(iq)) = heard(self.connection.next().await)? else { return Ok(None) };
            let Some(request) = iq.child("bind", ns::BIND).filter(|_| iq.ty() == "set") else {
                return Err(StreamCondition::NotAuthorized.into());
            };
            let answer = |jid: Address| {
                let jid_element = El::new("jid", ns::BIND).text(jid.as_str());
                iq.result().with(El::new("bind", ns::BIND).child(jid_element).payload())
            };
            let resource = match request.text() {
                text if text.is_empty() => Uuid::new_v4().simple().to_string(),
                text => text,
            };
            let jid =
                Address::room(user, self.domain.domain()).and_then(|bare| bare.with_resource(&resource));
            if let Ok(jid) = jid {
                let session = Session::new(jid.clone());
                router.session_opened(&session);
                session.push(Parcel::Stanza(&answer(jid)));
                return Ok(Some(session));
            }
            let error = iq.error(&Condition::BadRequest.into()).map(|error| error.to_xml());
            self.write(&error.unwrap_or_default()).await?;
        }
    }
}

fn decode(element: &Payload) -> Option<Vec<u8>> {
    match element.text().trim() {
        "=" => Some(Vec::new()),
        text => BASE64.decode(text).ok(),
    }
}

fn lost(error: &std::io::Error) -> StreamError {
    StreamCondition::ConnectionTimeout.because(error.to_string())
}

/// What the client said; `None` if it is gone.
fn heard(read: std::io::Result<Option<Read>>) -> Result<Option<Read>, StreamError> {
    match read {
        Ok(Some(Read::Failed(error))) => Err(error),
        Ok(read) => Ok(read),
        Err(_) => Ok(None),
    }
}
