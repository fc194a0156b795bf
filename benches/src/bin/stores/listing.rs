//! Rooms that nobody is in: listed, found, loaded.

use dmuc_core::Address;
use dmuc_core::storage::{Directory, Transfer};

use crate::Failure;
use crate::messages::{BEGINNING, DOMAIN, Room};
use crate::times;

/// Rooms in a page.
const PAGE: u32 = 1000;
const NAME: &str = "idle";

pub async fn measure(store: &dyn Transfer, rooms: usize, questions: usize) -> Result<(), Failure> {
    let card = format!(
        "{{\"name\":\"An idle room\",\"public\":true,\"description\":\"{}\"}}",
        "Nothing. ".repeat(8)
    );
    Room::create(store, NAME, rooms, &[("card", &card)]).await?;
    times::tell(&format!("{rooms} rooms listed, by {PAGE}"), questions.div_ceil(10), || list(store, rooms))
        .await?;
    times::tell(&format!("{rooms} rooms in the directory, by {PAGE}"), questions.div_ceil(10), || {
        directory(store, rooms)
    })
    .await?;
    let one = Address::parse(&format!("{NAME}-{:06}@{DOMAIN}", rooms / 2))?;
    times::tell("a room loaded", questions, || async { Ok(store.load(&one, BEGINNING).await?) }).await
}

async fn list(store: &dyn Transfer, rooms: usize) -> Result<(), Failure> {
    let (mut after, mut listed) = (None, 0);
    loop {
        let page = store.list(DOMAIN, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        listed += page.len();
        after = Some(last.jid.clone());
    }
    if listed < rooms { Err("rooms are missing from the list".into()) } else { Ok(()) }
}

async fn directory(store: &dyn Transfer, rooms: usize) -> Result<(), Failure> {
    let (mut wanted, mut listed) = (Directory { max: PAGE, ..Directory::default() }, 0);
    while let Some(page) = store.directory(DOMAIN, &wanted).await? {
        let Some(last) = page.rooms.last() else { break };
        listed += page.rooms.len();
        wanted.after = Some(last.jid.clone());
    }
    if listed < rooms { Err("rooms are missing from the directory".into()) } else { Ok(()) }
}
