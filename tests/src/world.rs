//! Sites, as in the specification up to three, and the links between them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use dmuc_test_servers::Daemon;

use crate::client::{Client, Driver, Made};
use crate::dmucd::Dmucd;
use crate::link::{Crossing, Link};
use crate::loopback::Block;
use crate::site::{Site, Software};
use crate::{ejabberd, prosody};

/// The site of `shakespeare.lit` with the rooms of `chat.shakespeare.lit`.
pub const CHAT: usize = 0;
/// The site of `macbeth.lit` with the rooms of `rooms.macbeth.lit`.
pub const ROOMS: usize = 1;
/// The site of `marlowe.lit` with the rooms of `conference.marlowe.lit`.
pub const CONFERENCE: usize = 2;

const DOMAINS: [(&str, &str); 3] = [
    ("shakespeare.lit", "chat.shakespeare.lit"),
    ("macbeth.lit", "rooms.macbeth.lit"),
    ("marlowe.lit", "conference.marlowe.lit"),
];

/// By site. The last one administers the rooms' service.
const ACCOUNTS: [&[&str]; 3] = [
    &["crone1", "wiccarocks", "duncan", "hecate"],
    &["hag66", "somewitch", "lady", "porter"],
    &["kit", "faustus", "helen", "wagner"],
];

/// How long the links must have been quiet before they are believed to be.
const LULL: Duration = Duration::from_millis(400);

/// Three running sites. The fields are in the order of tidying up: clients first, the directory last.
#[derive(Debug)]
pub struct World {
    driver: Driver,
    /// The clients of the second library, if there are any.
    other_driver: OnceLock<Driver>,
    dmucds: Vec<Dmucd>,
    servers: Vec<Daemon>,
    links: Vec<Vec<Link>>,
    sites: Vec<Site>,
    directory: TempDir,
    _block: Block,
}

impl World {
    /// Starts the servers of the three sites and the links between them; no component is attached.
    ///
    /// Their directory is removed in the end, unless `DMUC_TEST_KEEP` is set.
    ///
    /// # Panics
    /// When a server does not start.
    pub fn of_servers<const SITES: usize>(software: [Software; SITES]) -> Self {
        let mut directory = tempfile::Builder::new();
        directory.prefix("dmuc-world-").disable_cleanup(std::env::var_os("DMUC_TEST_KEEP").is_some());
        let directory = directory.tempdir().expect("a directory can be made");
        let block = Block::claim();
        let mut sites: Vec<_> = (0..SITES).map(|number| site(number, software[number], &block)).collect();
        let links = connect(&mut sites, &block);
        let servers = sites.iter().map(|site| start_server(site, directory.path())).collect();
        let driver = Driver::start(directory.path());
        Self {
            driver,
            other_driver: OnceLock::new(),
            dmucds: Vec::new(),
            servers,
            links,
            sites,
            directory,
            _block: block,
        }
    }

    /// Starts the servers of the three sites, each with `dmucd` as its component and all of them peers.
    ///
    /// # Panics
    /// When one of them does not come up.
    pub fn new<const SITES: usize>(software: [Software; SITES]) -> Self {
        let mut world = Self::of_servers(software);
        for number in 0..SITES {
            let site = &world.sites[number];
            let peers: Vec<_> = (0..SITES)
                .filter(|peer| *peer != number)
                .map(|peer| (DOMAINS[peer].1, DOMAINS[peer].0))
                .collect();
            let dmucd = Dmucd::start(site, &peers, &world.path_of(number));
            world.dmucds.push(dmucd);
        }
        world
    }

    /// The site with this number ([`CHAT`], [`ROOMS`] or [`CONFERENCE`]).
    pub fn site(&self, number: usize) -> &Site {
        &self.sites[number]
    }

    /// The daemon of a site.
    pub fn dmucd(&mut self, number: usize) -> &mut Dmucd {
        &mut self.dmucds[number]
    }

    /// The chat server of a site.
    pub fn server(&mut self, number: usize) -> &mut Daemon {
        &mut self.servers[number]
    }

