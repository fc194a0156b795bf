//! Admins approve requests to be registered (XEP-0045 §9.9), each at its own instance; the first decision counts.

use std::sync::Arc;

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::nick::Nick;
use crate::ns;
use crate::room::admin::Order;
use crate::room::affiliations::Wish;
use crate::room::forms::{is_set, value};
use crate::room::register::{FIELDS, ROOMNICK};
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, Kind, Payload, Stanza, StanzaError};

const ALLOW: &str = "muc#register_allow";
const JID: &str = "muc#jid";

/// Most admins who are written to although they are not in the room.
const ABSENT_MAX: usize = 50;

impl Instance {
    /// Asks the admins who are in at this instance.
    pub(crate) fn ask_admins(&mut self, user: &Address) {
        let Some(request) = self.approval_request(user) else { return };
        let occupants = self.room().occupants.local();
        let admins = occupants.filter(|occupant| self.affiliation_of(occupant) >= Affiliation::Admin);
        let clients = admins.flat_map(|admin| &admin.sessions).filter_map(|session| session.jid.clone());
        let clients: Arc<[Address]> = clients.collect();
        self.turn.fan_out(&request, clients);
    }

    /// Asks the admins on the list who are in at no instance, with us as the source.
    pub(crate) fn write_to_absent_admins(&mut self, user: &Address) {
        let Some(request) = self.approval_request(user) else { return };
        let list = &self.room().affiliations;
        let admins = list.with(Affiliation::Admin).chain(list.with(Affiliation::Owner)).map(|(jid, _)| jid);
        let absent =
            admins.filter(|jid| jid.local().is_some() && self.room().occupants.matching(jid).is_empty());
        let absent: Arc<[Address]> = absent.take(ABSENT_MAX).cloned().collect();
        self.turn.fan_out(&request, absent);
    }

    /// Asks an admin who has just come in what has not been decided yet.
    pub(crate) fn ask_newcomer(&mut self, client: &Address) {
        if self.affiliation(client) < Affiliation::Admin {
            return;
        }
        let waiting: Vec<Address> = self.room().affiliations.wishers().cloned().collect();
        let requests = waiting.iter().filter_map(|user| self.approval_request(user));
        let requests: Vec<Stanza> = requests.map(|request| request.with_to(client)).collect();
        requests.into_iter().for_each(|request| self.turn.send(request));
    }

    fn approval_request(&self, user: &Address) -> Option<Stanza> {
        let standing = self.room().affiliations.entry(user)?;
        let wish = standing.wish.as_ref()?;
        // The same however often it is asked.
        let id = format!("registration-{}", self.occupant_id(user));
        let message = Stanza::new(Kind::Message).with_from(&self.jid).with_id(&id);
        Some(message.with(Payload::of_form(&approval(user, wish))))
    }

    /// An admin decides.
    pub(crate) fn handle_register_form(
        &mut self,
        stanza: &Stanza,
        form: &DataForm,
    ) -> Result<(), StanzaError> {
        let actor = self.actor(stanza.from.as_ref().ok_or(Condition::BadRequest)?);
        if actor.affiliation < Affiliation::Admin {
            return Err(Condition::Forbidden.into());
        }
        let allowed = is_set(form, ALLOW).ok_or(Condition::BadRequest)?;
        let nick =
            value(form, ROOMNICK).and_then(|nick| Nick::parse(nick).ok()).ok_or(Condition::BadRequest)?;
        let user = self.room().affiliations.wisher_of(&nick.key()).cloned();
        let decided = || StanzaError::new(Condition::ItemNotFound).because("That has been decided already.");
        let user = user.filter(|user| value(form, JID).is_none_or(|jid| jid == user.as_str()));
        let (nick, affiliation) =
            if allowed { (Some(nick), Affiliation::Member) } else { (None, Affiliation::None) };
        let order = Order { nick, affiliation: Some(affiliation), ..Order::about(user.ok_or_else(decided)?) };
        self.check_orders(&actor, std::slice::from_ref(&order))?;
        self.carry_out_or_propose(&actor, vec![order], Some(Cause::of(stanza)));
        Ok(())
    }
}

/// The form with which an admin approves.
fn approval(user: &Address, wish: &Wish) -> DataForm {
    let told: Option<DataForm> = wish.form.typed();
    let field = |(var, ty, label): (&str, FieldType, &str), values: Vec<String>| Field {
        label: Some(label.to_owned()),
        values,
        ..Field::new(var, ty)
    };
    let answers = FIELDS.into_iter().filter_map(|asked| {
        let told = told.as_ref()?.fields.iter().find(|field| field.var.as_deref() == Some(asked.0))?;
        Some(field(asked, told.values.clone()))
    });
    let who = field((JID, FieldType::JidSingle, "User ID"), vec![user.to_string()]);
    let label = "Allow this person to register with the room?";
    let allow = field((ALLOW, FieldType::Boolean, label), vec!["0".to_owned()]);
    let fields = std::iter::once(who).chain(answers).chain([allow]).collect();
    DataForm {
        title: Some("Registration request".to_owned()),
        instructions: Some("Choose whether to register this person, and submit this form.".to_owned()),
        ..DataForm::new(DataFormType::Form, ns::MUC_REGISTER, fields)
    }
}
