//! Listing rooms.

use super::Builder;
use super::fixture::{DOMAIN, Live, address, one, put, room_address, take, together, tombstone, uid};
use crate::address::Address;
use crate::storage::{Change, Directory, Lease, Listed, Revision, Room as _, RoomCommit, Storage};

async fn list(store: &impl Storage, domain: &str, after: Option<&Address>, limit: u32) -> Vec<Listed> {
    store.list(domain, after, limit).await.expect("the store can be read")
}

fn names(listed: &[Listed]) -> Vec<&str> {
    listed.iter().filter_map(|room| room.jid.local()).collect()
}

/// In order of address, whatever the order of creation.
pub async fn rooms_are_listed_in_order_of_address<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    assert_eq!(list(&store, DOMAIN, None, 10).await, []);
    for (n, local) in (1..).zip(["heath", "coven", "ведьмы", "a-b", "a", "coven2", "a.b"]) {
        Live::at(&store, room_address(local), uid(n)).await;
    }
    let listed = list(&store, DOMAIN, None, 100).await;
    let mut sorted = listed.clone();
    sorted.sort_by(|a, b| a.jid.cmp(&b.jid));
    assert_eq!(listed, sorted);
    assert_eq!(listed.len(), 7);
    let coven = listed.iter().find(|room| room.jid == room_address("coven")).expect("listed");
    assert_eq!((coven.uid, &coven.card), (uid(2), &None));
}

/// A list is of one service domain.
pub async fn domains_are_listed_apart<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    Live::at(&store, room_address("coven"), uid(1)).await;
    for (n, jid) in
        (2..).zip(["coven@rooms.macbeth.lit", "x@notchat.shakespeare.lit", "x@chat.shakespeare.li"])
    {
        Live::at(&store, address(jid), uid(n)).await;
    }
    assert_eq!(names(&list(&store, DOMAIN, None, 10).await), ["coven"]);
    assert_eq!(list(&store, "rooms.macbeth.lit", None, 10).await[0].uid, uid(2));
    assert_eq!(list(&store, "shakespeare.lit", None, 10).await, []);
}

/// `after` need not be there any more; `limit` holds.
pub async fn a_list_goes_on_after_an_address<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    for (n, local) in (1..).zip(["a", "b", "d", "e"]) {
        Live::at(&store, room_address(local), uid(n)).await;
    }
    assert_eq!(names(&list(&store, DOMAIN, None, 2).await), ["a", "b"]);
    assert_eq!(names(&list(&store, DOMAIN, Some(&room_address("b")), 2).await), ["d", "e"]);
    assert_eq!(names(&list(&store, DOMAIN, Some(&room_address("c")), 9).await), ["d", "e"]);
    assert_eq!(list(&store, DOMAIN, Some(&room_address("e")), 9).await, []);
    assert_eq!(list(&store, DOMAIN, None, 0).await, []);
}

/// `card` is the part of that name, as it is now.
pub async fn cards_are_listed<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let mut room = Live::new(&store, 1).await;
    let mut other = Live::new(&store, 2).await;
    other.must(vec![put("cards", "not this one"), put("car", "nor this")]).await;
    let cards = |listed: Vec<Listed>| listed.into_iter().map(|room| room.card).collect::<Vec<_>>();
    for card in ["{\"name\":\"A Dark Cave\"}", "{\"name\":\"Düstere Höhle\"}"] {
        room.must(vec![put("card", card)]).await;
        assert_eq!(cards(list(&store, DOMAIN, None, 9).await), [Some(card.to_owned()), None]);
    }
    room.must(vec![Change::Delete { key: "card".to_owned() }]).await;
    assert_eq!(cards(list(&store, DOMAIN, None, 9).await), [None, None]);
}

/// Neither rooms that are gone nor their tombstones are listed.
pub async fn destroyed_rooms_are_not_listed<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let (mut one, mut two) = (Live::new(&store, 1).await, Live::new(&store, 2).await);
    Live::new(&store, 3).await;
    let stone = tombstone(&one.jid, one.uid, super::fixture::NOW.plus(86_400_000));
    one.must(vec![put("card", "1"), Change::Destroy(Some(stone))]).await;
    two.must(vec![Change::Destroy(None)]).await;
    assert_eq!(names(&list(&store, DOMAIN, None, 9).await), ["room-0003"]);
}

