//! How large a user's stanza may be, whatever it is for.

use crate::instance::Instance;
use crate::ns;
use crate::room::create::is_muc_join;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};

impl Instance {
    /// Refuses a stanza of which something is too large; true if its sender has been told so.
    pub(crate) fn refuse_bulk(&mut self, stanza: &Stanza) -> bool {
        let Some(what) = self.bulk(stanza) else { return false };
        let refusal = StanzaError::new(Condition::PolicyViolation).because(what);
        if is_muc_join(stanza) {
            self.refuse_entry(stanza, &refusal);
        } else {
            self.turn.refuse(stanza, refusal);
        }
        true
    }

    fn bulk(&self, stanza: &Stanza) -> Option<&'static str> {
        let policy = &self.policy;
        let is_message = stanza.kind == Kind::Message;
        if stanza.id.as_deref().is_some_and(|id| id.len() > policy.id_bytes_max) {
            Some("The stanza's id is too long.")
        } else if is_message && text_bytes(stanza, "body") > policy.body_bytes_max {
            Some("The message is too long.")
        } else if is_message && text_bytes(stanza, "subject") > policy.subject_bytes_max {
            Some("The subject is too long.")
        } else if stanza.kind == Kind::Presence && stanza.ty().is_empty() && self.is_bulky_presence(stanza) {
            Some("The presence is too large.")
        } else {
            None
        }
    }

    /// Everybody in the room gets every presence, and whoever joins gets them all.
    pub(crate) fn is_bulky_presence(&self, stanza: &Stanza) -> bool {
        stanza.content_bytes() as usize > self.policy.presence_bytes_max
    }
}

/// Bytes of all texts of this name, in whatever languages.
fn text_bytes(stanza: &Stanza, name: &str) -> usize {
    let texts = stanza.children.iter().filter(|child| child.is(name, ns::STANZA));
    texts.map(|text| text.text().len()).sum()
}
