//! Configurations as operators write them, and what they are told about their mistakes.

use std::path::Path;

use dmuc_core::policy::{MayCreate, Redirect};
use dmucd::config::{ConfigError, LogFormat, Place, Settings};

const EXAMPLE: &str = include_str!("../dmucd.example.toml");
const LEAST: &str =
    "[service]\ndomain = 'chat.shakespeare.lit'\n[component]\nsecret = 'macbeth-does-murder-sleep'\n";

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    parse_with(text, &[])
}

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let file = Path::new("dmucd.toml");
    let lines = |all: dmucd::config::Mistakes| all.all.iter().map(|mistake| mistake.on_line(file)).collect();
    Settings::parse(file, text, variables).map_err(lines)
}

/// The example with every key that has a default switched on.
fn uncommented(line: &str) -> &str {
    let body = line.strip_prefix('#').unwrap_or(line);
    let is_key = body.starts_with("[[") || body.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    if is_key { body } else { line }
}

#[test]
fn the_least_configuration_is_enough() {
    let settings = parse(LEAST).expect("valid");
    assert_eq!(settings.policy.domain.as_str(), "chat.shakespeare.lit");
    assert_eq!(settings.policy.user_domains, ["shakespeare.lit"]);
    assert_eq!((settings.component.host.as_str(), settings.component.port), ("127.0.0.1", 5347));
    assert_eq!(settings.store.reveal(), "sqlite:dmuc.db");
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_example_shows_the_defaults() {
    let as_shipped = parse(EXAMPLE).expect("the example is valid");
    let switched_on: Vec<_> =
        EXAMPLE.lines().filter(|line| !line.ends_with("# no default")).map(uncommented).collect();
    let mut text = switched_on.join("\n");
    assert!(text.contains("\nmay-create = "), "keys were switched on");
    text = text.replace("\n[[peer]]", "\n[[peer]]\ndomain = 'rooms.macbeth.lit'");
    let mut spelt_out = parse(&text).expect("the defaults are valid");
    let peer = spelt_out.policy.peers.get("rooms.macbeth.lit").cloned().expect("the example has a peer");
    let default = dmuc_core::policy::PeerRule { domain: peer.domain.clone(), ..Default::default() };
    assert_eq!(peer, default);
    spelt_out.policy.peers = Default::default();
    assert_eq!(format!("{as_shipped:#?}"), format!("{spelt_out:#?}"));
}

#[test]
fn the_example_has_every_key_and_each_is_read() {
    let keys: Vec<_> = EXAMPLE
        .lines()
        .map(uncommented)
        .filter_map(|line| Some(line.split_once(" = ")?.0).filter(|key| !key.contains(['#', ' '])))
        .collect();
    for known in dmucd::config::known_keys() {
        assert!(keys.contains(&known.as_str()), "the example lacks `{known}`");
    }
    assert_eq!(keys.len(), dmucd::config::known_keys().len(), "a key is there twice or not read: {keys:?}");
}

#[test]
fn every_mistake_is_told_at_its_line() {
    let text = "[service]\ndomain = 'a@b'\nmay-create = 'anybody'\nadnins = []\n\n[component]\nport = 'x'\n\
                [stoer]\n[store]\nurl = 'postgress://u:hunter2@db/x'\n[limits]\ndepth = 100\n\
                [[peer]]\nhost = true\n[defaults]\nwhois = 'me'\n";
    let told = parse(text).expect_err("full of mistakes");
    let expected = [
        "dmucd.toml:2: service.domain: `a@b` is not a domain",
        "dmucd.toml:3: service.may-create: unknown variant `anybody`, expected one of `anyone`, `local`, `admins`",
        "dmucd.toml:4: service.adnins: there is no such key, did you mean `admins`?",
        "dmucd.toml:7: component.port: invalid type: string \"x\", expected u16",
        "dmucd.toml:8: stoer: there is no such section, did you mean `store`?",
        "dmucd.toml:10: store.url: not the URL of a store: expected `sqlite:FILE`, `postgres://HOST/DATABASE`, `redis://HOST` or `memory:`, not `postgress:`",
        "dmucd.toml:12: limits.depth: must be from 8 to 64",
        "dmucd.toml:13: peer.domain: missing: the domain of the peer's MUC service",
        "dmucd.toml:16: defaults.whois: unknown variant `me`, expected `moderators` or `anyone`",
        "dmucd.toml: component.secret: missing: give `secret` or `secret-file`",
    ];
    assert_eq!(told, expected);
}

#[test]
fn broken_toml_is_told_with_the_rest() {
    let told = parse("[service]\ndomain = 'chat.shakespeare.lit'\nname = \n[component]\nsecret = 1234567\n");
    let told = told.expect_err("two mistakes").join("\n");
    assert!(told.contains("dmucd.toml:3: not TOML"), "{told}");
    assert!(told.contains("dmucd.toml:5: component.secret: must be a text in quotes"), "{told}");
    assert!(!told.contains("1234567"), "a secret is never repeated: {told}");
}

#[test]
fn the_environment_wins() {
    let variables = [
        ("DMUC_SERVICE_NAME", "The Globe"),
        ("DMUC_SERVICE_ADMINS", "['hecate@shakespeare.lit']"),
        ("DMUC_SERVICE_MAY_CREATE", "admins"),
        ("DMUC_SERVICE_REDIRECT", "{ after = 3 }"),
        ("DMUC_COMPONENT_PORT", "5348"),
        ("DMUC_COMPONENT_SECRET", "12345"),
        ("DMUC_LOG_FORMAT", "json"),
        ("DMUC_TEST_POSTGRES", "is not ours"),
        ("HOME", "neither"),
    ];
    let settings = parse_with(LEAST, &variables).expect("valid");
    assert_eq!(settings.policy.name, "The Globe");
    assert_eq!(settings.policy.admins[0].as_str(), "hecate@shakespeare.lit");
    assert_eq!(settings.policy.may_create, MayCreate::Admins);
    assert_eq!(settings.policy.redirect, Redirect::After(3));
    assert_eq!((settings.component.port, settings.component.secret.expose()), (5348, "12345"));
    assert_eq!(settings.log.format, LogFormat::Json);
    let told = parse_with(LEAST, &[("DMUC_SERVICE_PORT", "1"), ("DMUC_NOTHING", "2")]).expect_err("unknown");
    assert_eq!(told[0], "environment variable DMUC_NOTHING: names no section and key");
    assert_eq!(told[1], "environment variable DMUC_SERVICE_PORT: service.port: there is no such key");
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("secret");
    std::fs::write(&file, "cauldronburn\n").expect("written");
    let text = format!(
        "[service]\ndomain = 'chat.shakespeare.lit'\n[component]\nsecret-file = '{}'\n",
        file.display()
    );
    assert_eq!(parse(&text).expect("valid").component.secret.expose(), "cauldronburn");
    let told = parse(&text.replace("/secret'", "/nothing'")).expect_err("there is no such file");
    assert!(told.len() == 1 && told[0].starts_with("dmucd.toml:4: component.secret-file: "), "{told:?}");
    let told = parse(&format!("{text}secret = 'x'\n")).expect_err("two secrets");
    assert!(told[0].contains("drop one of them"), "{told:?}");
}

#[test]
fn nothing_secret_is_ever_shown() {
    let text = format!(
        "{LEAST}[store]\nurl = 'sqlite:/var/lib/hidden-path'\n[defaults]\npassword = 'open-sesame'\n"
    );
    let settings = parse(&text).expect("valid");
    assert_eq!(settings.policy.defaults.password.as_deref(), Some("open-sesame"));
    let shown = format!("{settings:?} {settings:#?}");
    for secret in ["macbeth-does-murder-sleep", "open-sesame", "hidden-path"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[test]
fn clear_text_over_a_network_is_warned_of() {
    let remote = parse(&format!("{LEAST}host = '192.0.2.7'\n")).expect("allowed all the same");
    assert!(remote.warnings[0].contains("clear text"), "{:?}", remote.warnings);
    for local in ["localhost", "127.3.4.5", "::1"] {
        assert!(parse(&format!("{LEAST}host = '{local}'\n")).expect(local).warnings.is_empty(), "{local}");
    }
}

#[test]
fn keys_may_be_written_with_underscores() {
    let text = LEAST.replace(
        "[component]",
        "may_create = 'local'\n[[peer]]\ndomain = 'a.example'\nrooms_max = 7\n[component]",
    );
    let settings = parse(&text).expect("valid");
    assert_eq!(settings.policy.may_create, MayCreate::Local);
    assert_eq!(settings.policy.peers.get("a.example").map(|peer| peer.rooms_max), Some(7));
}

#[test]
fn a_file_that_is_not_there_is_no_mistake_in_it() {
    let error = Settings::load(Path::new("/nonexistent/dmucd.toml"), []).expect_err("there is no file");
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_ne!(Place::File, Place::Line(1));
}
