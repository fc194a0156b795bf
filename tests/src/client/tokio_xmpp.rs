//! Clients of tokio-xmpp: what they are told is done with that library's own types where it has them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_xmpp::connect::DnsConfig;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::minidom::Element as Tree;
use tokio_xmpp::parsers::data_forms::{DataForm, DataFormType, Field};
use tokio_xmpp::parsers::disco::{DiscoInfoQuery, DiscoInfoResult};
use tokio_xmpp::parsers::ibr;
use tokio_xmpp::parsers::mam;
use tokio_xmpp::parsers::message::{Lang, Message, MessageType};
use tokio_xmpp::parsers::muc::Muc;
use tokio_xmpp::parsers::muc::muc::History;
use tokio_xmpp::parsers::ping::Ping;
use tokio_xmpp::parsers::presence::Presence;
use tokio_xmpp::parsers::rsm::SetQuery;
use tokio_xmpp::parsers::vcard::{Binval, Photo, Type, VCard, VCardQuery};
use tokio_xmpp::xmlstream::Timeouts;
use tokio_xmpp::{Client, Event, IqRequest, IqResponse, Stanza};

use super::inbox::Inbox;
use super::{Library, PATIENCE};
use crate::element::Element;

const ADMIN: &str = "http://jabber.org/protocol/muc#admin";
const OWNER: &str = "http://jabber.org/protocol/muc#owner";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
const PAGE: usize = 2;

type Done = Result<Value, Value>;

/// What a session is to send.
enum Outgoing {
    Stanza(Box<Stanza>),
    Request(Jid, IqRequest, std::sync::mpsc::Sender<Done>),
    End,
}

/// All sessions, on a runtime of their own.
#[derive(Debug)]
pub(super) struct TokioXmpp {
    runtime: Runtime,
    sessions: Mutex<BTreeMap<String, UnboundedSender<Outgoing>>>,
    inbox: Arc<Inbox>,
}

impl TokioXmpp {
    pub fn start(inbox: &Arc<Inbox>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        Self { runtime, sessions: Mutex::default(), inbox: Arc::clone(inbox) }
    }

    fn login(&self, session: &str, command: &Value) -> Done {
        let (outgoing, orders) = unbounded_channel();
        let addr = format!("{}:{}", text(command, "host"), command["port"]);
        let (jid, password) = (jid(&text(command, "jid")), text(command, "password"));
        let (inbox, name) = (Arc::clone(&self.inbox), session.to_owned());
        let (ready, is_ready) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let client = Client::new_plaintext(jid, password, DnsConfig::Addr { addr }, Timeouts::tight());
            Session { client, inbox, name, ready }.run(orders).await;
        });
        is_ready.recv_timeout(PATIENCE).map_err(|error| Value::from(error.to_string()))?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(session.to_owned(), outgoing);
        Ok(Value::Null)
    }
}

impl Library for TokioXmpp {
    fn perform(&self, session: &str, command: Value) -> Done {
        if command["do"] == "login" {
            return self.login(session, &command);
        }
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let outgoing = sessions[session].clone();
        drop(sessions);
        User { session, outgoing, inbox: &self.inbox, command: &command }.perform()
    }
}

/// One session as its task sees it.
struct Session {
    client: Client,
    inbox: Arc<Inbox>,
    name: String,
    ready: std::sync::mpsc::Sender<()>,
}

impl Session {
    async fn run(mut self, mut orders: UnboundedReceiver<Outgoing>) {
        loop {
            tokio::select! {
                event = self.client.next() => match event {
                    Some(event) => self.hear(event).await,
                    None => break,
                },
                order = orders.recv() => match order {
                    Some(Outgoing::Stanza(stanza)) => drop(self.client.send_stanza(*stanza).await),
                    Some(Outgoing::Request(to, request, reply)) => self.ask(to, request, reply).await,
                    Some(Outgoing::End) | None => {
                        // The stream may be gone already, which is the aim.
                        let _ = self.client.send_end().await;
                        break;
                    }
                },
            }
        }
        self.inbox.change(|seen| seen.closed.push((self.name, "ended".to_owned())));
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::Online { .. } => {
                drop(self.client.send_stanza(Presence::available().into()).await);
                // Nobody waits any more when the stream was made anew.
                let _ = self.ready.send(());
            }
            Event::Stanza(stanza) => {
                let stanza = plain(&tree(stanza));
                self.inbox.change(|seen| seen.stanzas.push((self.name.clone(), stanza)));
            }
            Event::Disconnected(error) => {
                self.inbox.change(|seen| seen.closed.push((self.name.clone(), error.to_string())));
            }
        }
    }

    async fn ask(&mut self, to: Jid, request: IqRequest, reply: std::sync::mpsc::Sender<Done>) {
        let answer = self.client.send_iq(Some(to), request).await;
        tokio::spawn(async move {
            let answer = match answer.await {
                Ok(IqResponse::Result(payload)) => Ok(json!(payload.as_ref().map(plain))),
                Ok(IqResponse::Error(error)) => Err(json!(refusal(&Tree::from(error)))),
                Err(failure) => Err(Value::from(failure.to_string())),
            };
            // Whoever asked may have lost patience.
            let _ = reply.send(answer);
        });
    }
}

