//! Sends that wait for their commit, in order.

use std::collections::VecDeque;

use crate::io::CommitId;
use crate::stanza::Outbound;

/// Holds back what leaves a room until what it depends on is durable.
///
/// The order of sends is kept: one that depends on nothing waits behind one that does, so that every occupant sees the
/// room's one order. Without a commit in flight nothing is ever held.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<(CommitId, Outbound)>,
    durable: CommitId,
    newest: CommitId,
}

impl Outbox {
    /// Takes a send; gives it back if it can go out at once.
    pub fn push(&mut self, out: Outbound, after: Option<CommitId>) -> Option<Outbound> {
        self.newest = self.newest.max(after.unwrap_or_default());
        let after = self.newest;
        if after <= self.durable {
            return Some(out);
        }
        self.waiting.push_back((after, out));
        None
    }

    /// Every commit up to `id` is durable; gives what may go out now, in order.
    pub fn committed(&mut self, id: CommitId) -> Vec<Outbound> {
        self.durable = self.durable.max(id);
        let ready = self.waiting.partition_point(|(after, _)| *after <= self.durable);
        self.waiting.drain(..ready).map(|(_, out)| out).collect()
    }

    /// The store failed: everything that waits is lost with its commit.
    pub fn fail(&mut self) {
        self.waiting.clear();
        self.newest = self.durable;
    }

    /// How many sends wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Outbox;
    use crate::io::CommitId;
    use crate::stanza::{Outbound, Stanza};

    fn numbered(id: &str) -> Outbound {
        Outbound::One(Box::new(Stanza::message("groupchat").with_id(id)))
    }

    fn ids(sent: &[Outbound]) -> Vec<String> {
        sent.iter()
            .map(|out| match out {
                Outbound::One(stanza) => stanza.id.as_deref().unwrap_or("").to_owned(),
                _ => unreachable!("only single stanzas are sent here"),
            })
            .collect()
    }

    #[test]
    fn nothing_overtakes_what_waits_for_the_store() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(numbered("free"), None).is_some());
        assert!(outbox.push(numbered("a"), Some(CommitId(1))).is_none());
        assert!(outbox.push(numbered("b"), None).is_none());
        assert!(outbox.push(numbered("c"), Some(CommitId(2))).is_none());
        assert_eq!(ids(&outbox.committed(CommitId(1))), ["a", "b"]);
        assert_eq!(ids(&outbox.committed(CommitId(2))), ["c"]);
        assert!(outbox.push(numbered("d"), Some(CommitId(2))).is_some());
    }

    #[test]
    fn what_depended_on_a_failed_commit_is_never_sent() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(numbered("a"), Some(CommitId(1))).is_none());
        outbox.fail();
        assert!(outbox.committed(CommitId(9)).is_empty());
    }
}
