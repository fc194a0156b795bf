//! What concerns the users of all rooms: telling them something, putting some out, ending the service.

use std::sync::Arc;
use std::time::Duration;

use dmuc_core::adhoc::{Call, Step, bad_payload, field, required};
use dmuc_core::io::{Input, OperatorOrder};
use dmuc_core::stanza::StanzaError;
use xmpp_parsers::data_forms::FieldType;

use super::super::Shared;
use super::{ask, done};

/// XEP-0133 §4.23.
pub(super) const ANNOUNCE: &str = "http://jabber.org/protocol/admin#announce";
/// XEP-0133 §4.5; the session with this service is being in its rooms.
pub(super) const EXPEL: &str = "http://jabber.org/protocol/admin#end-user-session";
/// XEP-0133 §4.32.
pub(super) const SHUT_DOWN: &str = "http://jabber.org/protocol/admin#shutdown";

const TEXT: &str = "announcement";
const WHO: &str = "accountjids";
const REASON: &str = "reason";
const DELAY: &str = "delay";
/// Longest delay of a shutdown, in seconds.
const DELAY_MAX: u32 = 3600;
/// How long rooms have to say good-bye before the service ends.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) async fn announce(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let text = required(field(TEXT, FieldType::TextMulti, "Announcement", Vec::new()));
        return Ok(ask("Making an announcement", "Everyone in any room here gets it.", vec![text]));
    };
    let text = answers.lines(TEXT);
    if text.is_empty() {
        return Err(bad_payload("There is nothing to announce."));
    }
    let rooms = shared.order_everywhere(&OperatorOrder::Announce(text));
    Ok(done(format!("Announced in rooms: {rooms}.")))
}

pub(super) async fn expel(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let who = required(field(WHO, FieldType::JidMulti, "Users or domains", Vec::new()));
        let reason = field(REASON, FieldType::TextSingle, "Reason", Vec::new());
        return Ok(ask(
            "Put out",
            "They are put out of all rooms here, and may come again.",
            vec![who, reason],
        ));
    };
    let users = answers.jids(WHO)?;
    if users.is_empty() {
        return Err(bad_payload("Nobody is named."));
    }
    let reason = answers.text(REASON).map(str::to_owned);
    for user in users {
        shared.order_everywhere(&OperatorOrder::Expel { user, reason: reason.clone() });
    }
    Ok(done("They are put out of every room."))
}

pub(super) async fn shut_down(shared: Arc<Shared>, call: Call) -> Result<Step, StanzaError> {
    let Some(answers) = call.stage(0) else {
        let text = field(TEXT, FieldType::TextMulti, "Announcement", Vec::new());
        let delays = ["0", "60", "300", "900", "3600"].map(str::to_owned).to_vec();
        let delay = field(DELAY, FieldType::ListSingle, "Time delay in seconds", delays);
        return Ok(ask("Shutting down", "Everyone is put out, and the service ends.", vec![delay, text]));
    };
    let delay = answers.number(DELAY)?.unwrap_or(0);
    if delay > DELAY_MAX {
        return Err(bad_payload(format!("The longest delay is {DELAY_MAX} seconds.")));
    }
    let text = answers.lines(TEXT);
    if !text.is_empty() {
        shared.order_everywhere(&OperatorOrder::Announce(text));
    }
    let runtime = shared.runtime.clone();
    // No token is held: whoever stops the service before need not wait for this.
    runtime.spawn(async move {
        tokio::time::sleep(Duration::from_secs(delay.into())).await;
        shared.post_everywhere(&Input::ServiceStops);
        tokio::time::sleep(FAREWELL).await;
        shared.stop_asked.notify_one();
    });
    Ok(done(format!("The service ends in {delay} seconds.")))
}
