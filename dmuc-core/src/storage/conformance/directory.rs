//! The directory of public rooms.

use super::Builder;
use super::fixture::{DOMAIN, Live, address, put, room_address, uid};
use crate::storage::{Change, Directory, DirectoryPage, Storage};

const PUBLIC: &str = "{\"name\":\"\",\"public\":true}";
const HIDDEN: &str = "{\"name\":\"\",\"public\":false}";

async fn page(store: &impl Storage, wanted: Directory) -> Option<DirectoryPage> {
    store.directory(DOMAIN, &wanted).await.expect("the store can be read")
}

/// The names, the count and the index of a page.
async fn read(store: &impl Storage, wanted: Directory) -> (Vec<String>, u64, u64) {
    let page = page(store, wanted).await.expect("its bounds are known");
    let names = page.rooms.iter().filter_map(|room| room.jid.local()).map(str::to_owned);
    (names.collect(), page.count, page.index)
}

fn names(names: &[&str], count: u64, index: u64) -> (Vec<String>, u64, u64) {
    (names.iter().map(|name| (*name).to_owned()).collect(), count, index)
}

/// From `a` on, all public but `c`.
async fn five(store: &impl Storage) {
    for (n, local) in (1..).zip(["d", "b", "a", "c", "e"]) {
        let card = if local == "c" { HIDDEN } else { PUBLIC };
        Live::at(store, room_address(local), uid(n)).await.must(vec![put("card", card)]).await;
    }
}

/// Only by the `card` part as it is now, whatever else it may hold.
pub async fn a_room_is_in_it_while_its_card_says_so<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let all = || Directory { max: 9, ..Directory::default() };
    assert_eq!(read(&store, all()).await, names(&[], 0, 0));
    let mut room = Live::at(&store, room_address("coven"), uid(1)).await;
    let mut other = Live::at(&store, room_address("heath"), uid(2)).await;
    other.must(vec![put("cards", PUBLIC)]).await;
    for (card, count) in [
        (PUBLIC, 1),
        ("not JSON", 0),
        (PUBLIC, 1),
        ("1", 0),
        (HIDDEN, 0),
        (PUBLIC, 1),
        ("{\"public\":\"yes\"}", 0),
    ] {
        room.must(vec![put("card", card)]).await;
        assert_eq!(read(&store, all()).await.1, count, "{card}");
    }
    room.must(vec![put("card", PUBLIC)]).await;
    let listed = page(&store, all()).await.expect("no bounds").rooms;
    assert_eq!((listed[0].uid, listed[0].card.as_deref()), (uid(1), Some(PUBLIC)));
    room.must(vec![Change::Delete { key: "card".to_owned() }]).await;
    assert_eq!(read(&store, all()).await, names(&[], 0, 0));
    room.must(vec![put("card", PUBLIC), Change::Destroy(None)]).await;
    assert_eq!(read(&store, all()).await, names(&[], 0, 0));
}

/// Forwards, backwards, and from a place on; a page of none counts.
pub async fn it_is_read_both_ways<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    five(&store).await;
    let none = Directory::default;
    let at = |local| Some(room_address(local));
    for (wanted, expected) in [
        (Directory { max: 2, ..none() }, names(&["a", "b"], 4, 0)),
        (Directory { max: 2, after: at("b"), ..none() }, names(&["d", "e"], 4, 2)),
        (Directory { max: 2, after: at("e"), ..none() }, names(&[], 4, 0)),
        (Directory { max: 1, last: true, ..none() }, names(&["e"], 4, 3)),
        (Directory { max: 2, last: true, before: at("e"), ..none() }, names(&["b", "d"], 4, 1)),
        (Directory { max: 9, after: at("a"), before: at("d"), ..none() }, names(&["b"], 4, 1)),
        (Directory { max: 2, index: Some(1), ..none() }, names(&["b", "d"], 4, 1)),
        (Directory { max: 2, index: Some(u64::MAX), ..none() }, names(&[], 4, 0)),
        (Directory { max: 0, ..none() }, names(&[], 4, 0)),
    ] {
        assert_eq!(read(&store, wanted.clone()).await, expected, "{wanted:?}");
    }
}

/// Nor is a hidden one, which nobody is to find out about.
pub async fn an_unknown_room_is_no_bound<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    five(&store).await;
    for local in ["c", "nowhere"] {
        let after = Directory { max: 9, after: Some(room_address(local)), ..Directory::default() };
        let before = Directory { max: 9, before: Some(room_address(local)), ..Directory::default() };
        assert_eq!((page(&store, after).await, page(&store, before).await), (None, None), "{local}");
    }
}

/// Rooms of other domains are neither listed nor counted.
pub async fn a_directory_is_of_one_domain<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    five(&store).await;
    let mut other = Live::at(&store, address("aa@rooms.macbeth.lit"), uid(9)).await;
    other.must(vec![put("card", PUBLIC)]).await;
    let all = Directory { max: 9, ..Directory::default() };
    assert_eq!(read(&store, all).await, names(&["a", "b", "d", "e"], 4, 0));
    let after = Directory { max: 9, after: Some(other.jid.clone()), ..Directory::default() };
    assert_eq!(page(&store, after).await, None);
}