    /// The directory of this world.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Logs in a user; the domain tells where.
    ///
    /// # Panics
    /// When the domain is not one of the world, or the server refuses.
    pub fn login(&self, jid: &str) -> Client {
        self.login_made(Made::WithSlixmpp, jid)
    }

    /// Logs in a user with a client of this library.
    ///
    /// # Panics
    /// When the domain is not one of the world, or the server refuses.
    pub fn login_made(&self, made: Made, jid: &str) -> Client {
        let bare = jid.split('/').next().unwrap_or_default();
        let domain = bare.split('@').nth(1).unwrap_or_default();
        let site = self.sites.iter().find(|site| site.user_domain == domain);
        let driver = match made {
            Made::WithSlixmpp => &self.driver,
            Made::WithTokioXmpp => self.other_driver.get_or_init(|| Driver::made(made, self.directory())),
        };
        driver.login(jid, site.expect("the domain is one of the world").address)
    }

    /// Waits until the service of a site answers this client.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for_service(&self, number: usize, client: &Client) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let query = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        loop {
            let service = self.sites[number].service_domain;
            let answer = client.try_iq(service, "get", query, Duration::from_secs(5));
            if answer.as_ref().is_ok_and(|answer| answer.kind() == "result") {
                return;
            }
            let answer = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
            assert!(Instant::now() < deadline, "{service} does not answer {}: {answer}", client.jid());
            sleep(Duration::from_millis(200));
        }
    }

    /// The link from one site to another.
    pub fn link(&self, from: usize, to: usize) -> &Link {
        &self.links[from][to]
    }

    /// Waits until nothing crosses any link, and marks that point on all of them.
    pub fn lull(&self) -> Vec<Vec<usize>> {
        let marks = || self.links.iter().map(|row| row.iter().map(Link::mark).collect()).collect();
        let mut last: Vec<Vec<usize>> = marks();
        loop {
            sleep(LULL);
            let now = marks();
            if now == last {
                return now;
            }
            last = now;
        }
    }

    /// The stanzas of this kind that crossed from one site to another since a [`World::lull`].
    pub fn crossed(&self, marks: &[Vec<usize>], from: usize, to: usize, name: &str) -> Vec<Crossing> {
        let mut crossed = self.links[from][to].since(marks[from][to]);
        crossed.retain(|stanza| stanza.name == name);
        crossed
    }

    fn path_of(&self, number: usize) -> PathBuf {
        self.directory.path().join(DOMAINS[number].0)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.links.iter().flatten().for_each(Link::close);
    }
}

fn site(number: usize, software: Software, block: &Block) -> Site {
    let (user_domain, service_domain) = DOMAINS[number];
    let address = block.address();
    let accounts = ACCOUNTS[number];
    Site { user_domain, service_domain, software, address, accounts, connections: 1, hosts: Vec::new() }
}

/// Puts a link between each two sites, an entrance for each domain of the far one, and tells the near one where.
fn connect(sites: &mut [Site], block: &Block) -> Vec<Vec<Link>> {
    let targets: Vec<_> = sites.iter().map(|site| site.address).collect();
    let mut links = Vec::new();
    for (from, site) in sites.iter_mut().enumerate() {
        let row: Vec<_> = (0..targets.len()).map(|_| Link::new()).collect();
        for (to, link) in row.iter().enumerate().filter(|(to, _)| *to != from) {
            for domain in [DOMAINS[to].0, DOMAINS[to].1] {
                let entrance = block.address();
                link.forward((entrance, 5_269).into(), (targets[to], 5_269).into());
                site.hosts.push((domain, entrance));
            }
        }
        links.push(row);
    }
    links
}

fn start_server(site: &Site, directory: &Path) -> Daemon {
    let directory = directory.join(site.user_domain);
    match site.software {
        Software::Prosody => prosody::start(site, &directory),
        Software::Ejabberd => ejabberd::start(site, &directory),
    }
}
