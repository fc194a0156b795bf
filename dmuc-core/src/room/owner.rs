//! Owner use cases (XEP-0045 §10): configuration and destruction.

use std::collections::BTreeMap;
use std::sync::Arc;

use minidom::Element;
use xmpp_parsers::data_forms::{DataForm, DataFormType};

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::ns;
use crate::policy::Distribute;
use crate::record::part;
use crate::room::admin::Order;
use crate::room::config::{Applied, Config, FormScope, Password, list_fields, status_codes};
use crate::room::presence::Notice;
use crate::room::roles::Affiliation;
use crate::room::subscribers::Node;
use crate::stanza::{Condition, El, Payload, Stanza, StanzaError};
use crate::storage::{Change, Tombstone};

/// Where a room's occupants go when it ends, and why.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    pub alternate: Option<Address>,
    /// What one must know to enter there.
    pub password: Option<Password>,
    pub reason: Option<String>,
}

impl Instance {
    /// A `muc#owner` request of a user.
    pub(crate) fn handle_owner(&mut self, stanza: &Stanza, query: &Element) {
        let Some(from) = &stanza.from else { return };
        let from = from.clone();
        let done = if self.affiliation(&from) < Affiliation::Owner {
            Err(StanzaError::new(Condition::Forbidden).because("Only owners may do this."))
        } else if stanza.ty() == "get" {
            self.send_form(stanza);
            Ok(())
        } else {
            self.owner_set(&from, query, Cause::of(stanza))
        };
        if let Err(refusal) = done {
            self.turn.refuse(stanza, refusal);
        }
    }

    fn send_form(&mut self, stanza: &Stanza) {
        let room = self.room();
        let mut form = room.config.form(self.form_scope());
        let listed = |affiliation| room.affiliations.with(affiliation).map(|(jid, _)| jid);
        form.fields.extend(list_fields(listed(Affiliation::Admin), listed(Affiliation::Owner)));
        let query = El::new("query", ns::MUC_OWNER).payload_child(&Payload::of_form(&form)).payload();
        self.turn.send(stanza.result().with(query));
    }

    pub(crate) fn form_scope(&self) -> FormScope {
        FormScope::Owner { distributed: self.policy.distribute == Distribute::Owner }
    }

    /// Does what an owner wants, or has the source decide; `cause` is answered with the outcome.
    pub(crate) fn owner_set(
        &mut self,
        from: &Address,
        query: &Element,
        cause: Cause,
    ) -> Result<(), StanzaError> {
        if !self.is_source() {
            self.propose_owner_set(from, query, cause);
            return Ok(());
        }
        self.owner_order(query)?;
        self.turn.send_opt(cause.result());
        Ok(())
    }

    /// Does what an owner asks, with us as the source.
    pub(crate) fn owner_order(&mut self, query: &Element) -> Result<(), StanzaError> {
        if let Some(destroy) = query.get_child("destroy", ns::MUC_OWNER) {
            let ending = read_ending(destroy)?;
            self.destroy(&ending);
            return Ok(());
        }
        let form = query.get_child("x", ns::DATA).ok_or(Condition::BadRequest)?;
        let form: DataForm = xso::transform(form).map_err(|_| Condition::BadRequest)?;
        match form.type_ {
            DataFormType::Cancel if self.room().head.locked => self.destroy(&Ending::default()),
            DataFormType::Cancel => {}
            DataFormType::Submit => self.configure(&form)?,
            _ => return Err(Condition::BadRequest.into()),
        }
        Ok(())
    }

    fn configure(&mut self, form: &DataForm) -> Result<(), StanzaError> {
        let Applied { config, admins, owners, .. } =
            self.room().config.apply_form(form, self.form_scope())?;
        let orders = self.listed_orders(admins, owners);
        self.keep_lists_sound(&orders)?;
        if !orders.is_empty() {
            self.mint_orders(None, &orders);
        }
        self.mint_config(config);
        Ok(())
    }

    /// The changes that make the lists of admins and owners those of the form. Whoever is dropped from a list and is
    /// on no other stays a member.
    fn listed_orders(&self, admins: Option<Vec<Address>>, owners: Option<Vec<Address>>) -> Vec<Order> {
        let list = &self.room().affiliations;
        let mut wanted: BTreeMap<Address, Affiliation> = BTreeMap::new();
        for (affiliation, listed) in [(Affiliation::Admin, admins), (Affiliation::Owner, owners)] {
            let Some(listed) = listed else { continue };
            for (jid, _) in list.with(affiliation) {
                wanted.entry(jid.clone()).or_insert(Affiliation::Member);
            }
            wanted.extend(listed.into_iter().map(|jid| (jid, affiliation)));
        }
        let changed = wanted.into_iter().filter(|(jid, wanted)| list.listed(jid) != *wanted);
        changed.map(|(jid, to)| Order { affiliation: Some(to), ..Order::about(jid) }).collect()
    }