/// A tally is of one domain and of what the cards say now; a card that is no JSON object has no fields.
pub async fn rooms_are_tallied_by_their_cards<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let tally = async |domain: &str, field: &str| -> Vec<(String, u32)> {
        store.tally(domain, field).await.expect("the store can be read").into_iter().collect()
    };
    assert_eq!(tally(DOMAIN, "owner").await, []);
    let cards =
        ["{\"owner\":\"a@b\"}", "{\"owner\":\"a@b\",\"x\":1}", "{\"owner\":\"c@d\"}", "{}", "3", "nonsense"];
    for (n, card) in (1..).zip(cards) {
        Live::new(&store, n).await.must(vec![put("card", card), put("cards", "{\"owner\":\"e@f\"}")]).await;
    }
    Live::at(&store, address("coven@rooms.macbeth.lit"), uid(90))
        .await
        .must(vec![put("card", cards[0])])
        .await;
    let mut gone = Live::new(&store, 91).await;
    gone.must(vec![put("card", cards[0])]).await;
    let counted =
        |counts: &[(&str, u32)]| counts.iter().map(|(text, n)| ((*text).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(tally(DOMAIN, "owner").await, counted(&[("", 3), ("a@b", 3), ("c@d", 1)]));
    gone.must(vec![Change::Destroy(None)]).await;
    assert_eq!(tally(DOMAIN, "owner").await, counted(&[("", 3), ("a@b", 2), ("c@d", 1)]));
    assert_eq!(tally(DOMAIN, "x").await, counted(&[("", 6)]), "only texts are told apart");
    assert_eq!(tally("rooms.macbeth.lit", "owner").await, counted(&[("a@b", 1)]));
}

/// JSON may name the character that many databases cannot hold.
pub async fn an_escaped_nul_in_a_card_harms_nothing<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let card = r#"{"name":"\u0000","owner":"a@b","public":true}"#;
    let mut room = Live::new(&store, 1).await;
    room.must(vec![put("card", card), put("subject", r#""a\u0000b""#)]).await;
    assert_eq!(list(&store, DOMAIN, None, 9).await[0].card.as_deref(), Some(card));
    let counts = store.tally(DOMAIN, "owner").await.expect("the store can be read");
    assert_eq!(counts.get("a@b"), Some(&1));
    let page = store.directory(DOMAIN, &Directory { max: 9, ..Directory::default() }).await;
    assert_eq!(page.expect("the store can be read").map(|page| page.count), Some(1));
}

/// Rooms are found by a part that they have now, in order of address; of one domain.
pub async fn rooms_are_found_by_a_part<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    for key in ["subscriber/hag66@shakespeare.lit", "other/part"] {
        let holding = async |domain: &str, key: &str, limit: u32| -> Vec<String> {
            let found = store.holding(domain, key, limit).await.expect("the store can be read");
            found.iter().map(|(jid, part)| format!("{} {part}", jid.local().unwrap_or(""))).collect()
        };
        let first = if key.starts_with('s') { 10 } else { 20 };
        assert_eq!(holding(DOMAIN, key, 9).await, [""; 0]);
        let mut rooms = Vec::new();
        for n in [first + 2, first, first + 1] {
            let mut room = Live::new(&store, n).await;
            room.must(vec![put(key, &n.to_string()), put(&format!("{key}x"), "another")]).await;
            rooms.push(room);
        }
        let elsewhere = address(&format!("coven{first}@rooms.macbeth.lit"));
        Live::at(&store, elsewhere, uid(first + 5)).await.must(vec![put(key, "5")]).await;
        let named = |n: u128| format!("room-{n:04} {n}");
        let all = [named(first), named(first + 1), named(first + 2)];
        assert_eq!(holding(DOMAIN, key, 9).await, all);
        assert_eq!(holding(DOMAIN, key, 2).await, all[..2]);
        assert_eq!(holding("rooms.macbeth.lit", key, 9).await.len(), 1);
        rooms[1].must(vec![Change::Delete { key: key.to_owned() }]).await;
        rooms[2].must(vec![Change::Destroy(None)]).await;
        assert_eq!(holding(DOMAIN, key, 9).await, all[2..]);
    }
}

/// Pages of a long list neither miss nor repeat a room.
pub async fn ten_thousand_rooms_are_listed_by_pages<B: Builder>(builder: &B) {
    const ROOMS: u128 = 10_000;
    let (store, _guard) = builder.build().await;
    for slice in (1..=ROOMS).collect::<Vec<_>>().chunks(500) {
        create_all(&store, slice).await;
    }
    let mut read: Vec<Listed> = Vec::new();
    loop {
        let page = list(&store, DOMAIN, read.last().map(|room| &room.jid), 900).await;
        let full = page.len() == 900;
        read.extend(page);
        if !full {
            break;
        }
    }
    let expected: Vec<String> = (1..=ROOMS).map(|n| format!("room-{n:05}")).collect();
    assert!(names(&read) == expected, "{} rooms are listed", read.len());
    assert!(read.iter().all(|room| room.card.as_deref() == Some("{}")));
}

async fn create_all(store: &impl Storage, rooms: &[u128]) {
    let leases = together(rooms.iter().map(|n| take(store, uid(*n), "node-a")).collect()).await;
    let creation = |(n, lease): (&u128, Lease)| {
        let changes = vec![Change::Create { jid: room_address(&format!("room-{n:05}")) }, put("card", "{}")];
        RoomCommit { lease, expected: Revision(0), changes }
    };
    let slice: Vec<RoomCommit> = rooms.iter().zip(leases).map(creation).collect();
    let results = store.commit(&slice).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    if let Some(commit) = slice.first() {
        let again = one(store, commit.clone()).await;
        super::fixture::assert_conflict(&again);
    }
}
