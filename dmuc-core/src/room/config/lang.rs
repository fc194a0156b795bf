//! The natural language of the discussion.

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, read_line};
use super::{Config, Refused, RoomOption};

const VAR: &str = "muc#roomconfig_lang";
/// The longest tag that software must support (RFC 5646 §4.4.1).
const CHARS_MAX: usize = 35;

pub(super) struct Lang;
pub(super) static OPTION: Lang = Lang;

impl RoomOption for Lang {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        labelled(
            VAR,
            FieldType::TextSingle,
            "Language of the discussion",
            config.lang.iter().cloned().collect(),
        )
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        let tag = read_line(VAR, CHARS_MAX, values)?.trim();
        if !tag.is_empty() && !is_language_tag(tag) {
            return Err(Refused::Invalid { var: VAR, why: "must be a language tag" });
        }
        config.lang = (!tag.is_empty()).then(|| tag.to_owned());
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        let field = Field { var: Some("muc#roominfo_lang".to_owned()), ..self.field(config) };
        if config.lang.is_none() { Vec::new() } else { vec![field] }
    }
}

/// Whether `tag` has the shape of a language tag: subtags of 1 to 8 letters and digits (RFC 5646 §2.1).
fn is_language_tag(tag: &str) -> bool {
    tag.split('-')
        .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}
