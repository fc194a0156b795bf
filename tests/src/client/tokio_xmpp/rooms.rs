//! What XEP-0045 says that users do.

use serde_json::{Value, json};
use tokio_xmpp::minidom::Element as Tree;
use tokio_xmpp::parsers::data_forms::{DataForm, DataFormType, Field};
use tokio_xmpp::parsers::ibr;
use tokio_xmpp::parsers::message::{Lang, Message, MessageType};
use tokio_xmpp::parsers::muc::Muc;
use tokio_xmpp::parsers::muc::muc::History;
use tokio_xmpp::parsers::presence::Presence;

use super::Done;
use super::trees::{jid, read, set_attr};
use super::user::{User, drop_answer};
use crate::element::Element;

const ADMIN: &str = "http://jabber.org/protocol/muc#admin";
const OWNER: &str = "http://jabber.org/protocol/muc#owner";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

impl User<'_> {
    pub fn join(&self) -> Done {
        let mark = self.mark();
        let number = self.command["maxstanzas"].as_u64().and_then(|max| u32::try_from(max).ok());
        let mut muc = Muc::new();
        muc.password = self.command["password"].as_str().map(str::to_owned);
        muc.history = number.map(|max| History::new().with_maxstanzas(max));
        self.send(Presence::available().with_to(self.occupant()).with_payload(muc))?;
        let room = self.text("room");
        let of_room = |stanza: &Element| stanza.from().split('/').next() == Some(&*room);
        let own = self.wait(mark, |stanza| {
            of_room(stanza)
                && stanza.name == "presence"
                && (stanza.kind() == "error" || stanza.statuses().contains(&"110"))
        })?;
        if own.kind() == "error" {
            return Err(json!(own));
        }
        let is_subject =
            |stanza: &Element| of_room(stanza) && stanza.subject().is_some() && stanza.body().is_none();
        let subject = self.wait(mark, is_subject)?;
        let seen = self.inbox.seen();
        let mine = seen.stanzas[mark..].iter().filter(|(session, _)| session == self.session);
        let before: Vec<&Element> =
            mine.map(|(_, stanza)| stanza).filter(|s| of_room(s)).take_while(|s| !is_subject(s)).collect();
        let (occupants, history): (Vec<_>, Vec<_>) = before.into_iter().partition(|s| s.name == "presence");
        Ok(json!({ "own": own, "subject": subject, "occupants": occupants, "history": history }))
    }

    pub fn leave(&self) -> Done {
        self.send(Presence::unavailable().with_to(self.occupant()))
    }

    pub fn say(&self) -> Done {
        self.send(groupchat(&self.text("room")).with_body(Lang::default(), self.text("text")))
    }

    pub fn whisper(&self) -> Done {
        let message = Message::chat(jid(&self.text("occupant")));
        self.send(message.with_body(Lang::default(), self.text("text")))
    }

    pub fn subject(&self) -> Done {
        let mut message = groupchat(&self.text("room"));
        message.subjects.insert(Lang::default(), self.text("subject"));
        self.send(message)
    }

    pub fn nick(&self) -> Done {
        let mark = self.mark();
        self.send(Presence::available().with_to(self.occupant()))?;
        let told = self.wait(mark, |stanza| {
            stanza.kind() == "error" || ["110", "303"].iter().all(|code| stanza.statuses().contains(code))
        })?;
        if told.kind() == "error" { Err(json!(told)) } else { Ok(told.muc_item("nick").into()) }
    }

    /// A change with one item, whose attributes are taken from the command.
    pub fn admin_set(&self, attributes: &[(&str, &str)]) -> Done {
        let mut item = Tree::bare("item", ADMIN);
        attributes.iter().for_each(|(name, key)| set_attr(&mut item, name, &self.text(key)));
        self.set(Tree::builder("query", ADMIN).append(item).build()).map(drop_answer)
    }

    pub fn list(&self) -> Done {
        let mut item = Tree::bare("item", ADMIN);
        set_attr(&mut item, "affiliation", &self.text("affiliation"));
        let list: Element = read(self.get(Tree::builder("query", ADMIN).append(item).build())?)?;
        Ok(list.all("item").iter().map(|item| item.attr("jid")).collect::<Vec<_>>().into())
    }

    pub fn read_configuration(&self) -> Done {
        let query: Element = read(self.get(Tree::bare("query", OWNER))?)?;
        query.child("x", "jabber:x:data").map(|form| json!(form)).ok_or_else(|| Value::from("no form"))
    }

    pub fn configure(&self) -> Done {
        let form = self.fill(&read(self.get(Tree::bare("query", OWNER))?)?)?;
        self.set(Tree::builder("query", OWNER).append(Tree::from(form)).build()).map(drop_answer)
    }

    pub fn invite_or_decline(&self) -> Done {
        let mut wish = Tree::bare(self.text("do"), MUC_USER);
        set_attr(&mut wish, "to", &self.text("jid"));
        let mut message = Message::normal(self.to());
        message.payloads.push(Tree::builder("x", MUC_USER).append(wish).build());
        self.send(message)
    }

    pub fn request_voice(&self) -> Done {
        self.submit(
            "http://jabber.org/protocol/muc#request",
            vec![Field::text_single("muc#role", "participant")],
        )
    }

    pub fn send_form(&self) -> Done {
        let fields = self.values().map(|(var, value)| Field::text_single(var, &value)).collect();
        self.submit(&self.text("form_type"), fields)
    }

    fn submit(&self, form_type: &str, fields: Vec<Field>) -> Done {
        let mut message = Message::normal(self.to());
        message.payloads.push(DataForm::new(DataFormType::Submit, form_type, fields).into());
        self.send(message)
    }

    pub fn destroy(&self) -> Done {
        self.set(Tree::builder("query", OWNER).append(Tree::bare("destroy", OWNER)).build()).map(drop_answer)
    }

    pub fn register(&self) -> Done {
        let form = self.fill(&read(self.get(Tree::bare("query", "jabber:iq:register"))?)?)?;
        self.set(ibr::FormQuery { instructions: None, form }).map(drop_answer)
    }

    pub fn unregister(&self) -> Done {
        self.set(Tree::from(ibr::RemoveQuery { remove: true })).map(drop_answer)
    }
}

pub(super) fn groupchat(room: &str) -> Message {
    Message::new_with_type(MessageType::Groupchat, jid(room))
}
