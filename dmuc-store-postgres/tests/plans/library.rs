//! A store with one room of a million messages, and some others.

use dmuc_core::clock::Hlc;
use dmuc_core::event::{Event, EventId, Position};
use dmuc_core::nick::Nick;
use dmuc_core::stanza::Payload;
use dmuc_core::storage::{Change, Lease, LogEntry, Revision, Room, RoomCommit, RoomUid};
use dmuc_core::{Address, Millis};
use dmuc_store_postgres::{Options, PostgresStore};
use uuid::Uuid;

use crate::explained::SETTINGS;
use dmuc_test_servers::Schema;
use dmuc_test_servers::execute;

/// Messages in the large room.
pub const MESSAGES: u64 = 1_000_000;
/// Of so many messages one is said by the rare speaker.
const RARE: u64 = 1000;
/// The rare speaker's occupant id.
pub const RARE_OID: &str = "0cafe";

/// The store.
pub struct Library {
    pub store: PostgresStore,
    /// The large room.
    pub room: RoomUid,
    pub domain: &'static str,
    pub origin: &'static str,
    /// How many messages the rare speaker said.
    pub said_by_one: u64,
    _schema: Schema,
}

impl Library {
    /// Fills a schema of its own. One message of each room goes through the store; it is multiplied in the database.
    pub async fn build(server: &str) -> Self {
        let schema = Schema::new(server).await;
        let options = Options { statement_timeout: std::time::Duration::from_secs(60), ..Options::default() };
        let plain = PostgresStore::open(&schema.url(), &options).await.unwrap();
        let domain = "chat.shakespeare.lit";
        for n in 1..=20 {
            let mut writer = Writer::create(&plain, n, domain).await;
            writer.commit(vec![Change::Append(Box::new(message(domain, 1)))]).await;
        }
        plain.close().await;
        execute(&schema.url(), MULTIPLY).await;
        let store = PostgresStore::open(&format!("{} {SETTINGS}", schema.url()), &options).await.unwrap();
        let room = RoomUid(Uuid::from_u128(1));
        Self { store, room, domain, origin: domain, said_by_one: MESSAGES / RARE, _schema: schema }
    }

    /// The right to write the large room.
    pub async fn writer(&self) -> Writer<'_> {
        let lease = self.store.acquire(self.room, "node", Millis(0), 1000).await.unwrap();
        Writer { store: &self.store, lease, revision: Revision(2) }
    }
}

/// Message 1 of each room as many times as the room is to have, each in its place.
const MULTIPLY: &str = "\
    UPDATE rooms SET arrivals = CASE WHEN uid = '00000000-0000-0000-0000-000000000001' THEN 1000000 ELSE 100 END;
    INSERT INTO log
    SELECT uid, n, origin, incarnation, n, hlc + (n - 1) * 65536000, lpad(to_hex(n), 32, '0')::uuid,
        CASE WHEN n % 1000 = 0 THEN 'Hecate' ELSE nick END, CASE WHEN n % 1000 = 0 THEN '0cafe' ELSE oid END,
        bytes, withheld, digest,
        replace(replace(event, '\"s\":1}', '\"s\":' || n || '}'), hlc::text, (hlc + (n - 1) * 65536000)::text), content
    FROM log JOIN rooms USING (uid), generate_series(2, arrivals) AS n;
    INSERT INTO chapters
    SELECT uid, arrival / 1024, count(*), min(hlc), max(hlc) FROM log GROUP BY 1, 2
    ON CONFLICT (uid, chapter) DO UPDATE SET shown = excluded.shown, first = excluded.first, last = excluded.last;
    UPDATE frontiers SET top = arrivals, highest = arrivals FROM rooms WHERE rooms.uid = frontiers.uid;
    ANALYZE;";

/// The id of message `n`, as PostgreSQL makes it in [`MULTIPLY`].
pub fn id(n: u64) -> [u8; 16] {
    u128::from(n).to_be_bytes()
}

/// When message `n` was said.
pub fn stamp(n: u64) -> Millis {
    Millis(1_787_307_242_000 + (n - 1) * 1000)
}

/// The nick of the rare speaker.
pub fn rare_nick() -> Nick {
    Nick::parse("Hecate").unwrap()
}

/// Message `n`.
pub fn message(origin: &str, n: u64) -> LogEntry {
    let event = Event {
        pos: Position { o: origin.into(), i: 1, s: n },
        h: Hlc::at(stamp(n)),
        id: EventId(id(n)),
        deps: Vec::new(),
        nick: Some(Nick::parse("thirdwitch").unwrap()),
        oid: Some("dd72603deec90a38ba552f7c68cbcc61bca202cd".to_owned()),
        jid: None,
        stanza: Some(format!("s{n}")),
        lang: None,
        content: vec![Payload::text_element("body", "Harpier cries: 'tis time, 'tis time.")],
    };
    LogEntry { event, digest: None, withheld: false }
}

/// A part that changes.
pub fn part(n: u64) -> Change {
    Change::Put { key: "head".to_owned(), value: n.to_string() }
}

/// Who writes a room.
pub struct Writer<'a> {
    store: &'a PostgresStore,
    lease: Lease,
    revision: Revision,
}

impl<'a> Writer<'a> {
    async fn create(store: &'a PostgresStore, n: u128, domain: &str) -> Self {
        let lease = store.acquire(RoomUid(Uuid::from_u128(n)), "node", Millis(0), 1000).await.unwrap();
        let mut writer = Self { store, lease, revision: Revision(0) };
        let jid = Address::parse(&format!("room-{n}@{domain}")).unwrap();
        writer.commit(vec![Change::Create { jid }]).await;
        writer
    }

    pub async fn commit(&mut self, changes: Vec<Change>) {
        let commit = RoomCommit { lease: self.lease, expected: self.revision, changes };
        self.revision = self.store.commit(&[commit]).await.remove(0).unwrap();
    }
}
