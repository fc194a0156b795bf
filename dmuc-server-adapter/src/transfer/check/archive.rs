//! What a room's archive says of itself, against what there is.

use dmuc_core::storage::{ArchiveQuery, Recent, RoomUid, StoreError, Transfer};

use super::arrived::Arrived;
use super::finding::What;

pub(super) async fn check(
    store: &dyn Transfer,
    room: RoomUid,
    arrived: &Arrived,
    found: &mut Vec<What>,
) -> Result<(), StoreError> {
    found.extend(check_recent(store, room, arrived).await?);
    for (by, query, shown) in questions(arrived) {
        let counted = store.page(room, &query).await?.map_or(0, |page| page.count);
        if counted != shown {
            found.push(What::Archive { by, counted, shown });
        }
    }
    Ok(())
}

async fn check_recent(
    store: &dyn Transfer,
    room: RoomUid,
    arrived: &Arrived,
) -> Result<Option<What>, StoreError> {
    let newest = u32::try_from(arrived.newest.len()).unwrap_or(u32::MAX);
    let limits = Recent { stanzas: Some(newest), ..Recent::default() };
    let recent = store.recent(room, limits).await?;
    let keys = recent.into_iter().map(|entry| (entry.event.h, entry.event.pos));
    Ok((!keys.eq(arrived.newest.iter().cloned())).then_some(What::Recent))
}

/// What the archive is asked to count, and what it must say.
fn questions(arrived: &Arrived) -> Vec<(String, ArchiveQuery, u64)> {
    let all = ArchiveQuery::default();
    let mut questions = vec![("nothing".to_owned(), all.clone(), arrived.shown)];
    if let Some((first, last)) = arrived.span {
        let query = ArchiveQuery { start: Some(first), end: Some(last), ..all.clone() };
        questions.push(("time".to_owned(), query, arrived.shown));
    }
    questions.extend(arrived.nicks.iter().map(|(nick, said)| {
        let query = ArchiveQuery { nick: Some(nick.clone()), ..all.clone() };
        (format!("nick `{nick}`"), query, *said)
    }));
    questions.extend(arrived.oids.iter().map(|(oid, said)| {
        let query = ArchiveQuery { oid: Some(oid.clone()), ..all.clone() };
        (format!("occupant id `{oid}`"), query, *said)
    }));
    questions
}
