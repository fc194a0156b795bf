//! A Redis or Valkey server of a test's own, and a cluster of three, from the distribution's packages.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{Daemon, free_port};
use crate::requirements::in_path;

/// How long a server may take to start, after a crash too.
const PATIENCE: Duration = Duration::from_secs(60);
/// A cluster's nodes talk to each other on a port that is so much higher.
const BUS_OFFSET: u16 = 10_000;
const CLUSTER_NODES: usize = 3;

/// A server with an empty database, gone on drop.
#[derive(Debug)]
pub struct RedisServer {
    program: PathBuf,
    settings: Vec<String>,
    port: u16,
    daemon: Option<Daemon>,
    /// Dropped last.
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server that keeps every change at once, with these settings besides; nothing if neither Redis nor Valkey is
    /// installed.
    ///
    /// # Panics
    /// When it is installed, but does not start.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory can be made");
        Self::launch_in(directory, free_port(), settings)
    }

    /// Starts a server that keeps its data in `parent`, such as a small file system.
    ///
    /// # Panics
    /// When it is installed, but does not start.
    #[must_use]
    pub fn start_in(parent: &Path, settings: &[(&str, &str)]) -> Option<Self> {
        let directory = tempfile::tempdir_in(parent).expect("a directory can be made");
        Self::launch_in(directory, free_port(), settings)
    }

    /// Starts a replica of this server.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_replica(&self) -> Self {
        let primary = format!("127.0.0.1 {}", self.port);
        Self::start(&[("replicaof", &primary)]).expect("what has started this server starts another")
    }

    fn launch_in(directory: TempDir, port: u16, settings: &[(&str, &str)]) -> Option<Self> {
        let program = in_path("redis-server").or_else(|| in_path("valkey-server"))?;
        let argument = |(key, value): &(&str, &str)| {
            std::iter::once(format!("--{key}")).chain(value.split(' ').map(str::to_owned)).collect::<Vec<_>>()
        };
        let settings = settings.iter().flat_map(argument).collect();
        let mut server = Self { program, settings, port, daemon: None, directory };
        server.launch();
        Some(server)
    }

    /// Starts the server, for the first time or again, on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn launch(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("--port").arg(self.port.to_string()).args(["--bind", "127.0.0.1"]);
        command.arg("--dir").arg(self.directory.path());
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]).args(&self.settings);
        let mut daemon = Daemon::start("redis", self.directory.path(), &mut command);
        daemon.wait_listening(self.address(), PATIENCE);
        self.daemon = Some(daemon);
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready() {
            assert!(Instant::now() < deadline, "the server does not become ready");
            sleep(Duration::from_millis(20));
        }
    }

    /// Whether the server answers, and has read what it kept.
    fn is_ready(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(self.address())?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).map(|()| answer)
        };
        ask().is_ok_and(|answer| answer == *b"+PONG")
    }

    /// Kills the server at once (`SIGKILL`), as a crash would.
    pub fn kill(&mut self) {
        drop(self.daemon.take());
    }

    /// Whether the server has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(Daemon::is_running)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// What the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// A shell command that ends the server and removes what it has.
    pub(crate) fn end(&self) -> String {
        let pid = self.daemon.as_ref().map_or(0, Daemon::pid);
        format!("kill -9 {pid}; rm -rf '{}'", self.directory.path().display())
    }
}

fn becomes_part(client: &Path, node: SocketAddr) -> bool {
    (0..100).any(|_| {
        sleep(Duration::from_millis(100));
        let mut info = Command::new(client);
        info.args(["-h", &node.ip().to_string(), "-p", &node.port().to_string(), "cluster", "info"]);
        info.output().is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).contains("cluster_state:ok"))
    })
}

/// Three servers that share all keys among them, gone on drop.
#[derive(Debug)]
pub struct RedisCluster(Vec<RedisServer>);

impl RedisCluster {
    /// Starts a cluster; nothing if neither Redis nor Valkey is installed, with its command line.
    ///
    /// # Panics
    /// When it is installed, but does not start.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let client = in_path("redis-cli").or_else(|| in_path("valkey-cli"))?;
        let settings = [&[("cluster-enabled", "yes")], settings].concat();
        let start = |_| {
            let directory = tempfile::tempdir().expect("a directory can be made");
            RedisServer::launch_in(directory, port_of_node(), &settings)
        };
        let nodes = (0..CLUSTER_NODES).map(start).collect::<Option<Vec<_>>>()?;
        let mut create = Command::new(&client);
        create.args(["--cluster", "create"]).args(nodes.iter().map(|node| node.address().to_string()));
        create.args(["--cluster-yes"]).stdin(Stdio::null()).stdout(Stdio::null());
        assert!(create.status().is_ok_and(|status| status.success()), "the servers do not become a cluster");
        // Each learns for itself that all keys are cared for.
        for node in &nodes {
            assert!(becomes_part(&client, node.address()), "a server finds its cluster incomplete");
        }
        Some(Self(nodes))
    }

    /// Its URL, which names one node.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+cluster://{}", self.0[0].address())
    }

    /// Its nodes.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.0
    }

    /// A shell command that ends the servers and removes what they have.
    pub(crate) fn end(&self) -> String {
        self.0.iter().map(RedisServer::end).collect::<Vec<_>>().join("; ")
    }
}

/// A free port with another one above it, for the nodes among themselves.
fn port_of_node() -> u16 {
    loop {
        let port = free_port();
        let bus = port.checked_add(BUS_OFFSET);
        if bus.is_some_and(|bus| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, bus)).is_ok()) {
            return port;
        }
    }
}
