//! The directory of public rooms, by pages.

use dmuc_core::Address;
use dmuc_core::storage::{Directory, DirectoryPage, StoreError, card_is_public};
use redis::{Cmd, cmd};

use crate::RedisStore;
use crate::announcement::CARD;
use crate::room::Held;

const READ: &str = "read the directory";

/// An end of a range of members, excluded.
fn bound(jid: Option<&Address>, absent: &str) -> String {
    jid.map_or(absent.to_owned(), |jid| format!("({jid}"))
}

impl RedisStore {
    pub(crate) async fn directory_page(
        &self,
        domain: &str,
        wanted: &Directory,
    ) -> Result<Option<DirectoryPage>, StoreError> {
        let key = self.keys.domain(domain, "public");
        let bounds: Vec<String> =
            [&wanted.after, &wanted.before].into_iter().flatten().map(ToString::to_string).collect();
        if !self.are_public(&key, &bounds).await? {
            return Ok(None);
        }
        let mut names: Vec<String> = self.connection.ask(READ, select(&key, wanted)).await?;
        if wanted.last {
            names.reverse();
        }
        let before_first = names.first().map_or("-".to_owned(), |first| format!("({first}"));
        let counts = vec![count(&key, "+"), count(&key, &before_first)];
        let counts: Vec<u64> = self.connection.ask_all(READ, counts).await?;
        let index = if names.is_empty() { 0 } else { counts.last().copied().unwrap_or(0) };
        let held = self.rooms_at(domain, &names, CARD).await?.into_iter();
        // The index says that a room is public a little before it is, and a little longer.
        let public = held.filter(|room| room.part.as_deref().is_some_and(card_is_public));
        let count = counts.first().copied().unwrap_or(0);
        Ok(Some(DirectoryPage { rooms: public.map(Held::listed).collect(), count, index }))
    }

    async fn are_public(&self, key: &str, names: &[String]) -> Result<bool, StoreError> {
        if names.is_empty() {
            return Ok(true);
        }
        let mut scores = cmd("ZMSCORE");
        scores.arg(key).arg(names);
        let scores: Vec<Option<f64>> = self.connection.ask(READ, scores).await?;
        Ok(scores.iter().all(Option::is_some))
    }
}

fn select(key: &str, wanted: &Directory) -> Cmd {
    let (after, before) = (bound(wanted.after.as_ref(), "-"), bound(wanted.before.as_ref(), "+"));
    let mut select = cmd(if wanted.last { "ZREVRANGEBYLEX" } else { "ZRANGEBYLEX" });
    let (first, second) = if wanted.last { (before, after) } else { (after, before) };
    let index = i64::try_from(wanted.index.unwrap_or(0)).unwrap_or(i64::MAX);
    select.arg(key).arg(first).arg(second).arg("LIMIT").arg(index).arg(wanted.max);
    select
}

fn count(key: &str, end: &str) -> Cmd {
    let mut count = cmd("ZLEXCOUNT");
    count.arg(key).arg("-").arg(end);
    count
}
