//! Commits: all or nothing, against the revision and the fence.

use super::Builder;
use super::fixture::{Live, NOW, append, assert_conflict, entry, found, one, put, run, said, take, together};
use crate::storage::{Change, Revision, Room, RoomCommit};

/// The revision counts the commits from 1, also empty ones.
pub async fn revisions_count_the_commits<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    room.must(Vec::new()).await;
    room.must(vec![put("head", "1")]).await;
    assert_eq!(found(&store, &room.jid).await.revision, Revision(3));
}

/// `Conflict`, changing nothing, at another revision than expected.
pub async fn another_revision_changes_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    room.must(vec![put("head", "1")]).await;
    for wrong in [0, 1, 3] {
        let changes = vec![put("head", "2"), append(&entry("a.lit", 1)), Change::Destroy(None)];
        let commit = RoomCommit { expected: Revision(wrong), ..room.commit(changes) };
        assert_conflict(&one(&store, commit).await);
    }
    let found = found(&store, &room.jid).await;
    assert_eq!((found.revision, &*found.parts["head"]), (Revision(2), "1"));
    assert_eq!(room.frontier().await, []);
}

/// `Conflict`, changing nothing, once another node has taken the lease over.
pub async fn a_lower_fence_changes_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    store.release(&room.lease).await.expect("the store can be written");
    let taken = take(&store, room.uid, "node-b").await;
    assert_conflict(&room.try_commit(vec![put("head", "old"), append(&entry("a.lit", 1))]).await);
    let unchanged = found(&store, &room.jid).await;
    assert_eq!((unchanged.revision, unchanged.parts.len()), (Revision(1), 0));
    assert_eq!(room.frontier().await, []);
    room.lease = taken;
    room.must(vec![put("head", "new")]).await;
}

/// Commits in one slice do not depend on another; results come in the same order.
pub async fn a_refused_commit_leaves_the_others<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let (one, mut two, three) =
        (Live::new(&store, 1).await, Live::new(&store, 2).await, Live::new(&store, 3).await);
    two.append(&run("a.lit", 1..=1)).await;
    let mut stolen = entry("a.lit", 2);
    stolen.event.id = entry("a.lit", 1).event.id;
    let late = RoomCommit { expected: Revision(9), ..three.commit(vec![put("head", "3")]) };
    let slice = [
        one.commit(vec![put("head", "1"), append(&entry("a.lit", 1))]),
        two.commit(vec![put("head", "2"), append(&stolen)]),
        late,
        three.commit(vec![put("head", "4")]),
    ];
    let results = store.commit(&slice).await;
    assert_eq!(results.len(), 4);
    assert_eq!(results[0].as_ref().expect("in order"), &Revision(2));
    assert_conflict(&results[1]);
    assert_conflict(&results[2]);
    assert_eq!(results[3].as_ref().expect("in order"), &Revision(2));
    assert_eq!(found(&store, &one.jid).await.parts["head"], "1");
    assert_eq!(one.frontier().await, [("a.lit".to_owned(), 1, 1)]);
    assert!(found(&store, &two.jid).await.parts.is_empty());
    assert_eq!(found(&store, &three.jid).await.parts["head"], "4");
}

/// A commit is all or nothing, also if its last change is what refuses it.
pub async fn a_refusal_undoes_what_came_before_it<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", 1..=1)).await;
    let before = found(&store, &room.jid).await;
    let mut stolen = entry("a.lit", 3);
    stolen.event.id = entry("a.lit", 1).event.id;
    let changes = vec![
        put("head", "2"),
        Change::Redact { id: entry("a.lit", 1).event.id, content: Vec::new() },
        append(&entry("a.lit", 2)),
        append(&stolen),
    ];
    assert_conflict(&room.try_commit(changes).await);
    assert_eq!(found(&store, &room.jid).await, before);
    assert_eq!(room.all().await, [entry("a.lit", 1)]);
    room.append(&run("a.lit", 2..=3)).await;
}

