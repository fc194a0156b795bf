//! Reading a whole store for mistakes in it, while services may run on it.

mod archive;
mod arrived;
mod finding;
mod logged;
mod room;

use std::collections::BTreeMap;
use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::record::Card;
use dmuc_core::storage::{Directory, Entry, StoreError, Transfer};

pub use finding::{Checked, Finding, What};

use super::error::{Role, TransferError};
use super::progress::{Phase, Progress};
use super::record::Counts;
use super::rooms::{LISTED, Rooms};
use crate::service::now;

/// Reads everything in a store, and tells what is not as it must be, as it is found.
///
/// Nothing is written. A room that changes while it is read is read again; one that never comes to rest is told as
/// [`What::Busy`].
///
/// # Errors
/// [`TransferError::Store`], if the store does not answer.
pub async fn check(
    store: &Arc<dyn Transfer>,
    progress: &dyn Progress,
    tell: &mut (dyn FnMut(Finding) + Send),
) -> Result<Checked, TransferError> {
    let mut check = Check { store, progress, tell, checked: Checked::default() };
    check.run().await.map_err(TransferError::of(Role::Source))?;
    Ok(check.checked)
}

struct Check<'a> {
    store: &'a Arc<dyn Transfer>,
    progress: &'a dyn Progress,
    tell: &'a mut (dyn FnMut(Finding) + Send),
    checked: Checked,
}

impl Check<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        self.progress.begin(Phase::Counting, None);
        let counts = self.survey().await?;
        self.progress.begin(Phase::Checking, Some(counts.steps()));
        self.check_rules().await?;
        let domains = self.store.domains().await?;
        for domain in &domains {
            self.check_tombstones(domain).await?;
        }
        let before = self.directories(&domains).await?;
        let public = self.check_rooms().await?;
        // A directory that has changed meanwhile says nothing.
        let after = self.directories(&domains).await?;
        for (domain, listed) in after.into_iter().filter(|(domain, listed)| before[domain] == *listed) {
            let public = public.get(&domain).copied().unwrap_or(0);
            if listed != public {
                self.name_hidden(&domain).await?;
                self.found(None, What::Directory { domain, listed, public });
            }
        }
        Ok(())
    }

    fn found(&mut self, room: Option<&Address>, what: What) {
        *(if what.is_mistake() { &mut self.checked.mistakes } else { &mut self.checked.notices }) += 1;
        (self.tell)(Finding { room: room.cloned(), what });
    }

    /// How much there is, for progress to be measured by.
    async fn survey(&self) -> Result<Counts, StoreError> {
        let (mut rooms, mut counts) = (Rooms::of(self.store).await?, Counts::default());
        while let Some(room) = rooms.next().await? {
            // What cannot be read is told when its turn comes.
            counts.add_room(&self.store.frontier(room.uid).await.unwrap_or_default());
            self.progress.advance(1);
        }
        Ok(counts)
    }

    async fn check_rules(&mut self) -> Result<(), StoreError> {
        match self.store.rules().await {
            Ok(rules) => self.checked.counts.rules = rules.len() as u64,
            Err(error) => self.found(None, What::of(error)?),
        }
        Ok(())
    }

    async fn check_tombstones(&mut self, domain: &str) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let stones = self.store.tombstones(domain, after.as_ref(), LISTED).await;
            let stones = match stones.map_err(What::of) {
                Ok(stones) => stones,
                Err(what) => {
                    self.found(None, what?);
                    return Ok(());
                }
            };
            let Some(last) = stones.last() else { return Ok(()) };
            after = Some(last.jid.clone());
            self.checked.counts.tombstones += stones.len() as u64;
            for stone in &stones {
                match self.store.load(&stone.jid, now()).await {
                    Ok(Entry::Room(_)) => self.found(Some(&stone.jid), What::TombstoneOfRoom),
                    Ok(_) => {}
                    Err(error) => self.found(Some(&stone.jid), What::of(error)?),
                }
            }
        }
    }

    /// Checks each room; gives how many say that they are public, by domain.
    async fn check_rooms(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        let (mut rooms, mut public) = (Rooms::of(self.store).await?, BTreeMap::new());
        while let Some(listed) = rooms.next().await? {
            if is_public(listed.card.as_deref()) {
                *public.entry(listed.jid.domain().to_owned()).or_default() += 1;
            }
            let checked = room::check(&**self.store, &listed.jid, self.progress).await?;
            self.checked.counts.rooms += 1;
            self.checked.counts.entries += checked.entries;
            checked.found.into_iter().for_each(|what| self.found(Some(&listed.jid), what));
            self.progress.advance(1);
        }
        Ok(public)
    }

    /// How many rooms the directories have.
    async fn directories(&self, domains: &[String]) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut counts = BTreeMap::new();
        for domain in domains {
            let page = self.store.directory(domain, &Directory::default()).await?;
            counts.insert(domain.clone(), page.map_or(0, |page| page.count));
        }
        Ok(counts)
    }

    /// Names the rooms of a directory that do not say that they are public.
    async fn name_hidden(&mut self, domain: &str) -> Result<(), StoreError> {
        let mut wanted = Directory { max: LISTED, ..Directory::default() };
        while let Some(page) = self.store.directory(domain, &wanted).await? {
            let Some(last) = page.rooms.last() else { break };
            wanted.after = Some(last.jid.clone());
            for room in page.rooms.iter().filter(|room| !is_public(room.card.as_deref())) {
                self.found(Some(&room.jid), What::NotPublic);
            }
        }
        Ok(())
    }
}

fn is_public(card: Option<&str>) -> bool {
    card.and_then(Card::read).is_some_and(|card| card.public)
}
