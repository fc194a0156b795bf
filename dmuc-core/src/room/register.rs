//! Registering with a room (XEP-0045 §7.10, XEP-0077): becoming a member under a nick of one's own.
//!
//! What is asked and answered here is read from the list; what changes it is the source's to do.

use minidom::Element;
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};
use xmpp_parsers::ibr::LegacyQuery;

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::nick::Nick;
use crate::ns;
use crate::room::affiliations::{Standing, Wish};
use crate::room::config::Registration;
use crate::room::consequences::Deed;
use crate::room::forms::value;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, El, ErrorKind, Payload, Stanza, StanzaError};

pub(crate) const ROOMNICK: &str = "muc#register_roomnick";

/// The fields of the form (XEP-0045 §16.5.1).
pub(crate) const FIELDS: [(&str, FieldType, &str); 6] = [
    ("muc#register_first", FieldType::TextSingle, "Given Name"),
    ("muc#register_last", FieldType::TextSingle, "Family Name"),
    (ROOMNICK, FieldType::TextSingle, "Desired Nickname"),
    ("muc#register_url", FieldType::TextSingle, "A Web Page"),
    ("muc#register_email", FieldType::TextSingle, "Email Address"),
    ("muc#register_faqentry", FieldType::TextMulti, "FAQ Entry"),
];

/// Most bytes that a request tells the admins.
const ANSWERS_BYTES_MAX: usize = 2_000;
/// Most requests that wait for the admins.
const WISHES_MAX: usize = 50;
/// Most entries of the list that people may fill by themselves.
const ENTRIES_MAX: usize = 20_000;

/// What a submission asks for.
enum Submission {
    Register(Wish),
    Remove,
    Cancel,
}

impl Instance {
    /// A `jabber:iq:register` request of a user.
    pub(crate) fn handle_register(&mut self, stanza: &Stanza, query: &Element) {
        let Some(from) = stanza.from.as_ref().map(Address::to_bare) else { return };
        let done = match (stanza.ty(), Payload::parse_xml(&String::from(query))) {
            ("get", _) => self.registration(&from).map(|query| Some(stanza.result().with(query))),
            (_, Ok(query)) if !self.is_source() => {
                self.propose(&from, self.room().head.aff, &query, Some(Cause::of(stanza)));
                Ok(None)
            }
            _ => self.register(&from, query).map(|()| Some(stanza.result())),
        };
        match done {
            Ok(answer) => self.turn.send_opt(answer),
            Err(refusal) => self.turn.refuse(stanza, refusal),
        }
    }

    /// Whether a user may be registered; an outcast never (XEP-0045 §7.10).
    fn may_register(&self, user: &Address) -> Result<(), StanzaError> {
        match self.affiliation(user) {
            Affiliation::Outcast => Err(Condition::Forbidden.into()),
            Affiliation::None if self.room().config.registration_now() == Registration::Closed => {
                let error = StanzaError::new(Condition::NotAllowed);
                Err(error.because("This room registers nobody; its admins make members."))
            }
            _ => Ok(()),
        }
    }

    fn needs_approval(&self, user: &Address) -> bool {
        let approve = self.room().config.registration_now() == Registration::Approve;
        approve && self.affiliation(user) < Affiliation::Member
    }

    /// What a user has to tell to be registered, or that it is.
    fn registration(&self, user: &Address) -> Result<Payload, StanzaError> {
        self.may_register(user)?;
        let standing = self.room().affiliations.entry(user);
        if let Some(nick) = standing.and_then(|standing| standing.nick.clone()) {
            let known = LegacyQuery { registered: true, username: Some(nick), ..LegacyQuery::default() };
            return Ok(Payload::of(&known));
        }
        let wish = standing.and_then(|standing| standing.wish.as_ref());
        let instructions = "Choose the nickname that is to be yours in this room.";
        let form = DataForm {
            title: Some("Registration".to_owned()),
            instructions: Some(instructions.to_owned()),
            ..DataForm::new(DataFormType::Form, ns::MUC_REGISTER, self.fields(user, wish))
        };
        let told = El::new("instructions", ns::REGISTER).text(instructions);
        Ok(El::new("query", ns::REGISTER).child(told).payload_child(&Payload::of_form(&form)).payload())
    }

