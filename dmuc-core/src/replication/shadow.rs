//! Being a shadow: taking in what the firsthost and the source send (XEP-0281 "Replicating a Room").

use std::collections::BTreeSet;

use minidom::Element;
use xmpp_parsers::data_forms::DataForm;

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::policy::{Decision, Direction};
use crate::replication::gate::{Peer, peer_denied};
use crate::replication::payload::{Terms, Ver, condition, retry_after};
use crate::replication::{InstanceInfo, Standing};
use crate::room::affiliations::Standing as Affiliated;
use crate::room::config::{Config, FormScope, Refused};
use crate::room::consequences::Deed;
use crate::room::create::read_uid;
use crate::room::owner::Ending;
use crate::room::register::read_wish;
use crate::stanza::{Condition, El, ErrorKind, Payload, Stanza, StanzaError};

/// Most instances of one room.
const INSTANCES_MAX: usize = 64;

/// What a request of replication leads to; refusals are answered in one place.
pub(crate) type Heard = Result<(), StanzaError>;

fn bad_request() -> StanzaError {
    Condition::BadRequest.into()
}

pub(crate) fn tree(request: &Payload) -> Result<Element, StanzaError> {
    request.element().map_err(|_| bad_request())
}

impl Instance {
    /// A firsthost wants a shadow here.
    pub(crate) fn hear_replicate(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        let request = tree(request)?;
        let rooms = self.policy.shadows_here.get(&*peer.domain).copied().unwrap_or(0);
        let decision = self.policy.peers.decide(&peer.domain, Direction::HostShadow, rooms);
        if decision == Decision::Deny {
            return Err(peer_denied());
        }
        let offer = match request.get_child("offer", ns::SYNC) {
            Some(offer) => Some(Terms::read(offer).ok_or_else(bad_request)?),
            None => None,
        };
        if let Some(stone) = &self.tombstone {
            let same = offer.as_ref().and_then(|offer| read_uid(&offer.uid)) == Some(stone.uid);
            return Err(if same { Condition::Gone(None) } else { Condition::Conflict }.into());
        }
        if self.room.is_some() {
            return self.hear_replicate_again(peer, stanza, offer.as_ref());
        }
        match decision {
            decision if decision == Decision::Full || self.is_service_full() => {
                Err(StanzaError::new(Condition::ResourceConstraint).with(retry_after(600)))
            }
            decision => self.become_shadow(peer, stanza, offer.as_ref(), decision == Decision::Ask),
        }
    }

    fn become_shadow(&mut self, peer: &Peer, stanza: &Stanza, offer: Option<&Terms>, pending: bool) -> Heard {
        if pending && offer.is_none() {
            // A plain XEP-0281 firsthost cannot be told to wait and hear later.
            return Err(StanzaError::new(Condition::ResourceConstraint).with(retry_after(86_400)));
        }
        let firsthost = Address::parse(&peer.domain).map_err(|_| bad_request())?;
        let uid = match offer {
            Some(offer) => read_uid(&offer.uid).ok_or_else(bad_request)?,
            None => self.fresh_uid(),
        };
        let mut head = self.fresh_head(uid, firsthost);
        head.core_only = offer.is_none();
        head.cfg = 0;
        head.pending = pending;
        if let Some(offer) = offer {
            let source = Address::parse(&offer.source).map_err(|_| Condition::JidMalformed)?;
            let foreign = source.domain() != &*peer.domain || source.local().is_none() || !source.is_bare();
            if foreign {
                return Err(StanzaError::new(Condition::Forbidden).with(condition("not-source")));
            }
            head.term = offer.term;
            head.source = Some(source);
        }
        self.begin(head, Config::default());
        if let Some(source) = self.room().head.source.clone() {
            self.add_source(source, peer);
        }
        self.accept(stanza, offer.is_some());
        Ok(())
    }

    fn accept(&mut self, stanza: &Stanza, extended: bool) {
        let bytes = stanza.from.as_ref().map_or(65_536, |from| self.bytes_max(from.domain()));
        let accept =
            extended.then(|| self.terms(self.room().head.pending).element("accept", bytes).payload());
        self.turn.send(stanza.result().with_opt(accept));
    }

