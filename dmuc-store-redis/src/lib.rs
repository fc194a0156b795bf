//! Rooms of distributed MUC in Redis 6.2 or newer, in Valkey, or in a cluster of either, for one node or many.
//!
//! # What is kept where
//!
//! A room's keys have its uid in braces, so that they are on one node of a cluster and one script can change them all:
//!
//! | key | what |
//! |---|---|
//! | `{UID}:room` | hash: `jid`, `revision`, and each part under `/NAME` |
//! | `{UID}:lease` | hash: `holder`, `fence`, `expires`, `released`, `wanted`, and the nonce of the `last` commit; stays for ever |
//! | `{UID}:log` | stream of entries, `PLACE-0`: `e` the event without its content, `c` the content, `d` the digest |
//! | `{UID}:index` | hash: `p` and a position, or `i` and an event id, to the place in the order of arrival |
//! | `{UID}:order` | sorted set by milliseconds: counter, position, place, event id; the canonical order |
//! | `{UID}:runs` | sorted set of log name, first and last number of what is held without a hole |
//! | `{UID}:speakers` | sorted set of a digest of nick or occupant id, and the place |
//! | `{UID}:hidden` | sorted set by place: `w` withheld, `g` gone |
//! | `{UID}:logs` | hash: `last` and `first` place, and `e` with a log's name to its last end |
//! | `{UID}:amended` | hash: entries of which the content was replaced; the stream has them no more |
//!
//! What is known of rooms outside of them has their domain in braces: `addresses` (hash: address to claim), `rooms`
//! (sorted set of addresses), `public` (those that the directory shows), `holding` (`subscriber/...` parts and
//! addresses), `stones` (hash of tombstones), `open` (hash: address to the commit that was announced). The rest, `leases`
//! (sorted set of uids by the end of their leases), `domains` and `peers`, is about the whole store.
//!
//! # What survives a crash between two writes
//!
//! A commit is one script on one node: it is made as a whole or not at all. It carries a nonce, so that it may be sent
//! again when its answer was lost. What it changes outside of its room is written before and after it:
//!
//! 1. It is *announced*: `open` notes the room's uid and coming revision, the address of a new room is claimed
//!    (`UID?`), tombstones are put, and indexes get what they will need. They may now say too much: who reads them looks
//!    at the rooms as well.
//! 2. The commit is made.
//! 3. It is *settled*: the claim is confirmed (`UID`) or given up, indexes lose what holds no more, and the note goes
//!    from `open`, unless another commit was announced meanwhile, which will see to the rest.
//!
//! A crash after the first step leaves a claim without a room, which counts as vacant and is taken over; a tombstone
//! under a room, which hides it; and entries in indexes that readers pass over. A crash after the second step leaves a
//! room that is found by its claim, or a claim without its room and the tombstone; whoever loads the address next settles
//! it. Two nodes that claim one address are told apart by the confirmation: a claim can be taken over only before it, and
//! who loses it takes the room back.
//!
//! A node remembers what it has settled of a room for as long as it holds the lease, and announces no more than changes.
//!
//! Leases are noted in their index before they are taken, and taken out after they are given back.

mod announce;
mod announcement;
mod commit;
mod connection;
mod directory;
mod durability;
mod entry;
mod error;
mod history;
mod keys;
mod lease;
mod listen;
mod open;
mod page;
mod peers;
mod remembered;
mod room;
mod script;
mod transfer;
mod url;

use std::sync::Arc;

pub use open::{Durability, OpenError, Options};

use crate::commit::Nonces;
use crate::connection::Connection;
use crate::keys::Keys;
use crate::listen::Listener;
use crate::remembered::Memory;

/// A store in a Redis server or cluster; clones share it.
#[derive(Debug, Clone)]
pub struct RedisStore {
    connection: Connection,
    keys: Keys,
    listener: Listener,
    nonces: Arc<Nonces>,
    remembered: Arc<Memory>,
}

impl RedisStore {
    /// Opens the store of a URL: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, `rediss://` with TLS, or a cluster by some of
    /// its nodes, `redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT`.
    ///
    /// Options follow a question mark: `prefix=NAME:` begins all keys (`dmuc:` unless given), `min_replicas=N` waits for
    /// so many replicas with every change, `trusted=yes` says that the settings of a server which does not show them
    /// are right.
    ///
    /// # Errors
    /// [`OpenError`], which never repeats the URL: it may hold a password.
    pub async fn open(url: &str, options: &Options) -> Result<Self, OpenError> {
        open::open(url, options).await
    }

    /// Hears of changed rules no more. Connections end with the last clone.
    pub fn close(&self) {
        self.listener.stop();
    }
}
