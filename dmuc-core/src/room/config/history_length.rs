//! How much history a joining user may get (XEP-0045 §7.2.13).

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, read_single};
use super::{Config, Refused, RoomOption};

const VAR: &str = "muc#maxhistoryfetch";

pub(super) struct HistoryLength;
pub(super) static OPTION: HistoryLength = HistoryLength;

impl RoomOption for HistoryLength {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        let values = vec![config.history_length.to_string()];
        labelled(VAR, FieldType::TextSingle, "Most history messages sent on joining", values)
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        if let Some(text) = read_single(VAR, values)? {
            let why = "must be a number of messages";
            config.history_length = text.trim().parse().map_err(|_| Refused::Invalid { var: VAR, why })?;
        }
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        vec![self.field(config)]
    }
}