    /// There is a room already: the same shadow again is well, all else a conflict.
    fn hear_replicate_again(&mut self, peer: &Peer, stanza: &Stanza, offer: Option<&Terms>) -> Heard {
        let head = &self.room().head;
        let ours = head.firsthost.as_str() == &*peer.domain;
        let same = match offer {
            Some(offer) => read_uid(&offer.uid) == Some(head.uid),
            None => head.core_only,
        };
        if ours && same {
            self.accept(stanza, offer.is_some());
            return Ok(());
        }
        let stale = offer.filter(|offer| read_uid(&offer.uid) == Some(head.uid)).map(|_| {
            El::new("stale", ns::SYNC)
                .attr("term", head.term.to_string())
                .attr_opt("source", head.source.as_ref().map(Address::as_str))
        });
        let error = StanzaError::new(Condition::Conflict);
        Err(match stale {
            Some(stale) => error.with(stale.payload()),
            None => error,
        })
    }

    fn add_source(&mut self, source: Address, peer: &Peer) {
        let vouch = self.policy.peers.get(&peer.domain).map(|rule| rule.vouched()).unwrap_or_default();
        let core_only = self.room().head.core_only;
        self.add_instance(InstanceInfo {
            jid: source,
            rank: 0,
            vouch,
            standing: Standing::Active,
            core_only,
            introduced: false,
        });
    }

    /// The source sends the configuration.
    pub(crate) fn hear_config(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_source(peer)?;
        let room = self.only_instance(peer)?;
        let request = tree(request)?;
        let head = &self.room().head;
        let version = request.get_child("ver", ns::SYNC);
        let version =
            version.map(|ver| xso::transform::<Ver, _>(ver).map_err(|_| bad_request())).transpose()?;
        if let Some(ver) = version {
            self.check_term(ver.term)?;
            if ver.term == head.term && ver.number <= head.cfg {
                self.turn.send(stanza.result());
                return Ok(());
            }
        }
        let form = request.get_child("x", ns::DATA).ok_or_else(bad_request)?;
        let form: DataForm = xso::transform(form).map_err(|_| bad_request())?;
        let applied = match self.room().config.apply_form(&form, FormScope::Peer) {
            Ok(applied) => applied,
            Err(refused) => return Err(self.fail_closed(refused)),
        };
        if self.room().head.source.is_none() {
            self.room_mut().head.source = Some(room.clone());
            self.add_source(room, peer);
        }
        self.take_config(applied.config, version);
        let unsupported =
            applied.unsupported.iter().map(|var| El::new("unsupported", ns::SYNC).text(var).payload());
        self.turn.send(stanza.result().with_all(unsupported));
        Ok(())
    }

    /// Whoever speaks for an older term than ours has been deposed.
    fn check_term(&self, term: u32) -> Heard {
        let head = &self.room().head;
        if term >= head.term {
            return Ok(());
        }
        let stale = El::new("stale", ns::SYNC)
            .attr("term", head.term.to_string())
            .attr_opt("source", head.source.as_ref().map(Address::as_str));
        let kind = ErrorKind::Modify;
        Err(StanzaError::of_kind(Condition::UnexpectedRequest, kind).with(stale.payload()))
    }

    /// What protects the room cannot be held here: nobody gets in any more until it can.
    fn fail_closed(&mut self, refused: Refused) -> StanzaError {
        let error = StanzaError::from(refused);
        let Some(var) = refused.var() else { return error };
        let head = &mut self.room_mut().head;
        (head.locked, head.suspended) = (true, true);
        self.save_head();
        error.with(El::new("unsupported", ns::SYNC).text(var).payload())
    }

    fn take_config(&mut self, config: Config, version: Option<Ver>) {
        let core_only = self.room().head.core_only;
        let head = &mut self.room_mut().head;
        head.cfg = version.map_or(head.cfg + 1, |ver| ver.number);
        head.term = version.map_or(head.term, |ver| ver.term);
        head.suspended = false;
        // A plain XEP-0281 source has nothing more to send that the room could not do without.
        head.locked &= !core_only;
        self.adopt_config(config);
        if let Some(source) = self.room().head.source.clone().filter(|_| core_only) {
            self.request_history(&source);
        }
    }

