//! Log entries as columns, for statements that append many at once.

use std::collections::BTreeMap;

use dmuc_core::event::{Event, EventId, Position};
use dmuc_core::stanza::Payload;
use dmuc_core::storage::columns::signed;
use dmuc_core::storage::{LogEntry, RoomUid, StoreError};
use uuid::Uuid;

use crate::PostgresStore;
use crate::database::{Statement, column};
use crate::error::{conflict, corrupt};

const APPEND: &str = "append to a log";

/// Entries, a vector for each column.
#[derive(Default)]
pub(crate) struct Entries {
    uids: Vec<Uuid>,
    rests: Vec<i64>,
    origins: Vec<String>,
    incarnations: Vec<i64>,
    seqs: Vec<i64>,
    hlcs: Vec<i64>,
    ids: Vec<Uuid>,
    nicks: Vec<Option<String>>,
    oids: Vec<Option<String>>,
    sizes: Vec<i32>,
    withheld: Vec<bool>,
    digests: Vec<Option<Uuid>>,
    events: Vec<String>,
    contents: Vec<String>,
}

impl Entries {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.uids.len()
    }

    /// Adds all entries of a room that are to be appended together.
    pub fn push_all<'a>(
        &mut self,
        room: RoomUid,
        entries: impl ExactSizeIterator<Item = &'a LogEntry>,
    ) -> Result<(), StoreError> {
        let count = entries.len();
        for (nth, entry) in entries.enumerate() {
            self.push(room, entry, count - nth - 1)?;
        }
        Ok(())
    }

    fn push(&mut self, room: RoomUid, entry: &LogEntry, rest: usize) -> Result<(), StoreError> {
        let event = &entry.event;
        let content = Content::of(&event.content)?;
        self.uids.push(room.0);
        self.rests.push(signed(rest as u64));
        self.origins.push(event.pos.o.to_string());
        self.incarnations.push(event.pos.i.into());
        self.seqs.push(signed(event.pos.s));
        self.hlcs.push(signed(event.h.0));
        self.ids.push(id(event.id));
        self.nicks.push(event.nick.as_ref().map(|nick| nick.as_str().to_owned()));
        self.oids.push(event.oid.clone());
        self.sizes.push(content.bytes);
        self.withheld.push(entry.withheld);
        self.digests.push(entry.digest.map(|digest| Uuid::from_bytes(digest.0)));
        self.events.push(json(&without_content(event))?);
        self.contents.push(content.json);
        Ok(())
    }

    /// All columns but that of the rooms, in the order of the functions' arguments.
    fn bind_fields<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        statement
            .bind(&self.rests)
            .bind(&self.origins)
            .bind(&self.incarnations)
            .bind(&self.seqs)
            .bind(&self.hlcs)
            .bind(&self.ids)
            .bind(&self.nicks)
            .bind(&self.oids)
            .bind(&self.sizes)
            .bind(&self.withheld)
            .bind(&self.digests)
            .bind(&self.events)
            .bind(&self.contents)
    }

    /// All columns, in the order of the functions' arguments.
    pub fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        self.bind_fields(statement.bind(&self.uids))
    }
}

/// An event's content as it is stored.
pub(crate) struct Content {
    pub json: String,
    /// Its size for limits.
    pub bytes: i32,
}

impl Content {
    pub fn of(content: &[Payload]) -> Result<Self, StoreError> {
        let bytes: usize = content.iter().map(|child| child.as_xml().len()).sum();
        Ok(Self { json: json(content)?, bytes: i32::try_from(bytes).unwrap_or(i32::MAX) })
    }
}

/// The rest of an event: its content has a column of its own.
fn without_content(event: &Event) -> Event {
    Event {
        pos: event.pos.clone(),
        h: event.h,
        id: event.id,
        deps: event.deps.clone(),
        nick: event.nick.clone(),
        oid: event.oid.clone(),
        jid: event.jid.clone(),
        stanza: event.stanza.clone(),
        lang: event.lang.clone(),
        content: Vec::new(),
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(APPEND)(error.into()))
}

/// An event's id as a column.
pub(crate) fn id(id: EventId) -> Uuid {
    Uuid::from_bytes(id.0)
}

/// Refuses entries of which two have one id at different positions.
pub(crate) fn check_ids<'a>(entries: impl Iterator<Item = &'a LogEntry>) -> Result<(), StoreError> {
    let mut positions: BTreeMap<EventId, &Position> = BTreeMap::new();
    for LogEntry { event, .. } in entries {
        if positions.insert(event.id, &event.pos).is_some_and(|other| *other != event.pos) {
            return Err(elsewhere());
        }
    }
    Ok(())
}

/// An event id is held at another position.
pub(crate) fn elsewhere() -> StoreError {
    conflict("append to a log: the event id is held at another position")
}

impl PostgresStore {
    pub(crate) async fn append_entries(
        &self,
        room: RoomUid,
        appended: &[LogEntry],
    ) -> Result<(), StoreError> {
        check_ids(appended.iter())?;
        let mut entries = Entries::default();
        entries.push_all(room, appended.iter())?;
        let statement =
            sqlx::query("SELECT append_entries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)");
        let statement = entries.bind_fields(statement.bind(room.0));
        let appended: bool = column(&self.database.row(APPEND, statement).await?, 0, APPEND)?;
        if appended { Ok(()) } else { Err(elsewhere()) }
    }
}
