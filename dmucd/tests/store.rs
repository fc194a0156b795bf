//! `dmucd store`, as an operator uses it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use dmuc_core::clock::Hlc;
use dmuc_core::event::{ChainDigest, Event, EventId, Position};
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{Change, LogEntry, Revision, RoomCommit, RoomUid};
use dmuc_core::{Address, Millis};
use dmuc_server_adapter::service::open_storage;
use tempfile::TempDir;
use uuid::Uuid;

const CHAT: &str = "chat.shakespeare.lit";
/// Enough that a copy can be killed in the middle.
const ROOMS: u128 = 20;
const ENTRIES: u64 = 800;

fn dmucd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmucd"));
    command.arg("store").args(arguments).stdin(Stdio::null());
    for variable in ["DMUCD_STORE", "DMUCD_FROM", "DMUCD_TO"] {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> (i32, String) {
    told(&dmucd(arguments).output().unwrap())
}

/// Exit code, and all that was said.
fn told(output: &Output) -> (i32, String) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn url(&self, name: &str) -> String {
        format!("sqlite:{}", self.text(name))
    }
}

fn message(s: u64, previous: ChainDigest) -> LogEntry {
    let event = Event {
        pos: Position { o: CHAT.into(), i: 1, s },
        h: Hlc::at(Millis(s)),
        id: EventId(u128::from(s).to_be_bytes()),
        deps: Vec::new(),
        nick: None,
        oid: None,
        jid: None,
        stanza: None,
        lang: None,
        content: vec![Payload::text_element("body", &format!("message {s}"))],
    };
    LogEntry { digest: Some(event.chain(previous)), event, withheld: false }
}

