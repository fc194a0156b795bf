//! The admin and owner lists inside the configuration form. They are affiliations, not configuration: the form
//! carries them (XEP-0045 §10.1.3), the room applies them as it does any change of affiliation.

use xmpp_parsers::data_forms::{Field, FieldType};

use super::Refused;
use super::field::labelled;
use crate::address::Address;

pub(super) const ADMINS: &str = "muc#roomconfig_roomadmins";
pub(super) const OWNERS: &str = "muc#roomconfig_roomowners";

/// The two list fields with the present admins and owners, for appending to the form that an owner gets.
#[must_use]
pub fn list_fields<'a>(
    admins: impl IntoIterator<Item = &'a Address>,
    owners: impl IntoIterator<Item = &'a Address>,
) -> [Field; 2] {
    let texts = |list: Vec<&Address>| list.into_iter().map(|jid| jid.bare_str().to_owned()).collect();
    [
        labelled(ADMINS, FieldType::JidMulti, "Room admins", texts(admins.into_iter().collect())),
        labelled(OWNERS, FieldType::JidMulti, "Room owners", texts(owners.into_iter().collect())),
    ]
}

/// Reads a list: bare JIDs, in order, each once.
pub(super) fn read(var: &'static str, values: &[String]) -> Result<Vec<Address>, Refused> {
    let mut list = Vec::with_capacity(values.len());
    // Some clients send one blank line for an empty list.
    for text in values.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let jid =
            Address::parse(text).map_err(|_| Refused::Invalid { var, why: "must be a list of addresses" })?;
        list.push(jid.to_bare());
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}
