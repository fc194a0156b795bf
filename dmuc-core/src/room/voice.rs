//! Asking for voice, and granting what was asked for (XEP-0045 §7.13, §8.6).

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};

use crate::instance::Instance;
use crate::io::Cause;
use crate::nick::Nick;
use crate::ns;
use crate::room::admin::Order;
use crate::room::forms::{is_set, value};
use crate::room::occupants::Occupant;
use crate::room::roles::Role;
use crate::stanza::{Condition, ErrorKind, Kind, Payload, Stanza, StanzaError};

const ROLE: &str = "muc#role";
const JID: &str = "muc#jid";
const NICK: &str = "muc#roomnick";
const ALLOW: &str = "muc#request_allow";

impl Instance {
    /// A visitor asks, or a moderator answers.
    pub(crate) fn handle_voice_form(&mut self, stanza: &Stanza, form: &DataForm) -> Result<(), StanzaError> {
        match is_set(form, ALLOW) {
            None => self.ask_for_voice(stanza, form),
            Some(true) => self.grant_voice(stanza, form),
            Some(false) => Ok(()),
        }
    }

    fn ask_for_voice(&mut self, stanza: &Stanza, form: &DataForm) -> Result<(), StanzaError> {
        let from = stanza.from.as_ref().ok_or(Condition::BadRequest)?;
        let outside = || StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel);
        let asker = self.room().occupants.of_session(from).ok_or_else(outside)?.clone();
        if asker.role != Role::Visitor || value(form, ROLE) != Some(Role::Participant.as_str()) {
            return Err(StanzaError::new(Condition::BadRequest).because("Only visitors ask for voice."));
        }
        let id = self.token(9);
        let message = Stanza::new(Kind::Message).with_from(&self.jid).with_id(&id);
        let moderators = self.room_mut().occupants.audience().moderators;
        self.turn.fan_out(&message.with(Payload::of(&approval(&asker))), moderators);
        Ok(())
    }

    fn grant_voice(&mut self, stanza: &Stanza, form: &DataForm) -> Result<(), StanzaError> {
        let from = stanza.from.as_ref().ok_or(Condition::BadRequest)?;
        let nick = value(form, NICK).and_then(|nick| Nick::parse(nick).ok()).ok_or(Condition::BadRequest)?;
        let order = Order { nick: Some(nick), role: Some(Role::Participant), ..Order::default() };
        let actor = self.actor(from);
        self.check_orders(&actor, std::slice::from_ref(&order))?;
        self.carry_out_or_propose(&actor, vec![order], Some(Cause::of(stanza)));
        Ok(())
    }
}

/// The form with which a moderator approves.
fn approval(asker: &Occupant) -> DataForm {
    let field = |var, ty, label: &str, value: &str| {
        let labelled = Field { label: Some(label.to_owned()), ..Field::new(var, ty) };
        labelled.with_value(value)
    };
    let jid = asker.shown_jid().map_or("", |jid| jid.as_str());
    let fields = vec![
        field(ROLE, FieldType::TextSingle, "Requested role", Role::Participant.as_str()),
        field(JID, FieldType::JidSingle, "User ID", jid),
        field(NICK, FieldType::TextSingle, "Room nickname", asker.nick.as_str()),
        field(ALLOW, FieldType::Boolean, "Grant voice to this person?", "false"),
    ];
    DataForm {
        title: Some("Voice request".to_owned()),
        instructions: Some("Choose whether to grant voice, and submit this form.".to_owned()),
        ..DataForm::new(DataFormType::Form, ns::MUC_REQUEST, fields)
    }
}