    /// The source sends the affiliation list, or what changed in it.
    pub(crate) fn hear_affiliations(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_source(peer)?;
        self.only_instance(peer)?;
        let request = tree(request)?;
        let number =
            |name: &str| request.attr(name).map(|n| n.parse::<u64>().map_err(|_| bad_request())).transpose();
        let (since, until) = (number("since")?, number("until")?.ok_or_else(bad_request)?);
        self.check_term_of(&request)?;
        let known = self.room().head.aff;
        if since.is_some_and(|since| since > known) {
            let stale = El::new("stale", ns::SYNC).attr("n", known.to_string()).payload();
            return Err(StanzaError::of_kind(Condition::UnexpectedRequest, ErrorKind::Wait).with(stale));
        }
        let items = request.children().filter(|child| child.is("item", ns::SYNC));
        let changed = items.map(|item| read_standing(item, until)).collect::<Result<Vec<_>, _>>()?;
        let held = |jid: &Address| self.room().affiliations.entry(jid).map_or(0, |standing| standing.n);
        let news = changed.into_iter().filter(|(jid, standing, _)| standing.n > held(jid)).collect();
        // A list in several parts has this version only with its last one.
        if !matches!(request.attr("more"), Some("true" | "1")) {
            self.room_mut().head.aff = known.max(until);
        }
        self.save_head();
        self.set_standings(news, None);
        self.turn.send(stanza.result());
        Ok(())
    }

    /// The source says who the instances are.
    pub(crate) fn hear_instances(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_source(peer)?;
        self.only_instance(peer)?;
        self.take_instances(&tree(request)?)?;
        self.turn.send(stanza.result());
        Ok(())
    }

    /// The firsthost reports a new peerhost; the plain form of XEP-0281 does not name it and is only acknowledged.
    pub(crate) fn hear_peerhost(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        if self.room.is_none() {
            return Err(Condition::ItemNotFound.into());
        }
        self.only_source(peer)?;
        if let Some(instances) = tree(request)?.get_child("instances", ns::SYNC) {
            self.take_instances(instances)?;
        }
        self.turn.send(stanza.result());
        Ok(())
    }

    pub(crate) fn check_term_of(&self, element: &Element) -> Heard {
        let term = element.attr("term").and_then(|term| term.parse().ok()).ok_or_else(bad_request)?;
        self.check_term(term)
    }

    fn take_instances(&mut self, element: &Element) -> Heard {
        let head = &self.room().head;
        let ver: u64 = element.attr("ver").and_then(|ver| ver.parse().ok()).ok_or_else(bad_request)?;
        if element.attr("uid").and_then(read_uid) != Some(head.uid) {
            return Err(Condition::ItemNotFound.into());
        }
        self.check_term_of(element)?;
        if ver <= head.ins {
            return Ok(());
        }
        let told = self.read_instances(element)?;
        let (others, denied): (Vec<_>, Vec<_>) = told
            .into_iter()
            .filter(|instance| instance.jid != self.jid)
            .partition(|instance| self.is_allowed(instance.domain()));
        self.replace_instances(others);
        let head = &mut self.room_mut().head;
        head.ins = ver;
        if let Some(secret) = element.attr("secret") {
            secret.clone_into(&mut head.secret);
        }
        self.save_head();
        self.introduce_to_all();
        match denied.first() {
            None => Ok(()),
            // The others are instances all the same; with this one we have nothing to do.
            Some(_) => Err(StanzaError::new(Condition::NotAllowed).with(condition("peer-denied"))),
        }
    }

