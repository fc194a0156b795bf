//! Private messages (XEP-0045 §7.5): from one occupant to another, never logged.

use crate::instance::{Instance, occupant_id_payload};
use crate::io::Cause;
use crate::ns;
use crate::room::occupants::Occupant;
use crate::stanza::{Condition, El, ErrorKind, Kind, Stanza, StanzaError, Template};

impl Instance {
    /// A user's message to an occupant.
    pub(crate) fn handle_private(&mut self, stanza: &Stanza) {
        match self.admit_private(stanza) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok((from, to)) => to.iter().for_each(|to| self.pass_private(&from, to, stanza)),
        }
    }

    /// Who writes, and to whom: a user that is in at several instances under the nick is reached at all of them.
    fn admit_private(&self, stanza: &Stanza) -> Result<(Occupant, Vec<Occupant>), StanzaError> {
        let not_in = || StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel);
        let client = stanza.from.as_ref().ok_or_else(not_in)?;
        let from = self.room().occupants.of_session(client).ok_or_else(not_in)?;
        let to = stanza.to.as_ref().ok_or_else(not_in)?;
        let key = self.read_nick(to)?.key();
        let to: Vec<Occupant> = self.room().occupants.by_key(&key).cloned().collect();
        if to.is_empty() {
            return Err(Condition::ItemNotFound.into());
        }
        self.may_whisper(from)?;
        Ok((from.clone(), to))
    }

    /// Whether the room lets one occupant write to another privately.
    pub(crate) fn may_whisper(&self, from: &Occupant) -> Result<(), StanzaError> {
        if self.room().config.allow_pm.permits(from.role) {
            return Ok(());
        }
        Err(StanzaError::new(Condition::Forbidden).because("Private messages are not allowed here."))
    }

    /// Delivers to all clients of an occupant here, or hands over to its instance.
    pub(crate) fn pass_private(&mut self, from: &Occupant, to: &Occupant, stanza: &Stanza) {
        let mut message = Stanza::new(Kind::Message)
            .with_from(&self.nick_jid(from.nick.as_str()))
            .with_all(self.said_by_user(stanza));
        message.ty.clone_from(&stanza.ty);
        message.id.clone_from(&stanza.id);
        message.lang.clone_from(&stanza.lang);
        if !self.room().occupants.is_here(to) {
            if let Some(elsewhere) = self.address_elsewhere(to) {
                self.expect_return(&elsewhere, stanza.id.as_deref(), Cause::of(stanza));
            }
            self.push_private(message, to);
            return;
        }
        let message = message.with(El::new("x", ns::MUC_USER).payload()).with(occupant_id_payload(&from.oid));
        let template = Template::new(&message);
        for client in to.sessions.iter().filter_map(|session| session.jid.as_ref()) {
            self.turn.burst(vec![template.clone()], client);
            self.expect_return(client, stanza.id.as_deref(), Cause::of(stanza));
        }
    }
}
