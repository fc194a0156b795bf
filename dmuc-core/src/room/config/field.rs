//! The shapes that most options have: a flag, a line of text, a choice of one, a set of roles.

use std::collections::BTreeSet;

use xmpp_parsers::data_forms::{Field, FieldType, Option_};

use super::{Config, Refused, RoomOption};
use crate::room::roles::Role;

/// A field with a label and values.
pub(super) fn labelled(var: &str, ty: FieldType, label: &str, values: Vec<String>) -> Field {
    Field { label: Some(label.to_owned()), values, ..Field::new(var, ty) }
}

/// A boolean field.
pub(super) fn boolean(var: &str, label: &str, value: bool) -> Field {
    labelled(var, FieldType::Boolean, label, vec![u8::from(value).to_string()])
}

/// The options of a list field out of (value, label).
pub(super) fn options<'a>(choices: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Option_> {
    choices
        .into_iter()
        .map(|(value, label)| Option_ { label: Some(label.to_owned()), value: value.to_owned() })
        .collect()
}

/// Reads a boolean (XEP-0004 §3.3); `None` if the field has no value.
pub(super) fn read_boolean(var: &'static str, values: &[String]) -> Result<Option<bool>, Refused> {
    match values {
        [] => Ok(None),
        [value] => match value.trim() {
            "1" | "true" => Ok(Some(true)),
            "0" | "false" => Ok(Some(false)),
            _ => Err(Refused::Invalid { var, why: "must be a boolean" }),
        },
        _ => Err(Refused::Invalid { var, why: "must have one value" }),
    }
}

/// Reads the one value of a field; `None` if it has no value.
pub(super) fn read_single<'a>(var: &'static str, values: &'a [String]) -> Result<Option<&'a str>, Refused> {
    match values {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(Refused::Invalid { var, why: "must have one value" }),
    }
}

/// Reads one line of text, empty if the field has no value.
pub(super) fn read_line<'a>(
    var: &'static str,
    chars_max: usize,
    values: &'a [String],
) -> Result<&'a str, Refused> {
    let text = read_single(var, values)?.unwrap_or("");
    if text.chars().count() > chars_max {
        return Err(Refused::Invalid { var, why: "is too long" });
    }
    if text.chars().any(char::is_control) {
        return Err(Refused::Invalid { var, why: "must be one line of text" });
    }
    Ok(text)
}

/// An option that is on or off.
pub(super) struct Flag {
    pub(super) var: &'static str,
    pub(super) label: &'static str,
    pub(super) get: fn(&Config) -> bool,
    pub(super) set: fn(&mut Config, bool),
    /// Discovery features when it is (off, on).
    pub(super) features: Option<(&'static str, &'static str)>,
    /// `muc#roominfo` tells it.
    pub(super) told: bool,
    /// It keeps people out or silent when it is on.
    pub(super) protects: bool,
}

impl RoomOption for Flag {
    fn var(&self) -> &'static str {
        self.var
    }

    fn field(&self, config: &Config) -> Field {
        boolean(self.var, self.label, (self.get)(config))
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        if let Some(value) = read_boolean(self.var, values)? {
            (self.set)(config, value);
        }
        Ok(())
    }

    fn feature(&self, config: &Config) -> Option<&'static str> {
        self.features.map(|(off, on)| if (self.get)(config) { on } else { off })
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        if self.told { vec![self.field(config)] } else { Vec::new() }
    }

    fn protects(&self) -> bool {
        self.protects
    }

    fn tightens(&self, old: &Config, new: &Config) -> bool {
        self.protects && !(self.get)(old) && (self.get)(new)
    }
}

/// An option that is a set of occupants' roles.
pub(super) struct Roles {
    pub(super) var: &'static str,
    pub(super) label: &'static str,
    pub(super) get: fn(&Config) -> &BTreeSet<Role>,
    pub(super) set: fn(&mut Config, BTreeSet<Role>),
}

impl RoomOption for Roles {
    fn var(&self) -> &'static str {
        self.var
    }

    fn field(&self, config: &Config) -> Field {
        let values = (self.get)(config).iter().rev().map(Role::to_string).collect();
        let choices = [("moderator", "Moderator"), ("participant", "Participant"), ("visitor", "Visitor")];
        Field { options: options(choices), ..labelled(self.var, FieldType::ListMulti, self.label, values) }
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        let roles: Option<BTreeSet<Role>> = values.iter().map(|value| occupant_role(value)).collect();
        let why = "must be of moderator, participant, visitor";
        (self.set)(config, roles.ok_or(Refused::Invalid { var: self.var, why })?);
        Ok(())
    }
}

fn occupant_role(text: &str) -> Option<Role> {
    text.parse().ok().filter(|role| *role != Role::None)
}
