//! Questions to the store, and what their answers are for.

use std::collections::BTreeMap;

use crate::Action;
use crate::event::EventId;
use crate::instance::Instance;
use crate::io::{Answer, Query, QueryId};
use crate::room::archive::{Asked, Metadata};
use crate::room::retraction::Moderating;
use crate::stanza::{Condition, Stanza};
use crate::storage::StoreErrorKind;

/// What an answer is for.
#[derive(Debug)]
pub(crate) enum Question {
    /// A peer asks for history.
    History(Stanza),
    /// A user asks for a page of the archive.
    Archive(Box<Asked>),
    /// A user asks where the archive begins and ends.
    Metadata(Metadata),
    /// A moderator takes a message back.
    Moderation(Box<Moderating>),
    /// The message that this event takes back is looked for.
    Retraction(EventId),
}

impl Question {
    /// Who is told if there is no answer.
    fn request(&self) -> Option<&Stanza> {
        match self {
            Self::History(request) => Some(request),
            Self::Archive(asked) => Some(&asked.request),
            Self::Metadata(metadata) => Some(&metadata.request),
            Self::Moderation(moderating) => Some(&moderating.request),
            Self::Retraction(_) => None,
        }
    }
}

/// Questions that the store has yet to answer.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: BTreeMap<QueryId, Question>,
    asked: u64,
}

impl Questions {
    /// Whether all are answered.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl Instance {
    /// Asks the store once everything before is durable.
    pub(crate) fn ask_store(&mut self, query: Query, question: Question) {
        let questions = &mut self.room_mut().questions;
        questions.asked += 1;
        let id = QueryId(questions.asked);
        questions.open.insert(id, question);
        self.turn.other(Action::Ask { id, query });
    }

    fn unanswered(&mut self, question: &Question) {
        match question.request() {
            Some(request) => self.turn.refuse(request, Condition::ResourceConstraint),
            None => self.room_mut().retractions.ask_again(),
        }
    }

    /// The store has answered.
    pub(crate) fn handle_answer(&mut self, id: QueryId, result: Result<Answer, StoreErrorKind>) {
        let question = self.room.as_mut().and_then(|room| room.questions.open.remove(&id));
        match (question, result) {
            (None, _) => {}
            (Some(Question::History(request)), Ok(Answer::Entries(entries))) => {
                self.tell_history(&request, &entries);
            }
            (Some(Question::Archive(asked)), Ok(Answer::Page(page))) => self.show_page(&asked, page),
            (Some(Question::Metadata(metadata)), Ok(Answer::Page(page))) => {
                self.show_metadata(metadata, page.as_ref());
            }
            (Some(Question::Moderation(asked)), Ok(Answer::Page(page))) => {
                self.moderate(&asked, page.as_ref());
            }
            (Some(Question::Retraction(id)), Ok(Answer::Page(page))) => self.message_found(&id, page),
            (Some(question), _) => self.unanswered(&question),
        }
    }
}
