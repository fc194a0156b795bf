//! Listing and searching the public rooms, from the store: a sleeping room stays asleep.

use std::sync::Arc;

use dmuc_core::Stanza;
use dmuc_core::record::Card;
use dmuc_core::service::search::{self, Search, Sieve};
use dmuc_core::service::{room_list, subscription_list};
use dmuc_core::storage::{Directory, StoreError};
use tracing::warn;

use super::{Shared, chain, task};

/// Rooms that are read at a time for a search.
const PAGE: u32 = 1000;

impl Shared {
    /// Lists a page of the public rooms.
    pub(super) fn list(self: &Arc<Self>, request: Stanza, wanted: Directory) {
        self.answer_later(&request.clone(), |shared| async move {
            let Ok(_permit) = shared.lists.try_acquire() else { return request.error(&task::try_later()) };
            match shared.storage.directory(shared.board.now().domain.as_str(), &wanted).await {
                Ok(page) => room_list(&request, page.as_ref()),
                Err(error) => shared.not_listed(&request, &error),
            }
        });
    }

    /// Lists what a user subscribes to.
    pub(super) fn list_subscriptions(self: &Arc<Self>, request: Stanza, part: String, max: u32) {
        self.answer_later(&request.clone(), |shared| async move {
            let Ok(_permit) = shared.lists.try_acquire() else { return request.error(&task::try_later()) };
            match shared.storage.holding(shared.board.now().domain.as_str(), &part, max).await {
                Ok(found) => Some(subscription_list(&request, &found)),
                Err(error) => shared.not_listed(&request, &error),
            }
        });
    }

    /// Searches the public rooms.
    pub(super) fn search(self: &Arc<Self>, request: Stanza, search: Search) {
        self.answer_later(&request.clone(), |shared| async move {
            let Ok(_permit) = shared.lists.try_acquire() else { return request.error(&search::try_later()) };
            match shared.sift(Sieve::new(search)).await {
                Ok(sieve) => Some(sieve.answer(&request)),
                Err(error) => shared.not_listed(&request, &error),
            }
        });
    }

    async fn sift(&self, mut sieve: Sieve) -> Result<Sieve, StoreError> {
        let domain = self.board.now().domain.clone();
        let mut after = None;
        loop {
            // A directory goes on only behind a room that is still there; a list does behind any address.
            let page = self.storage.list(domain.as_str(), after.as_ref(), PAGE).await?;
            for room in &page {
                let card = room.card.as_deref().and_then(Card::read);
                if let Some(card) = card.filter(|card| card.public) {
                    sieve.take(&room.jid, card, self.headcount.of(&room.jid));
                }
            }
            match page.last() {
                Some(last) if page.len() >= PAGE as usize => after = Some(last.jid.clone()),
                _ => return Ok(sieve),
            }
        }
    }

    fn not_listed(&self, request: &Stanza, error: &StoreError) -> Option<Stanza> {
        if self.limited.admit("directory").is_some() {
            warn!(error = %chain(error), "rooms not listed");
        }
        request.error(&task::try_later())
    }
}
