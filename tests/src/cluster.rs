//! One site whose rooms are served by several daemons on one store.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dmuc_test_servers::Daemon;
use tempfile::TempDir;

use crate::client::{Client, Driver, Made};
use crate::dmucd::Dmucd;
use crate::ejabberd;
use crate::loopback::Block;
use crate::site::{Site, Software};
use crate::store::Store;

const USERS: &str = "shakespeare.lit";
const ROOMS: &str = "chat.shakespeare.lit";

/// How long daemons may take to share the connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// An ejabberd, two daemons and their store. The fields are in the order of tidying up.
#[derive(Debug)]
pub struct Cluster {
    driver: Driver,
    nodes: Vec<Dmucd>,
    _server: Daemon,
    site: Site,
    _directory: TempDir,
    _block: Block,
}

impl Cluster {
    /// Starts everything, with so many connections to share, and waits until rooms can be used.
    ///
    /// # Panics
    /// When something does not come up.
    pub fn start(connections: usize) -> Self {
        let mut directory = tempfile::Builder::new();
        directory.prefix("dmuc-nodes-").disable_cleanup(std::env::var_os("DMUC_TEST_KEEP").is_some());
        let directory = directory.tempdir().expect("a directory can be made");
        let block = Block::claim();
        let site = Site {
            user_domain: USERS,
            service_domain: ROOMS,
            software: Software::Ejabberd,
            address: block.address(),
            accounts: &["crone1", "wiccarocks", "hecate"],
            connections,
            hosts: Vec::new(),
        };
        let server = ejabberd::start(&site, directory.path());
        let store = Arc::new(Store::fresh(directory.path()));
        let node = |name| Dmucd::start_node(&site, name, &store, directory.path());
        // A new file is made by one of them.
        let first = node("first");
        wait_until("the first daemon has opened the store", || first.log().contains("store opened"));
        let nodes = vec![first, node("second")];
        let driver = Driver::made(Made::WithTokioXmpp, directory.path());
        let cluster = Self { driver, nodes, _server: server, site, _directory: directory, _block: block };
        cluster.wait_for_places(connections.min(2));
        cluster
    }

    /// The address of a room.
    pub fn room(&self, name: &str) -> String {
        format!("{name}@{ROOMS}")
    }

    /// One of the daemons, from 0.
    pub fn node(&mut self, number: usize) -> &mut Dmucd {
        &mut self.nodes[number]
    }

    /// Logs a user in.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn login(&self, account: &str) -> Client {
        self.driver.login(&format!("{account}@{USERS}/x"), self.site.address)
    }

    /// Which daemons have a place of their own.
    pub fn settled(&self) -> Vec<bool> {
        self.nodes.iter().map(|node| node.log().contains("has a place among the connections")).collect()
    }

    fn wait_for_places(&self, count: usize) {
        let connected = |node: &&Dmucd| node.log().contains("connected to the host");
        wait_until("the daemons share the connections", || {
            self.nodes.iter().filter(connected).count() >= count
        });
    }
}

fn wait_until(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "it never came to be that {what}");
        sleep(Duration::from_millis(100));
    }
}
