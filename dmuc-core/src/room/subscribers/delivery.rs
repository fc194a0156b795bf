//! What subscribers who are not in the room are told: each notice serialised once, for all of them.

use std::sync::Arc;

use super::Node;
use crate::address::Address;
use crate::event::Event;
use crate::instance::{Instance, RoomState};
use crate::ns;
use crate::room::message::is_subject_change;
use crate::room::roles::Affiliation;
use crate::stanza::{El, Kind, Payload, Stanza};

impl Instance {
    fn told(&mut self, node: Node) -> Arc<[Address]> {
        let RoomState { subscribers, occupants, .. } = self.room_mut();
        if subscribers.is_empty() { Arc::default() } else { subscribers.told(node, occupants) }
    }

    /// Passes on what occupants of this instance are shown.
    pub(crate) fn notify(&mut self, node: Node, stanza: &Stanza) {
        let to = self.told(node);
        if !to.is_empty() {
            let id = self.token(9);
            self.send_notice(node, &id, &nested(stanza), to);
        }
    }

    /// Passes on what was said; the item has the event's name. It is worth keeping for clients that are away.
    pub(crate) fn notify_of_event(&mut self, event: &Event, message: &Stanza) {
        let node = if is_subject_change(&event.content) { Node::Subject } else { Node::Messages };
        let to = self.told(node);
        if !to.is_empty() {
            self.send_notice(node, &event.id.to_string(), &nested(message), to);
        }
    }

    /// Passes on whose affiliation has become what, to those who may know their addresses.
    pub(crate) fn notify_of_affiliations(&mut self, changed: &[(Address, Affiliation)]) {
        let to = self.told(Node::Affiliations);
        let open = self.is_open_about_jids();
        let knows = |jid: &&Address| open || self.affiliation(jid) >= Affiliation::Admin;
        let to: Arc<[Address]> = to.iter().filter(knows).cloned().collect();
        if to.is_empty() || changed.is_empty() {
            return;
        }
        let items = changed.iter().map(|(jid, affiliation)| {
            let item = El::new("item", ns::MUC_USER).attr("jid", jid.as_str());
            item.attr("affiliation", affiliation.as_str())
        });
        let x = El::new("x", ns::MUC_USER).children(items).payload();
        let message = nested(&Stanza::new(Kind::Message).with_from(&self.jid).with(x));
        let id = self.token(9);
        self.send_notice(Node::Affiliations, &id, &message, to);
    }

    /// Tells who subscribes or does so no longer, with or without the real address.
    pub(super) fn notify_of_subscriber(&mut self, jid: &Address, open: &Payload, plain: &Payload) {
        let all_open = self.is_open_about_jids();
        let told = self.told(Node::Subscribers);
        let knows = |to: &Address| all_open || self.affiliation(to) >= Affiliation::Admin;
        let (knowing, others): (Vec<Address>, Vec<Address>) =
            told.iter().filter(|to| *to != jid).cloned().partition(knows);
        let id = self.token(9);
        for (to, payload) in [(knowing, open), (others, plain)] {
            self.send_notice(Node::Subscribers, &id, payload, to.into());
        }
    }

    fn send_notice(&mut self, node: Node, id: &str, what: &Payload, to: Arc<[Address]>) {
        let item = El::new("item", ns::PUBSUB_EVENT).attr("id", id).payload_child(what);
        let items = El::new("items", ns::PUBSUB_EVENT).attr("node", node.uri()).child(item);
        let notice = Stanza::new(Kind::Message).with_from(&self.jid);
        let notice = notice.with(El::new("event", ns::PUBSUB_EVENT).child(items).payload());
        let keep = matches!(node, Node::Messages | Node::Subject);
        let notice = notice.with_opt(keep.then(|| El::new("store", ns::HINTS).payload()));
        self.turn.fan_out(&notice, to);
    }
}

/// A stanza inside another one, addressed to nobody in particular.
fn nested(stanza: &Stanza) -> Payload {
    let element = El::stanza(stanza.kind.name())
        .attr_opt("from", stanza.from.as_ref().map(Address::as_str))
        .attr_opt("id", stanza.id.as_deref())
        .attr_opt("type", stanza.ty.as_deref())
        .attr_opt("xml:lang", stanza.lang.as_deref());
    stanza.children.iter().fold(element, El::payload_child).payload()
}
