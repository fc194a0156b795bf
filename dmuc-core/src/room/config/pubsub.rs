//! The publish-subscribe node that goes with the room.

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, read_line};
use super::{Config, Refused, RoomOption};

const VAR: &str = "muc#roomconfig_pubsub";
const CHARS_MAX: usize = 2048;

pub(super) struct Pubsub;
pub(super) static OPTION: Pubsub = Pubsub;

impl RoomOption for Pubsub {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        let label = "XMPP URI of the associated publish-subscribe node";
        labelled(VAR, FieldType::TextSingle, label, config.pubsub.iter().cloned().collect())
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        let uri = read_line(VAR, CHARS_MAX, values)?.trim();
        // Clients may offer it as a link, so that another scheme could do harm there.
        if !uri.is_empty() && !uri.starts_with("xmpp:") {
            return Err(Refused::Invalid { var: VAR, why: "must be an xmpp: URI" });
        }
        config.pubsub = (!uri.is_empty()).then(|| uri.to_owned());
        Ok(())
    }

    fn info(&self, config: &Config) -> Vec<Field> {
        if config.pubsub.is_none() { Vec::new() } else { vec![self.field(config)] }
    }
}
