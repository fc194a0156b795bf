//! All rooms of a store, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use dmuc_core::Address;
use dmuc_core::storage::{Listed, StoreError, Transfer};

/// Rooms or tombstones listed at a time.
pub(super) const LISTED: u32 = 1000;

/// The rooms of a store, by domain and address.
pub(super) struct Rooms {
    store: Arc<dyn Transfer>,
    /// Those that are left, the one that is listed first.
    domains: VecDeque<String>,
    after: Option<Address>,
    page: VecDeque<Listed>,
}

impl Rooms {
    pub async fn of(store: &Arc<dyn Transfer>) -> Result<Self, StoreError> {
        let domains = store.domains().await?.into();
        Ok(Self { store: store.clone(), domains, after: None, page: VecDeque::new() })
    }

    pub async fn next(&mut self) -> Result<Option<Listed>, StoreError> {
        while self.page.is_empty() {
            let Some(domain) = self.domains.front() else { return Ok(None) };
            self.page = self.store.list(domain, self.after.as_ref(), LISTED).await?.into();
            self.after = self.page.back().map(|room| room.jid.clone());
            if self.page.is_empty() {
                self.domains.pop_front();
            }
        }
        Ok(self.page.pop_front())
    }
}
