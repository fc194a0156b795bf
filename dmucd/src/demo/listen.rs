//! The stage is open: real clients may log in.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use dmuc_server_adapter::host::Accounts;
use tokio::net::TcpListener;

use super::screen::Screen;
use super::stage::Stage;

/// Who may log in at each site, with the same word as password.
const NAMES: [&str; 3] = ["crone1", "somewitch", "kit"];

/// Listens for the users of all sites until the process is told to stop.
pub(super) async fn serve(
    stage: &Stage,
    screen: &Screen,
    port: u16,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    screen.act("The stage is yours: log in with real clients (on this machine, without encryption)").await;
    for (n, site) in stage.sites.iter().enumerate() {
        let accounts = NAMES.iter().fold(Accounts::default(), |accounts, name| accounts.with(name, name));
        stage.router.add_users(site.users.as_str(), &site.users, accounts);
        let wanted = port + u16::try_from(n).unwrap_or(0);
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await {
            Ok(listener) => listener,
            // Taken: any free one will do, and is printed.
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        };
        let at = listener.local_addr()?;
        let names: Vec<String> = NAMES.iter().map(|name| format!("{name}@{}", site.users)).collect();
        screen.good(&format!("{at:<18} room coven@{:<24} {}", site.rooms.as_str(), names.join("  ")));
        tokio::spawn(Arc::clone(&stage.router).serve_clients(site.users.clone(), listener));
    }
    screen.note("The password of each is its name (crone1's is crone1). Stop with Ctrl-C.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
