//! The end of what no value of this program can end: servers that all its tests share, up to the last.

use std::mem::forget;
use std::process::{Command, Stdio};

/// Runs a shell command when this program has ended, however it ends.
///
/// # Panics
/// When no shell can be started.
pub(crate) fn at_end(command: &str) {
    // The shell waits for the end of its input, of which this program holds the other end.
    let child = Command::new("sh")
        .args(["-c", &format!("trap '' INT TERM; cat >/dev/null; {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell can be started");
    forget(child);
}