/// A user who does one thing.
struct User<'a> {
    session: &'a str,
    outgoing: UnboundedSender<Outgoing>,
    inbox: &'a Inbox,
    command: &'a Value,
}

impl User<'_> {
    fn perform(&self) -> Done {
        match self.text("do").as_str() {
            "join" => self.join(),
            "leave" => self.send(Presence::unavailable().with_to(self.occupant())),
            "say" => self.send(groupchat(&self.text("room")).with_body(Lang::default(), self.text("text"))),
            "whisper" => self.send(
                Message::chat(jid(&self.text("occupant"))).with_body(Lang::default(), self.text("text")),
            ),
            "subject" => self.subject(),
            "nick" => self.nick(),
            "role" => self.admin_set(&[("nick", "nick"), ("role", "role")]),
            "affiliation" => self.admin_set(&[("jid", "jid"), ("affiliation", "affiliation")]),
            "list" => self.list(),
            "configuration" => self.configuration().map(|form| json!(plain(&form.into()))),
            "configure" => self.configure(),
            "invite" | "decline" => self.invite_or_decline(),
            "request_voice" => self.request_voice(),
            "destroy" => self.destroy(),
            "ping" => self.get(Ping).map(drop_answer),
            "features" => self.features(),
            "archive" => self.archive(),
            "retract" => self.retract(),
            "moderate" => self.moderate(),
            "register" => self.register(),
            "unregister" => self.set(Tree::from(ibr::RemoveQuery { remove: true })).map(drop_answer),
            "card" => self.get(VCardQuery),
            "publish_card" => self.publish_card(),
            "iq" => self.any_request(),
            "disconnect" => self.order(Outgoing::End),
            other => Err(Value::from(format!("{other} is not known here"))),
        }
    }

    fn text(&self, key: &str) -> String {
        text(self.command, key)
    }

    /// The address of what is asked.
    fn to(&self) -> Jid {
        let to = ["room", "to", "of"].into_iter().find(|key| self.command[key].is_string());
        jid(&self.text(to.expect("something is addressed")))
    }

    fn occupant(&self) -> Jid {
        jid(&format!("{}/{}", self.text("room"), self.text("nick")))
    }

    fn order(&self, order: Outgoing) -> Done {
        self.outgoing.send(order).map(|()| Value::Null).map_err(|_| Value::from("the session is gone"))
    }

    fn send(&self, stanza: impl Into<Stanza>) -> Done {
        self.order(Outgoing::Stanza(Box::new(stanza.into())))
    }

    fn request(&self, request: IqRequest) -> Done {
        let (reply, answer) = std::sync::mpsc::channel();
        self.order(Outgoing::Request(self.to(), request, reply))?;
        answer.recv_timeout(PATIENCE).unwrap_or_else(|error| Err(Value::from(error.to_string())))
    }

    fn get(&self, payload: impl Into<Tree>) -> Done {
        self.request(IqRequest::Get(payload.into()))
    }

    fn set(&self, payload: impl Into<Tree>) -> Done {
        self.request(IqRequest::Set(payload.into()))
    }

    fn mark(&self) -> usize {
        self.inbox.seen().stanzas.len()
    }

    fn wait(&self, mark: usize, wanted: impl Fn(&Element) -> bool) -> Result<Element, Value> {
        let found = self.inbox.stanza(self.session, mark, PATIENCE, wanted);
        found.ok_or_else(|| Value::from("timeout"))
    }

    fn join(&self) -> Done {
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

    fn subject(&self) -> Done {
        let mut message = groupchat(&self.text("room"));
        message.subjects.insert(Lang::default(), self.text("subject"));
        self.send(message)
    }

    fn nick(&self) -> Done {
        let mark = self.mark();
        self.send(Presence::available().with_to(self.occupant()))?;
        let told = self.wait(mark, |stanza| {
            stanza.kind() == "error" || ["110", "303"].iter().all(|code| stanza.statuses().contains(code))
        })?;
        if told.kind() == "error" { Err(json!(told)) } else { Ok(told.muc_item("nick").into()) }
    }

    /// A change with one item, whose attributes are taken from the command.
    fn admin_set(&self, attributes: &[(&str, &str)]) -> Done {
        let mut item = Tree::bare("item", ADMIN);
        attributes.iter().for_each(|(name, key)| set_attr(&mut item, name, &self.text(key)));
        self.set(Tree::builder("query", ADMIN).append(item).build()).map(drop_answer)
    }

    fn list(&self) -> Done {
        let mut item = Tree::bare("item", ADMIN);
        set_attr(&mut item, "affiliation", &self.text("affiliation"));
        let list: Element = read(self.get(Tree::builder("query", ADMIN).append(item).build())?)?;
        Ok(list.all("item").iter().map(|item| item.attr("jid")).collect::<Vec<_>>().into())
    }

    fn configuration(&self) -> Result<DataForm, Value> {
        let query: Element = read(self.get(Tree::bare("query", OWNER))?)?;
        let form = query.child("x", "jabber:x:data").ok_or("no form")?;
        DataForm::try_from(grown(form)).map_err(|error| Value::from(error.to_string()))
    }

    fn configure(&self) -> Done {
        let mut form = self.configuration()?;
        form.type_ = DataFormType::Submit;
        for (var, value) in self.command["values"].as_object().into_iter().flatten() {
            let field = form.fields.iter_mut().find(|field| field.var.as_ref() == Some(var));
            let field = field.ok_or_else(|| Value::from(format!("the form has no {var}")))?;
            field.values = vec![value.as_str().unwrap_or_default().to_owned()];
        }
        self.set(Tree::builder("query", OWNER).append(Tree::from(form)).build()).map(drop_answer)
    }

    fn invite_or_decline(&self) -> Done {
        let mut wish = Tree::bare(self.text("do"), MUC_USER);
        set_attr(&mut wish, "to", &self.text("jid"));
        let mut message = Message::normal(self.to());
        message.payloads.push(Tree::builder("x", MUC_USER).append(wish).build());
        self.send(message)
    }

    fn request_voice(&self) -> Done {
        let fields = vec![Field::text_single("muc#role", "participant")];
        let form = DataForm::new(DataFormType::Submit, "http://jabber.org/protocol/muc#request", fields);
        let mut message = Message::normal(self.to());
        message.payloads.push(form.into());
        self.send(message)
    }

    fn destroy(&self) -> Done {
        self.set(Tree::builder("query", OWNER).append(Tree::bare("destroy", OWNER)).build()).map(drop_answer)
    }

    fn features(&self) -> Done {
        let info = grown(&read(self.get(DiscoInfoQuery { node: None })?)?);
        let info = DiscoInfoResult::try_from(info).map_err(|error| Value::from(error.to_string()))?;
        Ok(info.features.into_iter().collect::<Vec<_>>().into())
    }

    /// Page by page, until the archive says that it is complete.
    fn archive(&self) -> Done {
        let (mut messages, mut after) = (Vec::new(), None);
        loop {
            let mark = self.mark();
            let set = SetQuery { max: Some(PAGE), after: after.take(), before: None, index: None };
            let query =
                mam::Query { queryid: None, node: None, form: None, set: Some(set), flip_page: false };
            let fin = mam::Fin::try_from(grown(&read(self.set(query)?)?))
                .map_err(|e| Value::from(e.to_string()))?;
            if let Some(last) = &fin.set.last {
                self.wait(mark, |stanza| stanza.child("result", MAM).is_some_and(|r| r.attr("id") == last))?;
            }
            let seen = self.inbox.seen();
            let mine = seen.stanzas[mark..].iter().filter(|(session, _)| session == self.session);
            let results = mine.filter_map(|(_, stanza)| stanza.child("result", MAM)?.find("message"));
            messages.extend(results.cloned());
            after = fin.set.last;
            if fin.complete || after.is_none() {
                return Ok(json!(messages));
            }
        }
    }

    fn retract(&self) -> Done {
        let mut retract = Tree::bare("retract", "urn:xmpp:message-retract:1");
        set_attr(&mut retract, "id", &self.text("message"));
        let mut message = groupchat(&self.text("room"));
        message.payloads.push(retract);
        self.send(message)
    }

    fn moderate(&self) -> Done {
        let mut moderate = Tree::bare("moderate", "urn:xmpp:message-moderate:1");
        set_attr(&mut moderate, "id", &self.text("message"));
        moderate.append_child(Tree::bare("retract", "urn:xmpp:message-retract:1"));
        self.set(moderate).map(drop_answer)
    }

    fn register(&self) -> Done {
        let asked: Element = read(self.get(Tree::bare("query", "jabber:iq:register"))?)?;
        let mut form = DataForm::try_from(grown(asked.child("x", "jabber:x:data").ok_or("no form")?))
            .map_err(|error| Value::from(error.to_string()))?;
        form.type_ = DataFormType::Submit;
        let nick = form.fields.iter_mut().find(|field| field.var.as_deref() == Some("muc#register_roomnick"));
        nick.ok_or("no field for the nick")?.values = vec![self.text("nick")];
        self.set(ibr::FormQuery { instructions: None, form }).map(drop_answer)
    }

    fn publish_card(&self) -> Done {
        let binval = Binval { data: self.text("photo").into_bytes() };
        let photo = Photo { type_: Type { data: "image/png".to_owned() }, binval };
        self.set(VCard { photo: Some(photo), payloads: Vec::new() }).map(drop_answer)
    }

    /// A request as the command has it; answered with the whole iq.
    fn any_request(&self) -> Done {
        let payload =
            Tree::from_str(&self.text("payload")).map_err(|error| Value::from(error.to_string()))?;
        let answer = if self.text("kind") == "get" { self.get(payload) } else { self.set(payload) };
        let iq = |children| Element {
            name: "iq".to_owned(),
            attributes: [("type".to_owned(), "result".to_owned())].into(),
            children,
            ..Element::default()
        };
        match answer {
            Ok(payload) => Ok(json!(iq(read::<Option<Element>>(payload)?.into_iter().collect()))),
            Err(refusal) if refusal.is_object() => Ok(refusal),
            Err(failure) => Err(failure),
        }
    }
}

