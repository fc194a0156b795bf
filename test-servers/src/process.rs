//! Child processes that leave nothing behind.

use std::fs::{File, read_to_string};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{panicking, sleep};
use std::time::{Duration, Instant};

/// How many bytes of a log are shown when a test fails.
const LOG_TAIL_BYTES: usize = 6_000;

/// A port of the loopback address on which nothing listens.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
    listener.local_addr().expect("it is bound").port()
}

/// A server process with its log; killed on drop, its log printed if the test fails.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    logs: Vec<PathBuf>,
}

impl Daemon {
    /// Starts `command` with its output going to `NAME.log` in `directory`.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(name: &str, directory: &Path, command: &mut Command) -> Self {
        let log = directory.join(format!("{name}.log"));
        let open = || File::options().create(true).append(true).open(&log).expect("the log can be opened");
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, logs: vec![log] }
    }

    /// Also prints this log when the test fails.
    pub fn with_log(mut self, log: PathBuf) -> Self {
        self.logs.push(log);
        self
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process at once, with no chance to tidy up (`SIGKILL`).
    pub fn kill(&mut self) {
        // A process that has already ended is what is wanted here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Everything the process has logged so far.
    pub fn log(&self) -> String {
        self.logs.iter().filter_map(|log| read_to_string(log).ok()).collect()
    }

    /// Waits until the process listens.
    ///
    /// # Panics
    /// When it ends before, or does not listen in time.
    pub fn wait_listening(&mut self, address: SocketAddr, patience: Duration) {
        assert!(
            self.comes_to_listen(address, patience),
            "{} ended instead of listening on {address}",
            self.name
        );
    }

    /// Waits until the process listens, or ends instead: then false.
    ///
    /// # Panics
    /// When it does neither in time.
    pub fn comes_to_listen(&mut self, address: SocketAddr, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if !self.is_running() {
                return false;
            }
            assert!(Instant::now() < deadline, "{} does not listen on {address}", self.name);
            sleep(Duration::from_millis(50));
        }
        true
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if !panicking() {
            return;
        }
        for path in &self.logs {
            let log = read_to_string(path).unwrap_or_default();
            let start = log.len().saturating_sub(LOG_TAIL_BYTES);
            let tail = log.get(log.ceil_char_boundary(start)..).unwrap_or_default();
            eprintln!("---- {} ({})\n{tail}", self.name, path.display());
        }
    }
}
