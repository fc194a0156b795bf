//! What the measurements share: a host server that only counts, and the daemon as a child process.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memchr::memmem::Finder;

/// The daemon under measurement; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts `binary` as the component `domain` of the host at `port`, with a store in `dir`.
    ///
    /// # Errors
    /// If the configuration cannot be written or the process cannot be started.
    pub fn start(binary: &Path, domain: &str, port: u16, dir: &Path) -> io::Result<Self> {
        let config = dir.join("dmucd.toml");
        let store = dir.join("rooms.db");
        let text = format!(
            "[service]\ndomain = \"{domain}\"\nlock-new-rooms = false\n[component]\nhost = \"127.0.0.1\"\nport = {port}\n\
             secret = \"bench\"\n[store]\nurl = \"sqlite:{}\"\n[log]\nlevel = \"warn\"\n",
            store.display()
        );
        std::fs::write(&config, text)?;
        let child =
            Command::new(binary).arg("run").arg("--config").arg(config).stdin(Stdio::null()).spawn()?;
        Ok(Self { child })
    }

    /// CPU time used so far, user and system, from `/proc`.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let behind = stat.rsplit(')').next().unwrap_or("");
        let ticks: u64 =
            behind.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Resident memory in KiB, from `/proc`.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn resident_kib(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("");
        Ok(line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0))
    }
}

/// `USER_HZ`, which Linux fixes at 100 for everything that it shows to users.
const TICKS_PER_SECOND: u64 = 100;

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The host's end of a component stream: accepts any secret, and counts what comes.
#[derive(Debug)]
pub struct CountingHost {
    stream: TcpStream,
    buffer: Vec<u8>,
    kept: usize,
}

impl CountingHost {
    /// Waits for the component, and lets it in.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn accept(listener: &TcpListener) -> io::Result<Self> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut host = Self { stream: stream.try_clone()?, buffer: vec![0; 1 << 20], kept: 0 };
        host.read_until(b"<stream:stream")?;
        stream.write_all(
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
              xmlns:stream='http://etherx.jabber.org/streams' id='1' from='bench'>",
        )?;
        host.read_until(b"</handshake>")?;
        stream.write_all(b"<handshake/>")?;
        Ok(host)
    }

    fn read_until(&mut self, needle: &[u8]) -> io::Result<()> {
        let finder = Finder::new(needle);
        let mut seen = Vec::new();
        while finder.find(&seen).is_none() {
            let n = self.stream.read(&mut self.buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            seen.extend_from_slice(&self.buffer[..n]);
        }
        Ok(())
    }

    /// A second handle, for writing.
    ///
    /// # Errors
    /// If the socket cannot be shared.
    pub fn writer(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Reads once and gives every number that stands behind `marker` up to a `<` or `'`, in order.
    ///
    /// # Errors
    /// If the component is gone.
    pub fn read_numbers(&mut self, marker: &Finder<'_>, mut each: impl FnMut(usize)) -> io::Result<()> {
        let n = self.stream.read(&mut self.buffer[self.kept..])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = self.kept + n;
        let mut at = 0;
        while let Some(found) = marker.find(&self.buffer[at..end]) {
            let from = at + found + marker.needle().len();
            let Some(length) = memchr::memchr2(b'<', b'\'', &self.buffer[from..end]) else { break };
            if let Some(number) =
                std::str::from_utf8(&self.buffer[from..from + length]).ok().and_then(|n| n.parse().ok())
            {
                each(number);
            }
            at = from + length;
        }
        // What may be the beginning of a marker and its number is read again with what follows.
        let tail = end.saturating_sub(at).min(marker.needle().len() + 24);
        self.buffer.copy_within(end - tail..end, 0);
        self.kept = tail;
        Ok(())
    }
}

/// Runs `work` and gives how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}
