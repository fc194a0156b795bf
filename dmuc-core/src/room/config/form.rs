//! The configuration form as a whole (XEP-0045 §10.1.3, §10.2): written for owners and for shadows, read from
//! owners and from sources.

use std::collections::BTreeMap;

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field};

use super::{Config, OPTIONS, Refused, lists, option, password};
use crate::address::Address;
use crate::ns;

/// Between whom a form goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormScope {
    /// A room and its owner.
    Owner {
        /// Whether the service leaves it to owners to distribute their rooms.
        distributed: bool,
    },
    /// A source and its shadow: everything.
    Peer,
}

/// A form that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The configuration with the form applied to it.
    pub config: Config,
    /// Fields of a peer's form that this service does not know, or whose value it does not and which do not protect
    /// the room, in the order of the form. Always empty for an owner's form.
    pub unsupported: Vec<String>,
    /// The whole list of admins, if the form has one: bare, sorted, each once.
    pub admins: Option<Vec<Address>>,
    /// The whole list of owners, if the form has one: bare, sorted, each once.
    pub owners: Option<Vec<Address>>,
}

/// The values of a form by field name.
type Values<'a> = BTreeMap<&'a str, &'a [String]>;

impl Config {
    /// The form for an owner or peer to fill in, with the present values.
    #[must_use]
    pub fn form(&self, scope: FormScope) -> DataForm {
        DataForm {
            title: Some("Room configuration".to_owned()),
            instructions: Some("Complete and submit this form to configure the room.".to_owned()),
            ..DataForm::new(DataFormType::Form, ns::MUC_ROOMCONFIG, self.fields(scope))
        }
    }

    /// The configuration as a source sends it to its shadows: complete, with values only.
    #[must_use]
    pub fn submission(&self) -> DataForm {
        let bare = |field: Field| Field { label: None, options: Vec::new(), ..field };
        let fields = self.fields(FormScope::Peer).into_iter().map(bare).collect();
        DataForm::new(DataFormType::Submit, ns::MUC_ROOMCONFIG, fields)
    }

    fn fields(&self, scope: FormScope) -> Vec<Field> {
        OPTIONS.iter().filter(|option| option.is_in(scope)).map(|option| option.field(self)).collect()
    }

    /// This configuration with a submitted form applied. Fields that the form lacks keep their value, and so does
    /// everything if it has no field at all (XEP-0045 §10.1.2). A `cancel` is the caller's to handle before.
    ///
    /// A peer may send the types `form` and `result` as well; what is unknown to us it gets told, an owner not.
    ///
    /// # Errors
    /// [`Refused::NotARoomConfig`] if it is none; [`Refused::Invalid`] for a value that means nothing. Of a peer's
    /// form the latter is said only of fields that protect the room, and of the lists: a shadow must then not open it.
    pub fn apply_form(&self, form: &DataForm, scope: FormScope) -> Result<Applied, Refused> {
        let values = values_of(form, scope)?;
        let mut config = self.clone();
        let mut unsupported = Vec::new();
        // Back to front, so that the switch of the password has the last word over the secret.
        for option in OPTIONS.iter().rev().filter(|option| option.is_in(scope)) {
            let Some(values) = values.get(option.var()) else { continue };
            match option.apply(&mut config, values) {
                Err(_) if scope == FormScope::Peer && !option.protects() => unsupported.push(option.var()),
                applied => applied?,
            }
        }
        password::check(&config)?;
        Ok(Applied {
            config,
            unsupported: unsupported_in(form, scope, &unsupported),
            admins: list_of(lists::ADMINS, &values)?,
            owners: list_of(lists::OWNERS, &values)?,
        })
    }
}

/// The form's values, once it is known to be a submitted room configuration.
fn values_of(form: &DataForm, scope: FormScope) -> Result<Values<'_>, Refused> {
    let submitted = match form.type_ {
        DataFormType::Submit => true,
        DataFormType::Form | DataFormType::Result_ => scope == FormScope::Peer,
        DataFormType::Cancel => false,
    };
    let of_type = form.form_type() == Some(ns::MUC_ROOMCONFIG) || form.fields.is_empty();
    if !submitted || !of_type {
        return Err(Refused::NotARoomConfig);
    }
    let mut values = Values::new();
    for field in &form.fields {
        let Some(var) = field.var.as_deref() else { continue };
        // Of two values instances could take different ones.
        if values.insert(var, &field.values).is_some() {
            return Err(Refused::NotARoomConfig);
        }
    }
    Ok(values)
}

fn list_of(var: &'static str, values: &Values<'_>) -> Result<Option<Vec<Address>>, Refused> {
    values.get(var).map(|values| lists::read(var, values)).transpose()
}

/// The fields to tell a peer about: unknown, or `failed` to be read.
fn unsupported_in(form: &DataForm, scope: FormScope, failed: &[&str]) -> Vec<String> {
    if scope != FormScope::Peer {
        return Vec::new();
    }
    let known =
        |var: &str| option(var).is_some() || ["FORM_TYPE", lists::ADMINS, lists::OWNERS].contains(&var);
    let vars = form.fields.iter().filter_map(|field| field.var.as_deref());
    vars.filter(|var| !known(var) || failed.contains(var)).map(str::to_owned).collect()
}
