//! To a file and from it.

use std::collections::BTreeSet;
use std::io::Cursor;

use dmuc_server_adapter::transfer::{Target, TransferError, import};

use crate::fixture::{Store, Stores, exported, full};

async fn imported(text: &str, to: &Store) -> Result<(), TransferError> {
    import(&mut Cursor::new(text.as_bytes()), to, Target::Empty, &()).await.map(drop)
}

#[tokio::test]
async fn a_file_comes_back_byte_by_byte() {
    let stores = Stores::new();
    let (text, counts) = exported(&full(stores.sqlite().await).await).await;
    assert_eq!((counts.rooms, text.lines().filter(|line| line.starts_with("{\"room\":")).count()), (3, 3));
    for to in [stores.memory().await, stores.sqlite().await] {
        imported(&text, &to).await.unwrap();
        assert_eq!(exported(&to).await.0, text);
        imported(&text, &to).await.expect("again changes nothing");
        assert_eq!(exported(&to).await.0, text);
    }
}

#[tokio::test]
async fn an_empty_store_is_a_file_too() {
    let stores = Stores::new();
    let (text, _) = exported(&stores.memory().await).await;
    assert_eq!(text.lines().count(), 2);
    imported(&text, &stores.memory().await).await.unwrap();
}

/// What was damaged, where, and how.
async fn refused(text: &str, expected: &str) {
    let to = Stores::new().memory().await;
    let error = imported(text, &to).await.expect_err(expected);
    assert!(matches!(error, TransferError::Malformed { .. }), "{expected}: {error:?}");
    assert!(error.to_string().contains(expected), "expected {expected}, got {error}");
    assert!(to.domains().await.unwrap().is_empty(), "{expected}: nothing was written");
    assert!(to.rules().await.unwrap().is_empty(), "{expected}: nothing was written");
}

#[tokio::test]
async fn damage_is_found_before_anything_is_written() {
    let (text, _) = exported(&full(Stores::new().memory().await).await).await;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().concat();

    refused(&text.replace("toil and trouble: 7 ", "toil and trouble: 8 "), "the room above").await;
    refused(&text.replacen("the charm's wound up", "the charm's wound uq", 1), "the file is damaged").await;
    refused(&without(at("{\"entry\"")), "the room above").await;
    refused(&without(at("{\"rule\"")), "the lines above").await;
    refused(&without(0), "line 1: a header is expected").await;
    refused(&without(lines.len() - 1), "without its trailer").await;
    refused(&text[..text.len() / 2], "the file ends within a line").await;
    refused(&text.replacen("\"version\":1", "\"version\":2", 1), "this is version 2").await;
    refused(&text.replacen("dmuc-store", "another", 1), "this is `another`").await;
    refused(&format!("{text}{}", lines[1]), "something follows the trailer").await;
    refused("", "without its trailer").await;
    refused("?\n", "line 1: expected value at column 1").await;

    let (room, stone) = (at("{\"room\""), at("{\"tombstone\""));
    let swapped =
        [&lines[..stone], &lines[room..lines.len() - 1], &lines[stone..room], &lines[lines.len() - 1..]];
    refused(&swapped.concat().concat(), "out of order").await;
    let entry = at("{\"entry\"");
    refused(&[&lines[..room], &lines[entry..]].concat().concat(), "out of place").await;
}

#[tokio::test]
async fn every_kind_of_line_is_documented() {
    let (text, _) = exported(&full(Stores::new().memory().await).await).await;
    let documentation = include_str!("../../../docs/store-format.md");
    let rows = documentation.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let documented: BTreeSet<&str> = rows.map(|(key, _)| key).collect();
    let written: BTreeSet<&str> = text.lines().map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(written.len(), 8);
    assert!(documented.is_superset(&written), "{written:?}");
}
