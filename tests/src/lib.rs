//! Real servers, real links and real clients for the tests of the workspace.
//!
//! A [`World`] is three sites. Each has a chat server of its own (Prosody or ejabberd) on a loopback address of
//! its own, with a [`Dmucd`] as its component; between each two sites stand counting and cutting [`links`](link), and
//! real [`Client`]s log in anywhere. `DMUC_TEST_STORE` says in what the daemons keep
//! their rooms: `sqlite`, `postgres` or `redis`. Everything lives in temporary directories and is ended by process id on drop; the
//! logs are printed when a test fails.

mod client;
mod cluster;
mod dmucd;
mod ejabberd;
mod element;
pub mod link;
mod loopback;
pub mod programs;
mod prosody;
mod requirements;
pub mod scene;
mod site;
mod stanza_counter;
mod store;
pub mod story;
mod world;

pub use client::{Answer, Client, Driver, JoinOptions, Joined, Made};
pub use cluster::Cluster;
pub use dmuc_test_servers::Daemon;
pub use dmucd::{Dmucd, LEASE};
pub use element::Element;
pub use link::{Crossing, Cut, Link};
pub use loopback::Block;
pub use requirements::{Requirement, missing, python};
pub use site::{Site, Software};
pub use stanza_counter::{StanzaCounter, StanzaSeen};
pub use world::{CHAT, CONFERENCE, ROOMS, World};
