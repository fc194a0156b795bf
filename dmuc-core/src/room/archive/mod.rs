//! The room's archive (XEP-0313): who may read it, and pages of it in order of arrival. At a shadow it is the shadow's
//! own.

mod query;
mod results;

use crate::address::Address;
use crate::clock::Millis;
use crate::event::EventId;
use crate::instance::Instance;
use crate::io::Query;
use crate::questions::Question;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, Payload, Stanza, StanzaError};
use crate::storage::{ArchiveQuery, Page};

/// A user's query that waits for the store.
#[derive(Debug)]
pub(crate) struct Asked {
    pub request: Stanza,
    queryid: Option<String>,
    /// Newest first within the page (XEP-0313 §4.4.4).
    flipped: bool,
    /// It is the last page of what was asked for, which a limit must leave its end.
    last: bool,
}

/// One end of the archive: its entry's name and time.
type End = (EventId, Millis);

/// A user's question for the ends of the archive; the first entry once it is known.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub request: Stanza,
    first: Option<End>,
}

impl Instance {
    /// A request in the namespace of archives.
    pub(crate) fn handle_archive(&mut self, stanza: &Stanza, request: &Payload) {
        let done = match (stanza.ty(), request.name()) {
            // Nobody sets what a room keeps but its owner, in the configuration (XEP-0441 §2).
            (_, "prefs") => Err(Condition::FeatureNotImplemented.into()),
            _ if !self.room().config.archiving => Err(Condition::ServiceUnavailable.into()),
            ("get", "query") => {
                self.turn.send(stanza.result().with(query::form()));
                Ok(())
            }
            ("set", "query") => self.ask_page(stanza, request),
            ("get", "metadata") => self.ask_metadata(stanza),
            _ => Err(Condition::BadRequest.into()),
        };
        if let Err(refusal) = done {
            self.turn.refuse(stanza, refusal);
        }
    }

    fn ask_page(&mut self, stanza: &Stanza, request: &Payload) -> Result<(), StanzaError> {
        let asker = stanza.from.as_ref().ok_or(Condition::BadRequest)?;
        self.may_read_archive(asker)?;
        let asked: xmpp_parsers::mam::Query = request.typed().ok_or(Condition::BadRequest)?;
        let query = self.archive_query(asker, &asked)?;
        let asked = Asked {
            request: stanza.clone(),
            queryid: asked.queryid.map(|id| id.0),
            flipped: asked.flip_page,
            last: query.last,
        };
        self.ask_store(Query::Page(query), Question::Archive(Box::new(asked)));
        Ok(())
    }

    /// XEP-0313 §5: where the archive begins and ends; two questions to the store, one after the other.
    fn ask_metadata(&mut self, stanza: &Stanza) -> Result<(), StanzaError> {
        self.may_read_archive(stanza.from.as_ref().ok_or(Condition::BadRequest)?)?;
        let metadata = Metadata { request: stanza.clone(), first: None };
        let first = ArchiveQuery { start: self.archive_horizon(), max: 1, ..ArchiveQuery::default() };
        self.ask_store(Query::Page(first), Question::Metadata(metadata));
        Ok(())
    }

    /// The store has given one end of the archive.
    pub(crate) fn show_metadata(&mut self, metadata: Metadata, page: Option<&Page>) {
        let Metadata { request, first } = metadata;
        let entry = page.and_then(|page| page.entries.first());
        let found = entry.map(|entry| (entry.event.id, entry.event.h.millis()));
        match (first, found) {
            (None, Some(first)) => {
                let metadata = Metadata { request, first: Some(first) };
                let query = ArchiveQuery { last: true, max: 1, ..ArchiveQuery::default() };
                self.ask_store(Query::Page(query), Question::Metadata(metadata));
            }
            (first, last) => self.turn.send(request.result().with(results::metadata(first.zip(last)))),
        }
    }

    /// Whoever could enter now may read, asked anew for every page (XEP-0313 §6.1.2); the password counts as known to
    /// those who are in, and to members.
    fn may_read_archive(&self, asker: &Address) -> Result<(), StanzaError> {
        let (config, affiliation) = (&self.room().config, self.affiliation(asker));
        let closed = config.members_only || (config.password.is_some() && !self.is_in(asker));
        if affiliation == Affiliation::Outcast || (closed && affiliation < Affiliation::Member) {
            return Err(Condition::Forbidden.into());
        }
        Ok(())
    }

    /// Whether any client of a user is in, here or elsewhere.
    fn is_in(&self, user: &Address) -> bool {
        let is = |jid: &Address| jid.as_str() == user.bare_str();
        self.room().occupants.iter().any(|occupant| occupant.jid.as_ref().is_some_and(is))
    }

    /// Whether a user may know who is behind a nick: by the role that it has, or would have.
    fn sees_real_jids(&self, user: &Address) -> bool {
        let room = self.room();
        let role = match room.occupants.of_session(user) {
            Some(occupant) => occupant.role,
            None => self.affiliation(user).default_role(&room.config),
        };
        room.config.whois.shows_to(role)
    }

    /// Nothing from before is shown, whether or not it is dropped already.
    pub(crate) fn archive_horizon(&self) -> Option<Millis> {
        self.policy.archive_horizon(self.turn.now)
    }
}
