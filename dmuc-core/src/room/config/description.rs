//! The short description of the room.

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::labelled;
use super::{Config, Refused, RoomOption};

const VAR: &str = "muc#roomconfig_roomdesc";
const BYTES_MAX: usize = 4096;

pub(super) struct Description;
pub(super) static OPTION: Description = Description;

impl RoomOption for Description {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        labelled(VAR, FieldType::TextSingle, "Description", vec![config.description.clone()])
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        // The field is one line by the registry, but clients that show an area send one value per line.
        let text = values.join("\n");
        if text.len() > BYTES_MAX {
            return Err(Refused::Invalid { var: VAR, why: "is too long" });
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(Refused::Invalid { var: VAR, why: "must be text" });
        }
        config.description = text;
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        let field = Field { var: Some("muc#roominfo_description".to_owned()), ..self.field(config) };
        if config.description.is_empty() { Vec::new() } else { vec![field] }
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, OPTION, RoomOption};

    #[test]
    fn it_may_come_line_by_line() {
        let mut config = Config::default();
        OPTION.apply(&mut config, &["double".to_owned(), "toil".to_owned()]).expect("valid");
        assert_eq!(config.description, "double\ntoil");
    }
}
