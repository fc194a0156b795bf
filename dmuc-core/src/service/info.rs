//! What the service tells of itself: discovery with contact addresses, uptime, time.

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};

use crate::clock::Millis;
use crate::ns;
use crate::policy::ServicePolicy;
use crate::stanza::{El, Payload};

/// What the service can do.
const FEATURES: &[&str] = &[
    ns::MUC,
    ns::MUC_STABLE_ID,
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::COMMANDS,
    ns::RSM,
    ns::PING,
    ns::VERSION,
    ns::LAST,
    ns::TIME,
    ns::SEARCH,
    ns::RAI,
    ns::DMUC,
    ns::SYNC,
    ns::OCCUPANT_ID,
    ns::VCARD,
    ns::MUC_SUB,
];

pub(super) fn service_info(policy: &ServicePolicy) -> Payload {
    let identity = El::new("identity", ns::DISCO_INFO)
        .attr("category", "conference")
        .attr("type", "text")
        .attr("name", &policy.name);
    let features = FEATURES.iter().map(|var| El::new("feature", ns::DISCO_INFO).attr("var", var));
    let query = El::new("query", ns::DISCO_INFO).child(identity).children(features);
    contacts(policy).iter().fold(query, El::payload_child).payload()
}

/// Whom to turn to (XEP-0157), if the operator has said so.
fn contacts(policy: &ServicePolicy) -> Option<Payload> {
    let field = |(purpose, addresses): (&String, &Vec<String>)| Field {
        values: addresses.clone(),
        ..Field::new(&format!("{purpose}-addresses"), FieldType::ListMulti)
    };
    let fields: Vec<Field> = policy.contacts.iter().map(field).collect();
    if fields.is_empty() {
        return None;
    }
    Some(Payload::of(&DataForm::new(DataFormType::Result_, ns::SERVER_INFO, fields)))
}

/// For how long (XEP-0012 §5).
pub(crate) fn last(ms: u64) -> Payload {
    El::new("query", ns::LAST).attr("seconds", (ms / 1000).to_string()).payload()
}

/// What time it is (XEP-0202).
pub(super) fn time(now: Millis) -> Payload {
    let text = |name, text: &str| El::new(name, ns::TIME).text(text);
    El::new("time", ns::TIME).child(text("tzo", "+00:00")).child(text("utc", &now.to_stamp())).payload()
}
