//! Servers in containers, by testcontainers.

use std::env;
use std::mem::forget;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::SyncRunner;
use testcontainers::{GenericImage, ImageExt};

use crate::reaper;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server's image, and how it is used.
pub(crate) struct Image {
    /// The variable that names another image.
    pub image_variable: &'static str,
    /// Name and tag.
    pub image: &'static str,
    /// Where it listens.
    pub port: u16,
    /// What it logs when it is ready.
    pub ready: &'static str,
    pub environment: &'static [(&'static str, &'static str)],
    pub command: &'static [&'static str],
    /// A command that succeeds inside once the server answers: some images log that they are ready too early.
    pub probe: &'static [&'static str],
}

/// Starts a container that lasts as long as this program, and gives its address. Nothing if there is no Docker, or
/// neither the image nor a registry to get it from.
pub(crate) fn start(image: &'static Image) -> Option<String> {
    if !has_docker() {
        return None;
    }
    // A test may run in a runtime, in which no other may be started.
    thread::spawn(|| run(image)).join().ok().flatten()
}

fn has_docker() -> bool {
    !env::var("DMUC_TEST_NO_DOCKER").is_ok_and(|value| value == "1") && docker(&["version"])
}

fn docker(arguments: &[&str]) -> bool {
    let mut command = Command::new("docker");
    let quiet = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn wait_answering(container: &str, probe: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while !docker(&[&["exec", container], probe].concat()) {
        assert!(Instant::now() < deadline, "the container {container} does not answer");
        thread::sleep(Duration::from_millis(100));
    }
}

fn run(image: &Image) -> Option<String> {
    let named = env::var(image.image_variable).unwrap_or_else(|_| image.image.to_owned());
    let (name, tag) = named.split_once(':').unwrap_or((&named, "latest"));
    let mut request = GenericImage::new(name, tag)
        .with_exposed_port(ContainerPort::Tcp(image.port))
        .with_wait_for(WaitFor::message_on_either_std(image.ready))
        .with_cmd(image.command.iter().copied());
    for (key, value) in image.environment {
        request = request.with_env_var(*key, *value);
    }
    let container = match request.start() {
        Ok(container) => container,
        Err(error) => {
            eprintln!("no container of {named}: {error}");
            return None;
        }
    };
    reaper::at_end(&format!("docker rm --force --volumes {}", container.id()));
    wait_answering(container.id(), image.probe);
    let host = container.get_host().ok()?;
    let port = container.get_host_port_ipv4(image.port).ok()?;
    forget(container);
    Some(format!("{host}:{port}"))
}
