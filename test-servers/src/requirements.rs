//! What is on this machine, and whether tests may do without.

use std::env;
use std::path::{Path, PathBuf};

/// Whether nothing may be skipped: `DMUC_TEST_STRICT=1` or `CI=true`.
#[must_use]
pub fn is_strict() -> bool {
    let set = |name, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    set("DMUC_TEST_STRICT", "1") || set("CI", "true")
}

/// The full path of a program, also looked for where only root's search path leads.
#[must_use]
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| Path::is_file(candidate))
}
