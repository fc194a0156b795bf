//! A PostgreSQL server of a test's own, from the distribution's package.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{Daemon, free_port};
use crate::requirements::in_path;

/// How long a server may take to start, after a crash too.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before something is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// The superuser of the server's databases; it needs no password.
const USER: &str = "dmuc";

/// A server with a fresh database, gone on drop.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    data: PathBuf,
    settings: Vec<String>,
    port: u16,
    daemon: Option<Daemon>,
    /// Dropped last.
    directory: TempDir,
}

impl PostgresServer {
    /// Starts a server with these settings besides the usual ones; nothing if PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it is installed, but does not start.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let mut server = Self::prepare(None, settings)?;
        server.initialize();
        server.launch();
        Some(server)
    }

    /// Starts a server that keeps its data in `parent`, such as a small file system.
    ///
    /// # Panics
    /// When PostgreSQL is installed, but does not start.
    #[must_use]
    pub fn start_in(parent: &Path, settings: &[(&str, &str)]) -> Option<Self> {
        let mut server = Self::prepare(Some(parent), settings)?;
        server.initialize();
        server.launch();
        Some(server)
    }

    /// Starts a hot standby that follows this server.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_standby(&self) -> Self {
        let mut standby = Self::prepare(None, &[]).expect("what has started this server starts another");
        let port = self.port.to_string();
        let data = standby.data.clone();
        let copy = standby.run("pg_basebackup", |command| {
            command.args(["--host=127.0.0.1", "--port", &port, "--username", USER, "--write-recovery-conf"]);
            command.args(["--checkpoint=fast", "--no-sync", "--pgdata"]).arg(&data);
        });
        assert!(copy, "the server cannot be copied");
        standby.launch();
        standby
    }

    fn prepare(parent: Option<&Path>, settings: &[(&str, &str)]) -> Option<Self> {
        let programs = programs()?;
        let directory = match parent {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        let directory = directory.expect("a directory can be made");
        own(directory.path());
        let port = free_port();
        let settings = settings.iter().map(|(key, value)| format!("--{key}={value}")).collect();
        Some(Self { programs, data: directory.path().join("data"), settings, port, daemon: None, directory })
    }

    fn initialize(&self) {
        let made = self.run("initdb", |command| {
            command.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER]);
            command.arg("--pgdata").arg(&self.data);
        });
        assert!(made, "no database can be made in {}", self.data.display());
    }

    fn run(&self, program: &str, arguments: impl FnOnce(&mut Command)) -> bool {
        let mut command = self.command(program);
        arguments(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// A program of the server's, as a user that is not root: PostgreSQL refuses to be run by root.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.directory.path()).process_group(0);
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server, for the first time or again, on the same port. One that ends before it listens is started once
    /// more, as a supervisor would: after a crash it refuses to start while a process of its former life has not noticed
    /// yet that the others are gone.
    ///
    /// # Panics
    /// When it does not start in time.
    pub fn launch(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut daemon = self.spawn();
        while !daemon.comes_to_listen(self.address(), PATIENCE) {
            assert!(Instant::now() < deadline, "the server ends whenever it is started");
            sleep(RETRY);
            daemon = self.spawn();
        }
        self.daemon = Some(daemon);
        let port = self.port.to_string();
        let ready = self.run("pg_isready", |command| {
            command.args(["--quiet", "--host=127.0.0.1", "--timeout=60", "--port", &port]);
        });
        assert!(ready || self.becomes_ready(&port), "the server does not become ready");
    }

    fn spawn(&self) -> Daemon {
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data).arg("-p").arg(self.port.to_string());
        command.arg("-k").arg(self.directory.path()).arg("--listen_addresses=127.0.0.1");
        command.args(["--shared_buffers=64MB", "--max_wal_senders=4"]).args(&self.settings);
        Daemon::start("postgres", self.directory.path(), &mut command)
    }

    fn becomes_ready(&self, port: &str) -> bool {
        let tries = PATIENCE.as_millis() / RETRY.as_millis();
        (0..tries).any(|_| {
            sleep(RETRY);
            self.run("pg_isready", |command| {
                command.args(["--quiet", "--host=127.0.0.1", "--port", port]);
            })
        })
    }

    /// Kills all processes of the server at once (`SIGKILL`), as a crash would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let group = format!("-{}", daemon.pid());
        let mut kill = Command::new("kill");
        kill.args(["-9", "--", &group]).stderr(Stdio::null()).status().expect("`kill` can be run");
        daemon.kill();
    }

    /// Whether it runs, as far as it was not killed by [`kill`](Self::kill).
    pub fn is_running(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(Daemon::is_running)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@{}/postgres", self.address())
    }

    /// What the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("postgres.log")).unwrap_or_default()
    }

    /// A shell command that ends the server and removes what it has.
    pub(crate) fn end(&self) -> String {
        let pid = self.daemon.as_ref().map_or(0, Daemon::pid);
        format!("kill -9 -- -{pid}; rm -rf '{}'", self.directory.path().display())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where the newest installed server's programs are.
fn programs() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.map(|entry| entry.path()).max_by_key(version);
    let packaged = newest.map(|path| path.join("bin")).filter(|bin| bin.join("postgres").is_file());
    packaged.or_else(|| Some(in_path("postgres")?.parent()?.to_owned()))
}

/// Gives a directory to the one who runs the server.
fn own(directory: &Path) {
    if let Some((user, group)) = unprivileged() {
        chown(directory, Some(user), Some(group)).expect("root may give directories away");
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).expect("the directory is ours");
}

/// Whose the server is when root runs the tests: `postgres`, or else `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let user = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
        Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
    };
    if is_root { ids("postgres").or_else(|| ids("nobody")) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(name: &str, pid: u32) {
        let status = Command::new("kill").arg(name).arg(pid.to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name} {pid}");
    }

    /// A process that the server has started for itself.
    fn helper(server: &PostgresServer) -> u32 {
        let pid = server.daemon.as_ref().map(Daemon::pid).expect("it runs");
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("Linux tells");
        let first = children.split_whitespace().next().expect("it has some");
        first.parse().expect("a process id")
    }

    #[test]
    fn starts_again_once_the_last_of_its_former_processes_is_gone() {
        let Some(mut server) = PostgresServer::start(&[]) else { return };
        let slow = helper(&server);
        signal("-STOP", slow);
        server.kill();
        let wakes = std::thread::spawn(move || {
            sleep(Duration::from_secs(2));
            signal("-CONT", slow);
        });
        server.launch();
        wakes.join().expect("it was there to be woken");
        assert!(server.log().contains("pre-existing shared memory block"), "it was in the way");
    }
}
