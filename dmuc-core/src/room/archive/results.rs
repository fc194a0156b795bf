//! What a query gets (XEP-0313 §4.2, §4.4): the messages of a page, then where it lies.

use xmpp_parsers::mam::{End, Fin, MetadataResponse, Start};
use xmpp_parsers::rsm::{First, SetResult};

use super::Asked;
use crate::address::Address;
use crate::event::Event;
use crate::instance::Instance;
use crate::ns;
use crate::room::history::as_message;
use crate::room::roles::Role;
use crate::stanza::{Condition, El, Payload, Stanza, Template};
use crate::storage::{LogEntry, Page};

/// Most bytes of content in one page; a longer one is cut, and is not complete.
const PAGE_BYTES_MAX: usize = 512 * 1024;

impl Instance {
    /// The store has given a page.
    pub(crate) fn show_page(&mut self, asked: &Asked, page: Option<Page>) {
        let Some(asker) = &asked.request.from else { return };
        if let Err(refusal) = self.may_read_archive(asker) {
            return self.turn.refuse(&asked.request, refusal);
        }
        let Some(page) = page else { return self.turn.refuse(&asked.request, Condition::ItemNotFound) };
        let page = within_bytes(page, asked.last);
        let full = self.sees_real_jids(asker);
        let mut templates: Vec<_> = (page.entries.iter())
            .map(|entry| Template::new(&self.result(asked, &entry.event, full)))
            .collect();
        if asked.flipped {
            templates.reverse();
        }
        self.turn.burst(templates, asker);
        self.turn.send(asked.request.result().with(fin(&page)));
    }

    /// A message of the archive as it was said, wrapped.
    fn result(&self, asked: &Asked, event: &Event, full: bool) -> Stanza {
        let id = event.id.to_string();
        let stamp = event.h.millis().to_stamp();
        let message = as_message(event, &self.jid);
        let known = event.jid.as_ref().filter(|_| full).map(|jid| self.sender_extension(event, jid));
        let forwarded = El::new("forwarded", ns::FORWARD)
            .child(El::new("delay", ns::DELAY).attr("stamp", stamp))
            .child(forwarded_message(&message.with_opt(known)));
        let result = El::new("result", ns::MAM)
            .attr("id", &id)
            .attr_opt("queryid", asked.queryid.as_deref())
            .child(forwarded);
        let mut wrapped = Stanza::new(crate::stanza::Kind::Message).with_from(&self.jid).with_id(&id);
        wrapped.children.push(result.payload());
        wrapped
    }

    /// Who is behind the nick, as presence tells it (XEP-0313 §6.1.2).
    fn sender_extension(&self, event: &Event, jid: &Address) -> Payload {
        let now = event.nick.as_ref().and_then(|nick| self.room().occupants.by_nick(nick));
        let role = now.filter(|now| now.jid.as_ref() == Some(jid)).map_or(Role::None, |now| now.role);
        let item = El::new("item", ns::MUC_USER)
            .attr("affiliation", self.affiliation(jid).as_str())
            .attr("jid", jid.as_str())
            .attr("role", role.as_str());
        El::new("x", ns::MUC_USER).child(item).payload()
    }
}

/// A message inside another stanza, without `to`.
fn forwarded_message(message: &Stanza) -> El {
    let element = El::stanza("message")
        .attr_opt("from", message.from.as_ref().map(Address::as_str))
        .attr_opt("id", message.id.as_deref())
        .attr("type", message.ty())
        .attr_opt("xml:lang", message.lang.as_deref());
    message.children.iter().fold(element, El::payload_child)
}

/// As much of a page as may be sent at once, from the end that it was asked from; one message at least.
fn within_bytes(mut page: Page, last: bool) -> Page {
    let mut bytes = 0;
    let mut fits = |entry: &LogEntry| {
        bytes += entry.event.bytes();
        bytes <= PAGE_BYTES_MAX || bytes == entry.event.bytes()
    };
    let all = page.entries.len();
    let kept = if last {
        page.entries.iter().rev().take_while(|entry| fits(entry)).count()
    } else {
        page.entries.iter().take_while(|entry| fits(entry)).count()
    };
    if last {
        page.entries.drain(..all - kept);
        page.index += (all - kept) as u64;
    } else {
        page.entries.truncate(kept);
    }
    page.complete &= kept == all;
    page
}

fn fin(page: &Page) -> Payload {
    let size = |n: u64| usize::try_from(n).ok();
    let id = |entry: &LogEntry| entry.event.id.to_string();
    let first = page.entries.first().map(|entry| First { index: size(page.index), item: id(entry) });
    let set = SetResult { first, last: page.entries.last().map(id), count: size(page.count) };
    Payload::of(&Fin { complete: page.complete, set })
}

/// The ends of the archive, nothing if it is empty.
pub(super) fn metadata(ends: Option<(super::End, super::End)>) -> Payload {
    let read = |(id, at): super::End| Some((id.to_string(), at.to_stamp().parse().ok()?));
    let (first, last) = ends.unzip();
    let start = first.and_then(read).map(|(id, timestamp)| Start { id, timestamp });
    let end = last.and_then(read).map(|(id, timestamp)| End { id, timestamp });
    Payload::of(&MetadataResponse { start, end })
}
