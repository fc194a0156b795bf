//! Affiliation versioning (XEP-0463): a client that keeps the lists is told on joining what has changed since, and then
//! every change.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use xso::{AsXml, FromXml};

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::room::admin::Actor;
use crate::room::affiliations::Standing;
use crate::room::occupants::Occupant;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, El, Kind, Payload, Stanza};

/// Most changes in one message, but for those of one version, which stay together.
const ITEMS_MAX: usize = 200;

/// `<mav/>`: from which version to which.
#[derive(FromXml, AsXml, Debug, Clone, PartialEq)]
#[xml(namespace = ns::MAV, name = "mav")]
pub(crate) struct Mav {
    /// The version that is known already; none if nothing is.
    #[xml(attribute(default))]
    pub since: Option<String>,
    /// The version that is known then.
    #[xml(attribute(default))]
    pub until: Option<String>,
}

/// What a client asks for in its join, if anything (XEP-0463 §5.1).
fn asked(stanza: &Stanza) -> Option<Mav> {
    let x = stanza.child("x", ns::MUC)?.element().ok()?;
    xso::transform(x.get_child("mav", ns::MAV)?).ok()
}

impl Instance {
    /// The opaque name of a version. It cannot be guessed, since what has changed after a version tells who was on a
    /// list before (XEP-0463 §6); all instances know the same.
    fn version_name(&self, version: u64) -> String {
        let version = version.to_be_bytes();
        let mac = self.keyed_hash(&[ns::MAV.as_bytes(), &version].concat());
        BASE64.encode([version.as_slice(), &mac[..8]].concat())
    }

    /// The version of a name that this room has given.
    fn version_named(&self, name: &str) -> Option<u64> {
        let version = BASE64.decode(name).ok()?.first_chunk::<8>().copied().map(u64::from_be_bytes)?;
        let given = version <= self.room().affiliations.changed() && self.version_name(version) == name;
        given.then_some(version)
    }

    fn mav(&self, since: Option<u64>, until: u64) -> Payload {
        let name = |version| self.version_name(version);
        Payload::of(&Mav { since: since.map(name), until: Some(name(until)) })
    }

    /// Tells a client that is about to be let in what it does not know of the lists, before anything else (XEP-0463
    /// §5.2.1); whether it keeps them. A plain XEP-0281 source has no versions to give.
    pub(crate) fn tell_affiliations(&mut self, stanza: &Stanza) -> bool {
        let (Some(mav), Some(client)) = (asked(stanza), stanza.from.clone()) else { return false };
        if self.room().head.core_only {
            return false;
        }
        let bare = client.to_bare();
        let actor = Actor { role: self.role_on_entry(&bare), ..self.actor(&client) };
        if !Affiliation::ALL.into_iter().any(|listed| self.may_list(&actor, listed).is_ok()) {
            let refused = Stanza::new(Kind::Message).with_from(&client).with_to(&self.jid);
            let refused = Stanza { id: stanza.id.clone(), ..refused };
            self.turn.refuse(&refused, Condition::Forbidden);
            return false;
        }
        let known = mav.since.and_then(|name| self.version_named(&name));
        let messages = self.affiliation_messages(&actor, known);
        messages.into_iter().for_each(|message| self.turn.send(message.with_to(&client)));
        true
    }

    /// What has changed since a version, or all, in order of version: no message if nothing has.
    fn affiliation_messages(&self, actor: &Actor, known: Option<u64>) -> Vec<Stanza> {
        let mut changed: Vec<(&Address, &Standing)> = self.room().affiliations.iter().collect();
        changed.retain(|(_, standing)| known.is_none_or(|known| standing.changed > known));
        changed.sort_by_key(|(_, standing)| standing.changed);
        let mut parts: Vec<Vec<(&Address, &Standing)>> = Vec::new();
        for part in changed.chunk_by(|a, b| a.1.changed == b.1.changed) {
            match parts.last_mut().filter(|last| last.len() + part.len() <= ITEMS_MAX) {
                Some(last) => last.extend(part),
                None => parts.push(part.to_vec()),
            }
        }
        let mut since = known;
        let message = |part: Vec<(&Address, &Standing)>| {
            let until = part.last().map_or(0, |(_, standing)| standing.changed);
            let mav = self.mav(since.replace(until), until);
            let shown = part.iter().map(|(jid, standing)| (*jid, self.shown_to(actor, standing.affiliation)));
            let shown = shown.filter(|(_, shown)| known.is_some() || *shown != Affiliation::None);
            self.list_message(&mav, shown.map(|(jid, shown)| item(jid, shown)))
        };
        parts.into_iter().map(message).collect()
    }

