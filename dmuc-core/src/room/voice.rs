//! Asking for voice, and granting what was asked for (XEP-0045 §7.13, §8.6).

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType, Option_};

use crate::address::Address;
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

/// Most visitors whose requests are remembered.
const ASKED_MAX: usize = 1_024;

impl Instance {
    /// A visitor asks, or a moderator answers.
    pub(crate) fn handle_voice_form(&mut self, stanza: &Stanza, form: &DataForm) -> Result<(), StanzaError> {
        match is_set(form, ALLOW) {
            None => self.ask_for_voice(stanza, form),
            Some(true) => self.grant_voice(stanza, form),
            Some(false) => Ok(()),
        }
    }

    /// A visitor asks those who moderate, at every instance.
    fn ask_for_voice(&mut self, stanza: &Stanza, form: &DataForm) -> Result<(), StanzaError> {
        let from = stanza.from.as_ref().ok_or(Condition::BadRequest)?;
        let outside = || StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel);
        let asker = self.room().occupants.of_session(from).ok_or_else(outside)?.clone();
        if value(form, ROLE) != Some(Role::Participant.as_str()) {
            return Err(StanzaError::new(Condition::BadRequest).because("Only voice can be asked for."));
        }
        self.admit_voice_request(&asker)?;
        self.ask_moderators(&asker);
        let role = Field::text_single(ROLE, Role::Participant.as_str());
        let request = DataForm::new(DataFormType::Submit, ns::MUC_REQUEST, vec![role]);
        let message = Stanza::new(Kind::Message).with_from(&self.nick_jid(asker.nick.as_str()));
        self.push_aside(&message.with(Payload::of(&request)));
        Ok(())
    }

    /// Whether an occupant may ask for voice now; checked where it is and again wherever it is heard.
    pub(crate) fn admit_voice_request(&mut self, asker: &Occupant) -> Result<(), StanzaError> {
        let config = self.room().config.clone();
        if asker.role != Role::Visitor || !config.voice_requests {
            let why = if config.voice_requests { "You have voice." } else { "Voice is not asked for here." };
            return Err(StanzaError::new(Condition::Forbidden).because(why));
        }
        let (now, interval) = (self.turn.now, u64::from(config.voice_interval_s) * 1_000);
        let asked = &mut self.room_mut().replication.voice_asked;
        asked.retain(|_, then| now.since(*then) < interval);
        if asked.contains_key(&asker.oid) || asked.len() >= ASKED_MAX {
            return Err(StanzaError::new(Condition::ResourceConstraint).because("You have asked already."));
        }
        asked.insert(asker.oid.clone(), now);
        Ok(())
    }

    /// Shows a request to those who moderate at this instance.
    pub(crate) fn ask_moderators(&mut self, asker: &Occupant) {
        let id = self.token(9);
        let message = Stanza::new(Kind::Message).with_from(&self.jid).with_id(&id);
        let moderators = self.room_mut().occupants.audience().moderators;
        self.turn.fan_out(&message.with(Payload::of_form(&approval(asker))), moderators);
    }

    /// A moderator grants what was asked for; nothing happens if another has done so.
    fn grant_voice(&mut self, stanza: &Stanza, form: &DataForm) -> Result<(), StanzaError> {
        let from = stanza.from.as_ref().ok_or(Condition::BadRequest)?;
        let nick = value(form, NICK).and_then(|nick| Nick::parse(nick).ok()).ok_or(Condition::BadRequest)?;
        let order = Order { nick: Some(nick), role: Some(Role::Participant), ..Order::default() };
        let actor = self.actor(from);
        self.check_orders(&actor, std::slice::from_ref(&order))?;
        let asker = self.order_occupant(&order)?;
        let named = value(form, JID).and_then(|jid| Address::parse(jid).ok());
        if named.is_some_and(|jid| asker.jid.as_ref().is_some_and(|asker| *asker != jid.to_bare())) {
            return Err(StanzaError::new(Condition::ItemNotFound).because("Somebody else has that nickname."));
        }
        if asker.role < Role::Participant {
            self.carry_out_or_propose(&actor, vec![order], Some(Cause::of(stanza)));
        }
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
    let role = field(ROLE, FieldType::ListSingle, "Requested role", Role::Participant.as_str());
    let fields = vec![
        Field {
            options: vec![Option_ { label: None, value: Role::Participant.as_str().to_owned() }],
            ..role
        },
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