/// A store with rooms, each with a log.
async fn filled(url: &str, rooms: u128, entries: u64) {
    let store = open_storage(url).await.unwrap();
    let mut previous = ChainDigest::default();
    let log = (1..=entries).map(|s| {
        let entry = message(s, previous);
        previous = entry.digest.unwrap();
        entry
    });
    let log: Vec<LogEntry> = log.collect();
    for n in 1..=rooms {
        let uid = RoomUid(Uuid::from_u128(n));
        let lease = store.acquire(uid, "test", Millis(0), 1000).await.unwrap();
        let jid = Address::parse(&format!("room-{n}@{CHAT}")).unwrap();
        let mut changes = vec![Change::Create { jid }];
        changes.extend(log.iter().map(|entry| Change::Append(Box::new(entry.clone()))));
        let commit = RoomCommit { lease, expected: Revision(0), changes };
        store.commit(&[commit]).await.remove(0).unwrap();
        store.release(&lease).await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_copy_is_taken_up_by_the_same_command() {
    let files = Files::new();
    let (from, to) = (files.url("from.db"), files.url("to.db"));
    filled(&from, ROOMS, ENTRIES).await;
    let copy = ["migrate", "--from", &from, "--to", &to];
    let mut killed = 0;
    // Each time when there is more of it than before.
    for size in [200_000, 1_000_000, 3_000_000] {
        let mut child = dmucd(&copy).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if size_of(&files.path("to.db")) > size {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_whole_rooms(&to).await;
    }
    assert!(killed > 0, "the copy was never killed in the middle");
    let (code, said) = run(&copy);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains(&format!(
            "copied and compared: {ROOMS} rooms, {} messages",
            ROOMS * u128::from(ENTRIES)
        )),
        "{said}"
    );
    assert_eq!(export(&from), export(&to));
}

/// The file and its write-ahead log.
fn size_of(file: &Path) -> u64 {
    let wal = PathBuf::from(format!("{}-wal", file.display()));
    [file, &wal].iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// A room that is there is complete.
async fn assert_whole_rooms(url: &str) {
    let store = open_storage(url).await.unwrap();
    for room in store.list(CHAT, None, 1000).await.unwrap() {
        let frontier = store.frontier(room.uid).await.unwrap();
        assert_eq!((frontier.len(), frontier[0].pos.s), (1, ENTRIES), "{}", room.jid);
    }
}

fn export(url: &str) -> String {
    let output = dmucd(&["export", "--url", url]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_store_goes_through_a_file_and_through_a_pipe() {
    let files = Files::new();
    let (from, file) = (files.url("from.db"), files.text("rooms.jsonl"));
    filled(&from, 3, 3).await;
    let (code, said) = run(&["export", &file, "--url", &from]);
    assert_eq!((code, said.contains("written: 3 rooms, 9 messages")), (0, true), "{said}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, export(&from), "standard output has the same");

    let (code, said) = run(&["import", &file, "--url", &files.url("one.db")]);
    assert_eq!((code, said.contains("read and compared: 3 rooms")), (0, true), "{said}");
    let mut child = dmucd(&["import", "--url", &files.url("two.db")]);
    let mut child = child.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for copy in ["one.db", "two.db"] {
        assert_eq!(export(&files.url(copy)), text);
    }

    let (code, said) = run(&["export", &file, "--url", &from]);
    assert_eq!(code, 73, "a file that is there is left alone: {said}");
    std::fs::write(&file, text.replace("message 2", "message 3")).unwrap();
    let (code, said) = run(&["import", &file, "--url", &files.url("three.db")]);
    assert_eq!((code, said.contains("the file is damaged")), (65, true), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn an_exported_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new();
    filled(&files.url("from.db"), 1, 1).await;
    assert_eq!(run(&["export", &files.text("rooms.jsonl"), "--url", &files.url("from.db")]).0, 0);
    let mode = files.path("rooms.jsonl").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn each_refusal_has_its_exit_code_and_a_reason() {
    let files = Files::new();
    let (from, to) = (files.url("from.db"), files.url("to.db"));
    let missing = run(&["migrate", "--from", &from, "--to", &to]);
    assert_eq!(missing.0, 69);
    assert!(
        missing.1.contains("the source store: the store cannot be opened: there is no database"),
        "{}",
        missing.1
    );
    assert!(!files.path("from.db").exists() && !files.path("to.db").exists(), "nothing was made");

    filled(&from, 2, 2).await;
    filled(&to, 3, 2).await;
    let (code, said) = run(&["migrate", "--from", &from, "--to", &to]);
    assert_eq!(
        (code, said.contains("room room-3@chat.shakespeare.lit: in the target alone")),
        (73, true),
        "{said}"
    );
    assert_eq!(run(&["migrate", "--from", &from, "--to", &to, "--merge"]).0, 0);

    let store = open_storage(&from).await.unwrap();
    let now = Millis(u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap());
    store.acquire(RoomUid(Uuid::from_u128(2)), "a node", now, 60_000).await.unwrap();
    let (code, said) = run(&["migrate", "--from", &from, "--to", &files.url("another.db")]);
    assert_eq!(
        (code, said.contains("\n  room-2@chat.shakespeare.lit\nStop every dmucd")),
        (75, true),
        "{said}"
    );
}

#[tokio::test]
async fn check_tells_the_shell_and_names_what_it_finds() {
    let files = Files::new();
    let url = files.url("rooms.db");
    assert_eq!(run(&["check", "--url", &url]).0, 69);
    open_storage(&url).await.unwrap();
    let (code, said) = run(&["check", "--url", &url]);
    assert_eq!((code, said.contains("checked: 0 rooms")), (0, true), "{said}");
    filled(&url, 1, 1).await;
    let output = dmucd(&["check", "--url", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(found, "mistake: room-1@chat.shakespeare.lit: cannot be read: head: Corrupt\n");
}

#[tokio::test]
async fn stores_come_from_configurations_and_variables_and_are_never_shown() {
    let files = Files::new();
    let (from, to) = (files.url("from.db"), files.url("to.db"));
    filled(&from, 1, 1).await;
    let config = files.path("dmucd.toml");
    let text = format!("[service]\ndomain = '{CHAT}'\n[component]\nsecret = 'x'\n[store]\nurl = '{from}'\n");
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let output = dmucd(&["migrate", "--from-config", &config]).env("DMUCD_TO", &to).output().unwrap();
    assert_eq!(told(&output).0, 0, "{output:?}");
    assert_eq!(export(&from), export(&to));

    let hidden = "nowhere://me:hunter2@db/rooms";
    for arguments in [&["--help"][..], &["export"], &["check"], &["migrate", "--to", hidden]] {
        let output =
            dmucd(arguments).envs([("DMUCD_STORE", hidden), ("DMUCD_FROM", hidden)]).output().unwrap();
        assert!(!told(&output).1.contains("hunter2"), "{output:?}");
    }
    let (code, said) = run(&["check", "--config", &files.text("none.toml")]);
    assert_eq!(code, 78, "{said}");
    assert_eq!(run(&["migrate", "--from", &from]).0, 2, "from where, but not to where");
}
