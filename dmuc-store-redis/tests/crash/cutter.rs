//! A connection that is cut for good after so many commands: what comes after never reaches the server, and neither do
//! its answers come back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Passes commands on to a server, until it is cut.
pub struct Cutter {
    address: SocketAddr,
    left: Arc<AtomicI64>,
}

impl Cutter {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let passes = left.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, passes.clone()));
            }
        });
        Self { address, left }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets so many more commands pass.
    pub fn cut_after(&self, commands: i64) {
        self.left.store(commands, Ordering::SeqCst);
    }

    pub fn is_cut(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

async fn connect(client: TcpStream, server: SocketAddr, left: Arc<AtomicI64>) {
    if left.load(Ordering::SeqCst) < 0 {
        return;
    }
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = TcpStream::connect(server).await.unwrap().into_split();
    let answers = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        to_client
    });
    pass_commands(BufReader::new(from_client), to_server, &left).await;
    // The server has hung up once it has done all that has reached it.
    drop(answers.await);
}

/// Passes commands on, until there are no more or they may pass no more.
async fn pass_commands(mut client: BufReader<OwnedReadHalf>, mut server: OwnedWriteHalf, left: &AtomicI64) {
    while let Some(command) = read_command(&mut client).await {
        if left.fetch_sub(1, Ordering::SeqCst) <= 0 || server.write_all(&command).await.is_err() {
            break;
        }
    }
    let _ = server.shutdown().await;
}

/// The bytes of an array of strings.
async fn read_command(client: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut command = Vec::new();
    for _ in 0..read_length(client, &mut command).await? {
        let length = read_length(client, &mut command).await?;
        let start = command.len();
        command.resize(start + length + 2, 0);
        client.read_exact(&mut command[start..]).await.ok()?;
    }
    Some(command)
}

async fn read_length(client: &mut BufReader<OwnedReadHalf>, command: &mut Vec<u8>) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    command.extend(line.as_bytes());
    line.trim_end().get(1..)?.parse().ok()
}
