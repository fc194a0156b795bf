//! Stores with something in them.

use std::sync::Arc;
#[cfg(feature = "postgres")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dmuc_core::clock::Hlc;
use dmuc_core::event::{ChainDigest, Event, EventId, Position};
use dmuc_core::policy::{PeerRule, ServicePolicy};
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{
    Change, Entry, Found, Frontier, LogEntry, RoomCommit, RoomUid, Tombstone, Transfer,
};
use dmuc_core::{Address, Millis};
use dmuc_server_adapter::service::{Service, Tuning, open_storage};
use dmuc_server_adapter::transfer::{Counts, export};
use tempfile::TempDir;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::common::{CHAT, TestHost, World, jid};

pub type Store = Arc<dyn Transfer>;

pub const NOW: Millis = Millis(1_787_307_242_000);
/// Where the old log of `coven` has ended.
pub const ENDED: u64 = 77;
/// So many are in the room of long talks: more than are read, and more than are written, at a time.
pub const MANY: u64 = 3000;

/// Stores of every kind, and what keeps them.
pub struct Stores {
    dir: TempDir,
    made: AtomicU64,
    #[cfg(feature = "postgres")]
    schemas: Mutex<Vec<dmuc_test_servers::Schema>>,
}

impl Stores {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            made: AtomicU64::new(0),
            #[cfg(feature = "postgres")]
            schemas: Mutex::default(),
        }
    }

    pub async fn memory(&self) -> Store {
        open_storage("memory:").await.unwrap()
    }

    pub async fn sqlite(&self) -> Store {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        open_storage(&format!("sqlite:{}", self.dir.path().join(format!("{n}.db")).display())).await.unwrap()
    }

    /// None, if there is no server.
    #[cfg(feature = "postgres")]
    pub async fn postgres(&self) -> Option<Store> {
        let schema = dmuc_test_servers::Schema::new(dmuc_test_servers::postgres()?).await;
        let store = open_storage(&schema.url()).await.unwrap();
        self.schemas.lock().unwrap().push(schema);
        Some(store)
    }

    /// Under a prefix of its own; none, if there is no server.
    #[cfg(feature = "redis")]
    pub async fn redis(&self) -> Option<Store> {
        let url = format!("{}?prefix={}:", dmuc_test_servers::redis()?, Uuid::new_v4().simple());
        Some(open_storage(&url).await.unwrap())
    }
}

pub fn room(local: &str) -> Address {
    jid(&format!("{local}@{CHAT}"))
}

pub async fn found(store: &Store, local: &str) -> Found {
    match store.load(&room(local), NOW).await.unwrap() {
        Entry::Room(found) => found,
        other => panic!("{local}: {other:?}"),
    }
}

pub async fn change(store: &Store, local: &str, changes: Vec<Change>) {
    let found = found(store, local).await;
    let lease = store.acquire(found.uid, "test", NOW, 1000).await.unwrap();
    store.commit(&[RoomCommit { lease, expected: found.revision, changes }]).await.remove(0).unwrap();
    store.release(&lease).await.unwrap();
}

fn entry(origin: &str, s: u64, previous: ChainDigest) -> LogEntry {
    let event = Event {
        pos: Position { o: origin.into(), i: 1, s },
        h: Hlc::at(NOW.plus(s)),
        id: EventId(u128::from(s).to_be_bytes()),
        deps: Vec::new(),
        nick: None,
        oid: Some("wyrd".to_owned()),
        jid: None,
        stanza: None,
        lang: None,
        content: vec![Payload::text_element("body", &format!("Double, double, toil and trouble: {s} ☾"))],
    };
    LogEntry { digest: Some(event.chain(previous)), event, withheld: false }
}

/// Entries `1..=count` of a log, with their digests.
pub fn entries_of(origin: &str, count: u64) -> Vec<LogEntry> {
    let mut previous = ChainDigest::default();
    let next = |s| {
        let entry = entry(origin, s, previous);
        previous = entry.digest.unwrap();
        entry
    };
    (1..=count).map(next).collect()
}

