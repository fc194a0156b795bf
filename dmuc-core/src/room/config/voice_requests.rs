//! Whether visitors may ask for voice (XEP-0045 §7.13), and how often.

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{Flag, labelled, read_single};
use super::{Config, Refused, RoomOption};

const INTERVAL_VAR: &str = "muc#roomconfig_voice_request_min_interval";

pub(super) static ALLOWED: Flag = Flag {
    var: "muc#roomconfig_allow_voice_requests",
    label: "Allow visitors to ask for voice",
    get: |config| config.voice_requests,
    set: |config, value| config.voice_requests = value,
    features: None,
    told: false,
    protects: false,
};

pub(super) struct Interval;
pub(super) static INTERVAL: Interval = Interval;

impl RoomOption for Interval {
    fn var(&self) -> &'static str {
        INTERVAL_VAR
    }

    fn field(&self, config: &Config) -> Field {
        let values = vec![config.voice_interval_s.to_string()];
        labelled(INTERVAL_VAR, FieldType::TextSingle, "Seconds between requests for voice", values)
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        if let Some(text) = read_single(INTERVAL_VAR, values)? {
            let why = "must be a number of seconds";
            let seconds = text.trim().parse();
            config.voice_interval_s = seconds.map_err(|_| Refused::Invalid { var: INTERVAL_VAR, why })?;
        }
        Ok(())
    }
}
