//! The process that holds the clients of slixmpp.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::spawn;

use serde::Deserialize;
use serde_json::Value;

use super::inbox::Inbox;
use super::{Library, PATIENCE};
use crate::element::Element;
use crate::requirements::python;

#[derive(Debug, Deserialize)]
struct Line {
    session: String,
    stanza: Option<Element>,
    closed: Option<String>,
    reply: Option<u64>,
    #[serde(default)]
    ok: bool,
    value: Option<Value>,
    error: Option<Value>,
}

/// The process and the number of its last command.
#[derive(Debug)]
pub(super) struct Slixmpp {
    child: Mutex<Child>,
    input: Mutex<(ChildStdin, u64)>,
    inbox: Arc<Inbox>,
    log: PathBuf,
}

impl Slixmpp {
    /// Starts it; its log goes to `clients.log` in `directory`.
    pub fn start(directory: &Path, inbox: &Arc<Inbox>) -> Self {
        let log = directory.join("clients.log");
        let errors = std::fs::File::create(&log).expect("the log can be made");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/slixmpp_client.py");
        let mut child = Command::new(python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("Python can be started");
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        let input = Mutex::new((child.stdin.take().expect("it was piped"), 0));
        let listener = Arc::clone(inbox);
        spawn(move || listen(output, &listener));
        Self { child: Mutex::new(child), input, inbox: Arc::clone(inbox), log }
    }
}

fn listen(output: BufReader<ChildStdout>, inbox: &Inbox) {
    for line in output.lines().map_while(Result::ok) {
        take_in(serde_json::from_str(&line).expect("the driver writes what we read"), inbox);
    }
    inbox.change(|seen| seen.ended = true);
}

fn take_in(line: Line, inbox: &Inbox) {
    inbox.change(|seen| {
        if let Some(stanza) = line.stanza {
            seen.stanzas.push((line.session, stanza));
        } else if let Some(reason) = line.closed {
            seen.closed.push((line.session, reason));
        } else if let Some(number) = line.reply {
            let value = line.value.unwrap_or_default();
            let reply = if line.ok { Ok(value) } else { Err(line.error.unwrap_or_default()) };
            seen.replies.push((number, reply));
        }
    });
}

impl Library for Slixmpp {
    fn perform(&self, session: &str, mut command: Value) -> Result<Value, Value> {
        let number = {
            let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
            input.1 += 1;
            command["id"] = input.1.into();
            command["session"] = session.into();
            writeln!(input.0, "{command}").expect("the driver reads its commands");
            input.1
        };
        let answer = self.inbox.wait(PATIENCE * 2, |seen| {
            let position = seen.replies.iter().position(|(reply, _)| *reply == number)?;
            Some(seen.replies.swap_remove(position).1)
        });
        answer.unwrap_or_else(|| Err(Value::from("the client driver does not answer")))
    }
}

impl Drop for Slixmpp {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A process that has already ended is what is wanted here.
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("---- clients\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
