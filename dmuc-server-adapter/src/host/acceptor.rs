//! The server's side of XEP-0114: components connect to us.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmuc_core::stanza::Outbound;
use dmuc_core::{Address, Stanza};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::Delivery;
use super::secret::{Secret, handshake, same};
use crate::wire::{
    Connection, Ended, Expect, Limits, Read, Reader, SenderRule, StreamCondition, StreamError, StreamHeader,
    Writer, ns,
};

/// How long a component may take to authenticate.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Bytes that may wait for one component.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Where the stanzas of components go.
pub trait ComponentSink: Send + Sync {
    /// A component sent a stanza, from an address of its own domain.
    fn stanza(&self, component: &Address, stanza: Stanza);

    /// A component came or went.
    fn link(&self, component: &Address, up: bool) {
        let _ = (component, up);
    }
}

/// Accepts components. The protocol has no encryption: listen on loopback or a trusted network only.
pub struct Acceptor {
    secrets: BTreeMap<Address, Secret>,
    sink: Arc<dyn ComponentSink>,
    limits: Limits,
    connected: Mutex<BTreeMap<Address, Arc<Writer>>>,
}

/// One component's place; gives it up when dropped.
struct Seat<'a> {
    acceptor: &'a Acceptor,
    domain: Address,
    writer: Arc<Writer>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.writer.close("");
        self.acceptor.lock().remove(&self.domain);
        self.acceptor.sink.link(&self.domain, false);
    }
}

type Ending = Result<(), StreamError>;

impl Acceptor {
    /// Accepts the components named, each with its secret.
    #[must_use]
    pub fn new(
        secrets: impl IntoIterator<Item = (Address, Secret)>,
        sink: Arc<dyn ComponentSink>,
        limits: Limits,
    ) -> Arc<Self> {
        let secrets = secrets.into_iter().collect();
        Arc::new(Self { secrets, sink, limits, connected: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, Arc<Writer>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands stanzas to a component.
    pub fn try_send(&self, component: &Address, out: &Outbound) -> Delivery {
        let writer = self.lock().get(component).cloned();
        writer.map_or(Delivery::NotConnected, |writer| writer.push(out))
    }

    /// Resolves when there is room again after [`Delivery::Full`], or the component is gone.
    pub async fn ready(&self, component: &Address) {
        let writer = self.lock().get(component).cloned();
        if let Some(writer) = writer {
            writer.ready().await;
        }
    }

    /// The components that are connected.
    #[must_use]
    pub fn components(&self) -> Vec<Address> {
        self.lock().keys().cloned().collect()
    }

    /// Ends a component's stream, after what waits for it.
    pub fn disconnect(&self, component: &Address, condition: StreamCondition) {
        if let Some(writer) = self.lock().get(component) {
            writer.close(&format!("{}</stream:stream>", StreamError::from(condition).to_xml()));
        }
    }

    /// Accepts connections until dropped, and drops them then.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => drop(connections.spawn(Arc::clone(&self).connection(socket))),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    async fn connection(self: Arc<Self>, socket: TcpStream) {
        let _ = socket.set_nodelay(true);
        let (source, mut sink) = socket.into_split();
        let mut connection =
            Connection::new(source, Reader::new(ns::COMPONENT, SenderRule::Required, self.limits));
        connection.expect(Expect::HANDSHAKE);
        let ended = match timeout(HANDSHAKE_TIME, self.authenticate(&mut connection, &mut sink)).await {
            Ok(Ok(seat)) => self.exchange(&seat, &mut connection, &mut sink).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StreamCondition::ConnectionTimeout.into()),
        };
        if let Err(error) = ended {
            tracing::info!(%error, "a component's stream ends");
            let goodbye = format!("{}</stream:stream>", error.to_xml());
            let _ = timeout(Duration::from_secs(1), sink.write_all(goodbye.as_bytes())).await;
        }
        let _ = sink.shutdown().await;
    }

    async fn authenticate(
        &self,
        connection: &mut Connection<OwnedReadHalf>,
        sink: &mut OwnedWriteHalf,
    ) -> Result<Seat<'_>, StreamError> {
        let opened = heard(connection.next().await);
        let id = Uuid::new_v4().simple().to_string();
        let from = match &opened {
            Ok(Read::Opened(header)) => header.to.clone(),
            _ => None,
        };
        let answer = StreamHeader { from: from.clone(), id: Some(id.clone()), ..StreamHeader::default() };
        write(sink, &answer.to_xml(ns::COMPONENT)).await?;
        opened?;
        let domain = from.and_then(|to| Address::parse(&to).ok()).ok_or(StreamCondition::HostUnknown)?;
        let secret = self.secrets.get(&domain).ok_or(StreamCondition::HostUnknown)?;
        let Read::Element(proof) = heard(connection.next().await)? else {
            return Err(StreamCondition::NotAuthorized.into());
        };
        if !same(proof.text().trim(), &handshake(&id, secret)) {
            return Err(StreamCondition::NotAuthorized.into());
        }
        let seat = self.take_seat(domain)?;
        write(sink, "<handshake/>").await?;
        connection.expect(Expect::STANZAS);
        Ok(seat)
    }

    fn take_seat(&self, domain: Address) -> Result<Seat<'_>, StreamError> {
        let writer = Arc::new(Writer::new(QUEUE_BYTES, self.limits.stanza_bytes));
        let mut connected = self.lock();
        if connected.contains_key(&domain) {
            return Err(StreamCondition::Conflict.into());
        }
        connected.insert(domain.clone(), Arc::clone(&writer));
        drop(connected);
        self.sink.link(&domain, true);
        Ok(Seat { acceptor: self, domain, writer })
    }

    async fn exchange(
        &self,
        seat: &Seat<'_>,
        connection: &mut Connection<OwnedReadHalf>,
        sink: &mut OwnedWriteHalf,
    ) -> Ending {
        tokio::select! {
            ended = seat.writer.run(sink) => match ended {
                Ended::Drained => Ok(()),
                Ended::Failed(error) => Err(lost(&error)),
            },
            ended = self.receive(seat, connection) => ended,
        }
    }

    async fn receive(&self, seat: &Seat<'_>, connection: &mut Connection<OwnedReadHalf>) -> Ending {
        loop {
            match heard(connection.next().await)? {
                Read::Stanza(stanza) => {
                    if stanza.from.as_ref().is_none_or(|from| from.domain() != seat.domain.domain()) {
                        return Err(StreamCondition::InvalidFrom.into());
                    }
                    self.sink.stanza(&seat.domain, *stanza);
                }
                Read::Refused(refused) => {
                    if let Some(answer) = refused.answer(seat.domain.as_str()) {
                        let _ = seat.writer.push_text(&answer);
                    }
                }
                // `<stream:error/>`; the end follows.
                Read::Element(_) | Read::Opened(_) => {}
                Read::Closed | Read::Failed(_) => return Ok(()),
            }
            tokio::task::coop::consume_budget().await;
        }
    }
}

fn lost(error: &std::io::Error) -> StreamError {
    StreamCondition::ConnectionTimeout.because(error.to_string())
}

/// What a component said; a lost connection reads like an end tag.
fn heard(read: std::io::Result<Option<Read>>) -> Result<Read, StreamError> {
    match read {
        Ok(Some(Read::Failed(error))) => Err(error),
        Ok(Some(read)) => Ok(read),
        Ok(None) => Ok(Read::Closed),
        Err(error) => Err(lost(&error)),
    }
}

async fn write(sink: &mut OwnedWriteHalf, text: &str) -> Result<(), StreamError> {
    sink.write_all(text.as_bytes()).await.map_err(|error| lost(&error))
}
