//! The natural-language name of the room.

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, read_line};
use super::{Config, Refused, RoomOption};

const VAR: &str = "muc#roomconfig_roomname";
const CHARS_MAX: usize = 255;

pub(super) struct Name;
pub(super) static OPTION: Name = Name;

impl RoomOption for Name {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        labelled(VAR, FieldType::TextSingle, "Name", vec![config.name.clone()])
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        config.name = read_line(VAR, CHARS_MAX, values)?.to_owned();
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        if config.name.is_empty() { Vec::new() } else { vec![self.field(config)] }
    }
}
