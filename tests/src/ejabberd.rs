//! ejabberd, as one Erlang process without a node name, in a directory of its own.

use std::fmt::Write as _;
use std::fs::{create_dir_all, read_dir, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dmuc_test_servers::{Daemon, in_path};

use crate::site::{COMPONENT_SECRET, PASSWORD, Site};

/// Starts the server of a site and waits until it listens.
pub(crate) fn start(site: &Site, directory: &Path) -> Daemon {
    let directory = directory.join("ejabberd");
    create_dir_all(directory.join("database")).expect("the data directory can be made");
    let config = directory.join("ejabberd.yml");
    write(&config, configuration(site)).expect("the configuration can be written");
    let names = directory.join("hosts");
    write(&names, site.hosts_file()).expect("the table of names can be written");
    let resolver = directory.join("inetrc");
    write(&resolver, no_name_server(site)).expect("the resolver's configuration can be written");
    let program = in_path("erl").expect("the test checked that ejabberd is here");
    let mut command = Command::new(program);
    command
        // Its XML library prints recursively: with the usual stacks, deeply nested stanzas end ejabberd 23.01 itself
        // before they reach anybody else.
        .args(["+sss", "8192", "-noinput", "-mnesia", "dir"])
        .arg(format!("\"{}\"", directory.join("database").display()))
        .args(["-s", "ejabberd", "-eval", &accounts(site)])
        .env("ERL_LIBS", library_directory())
        .env("ERL_INETRC", &resolver)
        .env("LD_PRELOAD", "libnss_wrapper.so")
        .env("NSS_WRAPPER_HOSTS", &names)
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env("EJABBERD_CONFIG_PATH", &config)
        .env("EJABBERD_LOG_PATH", directory.join("ejabberd.log"))
        .env("HOME", &directory)
        .current_dir(&directory);
    let name = format!("ejabberd-{}", site.user_domain);
    let mut daemon = Daemon::start(&name, &directory, &mut command).with_log(directory.join("ejabberd.log"));
    for port in [5_222, 5_269, 5_347] {
        daemon.wait_listening((site.address, port).into(), Duration::from_secs(60));
    }
    daemon
}

/// Where the packages of ejabberd and its libraries are: the distribution keeps them outside Erlang's own tree.
fn library_directory() -> PathBuf {
    let candidates = read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let has_ejabberd = |directory: &PathBuf| {
        let names = read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().starts_with("ejabberd-"))
    };
    candidates.into_iter().find(has_ejabberd).unwrap_or_else(|| PathBuf::from("/usr/lib/erlang/lib"))
}

/// An expression which makes the accounts once the server is up, before it accepts logins.
fn accounts(site: &Site) -> String {
    let domain = site.user_domain;
    let mut expression = String::from("{ok, _} = application:ensure_all_started(ejabberd)");
    for account in site.accounts {
        let _ = write!(
            expression,
            ", ok = ejabberd_auth:try_register(<<\"{account}\">>, <<\"{domain}\">>, <<\"{PASSWORD}\">>)"
        );
    }
    expression.push('.');
    expression
}

/// Service records are asked for at a port where nobody listens, so that the server at once goes on to addresses; those
/// it asks of the C library, which is given a table of its own.
fn no_name_server(site: &Site) -> String {
    let [a, b, c, d] = site.address.octets();
    format!("{{resolv_conf, \"\"}}.\n{{hosts_file, \"\"}}.\n{{nameserver, {{{a},{b},{c},{d}}}}}.\n")
}

fn configuration(site: &Site) -> String {
    let Site { user_domain, service_domain, address, .. } = site;
    format!(
        r#"hosts:
  - "{user_domain}"
loglevel: info
language: en
auth_method: internal
auth_password_format: plain
s2s_use_starttls: false
s2s_dns_timeout: 1
s2s_dns_retries: 1
s2s_max_retry_delay: 1
s2s_timeout: 60
acl:
  everyone:
    server_glob: "*"
listen:
  - port: 5222
    ip: "{address}"
    module: ejabberd_c2s
    max_stanza_size: 262144
    shaper: none
    access: all
  - port: 5269
    ip: "{address}"
    module: ejabberd_s2s_in
    max_stanza_size: 524288
    shaper: none
  - port: 5347
    ip: "{address}"
    module: ejabberd_service
    access: all
    shaper: none
    hosts:
      "{service_domain}":
        password: "{COMPONENT_SECRET}"
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
{}"#,
        balancing(site)
    )
}

/// Each room's stanzas go by one of so many connections of the component.
fn balancing(site: &Site) -> String {
    let Site { service_domain, connections, .. } = site;
    if *connections < 2 {
        return String::new();
    }
    format!(
        "domain_balancing:\n  \"{service_domain}\":\n    type: bare_destination\n    component_number: {connections}\n"
    )
}
