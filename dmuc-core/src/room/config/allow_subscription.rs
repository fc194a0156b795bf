//! Whether users may subscribe to the room without entering (ejabberd's MUC/Sub).

use xmpp_parsers::data_forms::Field;

use super::field::{boolean, read_boolean};
use super::{Config, Refused, RoomOption};
use crate::ns;

/// As ejabberd calls it.
const VAR: &str = "muc#roomconfig_allow_subscription";

pub(super) struct AllowSubscription;
pub(super) static OPTION: AllowSubscription = AllowSubscription;

impl RoomOption for AllowSubscription {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        boolean(VAR, "Allow subscriptions without entering", config.allow_subscription)
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        config.allow_subscription = read_boolean(VAR, values)?.unwrap_or(config.allow_subscription);
        Ok(())
    }

    fn feature(&self, config: &Config) -> Option<&'static str> {
        config.allow_subscription.then_some(ns::MUC_SUB)
    }
}