    /// Makes a configuration the room's, with us as its source; opens a locked room; tells everybody.
    pub(crate) fn mint_config(&mut self, mut config: Config) {
        config.distributed |= self.policy.distribute == Distribute::All;
        config.distributed &= self.policy.distribute != Distribute::Never;
        config.history_length = config.history_length.min(self.policy.history_max);
        config.max_users = config.max_users.map(|max| max.min(self.policy.occupants_max));
        let opened = self.room().head.locked;
        if !opened && config == *self.room().config {
            return;
        }
        let room = self.room_mut();
        room.head.locked = false;
        room.head.cfg += 1;
        let was_moderated = self.room().config.moderated;
        self.adopt_config(config);
        self.push_config();
        if was_moderated {
            self.end_granted_roles();
        }
        self.place_at_once();
    }

    /// Puts a configuration into force here.
    pub(crate) fn adopt_config(&mut self, config: Config) {
        let seen = self.seen_everyone();
        let old = std::mem::replace(&mut self.room_mut().config, Arc::new(config));
        let new = self.room().config.clone();
        self.turn.put(part::CONFIG, new.as_ref());
        self.save_head();
        self.announce_statuses(&status_codes(&old, &new));
        self.reconsider_everyone(&seen);
        self.reconsider_subscriptions();
        if old.presence_broadcast != new.presence_broadcast {
            let everyone: Vec<_> = self.room().occupants.iter().cloned().collect();
            everyone.iter().for_each(|occupant| self.show_or_hide(occupant, old.broadcasts(occupant.role)));
        }
        if !old.absent_members {
            self.show_absent_to_all();
        }
    }

    /// Ends the room everywhere, with us as its source (XEP-0045 §10.9).
    pub(crate) fn destroy(&mut self, ending: &Ending) {
        self.tell_peers_of_the_end(Some(ending));
        self.end(ending);
    }

    /// Ends the room here: everyone is told, and a tombstone stays.
    pub(crate) fn end(&mut self, ending: &Ending) {
        let destroy = destroy_element(ending);
        let everyone: Vec<_> = self.room().occupants.local().cloned().collect();
        for occupant in everyone {
            let notice = Notice { gone: true, destroy: Some(destroy.clone()), ..Notice::default() };
            self.announce_to_self(&occupant, &notice);
        }
        self.disappoint_users();
        let x = El::new("x", ns::MUC_USER).child(destroy).payload();
        let farewell = Stanza::presence().with_type("unavailable").with_from(&self.jid).with(x);
        self.notify(Node::System, &farewell);
        let room = self.room();
        // Other services, or those who follow the address to another one, must not find a stranger's room here.
        let distributed =
            (room.config.distributed && !room.head.locked) || !room.replication.instances.is_empty();
        let blocks = distributed || !self.is_source() || ending.alternate.is_some();
        let tombstone = Tombstone {
            uid: room.head.uid,
            jid: self.jid.clone(),
            at: self.turn.now,
            alternate: ending.alternate.clone(),
            reason: ending.reason.clone(),
            blocks_until: self.turn.now.plus(if blocks { self.policy.tombstone_ms } else { 0 }),
        };
        self.turn.change(Change::Destroy(Some(tombstone.clone())));
        self.tombstone = Some(tombstone);
        self.room = None;
    }
}

fn destroy_element(ending: &Ending) -> El {
    let text = |name, text: &str| El::new(name, ns::MUC_USER).text(text);
    El::new("destroy", ns::MUC_USER)
        .attr_opt("jid", ending.alternate.as_ref().map(Address::as_str))
        .children(ending.password.as_deref().map(|password| text("password", password)))
        .children(ending.reason.as_deref().map(|reason| text("reason", reason)))
}

fn read_ending(destroy: &Element) -> Result<Ending, StanzaError> {
    let alternate = destroy
        .attr("jid")
        .map(|jid| Address::parse(jid).map_err(|_| Condition::JidMalformed))
        .transpose()?;
    let text = |name| destroy.get_child(name, ns::MUC_OWNER).map(Element::text);
    Ok(Ending { alternate, password: text("password").map(Password::from), reason: text("reason") })
}