const MAM: &str = "urn:xmpp:mam:2";

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn text(command: &Value, key: &str) -> String {
    command[key].as_str().unwrap_or_default().to_owned()
}

fn groupchat(room: &str) -> Message {
    Message::new_with_type(MessageType::Groupchat, jid(room))
}

fn drop_answer(_: Value) -> Value {
    Value::Null
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Value> {
    serde_json::from_value(value).map_err(|error| Value::from(error.to_string()))
}

fn tree(stanza: Stanza) -> Tree {
    match stanza {
        Stanza::Iq(iq) => iq.into(),
        Stanza::Message(message) => message.into(),
        Stanza::Presence(presence) => presence.into(),
    }
}

/// An error as the iq that carries it.
fn refusal(error: &Tree) -> Element {
    let attributes = [("type".to_owned(), "error".to_owned())].into();
    Element { name: "iq".to_owned(), attributes, children: vec![plain(error)], ..Element::default() }
}

fn set_attr(tree: &mut Tree, name: &str, value: &str) {
    let name = tokio_xmpp::minidom::rxml::NcName::try_from(name).expect("a plain name");
    tree.set_attr(tokio_xmpp::minidom::rxml::Namespace::NONE, name, value);
}

/// A tree as plain data.
fn plain(tree: &Tree) -> Element {
    let attributes = tree.attrs().iter().map(|((_, name), value)| (name.to_string(), value.clone()));
    Element {
        name: tree.name().to_owned(),
        namespace: tree.ns(),
        attributes: attributes.collect(),
        text: tree.text(),
        children: tree.children().map(plain).collect(),
    }
}

/// The tree of plain data.
fn grown(element: &Element) -> Tree {
    let mut tree = Tree::bare(&element.name, &element.namespace);
    element.attributes.iter().for_each(|(name, value)| set_attr(&mut tree, name, value));
    if !element.text.is_empty() {
        tree.append_text_node(element.text.clone());
    }
    for child in &element.children {
        tree.append_child(grown(child));
    }
    tree
}

#[cfg(test)]
mod tests {
    /// With its feature `component`, xmpp-parsers would write another namespace in everything that is built with it.
    #[test]
    fn stanzas_stay_those_of_clients() {
        assert_eq!(tokio_xmpp::parsers::ns::DEFAULT_NS, "jabber:client");
    }
}
