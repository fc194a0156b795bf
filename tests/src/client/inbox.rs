//! What the sessions of a library have received.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::element::Element;

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The session, and what it got.
    pub stanzas: Vec<(String, Element)>,
    pub closed: Vec<(String, String)>,
    pub replies: Vec<(u64, Result<Value, Value>)>,
    /// The library is gone.
    pub ended: bool,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Inbox {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes something in, and wakes who waits.
    pub fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.notify_all();
    }

    /// Waits until `look` finds something, or time is up.
    pub fn wait<T>(&self, patience: Duration, mut look: impl FnMut(&mut Seen) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut seen = self.seen();
        loop {
            if let Some(found) = look(&mut seen) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|_| !seen.ended)?;
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a stanza that a session got since `mark`.
    pub fn stanza(
        &self,
        session: &str,
        mark: usize,
        patience: Duration,
        wanted: impl Fn(&Element) -> bool,
    ) -> Option<Element> {
        self.wait(patience, |seen| {
            let mut mine = seen.stanzas[mark..].iter().filter(|(owner, _)| owner == session);
            mine.find(|(_, stanza)| wanted(stanza)).map(|(_, stanza)| stanza.clone())
        })
    }
}
