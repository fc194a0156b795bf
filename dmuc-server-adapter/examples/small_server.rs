//! A small XMPP server on loopback with distributed rooms inside: what a Rust server has to do to have them.
//!
//! ```text
//! cargo run --example small_server -- --port 5222 --user alice:secret --user bob:secret
//! ```
//!
//! NO ENCRYPTION: clients connect over plain TCP, on 127.0.0.1 only. TLS is the business of the server that embeds
//! this; ours shows the interfaces and serves tests.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::policy::ServicePolicy;
use dmuc_server_adapter::host::{Accounts, Router};
use dmuc_server_adapter::module::MucModule;
use dmuc_server_adapter::service::{Service, Tuning, open_storage};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str =
    "small_server [--port N] [--domain D] [--muc-domain D] [--store URL] [--user name:password]...";

struct Options {
    port: u16,
    domain: Address,
    muc_domain: Address,
    store: String,
    accounts: Accounts,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self {
            port: 5222,
            domain: Address::parse("localhost")?,
            muc_domain: Address::parse("chat.localhost")?,
            store: "memory:".to_owned(),
            accounts: Accounts::default(),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match name.as_str() {
                "--port" => options.port = value.parse()?,
                "--domain" => options.domain = Address::parse(&value)?,
                "--muc-domain" => options.muc_domain = Address::parse(&value)?,
                "--store" => options.store = value,
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

/// The rooms: a store, a host to send through, a policy.
async fn rooms(options: &Options, router: &Arc<Router>) -> Result<Arc<Service>, Failure> {
    let storage = open_storage(&options.store).await?;
    let policy = ServicePolicy {
        user_domains: vec![options.domain.to_string()],
        ..ServicePolicy::new(&options.muc_domain)
    };
    let host = router.host(&options.muc_domain);
    Ok(Arc::new(Service::start(storage, host, policy, Tuning::default()).await?))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt::init();
    let options = Options::parse(std::env::args().skip(1))?;
    let router = Router::new();
    let service = rooms(&options, &router).await?;
    let module: Arc<dyn MucModule> = service.clone();
    router.add_users("here", &options.domain, options.accounts);
    router.add_module("here", &module);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    println!("listening on {} for {}, WITHOUT ENCRYPTION", listener.local_addr()?, options.domain);
    tokio::select! {
        () = router.serve_clients(options.domain, listener) => {}
        _ = tokio::signal::ctrl_c() => service.shutdown().await,
    }
    Ok(())
}
