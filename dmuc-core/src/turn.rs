//! One turn of an instance: what one input changes and sends, gathered.

use std::sync::Arc;

use serde::Serialize;

use crate::address::Address;
use crate::clock::Millis;
use crate::io::{Action, Cause, CommitId};
use crate::stanza::{Outbound, Stanza, StanzaError, Template};
use crate::storage::{Change, LogEntry};

/// Gathers the effects of one input. Everything sent in a turn waits for everything changed in it.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub now: Millis,
    changes: Vec<Change>,
    sends: Vec<Outbound>,
    other: Vec<Action>,
    cause: Option<Cause>,
}

impl Turn {
    pub fn begin(&mut self, now: Millis, cause: Option<Cause>) {
        *self = Self { now, cause, ..Self::default() };
    }

    pub fn put<T: Serialize>(&mut self, key: &str, value: &T) {
        let value = serde_json::to_string(value).expect("parts are plain data with string keys");
        self.changes.push(Change::Put { key: key.to_owned(), value });
    }

    pub fn delete(&mut self, key: String) {
        self.changes.push(Change::Delete { key });
    }

    pub fn append(&mut self, entry: LogEntry) {
        self.changes.push(Change::Append(Box::new(entry)));
    }

    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub fn send(&mut self, stanza: Stanza) {
        self.sends.push(Outbound::One(Box::new(stanza)));
    }

    /// Sends before everything else of this turn.
    pub fn send_first(&mut self, stanza: Stanza) {
        self.sends.insert(0, Outbound::One(Box::new(stanza)));
    }

    pub fn send_opt(&mut self, stanza: Option<Stanza>) {
        self.sends.extend(stanza.map(|stanza| Outbound::One(Box::new(stanza))));
    }

    pub fn refuse(&mut self, request: &Stanza, error: impl Into<StanzaError>) {
        self.send_opt(request.error(&error.into()));
    }

    pub fn fan_out(&mut self, stanza: &Stanza, to: Arc<[Address]>) {
        if !to.is_empty() {
            self.sends.push(Outbound::FanOut { template: Template::new(stanza), to });
        }
    }

    pub fn burst(&mut self, templates: Vec<Arc<Template>>, to: &Address) {
        if !templates.is_empty() {
            self.sends.push(Outbound::Burst { templates, to: to.clone() });
        }
    }

    pub fn other(&mut self, action: Action) {
        self.other.push(action);
    }

    /// Ends the turn: one commit (numbered by `next`, if anything changed), then the sends, then the rest.
    pub fn end(&mut self, next: &mut CommitId) -> Vec<Action> {
        let Self { changes, sends, other, cause, .. } = std::mem::take(self);
        let mut actions = Vec::with_capacity(1 + sends.len() + other.len());
        let mut after = None;
        if !changes.is_empty() {
            next.0 += 1;
            after = Some(*next);
            actions.push(Action::Commit { id: *next, changes, cause });
        }
        actions.extend(sends.into_iter().map(|out| Action::Send { out, after }));
        actions.extend(other);
        actions
    }
}
