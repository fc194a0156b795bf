//! Whether the room lives on several services at once (XEP-0281 "Creating a Room").

use xmpp_parsers::data_forms::Field;

use super::field::{boolean, read_boolean};
use super::{Config, FormScope, Refused, RoomOption};

const VAR: &str = "muc#roomconfig_distributed";

pub(super) struct Distributed;
pub(super) static OPTION: Distributed = Distributed;

impl RoomOption for Distributed {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        boolean(VAR, "Distribute the room over several services", config.distributed)
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        config.distributed = read_boolean(VAR, values)?.unwrap_or(config.distributed);
        Ok(())
    }

    fn is_in(&self, scope: FormScope) -> bool {
        !matches!(scope, FormScope::Owner { distributed: false })
    }
}
