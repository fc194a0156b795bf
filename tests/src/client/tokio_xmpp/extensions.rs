//! What other specifications let users do in rooms.

use std::str::FromStr;

use serde_json::{Value, json};
use tokio_xmpp::minidom::Element as Tree;
use tokio_xmpp::parsers::disco::{DiscoInfoQuery, DiscoInfoResult, DiscoItemsQuery, DiscoItemsResult};
use tokio_xmpp::parsers::mam;
use tokio_xmpp::parsers::ping::Ping;
use tokio_xmpp::parsers::presence::Presence;
use tokio_xmpp::parsers::rsm::SetQuery;
use tokio_xmpp::parsers::vcard::{Binval, Photo, Type, VCard, VCardQuery};

use super::Done;
use super::rooms::groupchat;
use super::trees::{grown, read, set_attr};
use super::user::{User, drop_answer};
use crate::element::Element;

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const MAM: &str = "urn:xmpp:mam:2";
const MUC: &str = "http://jabber.org/protocol/muc";
const RAI: &str = "urn:xmpp:rai:0";
/// Messages of one page.
const PAGE: usize = 2;

impl User<'_> {
    pub fn ping(&self) -> Done {
        self.get(Ping).map(drop_answer)
    }

    pub fn features(&self) -> Done {
        let info = grown(&read(self.get(DiscoInfoQuery { node: None })?)?);
        let info = DiscoInfoResult::try_from(info).map_err(|error| Value::from(error.to_string()))?;
        Ok(info.features.into_iter().collect::<Vec<_>>().into())
    }

    pub fn commands(&self) -> Done {
        let query = DiscoItemsQuery { node: Some(COMMANDS.to_owned()), rsm: None };
        let offered = DiscoItemsResult::try_from(grown(&read(self.get(query)?)?));
        let items = offered.map_err(|error| Value::from(error.to_string()))?.items;
        let mut nodes: Vec<String> = items.into_iter().filter_map(|item| item.node).collect();
        nodes.sort();
        Ok(json!(nodes))
    }

    /// Begins a command and, if it asks for a form, submits that.
    pub fn execute(&self) -> Done {
        let begun = self.set(self.command_element())?;
        let asked: Element = read(begun.clone())?;
        if asked.attr("status") != "executing" {
            return Ok(begun);
        }
        let mut submission = self.command_element();
        set_attr(&mut submission, "action", "complete");
        set_attr(&mut submission, "sessionid", asked.attr("sessionid"));
        submission.append_child(self.fill(&asked)?.into());
        self.set(submission)
    }

    fn command_element(&self) -> Tree {
        let mut command = Tree::bare("command", COMMANDS);
        set_attr(&mut command, "node", &self.text("node"));
        command
    }

    /// Page by page, until the archive says that it is complete.
    pub fn archive(&self) -> Done {
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

    pub fn retract(&self) -> Done {
        let mut retract = Tree::bare("retract", "urn:xmpp:message-retract:1");
        set_attr(&mut retract, "id", &self.text("message"));
        let mut message = groupchat(&self.text("room"));
        message.payloads.push(retract);
        self.send(message)
    }

    pub fn moderate(&self) -> Done {
        let mut moderate = Tree::bare("moderate", "urn:xmpp:message-moderate:1");
        set_attr(&mut moderate, "id", &self.text("message"));
        moderate.append_child(Tree::bare("retract", "urn:xmpp:message-retract:1"));
        self.set(moderate).map(drop_answer)
    }

    pub fn card(&self) -> Done {
        self.get(VCardQuery)
    }

    pub fn publish_card(&self) -> Done {
        let binval = Binval { data: self.text("photo").into_bytes() };
        let photo = Photo { type_: Type { data: "image/png".to_owned() }, binval };
        self.set(VCard { photo: Some(photo), payloads: Vec::new() }).map(drop_answer)
    }

    pub fn follow(&self) -> Done {
        let mut presence = Presence::available().with_to(self.to());
        presence.payloads.push(Tree::bare("rai", RAI));
        self.send(presence)
    }

    pub fn unfollow(&self) -> Done {
        self.send(Presence::unavailable().with_to(self.to()))
    }

    pub fn enter_versioned(&self) -> Done {
        let mut mav = Tree::bare("mav", "urn:xmpp:muc:affiliations:1");
        if let Some(since) = self.command["since"].as_str() {
            set_attr(&mut mav, "since", since);
        }
        let mut presence = Presence::available().with_to(self.occupant());
        presence.payloads.push(Tree::builder("x", MUC).append(mav).build());
        self.send(presence)
    }

    /// A request as the command has it; answered with the whole iq.
    pub fn any_request(&self) -> Done {
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
