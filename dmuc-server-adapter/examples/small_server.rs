//! A small XMPP server on loopback with a MUC module inside: what a Rust server has to do to host one.
//!
//! ```text
//! cargo run --example small_server -- --port 5222 --user alice:secret --user bob:secret
//! ```
//!
//! NO ENCRYPTION: clients connect over plain TCP, on 127.0.0.1 only. TLS is the business of the server that embeds
//! this; ours shows the interfaces and serves tests.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dmuc_core::stanza::{Condition, El, Outbound};
use dmuc_core::{Address, Stanza, ns};
use dmuc_server_adapter::host::{Accounts, Host, Router};
use dmuc_server_adapter::module::{Accepted, Inbound, MucModule};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "small_server [--port N] [--domain D] [--muc-domain D] [--user name:password]...";

struct Options {
    port: u16,
    domain: Address,
    muc_domain: Address,
    accounts: Accounts,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self {
            port: 5222,
            domain: Address::parse("localhost")?,
            muc_domain: Address::parse("chat.localhost")?,
            accounts: Accounts::default(),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match name.as_str() {
                "--port" => options.port = value.parse()?,
                "--domain" => options.domain = Address::parse(&value)?,
                "--muc-domain" => options.muc_domain = Address::parse(&value)?,
                "--user" => {
                    let (user, password) = value.split_once(':').ok_or(USAGE)?;
                    options.accounts = options.accounts.with(user, password);
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

/// The module in its smallest form: a conference service that has no rooms and lets none be created.
struct NoRooms {
    domain: Address,
    host: Arc<dyn Host>,
}

impl NoRooms {
    fn answer(&self, stanza: &Stanza) -> Option<Stanza> {
        let asks_who = stanza.is_request() && stanza.child("query", ns::DISCO_INFO).is_some();
        if asks_who && stanza.to.as_ref() == Some(&self.domain) {
            let identity =
                El::new("identity", ns::DISCO_INFO).attr("category", "conference").attr("type", "text");
            return Some(stanza.result().with(El::new("query", ns::DISCO_INFO).child(identity).payload()));
        }
        let error = stanza.error(&Condition::ItemNotFound.into())?;
        // XEP-0045 §7.2: clients tell a failed join from other presence errors by this child.
        let join = stanza.child("x", ns::MUC).map(|_| El::new("x", ns::MUC).payload());
        Some(error.with_opt(join))
    }
}

impl MucModule for NoRooms {
    fn domains(&self) -> Vec<Address> {
        vec![self.domain.clone()]
    }

    fn handle(&self, inbound: Inbound) -> Accepted {
        if let Some(answer) = self.answer(&inbound.stanza) {
            let _ = self.host.try_send(Outbound::One(Box::new(answer)));
        }
        Accepted::Taken
    }

    fn session_closed(&self, _: &Address) {}

    fn peer_link(&self, _: &str, _: bool) {}
}

/// Whatever implements [`MucModule`] goes here.
fn rooms(domain: &Address, host: Arc<dyn Host>) -> Arc<dyn MucModule> {
    Arc::new(NoRooms { domain: domain.clone(), host })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt::init();
    let options = Options::parse(std::env::args().skip(1))?;
    let router = Router::new();
    router.add_users("here", &options.domain, options.accounts);
    router.add_module("here", &rooms(&options.muc_domain, router.host(&options.muc_domain)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    println!("listening on {} for {}, WITHOUT ENCRYPTION", listener.local_addr()?, options.domain);
    router.serve_clients(options.domain, listener).await;
    Ok(())
}
