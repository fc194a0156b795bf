//! Forms of commands: asking, reading what was filled in, showing results (XEP-0004).

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType, Option_};

use super::bad_payload;
use crate::address::Address;
use crate::ns;
use crate::stanza::{El, Payload, StanzaError};

/// A form to fill in.
#[must_use]
pub fn ask(title: &str, instructions: &str, fields: Vec<Field>) -> DataForm {
    DataForm {
        type_: DataFormType::Form,
        title: Some(title.to_owned()),
        instructions: Some(instructions.to_owned()),
        fields,
    }
}

/// A field to fill in; `options` are those to choose from.
#[must_use]
pub fn field(var: &str, ty: FieldType, label: &str, options: Vec<String>) -> Field {
    let options = options.into_iter().map(|value| Option_ { label: None, value }).collect();
    Field { label: Some(label.to_owned()), options, ..Field::new(var, ty) }
}

/// A field that must be filled in.
#[must_use]
pub fn required(field: Field) -> Field {
    Field { required: true, ..field }
}

/// What was filled in.
#[derive(Debug, Clone, Copy)]
pub struct Answers<'a>(pub &'a DataForm);

impl<'a> Answers<'a> {
    fn values(self, var: &str) -> &'a [String] {
        let field = self.0.fields.iter().find(|field| field.var.as_deref() == Some(var));
        field.map_or(&[], |field| &field.values)
    }

    /// The value of a field, if it has one.
    #[must_use]
    pub fn text(self, var: &str) -> Option<&'a str> {
        self.values(var).first().map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The lines of a field, empty if it has none.
    #[must_use]
    pub fn lines(self, var: &str) -> String {
        self.values(var).join("\n").trim().to_owned()
    }

    /// Whether a box is ticked, if the form has it.
    #[must_use]
    pub fn flag(self, var: &str) -> Option<bool> {
        self.text(var).map(|value| matches!(value, "1" | "true"))
    }

    /// The number in a field, if it has one.
    ///
    /// # Errors
    /// `bad-payload` if it is none.
    pub fn number(self, var: &str) -> Result<Option<u32>, StanzaError> {
        let number = self.text(var).map(str::parse).transpose();
        number.map_err(|_| bad_payload(format!("'{var}' is no number.")))
    }

    /// The one address in a field.
    ///
    /// # Errors
    /// `bad-payload` if there is none, or it is malformed.
    pub fn jid(self, var: &str) -> Result<Address, StanzaError> {
        self.jids(var)?.into_iter().next().ok_or_else(|| bad_payload(format!("'{var}' is missing.")))
    }

    /// The bare addresses in a field.
    ///
    /// # Errors
    /// `bad-payload` if one is malformed.
    pub fn jids(self, var: &str) -> Result<Vec<Address>, StanzaError> {
        let given = self.values(var).iter().map(|value| value.trim()).filter(|value| !value.is_empty());
        let read = |jid: &str| Address::parse(jid).map(|jid| jid.to_bare());
        let jids: Result<Vec<Address>, _> = given.map(read).collect();
        jids.map_err(|_| bad_payload(format!("'{var}' holds what is no address.")))
    }
}

/// A result of several named values, each with its field, its label and itself.
#[must_use]
pub fn facts(title: &str, facts: &[(&str, &str, String)]) -> Payload {
    let field = |(var, label, value): &(&str, &str, String)| {
        let field = El::new("field", ns::DATA).attr("type", "text-single").attr("var", var);
        field.attr("label", label).child(text("value", value))
    };
    result(title).children(facts.iter().map(field)).payload()
}

/// A result of several rows with the same columns, each of which has a field and a label (XEP-0004 §3.4).
#[must_use]
pub fn table(title: &str, columns: &[(&str, &str)], rows: &[Vec<String>]) -> Payload {
    let heads =
        columns.iter().map(|(var, label)| El::new("field", ns::DATA).attr("var", var).attr("label", label));
    let cell = |((var, _), value): (&(&str, &str), &String)| {
        El::new("field", ns::DATA).attr("var", var).child(text("value", value))
    };
    let row = |row: &Vec<String>| El::new("item", ns::DATA).children(columns.iter().zip(row).map(cell));
    let reported = El::new("reported", ns::DATA).children(heads);
    result(title).child(reported).children(rows.iter().map(row)).payload()
}

fn result(title: &str) -> El {
    El::new("x", ns::DATA).attr("type", "result").child(text("title", title))
}

fn text(name: &str, text: &str) -> El {
    El::new(name, ns::DATA).text(text)
}
