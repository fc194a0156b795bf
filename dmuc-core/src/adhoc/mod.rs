//! Ad-hoc commands (XEP-0050), whoever offers them: requests, sessions, forms and answers.
//!
//! A command is a function of the forms that were submitted so far: it asks for one more, or is carried out. Going back
//! is the same function with one form less.

mod form;
mod sessions;

use xmpp_parsers::data_forms::DataForm;

pub use form::{Answers, ask, facts, field, required, table};
pub use sessions::{Call, Sessions, Turn};

use crate::address::Address;
use crate::ns;
use crate::stanza::{Condition, El, ErrorKind, Payload, Stanza, StanzaError};

/// What a requester wants of a command (XEP-0050 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To begin, or whatever the present stage says.
    Execute,
    /// To give up.
    Cancel,
    /// To go back by one stage.
    Prev,
    /// To go on to the next stage.
    Next,
    /// To carry it out.
    Complete,
}

impl Action {
    fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("execute") => Some(Self::Execute),
            Some("cancel") => Some(Self::Cancel),
            Some("prev") => Some(Self::Prev),
            Some("next") => Some(Self::Next),
            Some("complete") => Some(Self::Complete),
            Some(_) => None,
        }
    }
}

/// A request to execute a command.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which command.
    pub node: String,
    /// Which session, unless a new one begins.
    pub session: Option<String>,
    /// What of it.
    pub action: Action,
    /// What was filled in.
    pub form: Option<DataForm>,
}

impl Request {
    /// Reads the `<command/>` of a request.
    ///
    /// # Errors
    /// `bad-request`, with `malformed-action` or `bad-payload` where that is the reason (XEP-0050 §4.5).
    pub fn read(stanza: &Stanza) -> Result<Self, StanzaError> {
        let command = stanza.child("command", ns::COMMANDS).filter(|_| stanza.ty() == "set");
        let command = command.and_then(|command| command.element().ok()).ok_or(Condition::BadRequest)?;
        let node = command.attr("node").ok_or(Condition::BadRequest)?.to_owned();
        let action = Action::read(command.attr("action")).ok_or_else(|| bad("malformed-action"))?;
        let form = command.get_child("x", ns::DATA).map(xso::transform).transpose();
        let form = form.map_err(|_| bad("bad-payload"))?;
        Ok(Self { node, session: command.attr("sessionid").map(str::to_owned), action, form })
    }
}

/// Where a command has come to.
#[derive(Debug, Clone)]
pub enum Step {
    /// One more form is needed; after the `last` the command is carried out.
    Ask {
        /// What to fill in.
        form: DataForm,
        /// Whether nothing is asked after it.
        last: bool,
    },
    /// It was carried out.
    Done(Done),
    /// It is being carried out elsewhere: the answer comes from there.
    Elsewhere,
}

/// How a command ended.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// For people, with the severity: `info`, `warn`, `error`.
    pub note: Option<(&'static str, String)>,
    /// What it found out, a form of type `result`.
    pub form: Option<Payload>,
}

impl Done {
    /// Carried out, with a note for people.
    #[must_use]
    pub fn noting(text: impl Into<String>) -> Self {
        Self { note: Some(("info", text.into())), form: None }
    }

    /// Tried, and failed (XEP-0050 §3.7).
    #[must_use]
    pub fn failing(text: impl Into<String>) -> Self {
        Self { note: Some(("error", text.into())), form: None }
    }

    /// Carried out, with a result.
    #[must_use]
    pub fn showing(form: Payload) -> Self {
        Self { note: None, form: Some(form) }
    }
}

/// `bad-request` with a condition of XEP-0050 §4.5.
fn bad(condition: &str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with(El::new(condition, ns::COMMANDS).payload())
}

/// What was filled in cannot be taken, and why.
#[must_use]
pub fn bad_payload(why: impl Into<String>) -> StanzaError {
    bad("bad-payload").because(why)
}

/// The requester may not execute this command (XEP-0050 §4.5 gives it this type).
#[must_use]
pub fn forbidden() -> StanzaError {
    StanzaError::of_kind(Condition::Forbidden, ErrorKind::Cancel).because("You may not execute this command.")
}

/// The list of commands, given as node and name, that `responder` offers (XEP-0050 §2.2).
#[must_use]
pub fn items<'a>(responder: &Address, commands: impl Iterator<Item = (&'a str, &'a str)>) -> Payload {
    let item = |(node, name)| {
        let item = El::new("item", ns::DISCO_ITEMS).attr("jid", responder.as_str());
        item.attr("node", node).attr("name", name)
    };
    El::new("query", ns::DISCO_ITEMS).attr("node", ns::COMMANDS).children(commands.map(item)).payload()
}

/// What discovery tells of the node of all commands, or, with its name, of one command (XEP-0050 §2.2).
#[must_use]
pub fn info(node: &str, name: Option<&str>) -> Payload {
    let ty = if name.is_some() { "command-node" } else { "command-list" };
    let identity = El::new("identity", ns::DISCO_INFO)
        .attr("category", "automation")
        .attr("type", ty)
        .attr("name", name.unwrap_or("Commands"));
    let features = [ns::COMMANDS, ns::DATA].map(|var| El::new("feature", ns::DISCO_INFO).attr("var", var));
    El::new("query", ns::DISCO_INFO).attr("node", node).child(identity).children(features).payload()
}