pub fn entries(count: u64) -> Vec<LogEntry> {
    entries_of(CHAT, count)
}

/// Does something while a function waits that cannot.
pub fn now(work: impl Future<Output = ()>) {
    tokio::task::block_in_place(|| Handle::current().block_on(work));
}

/// A service on a store.
async fn serve(store: &Store) -> World {
    let mut policy = ServicePolicy::new(&jid(CHAT));
    (policy.lock_new_rooms, policy.defaults.persistent) = (false, true);
    let host = Arc::<TestHost>::default();
    let service = Service::start(store.clone(), host.clone(), policy, Tuning::default()).await.unwrap();
    World { host, store: Arc::default(), service }
}

/// Somebody who is in a room since before the service started says something more.
pub async fn goes_on(store: &Store) {
    let world = serve(store).await;
    world.say("wyrd", "coven", "again");
    world.until("heard", |world| world.heard("hecate", "coven") == ["again"]).await;
    world.service.shutdown().await;
}

/// Two rooms in which a service has people, `coven` and `heath`; what was said in one of them, partly withheld; the place
/// of an old log, a rule and a tombstone.
pub async fn fill(store: &Store) {
    let world = serve(store).await;
    for who in ["hecate", "wyrd"] {
        world.joined(who, "coven").await;
        world.joined(who, "heath").await;
    }
    for text in ["when", "shall", "we", "three"] {
        world.say("wyrd", "coven", text);
    }
    world.until("heard", |world| world.heard("hecate", "coven").len() == 4).await;
    world.service.shutdown().await;
    let uid = found(store, "coven").await.uid;
    let old = Position { o: "rooms.macbeth.lit".into(), i: 3, s: ENDED };
    let ended = Frontier { pos: old, digest: Some(ChainDigest([9; 16])), low: ENDED + 1 };
    store.put_places(uid, &[ended]).await.unwrap();
    let second = store.arrivals(uid, 0, 2).await.unwrap().remove(1).1;
    change(store, "coven", vec![Change::Withhold { pos: second.event.pos, withheld: true }]).await;
    store.set_rule(&PeerRule::allow("rooms.macbeth.lit")).await.unwrap();
    store.put_tombstone(&tombstone("cave")).await.unwrap();
}

pub fn tombstone(local: &str) -> Tombstone {
    Tombstone {
        uid: RoomUid(Uuid::from_u128(4)),
        jid: room(local),
        at: NOW,
        alternate: None,
        reason: Some("the charm's wound up".to_owned()),
        blocks_until: NOW,
    }
}

/// A room with a long log.
pub async fn fill_long(store: &Store) -> RoomUid {
    let uid = RoomUid(Uuid::from_u128(77));
    create(store, "long", uid).await;
    for page in entries(MANY).chunks(500) {
        store.append(uid, page).await.unwrap();
    }
    uid
}

pub async fn create(store: &Store, local: &str, uid: RoomUid) {
    let lease = store.acquire(uid, "test", NOW, 1000).await.unwrap();
    let put = Change::Put { key: "topic".to_owned(), value: "\"a \\u0000 and a ☾\"".to_owned() };
    let changes = vec![Change::Create { jid: room(local) }, put];
    store.commit(&[RoomCommit { lease, expected: Default::default(), changes }]).await.remove(0).unwrap();
    store.release(&lease).await.unwrap();
}

/// A store with all of that.
pub async fn full(store: Store) -> Store {
    fill(&store).await;
    fill_long(&store).await;
    store
}

/// What a store holds as a file, and how much that is.
pub async fn exported(store: &Store) -> (String, Counts) {
    let mut file = Vec::new();
    let counts = export(store, &mut file, &()).await.unwrap();
    (String::from_utf8(file).unwrap(), counts)
}