    /// The fields to fill in. Who somebody is beyond the nick is asked only where an admin will read it.
    fn fields(&self, user: &Address, wish: Option<&Wish>) -> Vec<Field> {
        let all = self.needs_approval(user);
        let known: Option<DataForm> = wish.and_then(|wish| wish.form.typed());
        let asked = FIELDS.into_iter().filter(|(var, ..)| all || *var == ROOMNICK);
        asked
            .map(|(var, ty, label)| {
                let known = known.iter().flat_map(|form| &form.fields);
                let known = known.filter(|field| field.var.as_deref() == Some(var));
                Field {
                    label: Some(label.to_owned()),
                    required: var == ROOMNICK,
                    values: known.flat_map(|field| field.values.clone()).collect(),
                    ..Field::new(var, ty)
                }
            })
            .collect()
    }

    /// Does what a user submits, with us as the source.
    pub(crate) fn register(&mut self, user: &Address, query: &Element) -> Result<(), StanzaError> {
        match read_submission(query)? {
            Submission::Cancel => Ok(()),
            Submission::Remove => self.deregister(user),
            Submission::Register(wish) => self.take_registration(user, wish),
        }
    }

    fn take_registration(&mut self, user: &Address, wish: Wish) -> Result<(), StanzaError> {
        self.may_register(user)?;
        self.check_wish(user, &wish)?;
        let old = self.room().affiliations.entry(user).cloned().unwrap_or_default();
        let standing = if self.needs_approval(user) {
            Standing { wish: Some(wish), ..old }
        } else {
            let affiliation = old.affiliation.max(Affiliation::Member);
            Standing { affiliation, nick: Some(wish.nick.as_str().to_owned()), wish: None, ..old }
        };
        let waits = standing.wish.is_some();
        self.mint_standings(vec![(user.clone(), standing, Deed::default())]);
        if waits {
            self.write_to_absent_admins(user);
        }
        Ok(())
    }

    /// Whether a nick can be reserved for somebody, and there is space for one more.
    fn check_wish(&self, user: &Address, wish: &Wish) -> Result<(), StanzaError> {
        let list = &self.room().affiliations;
        let key = wish.nick.key();
        if wish.nick.as_str().chars().count() > self.policy.nick_chars_max {
            return Err(StanzaError::new(Condition::NotAcceptable).because("That nickname is too long."));
        }
        self.nick_is_free_for(&key, user)?;
        if list.wisher_of(&key).is_some_and(|other| other != user) {
            return Err(StanzaError::new(Condition::Conflict).because("Somebody else has asked for that."));
        }
        let waits = list.entry(user).is_some_and(|standing| standing.wish.is_some());
        let full = self.needs_approval(user) && !waits && list.wishers().len() >= WISHES_MAX;
        if full || (list.entry(user).is_none() && list.len() >= ENTRIES_MAX) {
            let error = StanzaError::of_kind(Condition::ResourceConstraint, ErrorKind::Wait);
            return Err(error.because("There are too many requests already."));
        }
        Ok(())
    }

    /// Gives up the reserved nick, and the membership that came with it (XEP-0077 §3.2); admins and owners remain what
    /// they are.
    fn deregister(&mut self, user: &Address) -> Result<(), StanzaError> {
        if self.affiliation(user) == Affiliation::Outcast {
            return Err(Condition::Forbidden.into());
        }
        let known = self.room().affiliations.entry(user).cloned();
        let registered = |known: &Standing| {
            known.wish.is_some() || known.nick.is_some() || known.affiliation > Affiliation::None
        };
        let old = known.filter(registered).ok_or(Condition::RegistrationRequired)?;
        let stays = old.affiliation > Affiliation::Member;
        let affiliation = if stays { old.affiliation } else { Affiliation::None };
        let role = old.role.filter(|_| stays);
        let standing = Standing { affiliation, role, ..Standing::default() };
        self.mint_standings(vec![(user.clone(), standing, Deed::default())]);
        Ok(())
    }

