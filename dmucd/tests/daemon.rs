//! The program itself, as the component of a server on the loopback interface.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dmuc_core::stanza::Outbound;
use dmuc_core::{Address, Stanza};
use dmuc_server_adapter::host::{Acceptor, ComponentSink, Delivery, Secret};
use dmuc_server_adapter::wire::{Limits, parse_stanzas};
use tempfile::TempDir;
use tokio::net::TcpListener;

const CHAT: &str = "chat.shakespeare.lit";
const SECRET: &str = "macbeth-does-murder-sleep";

#[derive(Default)]
struct Heard(Mutex<Vec<Stanza>>);

impl ComponentSink for Heard {
    fn stanza(&self, _: &Address, stanza: Stanza) {
        self.0.lock().unwrap().push(stanza);
    }
}

/// A server that knows the component's secret.
struct Server {
    acceptor: Arc<Acceptor>,
    heard: Arc<Heard>,
    port: u16,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Heard>::default();
        let chat = Address::parse(CHAT).unwrap();
        let acceptor = Acceptor::new([(chat, Secret::new(SECRET))], heard.clone(), Limits::default());
        tokio::spawn(acceptor.clone().serve(listener));
        Self { acceptor, heard, port }
    }

    async fn send(&self, xml: &str) {
        let chat = Address::parse(CHAT).unwrap();
        let stanza = Box::new(parse_stanzas(xml).pop().unwrap());
        until("the component is there", || {
            self.acceptor.try_send(&chat, &Outbound::One(stanza.clone())) == Delivery::Accepted
        })
        .await;
    }

    async fn join(&self, who: &str) {
        self.send(&format!(
            "<presence from='{who}@shakespeare.lit/x' to='coven@{CHAT}/{who}'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ))
        .await;
        until("the subject comes last", || self.heard_by(who).iter().any(|stanza| stanza.has("subject")))
            .await;
    }

    fn heard_by(&self, who: &str) -> Vec<Stanza> {
        let to = format!("{who}@shakespeare.lit/x");
        let all = self.heard.0.lock().unwrap();
        all.iter()
            .filter(|stanza| stanza.to.as_ref().is_some_and(|jid| jid.as_str() == to))
            .cloned()
            .collect()
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A running `dmucd` with its directory.
struct Daemon {
    child: std::process::Child,
    log: PathBuf,
}

impl Daemon {
    fn start(dir: &Path, config: &str) -> Self {
        let (file, log) = (dir.join("dmucd.toml"), dir.join("log"));
        std::fs::write(&file, config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dmucd"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(std::fs::File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Asks it to stop, and waits until the server has noticed, too.
    async fn stop(&mut self, server: &Server) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.ended().await;
        until("the server has noticed", || server.acceptor.components().is_empty()).await;
        status
    }

    async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(dir: &TempDir, port: u16, log: &str) -> String {
    let store = dir.path().join("rooms.db");
    format!(
        "[service]\ndomain = '{CHAT}'\nlock-new-rooms = false\n[component]\nport = {port}\nsecret = '{SECRET}'\n\
         [store]\nurl = 'sqlite:{}'\n[log]\n{log}\n[defaults]\npassword = 'fair-is-foul'\n",
        store.display()
    )
}

#[tokio::test]
async fn rooms_outlive_the_daemon_and_their_occupants_do_not_notice() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let config = config(&dir, server.port, "level = 'debug'").replace("password = 'fair-is-foul'", "");
    let mut daemon = Daemon::start(dir.path(), &config);
    server.join("hecate").await;
    assert_eq!(daemon.stop(&server).await.code(), Some(0), "{}", daemon.log());

    let mut daemon = Daemon::start(dir.path(), &config);
    let say = format!(
        "<message type='groupchat' id='m1' from='hecate@shakespeare.lit/x' to='coven@{CHAT}'>\
         <body>thrice</body></message>"
    );
    server.send(&say).await;
    let reflected = || server.heard_by("hecate").iter().any(|stanza| stanza.has("body"));
    until("the message is reflected to one who never joined anew", reflected).await;
    assert!(!server.heard_by("hecate").iter().any(Stanza::is_error));
    assert_eq!(daemon.stop(&server).await.code(), Some(0), "{}", daemon.log());
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let mut daemon =
        Daemon::start(dir.path(), &config(&dir, server.port, "level = 'trace'\nformat = 'json'"));
    server.join("hecate").await;
    assert_eq!(daemon.stop(&server).await.code(), Some(0));
    let log = daemon.log();
    assert!(
        log.lines().count() > 3 && log.lines().all(|line| line.starts_with('{') && line.ends_with('}')),
        "{log}"
    );
    assert!(log.contains("service started") && log.contains("service stopped"), "{log}");
    for secret in [SECRET, "fair-is-foul"] {
        assert!(!log.contains(secret), "{secret} was logged: {log}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = config(&dir, 5347, "").replace("rooms.db", "no/such/directory/rooms.db");
    let mut daemon = Daemon::start(dir.path(), &text);
    assert_eq!(daemon.ended().await.code(), Some(69), "{}", daemon.log());
    assert!(daemon.log().contains("the store cannot be opened"), "{}", daemon.log());
}

#[test]
fn check_tells_all_mistakes_and_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dmucd.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Command::new(env!("CARGO_BIN_EXE_dmucd")).args(["check", "--config"]).arg(&file).output().unwrap()
    };
    let good = check(include_str!("../dmucd.example.toml"));
    assert_eq!(good.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&good.stdout).contains("the configuration is good"));
    let bad = check("[service]\nname = 7\n[component]\nsecrt = 'x'\n");
    assert_eq!(bad.status.code(), Some(78));
    let told = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(told.lines().count(), 4, "{told}");
    assert!(told.contains("component.secrt: there is no such key, did you mean `secret`?"), "{told}");
}
