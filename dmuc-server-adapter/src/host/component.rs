//! A host reached as its external component (XEP-0114).

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dmuc_core::Address;
use dmuc_core::stanza::Outbound;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::retry::Backoff;
use super::secret::{Secret, handshake};
use super::{Capabilities, Delivery, Host, Retry};
use crate::module::{Inbound, MucModule, Origin};
use crate::wire::{
    Connection, Ended, Expect, Limits, Read, Reader, SenderRule, StreamCondition, StreamError, StreamHeader,
    Writer, ns,
};

/// How to reach the host server and what it may send.
#[derive(Debug, Clone)]
pub struct ComponentConfig {
    /// Name or address of the host server.
    pub host: String,
    /// Its component port.
    pub port: u16,
    /// The domain that the host routes to us.
    pub domain: Address,
    /// The secret shared with the host.
    pub secret: Secret,
    /// Limits on what comes in.
    pub limits: Limits,
    /// Bytes that may wait for a connected host before senders are told [`Delivery::Full`].
    pub queue_bytes_max: usize,
    /// Bytes that are kept for a host that is away.
    pub away_bytes_max: usize,
    /// Largest stanza that the host takes, in bytes.
    pub stanza_bytes_max: usize,
    /// When to reconnect.
    pub retry: Retry,
    /// For connecting, for the handshake, and for the last words.
    pub timeout: Duration,
    /// How often to send whitespace, so that a silent loss of the connection is noticed.
    pub keepalive: Duration,
}

impl ComponentConfig {
    /// A configuration with the usual limits and times.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, domain: Address, secret: Secret) -> Self {
        Self {
            host: host.into(),
            port,
            domain,
            secret,
            limits: Limits::default(),
            queue_bytes_max: 16 * 1024 * 1024,
            away_bytes_max: 4 * 1024 * 1024,
            stanza_bytes_max: 256 * 1024,
            retry: Retry::default(),
            timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(60),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The network or the host's machine.
    #[error("{0}")]
    Io(String),
    /// What the host said ended the stream.
    #[error("{0}")]
    Stream(#[from] StreamError),
    /// The host ended the stream with an error.
    #[error("{0}")]
    Ended(StreamError),
    /// The host took too long to answer.
    #[error("timed out")]
    TimedOut,
    /// The host ended the connection.
    #[error("closed by the host")]
    Closed,
    /// It was given up by [`ComponentHost::reconnect`].
    #[error("given up")]
    GivenUp,
    /// The host said something that has no place in a component's stream.
    #[error("the host does not speak XEP-0114")]
    Protocol,
}

impl From<std::io::Error> for LinkError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

impl LinkError {
    /// Whether trying again is hopeless until somebody changes a configuration (or ends the other connection).
    #[must_use]
    pub fn needs_operator(&self) -> bool {
        use StreamCondition::{Conflict, HostUnknown, InvalidNamespace, NotAuthorized};
        match self {
            Self::Stream(error) | Self::Ended(error) => {
                matches!(error.condition, NotAuthorized | Conflict | HostUnknown | InvalidNamespace)
            }
            Self::Protocol => true,
            _ => false,
        }
    }
}

/// State of the connection to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Stanzas flow.
    Connected,
    /// They do not; why, if it was ever tried.
    Disconnected(Option<LinkError>),
}

/// A [`Host`] that is an XMPP server with us as its component.
///
/// Rooms keep running while it is away: what they send is kept up to a bound and goes out when it is back.
#[derive(Debug)]
pub struct ComponentHost {
    config: ComponentConfig,
    writer: Writer,
    status: watch::Sender<Status>,
    given_up: Notify,
}

/// How long the last words to a host may take.
const GOODBYE: Duration = Duration::from_secs(1);

type Shutdown<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

impl ComponentHost {
    /// A host that is not connected yet; [`run`](Self::run) connects it.
    #[must_use]
    pub fn new(config: ComponentConfig) -> Arc<Self> {
        let writer = Writer::new(config.away_bytes_max, config.stanza_bytes_max);
        let status = watch::Sender::new(Status::Disconnected(None));
        Arc::new(Self { config, writer, status, given_up: Notify::new() })
    }