    /// The list of instances: one for each service, ours at our address, the source among them.
    fn read_instances(&self, element: &Element) -> Result<Vec<InstanceInfo>, StanzaError> {
        let told = element.children().filter(|child| child.is("instance", ns::SYNC));
        let told = told.filter(|instance| instance.attr("state") != Some("removed"));
        let told = told.map(read_instance).collect::<Result<Vec<_>, _>>()?;
        if told.len() > INSTANCES_MAX {
            return Err(Condition::PolicyViolation.into());
        }
        let services: BTreeSet<&str> = told.iter().map(InstanceInfo::domain).collect();
        let has_source = told.iter().any(|instance| Some(&instance.jid) == self.room().head.source.as_ref());
        let misplaced = |i: &InstanceInfo| i.domain() == self.policy.domain.as_str() && i.jid != self.jid;
        if services.len() < told.len() || !has_source || told.iter().any(misplaced) {
            return Err(bad_request());
        }
        Ok(told)
    }

    fn replace_instances(&mut self, others: Vec<InstanceInfo>) {
        let before = std::mem::take(&mut self.room_mut().replication.instances);
        let known = |instance: InstanceInfo| {
            let same = before.iter().find(|known| known.jid == instance.jid);
            InstanceInfo { introduced: same.is_some_and(|known| known.introduced), ..instance }
        };
        self.room_mut().replication.instances = others.into_iter().map(known).collect();
        self.save_instances();
        for gone in before {
            if self.room().replication.instance(gone.domain()).is_none() {
                self.room_mut().replication.met.remove(gone.domain());
                self.drop_home(gone.domain());
            }
        }
    }

    /// The source says that the room has ended.
    pub(crate) fn hear_tombstone(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_source(peer)?;
        self.only_instance(peer)?;
        let stone = tree(request)?;
        self.check_term_of(&stone)?;
        if stone.attr("uid").and_then(read_uid) != Some(self.room().head.uid) {
            return Err(Condition::ItemNotFound.into());
        }
        self.turn.send(stanza.result());
        self.end(&Ending {
            alternate: stone.attr("alt").and_then(|alt| Address::parse(alt).ok()),
            reason: stone.get_child("reason", ns::SYNC).map(Element::text),
            password: None,
        });
        Ok(())
    }
}

fn read_standing(item: &Element, until: u64) -> Result<(Address, Affiliated, Deed), StanzaError> {
    let bad_item = || StanzaError::new(Condition::JidMalformed).with(condition("bad-item"));
    let jid = item
        .attr("jid")
        .and_then(|jid| Address::parse(jid).ok())
        .filter(Address::is_bare)
        .ok_or_else(bad_item)?;
    let affiliation = item.attr("affiliation").and_then(|a| a.parse().ok()).ok_or_else(bad_request)?;
    let role = item.attr("role").map(|role| role.parse().map_err(|_| bad_request())).transpose()?;
    let reason = item.get_child("reason", ns::SYNC).map(Element::text);
    let number = |name| item.attr(name).and_then(|n| n.parse().ok()).unwrap_or(until).min(until);
    let hats = item.children().filter(|child| child.is("hat", ns::SYNC));
    let standing = Affiliated {
        affiliation,
        nick: item.attr("nick").map(str::to_owned),
        reason,
        role,
        wish: item.get_child("x", ns::DATA).and_then(|form| read_wish(form).ok()),
        hats: hats.filter_map(|hat| hat.attr("uri")).map(str::to_owned).collect(),
        n: number("n"),
        changed: number("changed"),
    };
    let deed = Deed { reason: standing.reason.clone(), ..Deed::default() };
    Ok((jid, standing, deed))
}

fn read_instance(element: &Element) -> Result<InstanceInfo, StanzaError> {
    let jid =
        element.attr("jid").and_then(|jid| Address::parse(jid).ok()).filter(|jid| jid.local().is_some());
    let vouch = element.children().filter(|child| child.is("vouch", ns::SYNC)).map(Element::text);
    let standing = match element.attr("state") {
        None | Some("active") => Standing::Active,
        Some(_) => Standing::Suspended,
    };
    Ok(InstanceInfo {
        jid: jid.ok_or_else(bad_request)?.to_bare(),
        rank: element.attr("rank").and_then(|rank| rank.parse().ok()).unwrap_or(u32::MAX),
        vouch: vouch.collect(),
        standing,
        core_only: false,
        introduced: false,
    })
}
