//! Sessions of commands: who has come how far (XEP-0050 §3.3).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use xmpp_parsers::data_forms::{DataForm, DataFormType};

use super::{Action, Answers, Done, Request, Step, bad};
use crate::address::Address;
use crate::clock::Millis;
use crate::io::Cause;
use crate::ns;
use crate::stanza::{Condition, El, Payload, Stanza, StanzaError};

/// How long a session waits for its next request.
const SESSION_MS: u64 = 15 * 60_000;
/// Most sessions of all requesters; the one that waits longest makes room.
const SESSIONS_MAX: usize = 256;
/// Most sessions of one user.
const OWN_SESSIONS_MAX: usize = 8;

/// The open sessions of one responder.
#[derive(Debug, Default)]
pub struct Sessions {
    key: String,
    open: BTreeMap<String, Open>,
    begun: u64,
}

#[derive(Debug)]
struct Open {
    who: Address,
    node: String,
    forms: Vec<DataForm>,
    last: bool,
    until: Millis,
}

/// One execution of a command, as far as it has come.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which command.
    pub node: String,
    /// Whose it is.
    pub who: Address,
    /// Whom an answer from elsewhere is for.
    pub cause: Cause,
    session: String,
    forms: Vec<DataForm>,
}

/// What a request leads to.
#[derive(Debug)]
pub enum Turn {
    /// The command runs.
    Run(Call),
    /// The session is over at the requester's wish; this is the answer.
    Cancelled(Payload),
}

impl Call {
    /// What was submitted at a stage, counted from 0; `None` if the command has not come that far.
    #[must_use]
    pub fn stage(&self, stage: usize) -> Option<Answers<'_>> {
        self.forms.get(stage).map(Answers)
    }

    /// The whole of the answer for a command that has been carried out.
    #[must_use]
    pub fn completed(&self, done: &Done) -> Payload {
        let note =
            done.note.as_ref().map(|(ty, text)| El::new("note", ns::COMMANDS).attr("type", ty).text(text));
        let command = command(&self.node, &self.session, "completed");
        let command = done.form.iter().fold(command, El::payload_child);
        command.children(note).payload()
    }

    fn executing(&self, form: &DataForm, last: bool) -> Payload {
        let onwards = if last { "complete" } else { "next" };
        let back = (!self.forms.is_empty()).then(|| El::new("prev", ns::COMMANDS));
        let actions = El::new("actions", ns::COMMANDS)
            .attr("execute", onwards)
            .children(back)
            .child(El::new(onwards, ns::COMMANDS));
        command(&self.node, &self.session, "executing")
            .child(actions)
            .payload_child(&Payload::of_form(form))
            .payload()
    }
}

fn command(node: &str, session: &str, status: &str) -> El {
    let command = El::new("command", ns::COMMANDS).attr("node", node).attr("sessionid", session);
    command.attr("status", status).attr("xml:lang", "en")
}

impl Sessions {
    /// No sessions. By the key the responder knows the names of its sessions, also of those that it has forgotten.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }

    /// Finds out what a request means: a new session, or the next step of one.
    ///
    /// # Errors
    /// `bad-sessionid`, `session-expired`, `bad-action` and `bad-payload` of XEP-0050 §4.5; the session stays as it was.
    pub fn turn(&mut self, request: Request, stanza: &Stanza, now: Millis) -> Result<Turn, StanzaError> {
        let who = stanza.from.clone().ok_or(Condition::BadRequest)?;
        self.open.retain(|_, open| open.until > now);
        let Request { node, session, action, form } = request;
        let cause = Cause::of(stanza);
        let Some(session) = session else {
            if action != Action::Execute {
                return Err(bad("bad-action"));
            }
            let session = self.fresh(&who, &node, now);
            // Who knows the form need not ask for it (as XEP-0317 §4.3 has it).
            let forms = form.into_iter().filter(|form| form.type_ == DataFormType::Submit).collect();
            return Ok(Turn::Run(Call { node, who, cause, session, forms }));
        };
        let open = self.find(&session, &who, &node)?;
        let mut forms = open.forms.clone();
        match action {
            Action::Cancel => {
                self.open.remove(&session);
                return Ok(Turn::Cancelled(command(&node, &session, "canceled").payload()));
            }
            Action::Prev => drop(forms.pop().ok_or_else(|| bad("bad-action"))?),
            Action::Complete if !open.last => return Err(bad("bad-action")),
            // Going on from the last stage completes it: there are clients which say nothing but "next".
            Action::Execute | Action::Next | Action::Complete => {
                forms.push(form.ok_or_else(|| bad("bad-payload"))?);
            }
        }
        Ok(Turn::Run(Call { node, who, cause, session, forms }))
    }

    /// Takes note of where a command has come to; gives the answer, if it is known already.
    pub fn settle(&mut self, call: Call, step: Step, now: Millis) -> Option<Payload> {
        match step {
            Step::Ask { form, last } => {
                let answer = call.executing(&form, last);
                let Call { node, who, session, forms, .. } = call;
                self.open.remove(&session);
                self.make_room(&who);
                self.open.insert(session, Open { who, node, forms, last, until: now.plus(SESSION_MS) });
                Some(answer)
            }
            Step::Done(done) => {
                self.open.remove(&call.session);
                Some(call.completed(&done))
            }
            Step::Elsewhere => {
                self.open.remove(&call.session);
                None
            }
        }
    }

    fn find(&self, session: &str, who: &Address, node: &str) -> Result<&Open, StanzaError> {
        if let Some(open) = self.open.get(session).filter(|open| open.who == *who && open.node == node) {
            return Ok(open);
        }
        let ours = session.split_once('.').is_some_and(|(serial, _)| self.name(serial, who, node) == session);
        if !ours {
            return Err(bad("bad-sessionid"));
        }
        let expired = El::new("session-expired", ns::COMMANDS).payload();
        Err(StanzaError::new(Condition::NotAllowed).with(expired).because("That session is over."))
    }

    fn fresh(&mut self, who: &Address, node: &str, now: Millis) -> String {
        self.begun += 1;
        self.name(&format!("{:x}-{}", now.0, self.begun), who, node)
    }

    /// A session's name tells us that we gave it, and to whom, without remembering it.
    fn name(&self, serial: &str, who: &Address, node: &str) -> String {
        let key = self.key.as_bytes();
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        [serial, "\n", who.as_str(), "\n", node].iter().for_each(|part| mac.update(part.as_bytes()));
        format!("{serial}.{}", BASE64.encode(&mac.finalize().into_bytes()[..12]))
    }

    fn make_room(&mut self, who: &Address) {
        let own = |open: &Open| open.who.bare_str() == who.bare_str();
        let crowded = self.open.values().filter(|open| own(open)).count() >= OWN_SESSIONS_MAX;
        if !crowded && self.open.len() < SESSIONS_MAX {
            return;
        }
        let candidates = self.open.iter().filter(|(_, open)| !crowded || own(open));
        let oldest = candidates.min_by_key(|(_, open)| open.until).map(|(session, _)| session.clone());
        oldest.into_iter().for_each(|session| drop(self.open.remove(&session)));
    }
}
