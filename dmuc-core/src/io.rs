//! What goes into a room instance and what comes out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::address::Address;
use crate::clock::Millis;
use crate::stanza::{Condition, Kind, Outbound, Payload, Stanza, StanzaError};
use crate::storage::{ArchiveQuery, Change, LogEntry, Page, Recent, StoreErrorKind};

/// Numbers an instance's commits, from 1, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CommitId(pub u64);

/// Numbers an instance's questions to its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryId(pub u64);

/// What an instance asks its store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Query {
    /// The newest history within limits.
    Recent(Recent),
    /// A page of the archive.
    Page(ArchiveQuery),
}

/// What the store answers to a [`Query`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Query::Recent`].
    Entries(Vec<LogEntry>),
    /// To [`Query::Page`]; none if it names an entry that is not held.
    Page(Option<Page>),
}

/// Things an instance wants to be woken for; setting one again moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// Repeat requests to peers that were not answered.
    Retry,
}

/// Something that happens to an instance.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// A stanza addressed to the room, an occupant, or (from peers, about this room) the service.
    Stanza(Stanza),
    /// A timer is due.
    Timer(Timer),
    /// The store answered.
    Answered {
        /// Which question.
        id: QueryId,
        /// What was asked for.
        result: Result<Answer, StoreErrorKind>,
    },
    /// The host says that a user's session is gone.
    SessionClosed(Address),
    /// The service ends for good or for long: everyone at this instance is told to leave (XEP-0045, status 332). A
    /// mere restart needs no such thing.
    ServiceStops,
    /// An operator has approved the shadow here, which a peer has asked for and a rule made wait.
    Approved,
    /// An operator of the service wants something done, whoever is in the room.
    Operator(OperatorOrder),
}

/// What an operator orders of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperatorOrder {
    /// Say this to everyone at this instance; it is not kept.
    Announce(String),
    /// Put a user (bare JID or domain) out of this instance, as a kick does.
    Expel {
        /// Whom.
        user: Address,
        /// Why, for people.
        reason: Option<String>,
    },
    /// Destroy the room (XEP-0045 §10.9), if this is its source.
    End {
        /// Where its occupants go.
        alternate: Option<Address>,
        /// Why, for people.
        reason: Option<String>,
    },
}

/// To whom a failed commit is reported, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    kind: Kind,
    from: Option<Address>,
    to: Option<Address>,
    id: Option<std::sync::Arc<str>>,
    ty: Option<std::sync::Arc<str>>,
    /// What the result holds, if it was an iq and all goes well.
    answer: Option<Payload>,
}

impl Cause {
    /// The stanza that led to a commit.
    #[must_use]
    pub fn of(stanza: &Stanza) -> Self {
        Self {
            kind: stanza.kind,
            from: stanza.from.clone(),
            to: stanza.to.clone(),
            id: stanza.id.clone(),
            ty: stanza.ty.clone(),
            answer: None,
        }
    }

    /// The same, with what its result is to hold.
    #[must_use]
    pub fn answering(self, answer: Payload) -> Self {
        Self { answer: Some(answer), ..self }
    }

    /// The result for it, if it was an iq.
    #[must_use]
    pub fn result(mut self) -> Option<Stanza> {
        let answer = self.answer.take();
        (self.kind == Kind::Iq).then(|| self.into_stanza().result().with_opt(answer))
    }

    fn into_stanza(self) -> Stanza {
        let Self { kind, from, to, id, ty, answer: _ } = self;
        Stanza { kind, from, to, id, ty, lang: None, children: Vec::new() }
    }

    /// The answer to it, if it may have one.
    #[must_use]
    pub fn refusal(self, error: &StanzaError) -> Option<Stanza> {
        self.into_stanza().error(error)
    }

    /// The same with an `<error/>` that somebody else wrote.
    pub(crate) fn failure(self, error: Payload) -> Option<Stanza> {
        let answer = self.refusal(&Condition::UndefinedCondition.into())?;
        Some(Stanza { children: vec![error], ..answer })
    }
}

/// What an instance wants done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action {
    /// Make these changes durable, all or nothing, after all earlier commits of this instance.
    Commit {
        /// Its number.
        id: CommitId,
        /// The changes, in order.
        changes: Vec<Change>,
        /// Who is told if it fails.
        cause: Option<Cause>,
    },
    /// Send this, in order, once `after` is durable.
    Send {
        /// What to send.
        out: Outbound,
        /// The commit it depends on.
        after: Option<CommitId>,
    },
    /// Ask the store, once all earlier commits are durable.
    Ask {
        /// Its number.
        id: QueryId,
        /// The question.
        query: Query,
    },
    /// Wake the instance at `at`, or not any more.
    SetTimer {
        /// For what.
        timer: Timer,
        /// When.
        at: Option<Millis>,
    },
    /// Something was said, and these users (bare JIDs, in order), who belong to the room, are not in (XEP-0437). Given
    /// again only when others are concerned than the last time.
    Missed {
        /// Everybody who belongs here and is not in.
        users: Arc<[Address]>,
    },
    /// These users have come in, or belong to the room no more: there is nothing to tell them of it.
    CaughtUp {
        /// Who.
        users: BTreeSet<Address>,
    },
    /// A peer did what it must not; for the log and for limits.
    Report {
        /// Its service domain.
        peer: String,
        /// What it did.
        what: &'static str,
    },
}
