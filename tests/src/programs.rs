//! The workspace's own programs, built in the profile of the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The daemon: what `DMUCD_BIN` names, or freshly built.
pub fn dmucd() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        env::var_os("DMUCD_BIN").map_or_else(|| build(&["dmucd", "--bin", "dmucd"], "dmucd"), PathBuf::from)
    })
}

/// The example of a server with rooms inside: what `DMUC_TEST_SMALL_SERVER` names, or freshly built.
pub fn small_server() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let arguments = ["dmuc-server-adapter", "--example", "small_server"];
    PROGRAM.get_or_init(|| {
        env::var_os("DMUC_TEST_SMALL_SERVER")
            .map_or_else(|| build(&arguments, "examples/small_server"), PathBuf::from)
    })
}

fn build(package: &[&str], program: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows its own program");
    let profile = test.ancestors().nth(2).expect("tests are two levels below the profile's directory");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--locked", "--package"]).args(package);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "{program} does not build");
    profile.join(program)
}
