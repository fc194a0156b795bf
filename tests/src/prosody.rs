//! Prosody, in the foreground, in a directory of its own.

use std::fs::{create_dir_all, write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dmuc_test_servers::{Daemon, in_path};

use crate::site::{COMPONENT_SECRET, PASSWORD, Site};

/// Starts the server of a site and waits until it listens.
pub(crate) fn start(site: &Site, directory: &Path) -> Daemon {
    let directory = directory.join("prosody");
    let data = directory.join("data");
    write_accounts(site, &data);
    let config = directory.join("prosody.cfg.lua");
    write(&config, configuration(site, &directory)).expect("the configuration can be written");
    write(directory.join("hosts"), site.hosts_file()).expect("the table of names can be written");
    let program = in_path("prosody").expect("the test checked that Prosody is here");
    let mut command = Command::new(program);
    command.arg("--config").arg(&config).arg("-F").current_dir(&directory);
    let name = format!("prosody-{}", site.user_domain);
    let mut daemon = Daemon::start(&name, &directory, &mut command);
    for port in [5_222, 5_269, 5_347] {
        daemon.wait_listening((site.address, port).into(), Duration::from_secs(20));
    }
    daemon
}

fn write_accounts(site: &Site, data: &Path) {
    let encoded = site.user_domain.replace('.', "%2e").replace('-', "%2d");
    let accounts = data.join(encoded).join("accounts");
    create_dir_all(&accounts).expect("the data directory can be made");
    for account in site.accounts {
        let record = format!("return {{ [\"password\"] = \"{PASSWORD}\" }};\n");
        write(accounts.join(format!("{account}.dat")), record).expect("an account can be written");
    }
}

fn configuration(site: &Site, directory: &Path) -> String {
    let Site { user_domain, service_domain, address, .. } = site;
    let directory = directory.display();
    format!(
        r#"run_as_root = true
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
plugin_paths = {{}}
certificates = "{directory}"
modules_enabled = {{ "roster"; "saslauth"; "dialback"; "disco"; "ping" }}
modules_disabled = {{ "tls"; "posix" }}
interfaces = {{ "{address}" }}
local_interfaces = {{ "{address}" }}
component_interfaces = {{ "{address}" }}
c2s_ports = {{ 5222 }}
s2s_ports = {{ 5269 }}
component_ports = {{ 5347 }}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{}}
https_ports = {{}}
use_ipv6 = false
c2s_require_encryption = false
s2s_require_encryption = false
s2s_secure_auth = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
-- The resolver library answers from this table alone: nothing is asked of the world.
unbound = {{ resolvconf = false; hoststxt = "{directory}/hosts"; options = {{ ["local-zone:"] = ". static" }} }}
log = {{ {{ levels = {{ min = "debug" }}; to = "file"; filename = "{directory}/debug.log" }};
        {{ levels = {{ min = "info" }}; to = "console" }} }}

VirtualHost "{user_domain}"
Component "{service_domain}"
    component_secret = "{COMPONENT_SECRET}"
"#
    )
}