    /// Follows the state of the connection.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Gives the present connection up, if there is one, for another to be made.
    pub fn reconnect(&self) {
        self.given_up.notify_waiters();
    }

    /// Stays connected, handing what comes in to `module`, until `shutdown` resolves; then sends what waits, ends the
    /// stream and returns. A host runs once.
    pub async fn run(self: Arc<Self>, module: Arc<dyn MucModule>, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut backoff = Backoff::default();
        loop {
            let start = Instant::now();
            let Err(error) = self.connect_and_serve(&*module, shutdown.as_mut()).await else { break };
            if start.elapsed() > self.config.retry.most || error == LinkError::GivenUp {
                backoff.reset();
            }
            let wait = backoff.next(&self.config.retry, error.needs_operator());
            self.went_down(error, wait);
            tokio::select! {
                () = sleep(wait) => {}
                () = shutdown.as_mut() => break,
            }
        }
        self.writer.close("");
        self.status.send_replace(Status::Disconnected(None));
    }

    fn went_up(&self) {
        self.writer.set_queue_bytes_max(self.config.queue_bytes_max);
        self.status.send_replace(Status::Connected);
        tracing::info!(domain = %self.config.domain, host = %self.config.host, "connected to the host");
    }

    fn went_down(&self, error: LinkError, wait: Duration) {
        self.writer.set_queue_bytes_max(self.config.away_bytes_max);
        let (domain, host) = (&self.config.domain, &self.config.host);
        if error.needs_operator() {
            tracing::error!(%domain, %host, %error, ?wait, "the host refuses us; check domain, secret and other connections");
        } else {
            tracing::warn!(%domain, %host, %error, ?wait, "not connected to the host, trying again");
        }
        self.status.send_replace(Status::Disconnected(Some(error)));
    }

    async fn connect_and_serve(
        &self,
        module: &dyn MucModule,
        mut shutdown: Shutdown<'_>,
    ) -> Result<(), LinkError> {
        let connecting = timeout(self.config.timeout, self.connect());
        let (mut connection, mut sink) = tokio::select! {
            connected = connecting => connected.map_err(|_| LinkError::TimedOut)??,
            () = shutdown.as_mut() => return Ok(()),
        };
        self.went_up();
        let ended = tokio::select! {
            ended = self.exchange(&mut connection, &mut sink, module) => ended,
            () = shutdown => {
                self.writer.close("</stream:stream>");
                let last_words = self.exchange(&mut connection, &mut sink, module);
                return timeout(self.config.timeout, last_words).await.unwrap_or(Ok(()));
            }
        };
        if let Err(error) = &ended {
            let _ = timeout(GOODBYE, say_goodbye(&mut sink, error)).await;
        }
        ended
    }

    async fn connect(&self) -> Result<(Connection<OwnedReadHalf>, OwnedWriteHalf), LinkError> {
        let socket = TcpStream::connect((self.config.host.as_str(), self.config.port)).await?;
        socket.set_nodelay(true)?;
        let (source, mut sink) = socket.into_split();
        match self.shake_hands(source, &mut sink).await {
            Ok(connection) => Ok((connection, sink)),
            Err(error) => {
                let _ = timeout(GOODBYE, say_goodbye(&mut sink, &error)).await;
                Err(error)
            }
        }
    }

