//! A network that can stop: connections stay, and nothing comes through until it goes on.
#![allow(clippy::unwrap_used, reason = "a test that cannot have its network has failed")]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes bytes on between whoever connects and a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    server: SocketAddr,
    paused: watch::Sender<bool>,
}

impl Proxy {
    /// Starts to pass on, on a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (paused, state) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, state.clone()));
            }
        });
        Self { address, server, paused }
    }

    /// The URL of the server by way of the proxy.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        direct.replace(&self.server.to_string(), &self.address.to_string())
    }

    /// Passes on nothing any more.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Passes on what has waited, and goes on.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }
}

async fn connect(client: TcpStream, server: SocketAddr, paused: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    tokio::join!(pass(client_in, server_out, paused.clone()), pass(server_in, client_out, paused));
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut paused: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if paused.wait_for(|paused| !paused).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
    // The end is news, too.
    if paused.wait_for(|paused| !paused).await.is_ok() {
        let _ = to.shutdown().await;
    }
}
