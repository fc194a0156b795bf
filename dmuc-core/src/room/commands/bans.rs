//! Banning people who need not be in the room, and whole domains; letting them in again (XEP-0045 §9.1, §9.2).

use xmpp_parsers::data_forms::FieldType;

use super::{Command, administers};
use crate::address::Address;
use crate::adhoc::{Call, Done, Step, ask, bad_payload, field, required};
use crate::instance::Instance;
use crate::room::admin::{Actor, Order};
use crate::room::roles::Affiliation;
use crate::stanza::StanzaError;

pub(super) const BAN: Command =
    Command { node: "ban", name: "Ban users or domains", offered: administers, run: ban };

pub(super) const UNBAN: Command =
    Command { node: "unban", name: "Lift bans", offered: administers, run: unban };

const WHO: &str = "jids";
const REASON: &str = "reason";
/// Most bans that are offered for lifting; others are lifted by name.
const OFFERED_MAX: usize = 200;

fn ban(room: &mut Instance, actor: &Actor, call: &Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let who = required(field(WHO, FieldType::JidMulti, "Users or domains", Vec::new()));
        let reason = field(REASON, FieldType::TextSingle, "Reason", Vec::new());
        let form = ask("Ban", "They are put out, and may not come in any more.", vec![who, reason]);
        return Ok(Step::Ask { form, last: true });
    };
    change(room, actor, call, answers.jids(WHO)?, Affiliation::Outcast, answers.text(REASON))
}

fn unban(room: &mut Instance, actor: &Actor, call: &Call) -> Result<Step, StanzaError> {
    let banned =
        |room: &Instance, jid: &Address| room.room().affiliations.listed(jid) == Affiliation::Outcast;
    let Some(answers) = call.stage(0) else {
        let outcasts = room.room().affiliations.with(Affiliation::Outcast).map(|(jid, _)| jid.to_string());
        let outcasts: Vec<String> = outcasts.take(OFFERED_MAX).collect();
        if outcasts.is_empty() {
            return Ok(Step::Done(Done::noting("Nobody is banned.")));
        }
        let who = required(field(WHO, FieldType::ListMulti, "Banned users and domains", outcasts));
        return Ok(Step::Ask { form: ask("Lift bans", "They may come in again.", vec![who]), last: true });
    };
    let jids = answers.jids(WHO)?;
    if let Some(free) = jids.iter().find(|jid| !banned(room, jid)) {
        return Err(bad_payload(format!("{free} is not banned.")));
    }
    change(room, actor, call, jids, Affiliation::None, None)
}

fn change(
    room: &mut Instance,
    actor: &Actor,
    call: &Call,
    jids: Vec<Address>,
    affiliation: Affiliation,
    reason: Option<&str>,
) -> Result<Step, StanzaError> {
    if jids.is_empty() || jids.len() > room.policy.items_max {
        return Err(bad_payload(format!("Name 1 to {} users or domains.", room.policy.items_max)));
    }
    let done = Done::noting(format!("Changed: {}.", jids.len()));
    let reason = reason.map(str::to_owned);
    let order = |jid| Order { affiliation: Some(affiliation), reason: reason.clone(), ..Order::about(jid) };
    room.order(actor, call, jids.into_iter().map(order).collect(), &done)
}