/// Changes take effect in the order in which they are given.
pub async fn changes_apply_in_order<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let delete = |key: &str| Change::Delete { key: key.to_owned() };
    let first = said("a.lit", 1, "said");
    let redact = Change::Redact { id: first.event.id, content: Vec::new() };
    room.must(vec![
        put("a", "1"),
        put("a", "2"),
        put("b", "1"),
        delete("b"),
        delete("c"),
        put("c", "1"),
        append(&first),
        redact,
        Change::Withhold { pos: first.event.pos.clone(), withheld: true },
        Change::Withhold { pos: first.event.pos.clone(), withheld: false },
    ])
    .await;
    let parts: Vec<(String, String)> = found(&store, &room.jid).await.parts.into_iter().collect();
    assert_eq!(parts, [("a", "2"), ("c", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let all = room.all().await;
    assert_eq!(all.len(), 1, "revealed again");
    assert!(all[0].event.content.is_empty(), "redacted after it was said");
}

/// Two commits at the same revision in one slice: exactly one becomes durable.
pub async fn of_two_at_one_revision_one_wins<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::new(&store, 1).await;
    let slice = [room.commit(vec![put("head", "0")]), room.commit(vec![put("head", "1")])];
    let results = store.commit(&slice).await;
    let winners: Vec<usize> = (0..2).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    let found = found(&store, &room.jid).await;
    assert_eq!((found.revision, &found.parts["head"]), (Revision(2), &winners[0].to_string()));
}

/// Callers need not take turns: commits that come in side by side are all made.
pub async fn parallel_commits_of_rooms_all_succeed<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut rooms = Vec::new();
    for n in 0..16 {
        rooms.push(Live::new(&store, n).await);
    }
    let entries: Vec<Change> = run("a.lit", 1..=4).iter().map(append).collect();
    let commits = rooms.iter().map(|room| one(&store, room.commit(entries.clone())));
    let results = together(commits.collect()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    for room in rooms {
        assert_eq!(room.frontier().await, [("a.lit".to_owned(), 1, 4)]);
    }
}

/// Of commits at one revision that come in side by side, one is made.
pub async fn parallel_commits_of_one_room_are_decided<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let room = Live::new(&store, 1).await;
    let commits = (0..8).map(|n| one(&store, room.commit(vec![put("head", &n.to_string())])));
    let results = together(commits.collect()).await;
    let winners: Vec<usize> = (0..8).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    let found = found(&store, &room.jid).await;
    assert_eq!((found.revision, &found.parts["head"]), (Revision(2), &winners[0].to_string()));
}

/// An empty slice has no results.
pub async fn nothing_gives_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    assert!(store.commit(&[]).await.is_empty());
    assert!(store.load(&super::fixture::room_address("coven"), NOW).await.is_ok());
}

/// A slice may be long; what is refused in its middle leaves the rest.
pub async fn a_long_slice_is_made<B: Builder>(builder: &B) {
    const ROOMS: u128 = 150;
    const REFUSED: usize = 77;
    let (store, _guard) = builder.build().await;
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        rooms.push(Live::new(&store, n).await);
    }
    rooms[REFUSED].revision = Revision(9);
    let changes =
        |n: usize| vec![append(&entry("a.lit", 1)), put("head", &n.to_string()), append(&entry("b.lit", 1))];
    let slice: Vec<RoomCommit> = rooms.iter().enumerate().map(|(n, room)| room.commit(changes(n))).collect();
    let results = store.commit(&slice).await;
    for (n, (room, result)) in rooms.iter().zip(&results).enumerate() {
        if n == REFUSED {
            assert_conflict(result);
            assert_eq!(room.frontier().await, []);
            continue;
        }
        assert_eq!(result.as_ref().expect("in order"), &Revision(2), "room {n}");
        assert_eq!(found(&store, &room.jid).await.parts["head"], n.to_string());
        assert_eq!(room.frontier().await.len(), 2);
    }
}

/// A commit may be long, as when a peer catches up; what is held of it already is left alone.
pub async fn a_long_commit_is_made<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::with(&store, 1, &run("a.lit", [1, 2, 70, 130])).await;
    let mut changes: Vec<Change> = run("a.lit", 1..=200).iter().map(append).collect();
    changes.extend((0..200).map(|n| put(&format!("occupant/{n}"), "1")));
    room.must(changes).await;
    assert_eq!(room.frontier().await, [("a.lit".to_owned(), 1, 200)]);
    assert_eq!(found(&store, &room.jid).await.parts.len(), 200);
    let mut arrived = vec![1, 2, 70, 130];
    arrived.extend((3..=200).filter(|s| ![70, 130].contains(s)));
    assert_eq!(super::fixture::numbers(&room.all().await), arrived);
    let mut refused: Vec<Change> = run("a.lit", 201..=300).iter().map(append).collect();
    let mut stolen = entry("a.lit", 301);
    stolen.event.id = entry("a.lit", 150).event.id;
    refused.push(append(&stolen));
    assert_conflict(&room.try_commit(refused).await);
    assert_eq!(room.frontier().await, [("a.lit".to_owned(), 1, 200)]);
}
