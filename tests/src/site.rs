//! What one site is called and where it lives.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The password of every account in the tests.
pub const PASSWORD: &str = "secret";

/// The secret between a server and its component.
pub const COMPONENT_SECRET: &str = "hecate";

/// The server software a site runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// Prosody, with `dmucd` as its component.
    Prosody,
    /// ejabberd, with `dmucd` as its component.
    Ejabberd,
}

/// One site: a server for users, and rooms as its component.
#[derive(Debug, Clone)]
pub struct Site {
    /// The domain of the users.
    pub user_domain: &'static str,
    /// The domain of the rooms.
    pub service_domain: &'static str,
    /// What the server is.
    pub software: Software,
    /// Where it listens, on the standard ports.
    pub address: Ipv4Addr,
    /// The local parts of its accounts; the last one administers the service.
    pub accounts: &'static [&'static str],
    /// Over how many connections the server spreads the rooms.
    pub connections: usize,
    /// Every other domain, and the address where this site's server finds it.
    pub hosts: Vec<(&'static str, Ipv4Addr)>,
}

impl Site {
    /// The bare JID of who administers the service.
    pub fn operator(&self) -> String {
        format!("{}@{}", self.accounts.last().expect("a site has accounts"), self.user_domain)
    }

    /// The names its server knows, in the form of `/etc/hosts`.
    pub(crate) fn hosts_file(&self) -> String {
        let mut table = String::new();
        for (domain, address) in &self.hosts {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{address} {domain}");
        }
        table
    }
}