    fn list_message(&self, mav: &Payload, items: impl IntoIterator<Item = El>) -> Stanza {
        let x = El::new("x", ns::MUC_USER).payload_child(mav).children(items);
        Stanza::new(Kind::Message).with_from(&self.jid).with(x.payload())
    }

    /// An affiliation as somebody sees it who may not retrieve all lists.
    fn shown_to(&self, actor: &Actor, affiliation: Affiliation) -> Affiliation {
        if self.may_list(actor, affiliation).is_ok() { affiliation } else { Affiliation::None }
    }

    /// The version that a client has on coming in (XEP-0463 §5.2.1).
    pub(crate) fn version_now(&self) -> Payload {
        self.mav(None, self.room().affiliations.changed())
    }

    /// The step from a version to the present one, if it is one and anybody here keeps the lists.
    pub(crate) fn version_step(&self, since: u64) -> Option<Payload> {
        let until = self.room().affiliations.changed();
        let keeps = |occupant: &Occupant| occupant.sessions.iter().any(|session| session.keeps_lists);
        let told = until > since && self.room().occupants.local().any(keeps);
        told.then(|| self.mav(Some(since), until))
    }

    /// Tells those who keep the lists of changes that no presence tells (XEP-0463 §5.2.2).
    pub(crate) fn tell_of_absent(&mut self, moved: &[(Address, Affiliation)], step: &Payload) {
        let is_absent = |(jid, _): &&(Address, _)| self.room().occupants.matching(jid).is_empty();
        let absent: Vec<_> = moved.iter().filter(is_absent).cloned().collect();
        self.tell_who_moved(&absent, step);
    }

    /// The same, whether they are in or not.
    pub(crate) fn tell_who_moved(&mut self, moved: &[(Address, Affiliation)], step: &Payload) {
        if moved.is_empty() {
            return;
        }
        let items = moved.iter().map(|(jid, affiliation)| item(jid, *affiliation).attr("role", "none"));
        let message = self.list_message(step, items);
        let audience = self.clients_who_know_addresses(true);
        self.turn.fan_out(&message, audience);
    }

    /// Tells the others of each change of somebody who is not in (XEP-0045 §10.3, §10.4, §10.6, §10.7).
    pub(crate) fn tell_others_of_absent(&mut self, moved: &[(Address, Affiliation)]) {
        if moved.is_empty() {
            return;
        }
        let audience = self.clients_who_know_addresses(false);
        for (jid, affiliation) in moved {
            if self.room().occupants.matching(jid).is_empty() {
                let message = self.absent_message(jid, *affiliation);
                self.turn.fan_out(&message, audience.clone());
            }
        }
    }

    fn absent_message(&self, jid: &Address, affiliation: Affiliation) -> Stanza {
        let reason = self.room().affiliations.entry(jid).and_then(|standing| standing.reason.as_deref());
        let reason = reason.map(|reason| El::new("reason", ns::MUC_USER).text(reason));
        let item = item(jid, affiliation).attr("role", "none").children(reason);
        let banned = affiliation == Affiliation::Outcast;
        let banned = banned.then(|| El::new("status", ns::MUC_USER).attr("code", "301"));
        let x = El::new("x", ns::MUC_USER).child(item).children(banned);
        Stanza::new(Kind::Message).with_from(&self.jid).with(x.payload())
    }

    /// The clients here that may know real addresses, and keep the lists or do not.
    fn clients_who_know_addresses(&self, keep_lists: bool) -> Arc<[Address]> {
        let room = self.room();
        let knowing = room.occupants.local().filter(|occupant| room.config.whois.shows_to(occupant.role));
        let clients = knowing.flat_map(|occupant| &occupant.sessions);
        clients
            .filter(|client| client.keeps_lists == keep_lists)
            .filter_map(|client| client.jid.clone())
            .collect()
    }
}

fn item(jid: &Address, affiliation: Affiliation) -> El {
    El::new("item", ns::MUC_USER).attr("jid", jid.as_str()).attr("affiliation", affiliation.as_str())
}
