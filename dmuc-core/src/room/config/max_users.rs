//! The most occupants of the room (XEP-0045 §7.2.9).

use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{labelled, options, read_single};
use super::{Config, Refused, RoomOption};

const VAR: &str = "muc#roomconfig_maxusers";
const OFFERED: [u32; 6] = [10, 20, 50, 100, 500, 1000];
const UNLIMITED: &str = "none";

pub(super) struct MaxUsers;
pub(super) static OPTION: MaxUsers = MaxUsers;

impl RoomOption for MaxUsers {
    fn var(&self) -> &'static str {
        VAR
    }

    fn field(&self, config: &Config) -> Field {
        let value = config.max_users.map_or(UNLIMITED.to_owned(), |max| max.to_string());
        let mut numbers: Vec<u32> = OFFERED.into_iter().chain(config.max_users).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        let choices = numbers.iter().map(|n| (n.as_str(), n.as_str())).chain([(UNLIMITED, "Unlimited")]);
        let field = labelled(VAR, FieldType::ListSingle, "Maximum number of occupants", vec![value]);
        Field { options: options(choices), ..field }
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        match read_single(VAR, values)?.map(str::trim) {
            None => {}
            Some(UNLIMITED | "") => config.max_users = None,
            Some(text) => config.max_users = Some(parse(text)?),
        }
        Ok(())
    }

    fn protects(&self) -> bool {
        true
    }

    fn tightens(&self, old: &Config, new: &Config) -> bool {
        new.max_users.is_some_and(|new| old.max_users.is_none_or(|old| new < old))
    }
}

fn parse(text: &str) -> Result<u32, Refused> {
    let number = text.parse().ok().filter(|max| *max > 0);
    number.ok_or(Refused::Invalid { var: VAR, why: "must be a number above zero or \"none\"" })
}
