//! The stage: three sites in one process, each with its users, its rooms and its own store.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::policy::{PeerRule, ServicePolicy};
use dmuc_server_adapter::host::{Host, Router};
use dmuc_server_adapter::module::MucModule;
use dmuc_server_adapter::service::{Service, Tuning, open_storage};

use super::cast::{Cast, Player};

/// The specification's three sites: users' domain, rooms' domain.
pub const SITES: [(&str, &str); 3] = [
    ("shakespeare.lit", "chat.shakespeare.lit"),
    ("macbeth.lit", "rooms.macbeth.lit"),
    ("marlowe.lit", "conference.marlowe.lit"),
];

/// One site.
pub struct Site {
    /// Domain of its users.
    pub users: Address,
    /// Domain of its rooms.
    pub rooms: Address,
    cast: Arc<Cast>,
    host: Arc<dyn Host>,
    service: Arc<Service>,
}

/// All of them.
pub struct Stage {
    /// What carries stanzas between them.
    pub router: Arc<Router>,
    /// In the order of [`SITES`].
    pub sites: Vec<Site>,
}

impl Stage {
    /// Sets up the sites, with their stores in `dir`.
    ///
    /// # Errors
    /// If a store cannot be opened.
    pub async fn set(dir: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let router = Router::new();
        let mut sites = Vec::new();
        for (users, rooms) in SITES {
            sites.push(Site::open(&router, Address::parse(users)?, Address::parse(rooms)?, dir).await?);
        }
        Ok(Self { router, sites })
    }

    /// A user of a site.
    ///
    /// # Panics
    /// If `name` cannot be part of an address; the names are ours.
    #[must_use]
    pub fn player(&self, site: usize, name: &str) -> Player {
        let Site { users, cast, host, .. } = &self.sites[site];
        let jid = Address::parse(&format!("{name}@{users}/demo")).expect("names of players are plain words");
        Player::new(jid, cast, host)
    }

    /// Cuts one site off from the others; what is sent across comes back as it would from a server that waits in vain.
    pub fn cut_off(&self, site: usize) {
        self.each_other(site, |one, other| self.router.cut_bouncing(one, other));
    }

    /// Connects it again.
    pub fn reconnect(&self, site: usize) {
        self.each_other(site, |one, other| self.router.heal(one, other));
    }

    fn each_other(&self, site: usize, act: impl Fn(&str, &str)) {
        let domains = |n: usize| [self.sites[n].users.as_str(), self.sites[n].rooms.as_str()];
        for other in (0..self.sites.len()).filter(|other| *other != site) {
            for one in domains(site) {
                domains(other).iter().for_each(|other| act(one, other));
            }
        }
    }

    /// Stops the services; everything is in their stores.
    pub async fn clear(&self) {
        for site in &self.sites {
            site.service.shutdown().await;
        }
    }
}

impl Site {
    async fn open(
        router: &Arc<Router>,
        users: Address,
        rooms: Address,
        dir: &Path,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let cast = Cast::new(&users);
        let as_module: Arc<dyn MucModule> = cast.clone();
        router.add_module(users.as_str(), &as_module);
        let storage = open_storage(&format!("sqlite:{}", dir.join(format!("{rooms}.db")).display())).await?;
        let mut policy = ServicePolicy::new(&rooms);
        let others = SITES.iter().filter(|(_, other)| *other != rooms.as_str());
        policy.peers = others.map(|(_, other)| PeerRule::allow(other)).collect();
        let service =
            Arc::new(Service::start(storage, router.host(&rooms), policy, Tuning::default()).await?);
        let as_module: Arc<dyn MucModule> = service.clone();
        router.add_module(users.as_str(), &as_module);
        let host = router.host(&users);
        Ok(Self { users, rooms, cast, host, service })
    }
}
