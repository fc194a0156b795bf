//! Forms that people send to the room in messages (XEP-0004): requests of voice, and what moderators and admins answer.

use xmpp_parsers::data_forms::{DataForm, DataFormType};

use crate::instance::Instance;
use crate::ns;
use crate::stanza::{Payload, Stanza};

/// The first value of a field.
pub(crate) fn value<'a>(form: &'a DataForm, var: &str) -> Option<&'a str> {
    let field = form.fields.iter().find(|field| field.var.as_deref() == Some(var))?;
    field.values.first().map(String::as_str)
}

/// Whether a boolean field is set; none if the form lacks it.
pub(crate) fn is_set(form: &DataForm, var: &str) -> Option<bool> {
    value(form, var).map(|value| matches!(value.trim(), "1" | "true"))
}

impl Instance {
    /// Whether a message to the room carries a form that rooms know, which is then taken care of.
    pub(crate) fn handle_form(&mut self, stanza: &Stanza) -> bool {
        let form: Option<DataForm> = stanza.child("x", ns::DATA).and_then(Payload::typed);
        let Some(form) = form else { return false };
        let done = match form.form_type() {
            // Nothing has been asked for, or nothing is decided (XEP-0045 §8.6, §9.9).
            _ if form.type_ == DataFormType::Cancel => Ok(()),
            Some(ns::MUC_REQUEST) => self.handle_voice_form(stanza, &form),
            Some(ns::MUC_REGISTER) => self.handle_register_form(stanza, &form),
            _ => return false,
        };
        if let Err(refusal) = done {
            self.turn.refuse(stanza, refusal);
        }
        true
    }
}
