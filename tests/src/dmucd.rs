//! The daemon under test.

use std::fmt::Write as _;
use std::fs::{create_dir_all, write};
use std::path::{Path, PathBuf};
use std::process::Command;

use dmuc_test_servers::Daemon;

use crate::programs;
use crate::site::{COMPONENT_SECRET, Site};
use crate::store::Store;

/// A `dmucd` with its configuration and its store.
#[derive(Debug)]
pub struct Dmucd {
    daemon: Daemon,
    directory: PathBuf,
    name: String,
    /// Dropped last.
    _store: Store,
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
        write(directory.join("dmucd.toml"), config).expect("the configuration can be written");
        let name = format!("dmucd-{}", site.service_domain);
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
