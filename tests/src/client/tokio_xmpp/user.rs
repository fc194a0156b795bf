//! One user, who does one thing.

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::minidom::Element as Tree;
use tokio_xmpp::parsers::data_forms::{DataForm, DataFormType};
use tokio_xmpp::{IqRequest, Stanza};

use super::trees::{grown, jid, text};
use super::{Done, Outgoing};
use crate::client::PATIENCE;
use crate::client::inbox::Inbox;
use crate::element::Element;

/// A user who does one thing.
pub(super) struct User<'a> {
    pub session: &'a str,
    pub outgoing: UnboundedSender<Outgoing>,
    pub inbox: &'a Inbox,
    pub command: &'a Value,
}

impl User<'_> {
    pub fn perform(&self) -> Done {
        match self.text("do").as_str() {
            "join" => self.join(),
            "leave" => self.leave(),
            "say" => self.say(),
            "whisper" => self.whisper(),
            "subject" => self.subject(),
            "nick" => self.nick(),
            "role" => self.admin_set(&[("nick", "nick"), ("role", "role")]),
            "affiliation" => self.admin_set(&[("jid", "jid"), ("affiliation", "affiliation")]),
            "list" => self.list(),
            "configuration" => self.read_configuration(),
            "configure" => self.configure(),
            "invite" | "decline" => self.invite_or_decline(),
            "request_voice" => self.request_voice(),
            "send_form" => self.send_form(),
            "destroy" => self.destroy(),
            "register" => self.register(),
            "unregister" => self.unregister(),
            "ping" => self.ping(),
            "features" => self.features(),
            "commands" => self.commands(),
            "execute" => self.execute(),
            "archive" => self.archive(),
            "retract" => self.retract(),
            "moderate" => self.moderate(),
            "card" => self.card(),
            "publish_card" => self.publish_card(),
            "follow" => self.follow(),
            "unfollow" => self.unfollow(),
            "enter_versioned" => self.enter_versioned(),
            "iq" => self.any_request(),
            "disconnect" => self.order(Outgoing::End),
            other => Err(Value::from(format!("{other} is not known here"))),
        }
    }

    pub fn text(&self, key: &str) -> String {
        text(self.command, key)
    }

    /// The address of what is asked.
    pub fn to(&self) -> Jid {
        let to = ["room", "to", "of", "service"].into_iter().find(|key| self.command[key].is_string());
        jid(&self.text(to.expect("something is addressed")))
    }

    pub fn occupant(&self) -> Jid {
        jid(&format!("{}/{}", self.text("room"), self.text("nick")))
    }

    pub fn order(&self, order: Outgoing) -> Done {
        self.outgoing.send(order).map(|()| Value::Null).map_err(|_| Value::from("the session is gone"))
    }

    pub fn send(&self, stanza: impl Into<Stanza>) -> Done {
        self.order(Outgoing::Stanza(Box::new(stanza.into())))
    }

    pub fn request(&self, request: IqRequest) -> Done {
        let (reply, answer) = std::sync::mpsc::channel();
        self.order(Outgoing::Request(self.to(), request, reply))?;
        answer.recv_timeout(PATIENCE).unwrap_or_else(|error| Err(Value::from(error.to_string())))
    }

    pub fn get(&self, payload: impl Into<Tree>) -> Done {
        self.request(IqRequest::Get(payload.into()))
    }

    pub fn set(&self, payload: impl Into<Tree>) -> Done {
        self.request(IqRequest::Set(payload.into()))
    }

    /// Fills in a form with the values of the command.
    pub fn fill(&self, form: &Element) -> Result<DataForm, Value> {
        let form = form.child("x", "jabber:x:data").ok_or("no form")?;
        let mut form = DataForm::try_from(grown(form)).map_err(|error| Value::from(error.to_string()))?;
        form.type_ = DataFormType::Submit;
        for (var, value) in self.values() {
            let field = form.fields.iter_mut().find(|field| field.var.as_ref() == Some(var));
            let field = field.ok_or_else(|| Value::from(format!("the form has no {var}")))?;
            field.values = vec![value];
        }
        Ok(form)
    }

    /// The values for a form, by their fields.
    pub fn values(&self) -> impl Iterator<Item = (&String, String)> {
        let values = self.command["values"].as_object().into_iter().flatten();
        values.map(|(var, value)| (var, value.as_str().unwrap_or_default().to_owned()))
    }

    pub fn mark(&self) -> usize {
        self.inbox.seen().stanzas.len()
    }

    pub fn wait(&self, mark: usize, wanted: impl Fn(&Element) -> bool) -> Result<Element, Value> {
        let found = self.inbox.stanza(self.session, mark, PATIENCE, wanted);
        found.ok_or_else(|| Value::from("timeout"))
    }
}

pub(super) fn drop_answer(_: Value) -> Value {
    Value::Null
}