    /// What follows at this instance from what the list newly says of a user's registration.
    pub(crate) fn enforce_registration(&mut self, user: &Address) {
        let Some(standing) = self.room().affiliations.entry(user) else { return };
        if standing.wish.is_some() {
            self.ask_admins(user);
        }
        let standing = self.room().affiliations.entry(user);
        let nick = standing.and_then(|standing| Nick::parse(standing.nick.as_deref()?).ok());
        if let Some(nick) = nick {
            self.vacate(&nick, user);
            self.lock_nick(&nick, user);
        }
    }

    /// The only nick that a user may have in a room that holds people to what they registered.
    pub(crate) fn locked_nick(&self, user: &Address) -> Option<Nick> {
        let standing = self.room().affiliations.entry(user).filter(|_| self.room().config.lock_nicks)?;
        Nick::parse(standing.nick.as_deref()?).ok()
    }

    fn lock_nick(&mut self, nick: &Nick, user: &Address) {
        if !self.room().config.lock_nicks {
            return;
        }
        let occupants = &self.room().occupants;
        let ours = occupants.local().filter(|own| own.jid.as_ref() == Some(user) && own.nick != *nick);
        let ids: Vec<_> = ours.map(crate::room::occupants::Occupant::id).collect();
        ids.iter().for_each(|id| self.rename(id, nick, &[210]));
    }
}

fn read_submission(query: &Element) -> Result<Submission, StanzaError> {
    if query.has_child("remove", ns::REGISTER) {
        let alone = query.children().count() == 1;
        return if alone { Ok(Submission::Remove) } else { Err(Condition::BadRequest.into()) };
    }
    let Some(form) = query.get_child("x", ns::DATA) else {
        let nick = ["nick", "username"].iter().find_map(|name| query.get_child(*name, ns::REGISTER));
        let nick = nick.ok_or(Condition::BadRequest)?.text();
        let field = Field::text_single(ROOMNICK, &nick);
        let form = DataForm::new(DataFormType::Submit, ns::MUC_REGISTER, vec![field]);
        return wish_of(&form).map(Submission::Register);
    };
    if form.attr("type") == Some("cancel") {
        return Ok(Submission::Cancel);
    }
    read_wish(form).map(Submission::Register)
}

/// Reads a submitted form.
pub(crate) fn read_wish(form: &Element) -> Result<Wish, StanzaError> {
    let form: DataForm = xso::transform(form).map_err(|_| Condition::BadRequest)?;
    if form.type_ != DataFormType::Submit || form.form_type() != Some(ns::MUC_REGISTER) {
        return Err(Condition::BadRequest.into());
    }
    wish_of(&form)
}

/// Without what nobody asked for. What is required must be there (XEP-0077 §3.1).
fn wish_of(form: &DataForm) -> Result<Wish, StanzaError> {
    let not_acceptable = |why| StanzaError::new(Condition::NotAcceptable).because(why);
    let nick = value(form, ROOMNICK).ok_or_else(|| not_acceptable("A nickname is required."))?;
    let nick = Nick::parse(nick).map_err(|_| not_acceptable("That cannot be a nickname."))?;
    let asked = |field: &&Field| FIELDS.iter().any(|(var, ..)| field.var.as_deref() == Some(*var));
    let told = |field: &Field| Field {
        values: field.values.clone(),
        ..Field::new(field.var.as_deref().unwrap_or_default(), FieldType::TextSingle)
    };
    let fields: Vec<Field> = form.fields.iter().filter(asked).map(told).collect();
    let bytes: usize = fields.iter().flat_map(|field| &field.values).map(|value| value.len() + 15).sum();
    if bytes > ANSWERS_BYTES_MAX {
        return Err(not_acceptable("That is too long."));
    }
    let form = DataForm::new(DataFormType::Submit, ns::MUC_REGISTER, fields);
    Ok(Wish { nick, form: Payload::of(&form) })
}
