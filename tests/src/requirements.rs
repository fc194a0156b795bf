//! What the real-server tests need on the machine, and what happens when it is not there.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dmuc_test_servers::{in_path, is_strict};

/// Something outside the workspace that a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// The Prosody server with the Lua binding of libunbound.
    Prosody,
    /// The ejabberd server, and nss_wrapper to give it names of its own.
    Ejabberd,
    /// A Python with slixmpp (`DMUC_TEST_PYTHON`).
    Slixmpp,
}

impl Requirement {
    fn is_met(self) -> bool {
        match self {
            Self::Prosody => in_path("prosody").is_some(),
            Self::Ejabberd => {
                in_path("ejabberdctl").is_some()
                    && in_path("erl").is_some()
                    && has_library("libnss_wrapper.so")
            }
            Self::Slixmpp => succeeds(Command::new(python()).args(["-c", "import slixmpp"])),
        }
    }
}

/// Whether the test cannot run here: says so on standard error and returns `true`, so that the test can return.
///
/// # Panics
/// When something is missing and `DMUC_TEST_STRICT=1` or `CI=true` says that nothing may be skipped.
pub fn missing(test: &str, requirements: &[Requirement]) -> bool {
    let absent: Vec<_> = requirements.iter().filter(|requirement| !requirement.is_met()).collect();
    if absent.is_empty() {
        return false;
    }
    assert!(!is_strict(), "{test} needs {absent:?} (./test installs them), and skipping is not allowed here");
    eprintln!("SKIPPED: {test} needs {absent:?}; ./test installs them where it may");
    true
}

/// The Python interpreter that has slixmpp.
pub fn python() -> PathBuf {
    env::var_os("DMUC_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn has_library(file: &str) -> bool {
    let directories = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    directories.map(|entry| entry.path()).any(|directory| directory.join(file).is_file())
}
