//! The daemon under test.

use std::fmt::Write as _;
use std::fs::{create_dir_all, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dmuc_test_servers::Daemon;

use crate::programs;
use crate::site::{COMPONENT_SECRET, Site};
use crate::store::Store;

/// How long rooms stay with a daemon that is one of several.
pub const LEASE: Duration = Duration::from_secs(3);

/// A `dmucd` with its configuration and its store.
#[derive(Debug)]
pub struct Dmucd {
    daemon: Daemon,
    directory: PathBuf,
    name: String,
    /// Dropped last.
    _store: Arc<Store>,
}

impl Dmucd {
    /// Starts the component of a site, with all the other services as peers in both directions.
    ///
    /// # Panics
    /// When it cannot be built or started.
    pub fn start(site: &Site, peers: &[(&str, &str)], directory: &Path) -> Self {
        let directory = directory.join("dmucd");
        create_dir_all(&directory).expect("a directory can be made");
        let store = Store::fresh(&directory);
        let config = configuration(site, peers, &store.url());
        Self::configured(format!("dmucd-{}", site.service_domain), config, Arc::new(store), directory)
    }

    /// Starts one of several daemons on one store, which share the connections of a site.
    ///
    /// # Panics
    /// When it cannot be built or started.
    pub fn start_node(site: &Site, name: &str, store: &Arc<Store>, directory: &Path) -> Self {
        let directory = directory.join(name);
        create_dir_all(&directory).expect("a directory can be made");
        let share = format!("connections = {}\n[store]", site.connections);
        let config = configuration(site, &[], &store.url())
            .replace("[service]", &format!("[service]\nnode = \"{name}\"\nlock-new-rooms = false"))
            .replace("[store]", &share)
            .replace("[limits]", &format!("[limits]\nlease-seconds = {}", LEASE.as_secs()));
        Self::configured(name.to_owned(), config, Arc::clone(store), directory)
    }

    fn configured(name: String, config: String, store: Arc<Store>, directory: PathBuf) -> Self {
        write(directory.join("dmucd.toml"), config).expect("the configuration can be written");
        Self { daemon: run(&name, &directory), directory, name, _store: store }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.daemon.is_running()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Ends it without warning (`SIGKILL`).
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Stops it where it is, or lets it go on (`SIGSTOP`, `SIGCONT`).
    ///
    /// # Panics
    /// When it is not there.
    pub fn pause(&self, paused: bool) {
        let signal = if paused { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} can be sent a signal", self.name);
    }

    /// Starts it again on the same configuration and store.
    pub fn restart(&mut self) {
        self.daemon.kill();
        self.daemon = run(&self.name, &self.directory);
    }
}

fn run(name: &str, directory: &Path) -> Daemon {
    let mut command = Command::new(programs::dmucd());
    // What the tests are told by variables is none of the daemon's settings.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DMUC_")) {
        command.env_remove(name);
    }
    command.arg("run").arg("--config").arg(directory.join("dmucd.toml")).current_dir(directory);
    Daemon::start(name, directory, &mut command)
}

fn configuration(site: &Site, peers: &[(&str, &str)], store: &str) -> String {
    let Site { user_domain, service_domain, address, .. } = site;
    let mut config = format!(
        r#"[service]
domain = "{service_domain}"
user-domains = ["{user_domain}"]
admins = ["{}"]
distribute = "owner"
replicate = "at-once"
redirect = "always"
[component]
host = "{address}"
port = 5347
secret = "{COMPONENT_SECRET}"
[store]
url = "{store}"
[log]
format = "human"
level = "debug,sqlx=info"
# A killed daemon keeps its rooms until its lease runs out.
[limits]
"#,
        site.operator()
    );
    for (peer, vouched) in peers {
        let _ = write!(
            config,
            "[[peer]]\ndomain = \"{peer}\"\nhost = true\nplace = true\nvouch = [\"{vouched}\"]\n"
        );
    }
    config
}