    async fn shake_hands(
        &self,
        source: OwnedReadHalf,
        sink: &mut OwnedWriteHalf,
    ) -> Result<Connection<OwnedReadHalf>, LinkError> {
        let mut connection =
            Connection::new(source, Reader::new(ns::COMPONENT, SenderRule::Required, self.config.limits));
        connection.expect(Expect::HANDSHAKE);
        let header = StreamHeader { to: Some(self.config.domain.to_string()), ..StreamHeader::default() };
        sink.write_all(header.to_xml(ns::COMPONENT).as_bytes()).await?;
        let id = match heard(connection.next().await?)? {
            Read::Opened(header) => header.id.unwrap_or_default(),
            _ => return Err(LinkError::Protocol),
        };
        let proof = format!("<handshake>{}</handshake>", handshake(&id, &self.config.secret));
        sink.write_all(proof.as_bytes()).await?;
        match heard(connection.next().await?)? {
            Read::Element(element) if element.name() == "handshake" => {}
            _ => return Err(LinkError::Protocol),
        }
        connection.expect(Expect::STANZAS);
        Ok(connection)
    }

    /// Both directions, until one ends. `Ok` only after the writer was closed and drained.
    async fn exchange(
        &self,
        connection: &mut Connection<OwnedReadHalf>,
        sink: &mut OwnedWriteHalf,
        module: &dyn MucModule,
    ) -> Result<(), LinkError> {
        tokio::select! {
            ended = self.writer.run(sink) => match ended {
                Ended::Drained => Ok(()),
                Ended::Failed(error) => Err(error.into()),
            },
            error = self.receive(connection, module) => Err(error),
            () = self.given_up.notified() => Err(LinkError::GivenUp),
            () = self.keep_alive() => pending().await,
        }
    }

    async fn receive(&self, connection: &mut Connection<OwnedReadHalf>, module: &dyn MucModule) -> LinkError {
        loop {
            let read = match connection.next().await {
                Ok(read) => heard(read),
                Err(error) => Err(error.into()),
            };
            match read {
                Ok(Read::Stanza(stanza)) => {
                    let _ = module.handle(Inbound { stanza: *stanza, origin: Origin::Component });
                }
                Ok(Read::Refused(refused)) => {
                    tracing::warn!(from = ?refused.from, reason = ?refused.reason, "refused a stanza");
                    if let Some(answer) = refused.answer(self.config.domain.as_str()) {
                        let _ = self.writer.push_text(&answer);
                    }
                }
                Ok(_) => return LinkError::Protocol,
                Err(error) => return error,
            }
            // A long batch must not keep other tasks of this thread waiting.
            tokio::task::coop::consume_budget().await;
        }
    }

    async fn keep_alive(&self) {
        loop {
            sleep(self.config.keepalive).await;
            if self.writer.queued_bytes() == 0 {
                let _ = self.writer.push_text(" ");
            }
        }
    }
}

/// What the host said, if it goes on.
fn heard(read: Option<Read>) -> Result<Read, LinkError> {
    match read {
        None | Some(Read::Closed) => Err(LinkError::Closed),
        Some(Read::Failed(error)) => Err(error.into()),
        Some(Read::Element(element)) => match StreamError::from_payload(&element) {
            Some(error) => Err(LinkError::Ended(error)),
            None => Ok(Read::Element(element)),
        },
        Some(read) => Ok(read),
    }
}

async fn say_goodbye(sink: &mut OwnedWriteHalf, error: &LinkError) -> std::io::Result<()> {
    if let LinkError::Stream(error) = error {
        sink.write_all(error.to_xml().as_bytes()).await?;
    }
    sink.write_all(b"</stream:stream>").await?;
    sink.shutdown().await
}

#[async_trait]
impl Host for ComponentHost {
    fn try_send(&self, out: Outbound) -> Delivery {
        let connected = *self.status.borrow() == Status::Connected;
        match self.writer.push(&out) {
            Delivery::Accepted if !connected => Delivery::Queued,
            Delivery::Full if !connected => Delivery::NotConnected,
            delivery => delivery,
        }
    }

    async fn ready(&self) {
        self.writer.ready().await;
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { max_stanza_bytes: self.config.stanza_bytes_max, ..Capabilities::default() }
    }
}
