//! Whom to ask about the room (XEP-0045 §6.4). The registry expects its owners, but who they are is not told to
//! everyone: they choose.

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::labelled;
use super::{Config, Refused, RoomOption, lists};

const VAR: &str = "{urn:xmpp:dmuc:sync:0}contacts";
const CONTACTS_MAX: usize = 16;

pub(super) struct Contacts;
pub(super) static OPTION: Contacts = Contacts;

impl RoomOption for Contacts {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        let contacts = config.contacts.iter().map(ToString::to_string).collect();
        labelled(VAR, FieldType::JidMulti, "Contact addresses", contacts)
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        let contacts = lists::read(VAR, values)?;
        if contacts.len() > CONTACTS_MAX {
            return Err(Refused::Invalid { var: VAR, why: "must not be more than 16" });
        }
        config.contacts = contacts;
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        let field = Field { var: Some("muc#roominfo_contactjid".to_owned()), ..self.field(config) };
        if config.contacts.is_empty() { Vec::new() } else { vec![field] }
    }
}
