//! Who is in the room at the other instances: rosters, full lists, single presences (XEP-0281 "Joining a Shadow").

use std::collections::BTreeSet;

use minidom::Element;

use crate::address::Address;
use crate::clock::Hlc;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::ns;
use crate::replication::gate::Peer;
use crate::replication::payload::At;
use crate::replication::shadow::{Heard, tree};
use crate::replication::{Asked, InstanceInfo};
use crate::room::affiliations::Standing as Affiliated;
use crate::room::occupants::{Occupant, OccupantId, Session};
use crate::room::presence::Notice;
use crate::room::roles::{Affiliation, Role};
use crate::room::strip;
use crate::stanza::{Condition, El, ErrorKind, Kind, Payload, Stanza, StanzaError};

/// An occupant as its instance tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    nick: Nick,
    jid: Option<Address>,
    oid: Option<String>,
    /// When the nick was claimed, if it tells.
    claim: Option<Hlc>,
    role: Option<Role>,
    presence: Vec<Payload>,
}

impl Instance {
    /// The roster as XEP-0281 has it: everybody, of all instances.
    pub(crate) fn send_roster(&mut self, to: &InstanceInfo) {
        let items = self.room().occupants.iter().map(|occupant| {
            El::new("item", ns::DMUC)
                .attr("affiliation", self.affiliation_of(occupant).as_str())
                .attr_opt("jid", occupant.shown_jid().map(Address::as_str))
                .attr("name", occupant.nick.as_str())
        });
        for page in self.pages(to.domain(), items) {
            let roster = El::new("roster", ns::DMUC).children(page).payload();
            self.ask(&to.jid, "set", roster, Asked::Told);
        }
    }

    /// Our own occupants, all of them.
    pub(crate) fn send_occupants(&mut self, to: &Address, what: &Asked) {
        let ours = self.room().occupants.iter().filter(|occupant| self.speaks_for(occupant));
        let items = ours.map(|occupant| {
            let item = El::new("in", ns::SYNC)
                .attr("nick", occupant.nick.as_str())
                .attr_opt("jid", occupant.shown_jid().map(Address::as_str))
                .attr("oid", &occupant.oid)
                .attr("h", occupant.claim.to_string())
                .attr("role", occupant.role.as_str());
            occupant.presence().iter().fold(item, El::payload_child)
        });
        let until = self.room().replication.occupancy.to_string();
        let pages = self.pages(to.domain(), items);
        let last = pages.len() - 1;
        for (n, page) in pages.into_iter().enumerate() {
            // The first says that it is all there is, the others add to it.
            let since = (n > 0).then_some(&until);
            let occupants = El::new("occupants", ns::SYNC).attr_opt("since", since).attr("until", &until);
            let what = if n == last { what.clone() } else { Asked::Told };
            self.ask(to, "set", occupants.children(page).payload(), what);
        }
    }

    /// The source's roster. Those of instances that speak for themselves are taken from there; the others are here
    /// until their instance says otherwise.
    pub(crate) fn hear_roster(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_source(peer)?;
        self.only_instance(peer)?;
        let items: Vec<Element> =
            tree(request)?.children().filter(|i| i.is("item", ns::DMUC)).cloned().collect();
        if items.len() > self.policy.occupants_max as usize {
            return Err(StanzaError::new(Condition::PolicyViolation));
        }
        let told = items.iter().map(read_roster_item).collect::<Result<Vec<_>, _>>()?;
        for (told, affiliation) in told {
            let home = self.home_of(&told, peer);
            let new = &*home != self.policy.domain.as_str()
                && !self.is_ours(&told)
                && self.room().occupants.remote(&home, &told.nick).is_none();
            if new {
                self.note_affiliation(peer, &told, affiliation);
                self.take_in(&home, told);
            }
        }
        self.turn.send(stanza.result());
        self.open();
        Ok(())
    }

    /// Lets users in, unless the room cannot be protected here or an operator has yet to approve; and meets the others.
    fn open(&mut self) {
        let head = &mut self.room_mut().head;
        if head.suspended || head.pending {
            return;
        }
        head.locked = false;
        self.save_head();
        self.introduce_to_all();
    }

    /// Whether a plain XEP-0281 source tells us of an occupant of our own.
    fn is_ours(&self, told: &Told) -> bool {
        let key = told.nick.key();
        let mut shown = self.room().occupants.by_key(&key);
        let bare = told.jid.as_ref().map(Address::to_bare);
        shown.any(|own| self.room().occupants.is_here(own) && (bare.is_none() || own.jid == bare))
    }

    /// A plain XEP-0281 source has no list to send: what the roster says of those who are in is all there is.
    fn note_affiliation(&mut self, peer: &Peer, told: &Told, affiliation: Affiliation) {
        let Some(jid) = told.jid.as_ref().filter(|_| peer.core_only && affiliation != Affiliation::None)
        else {
            return;
        };
        let n = self.room().head.aff;
        let standing = Affiliated { affiliation, n, ..Affiliated::default() };
        self.turn.put(&crate::record::part::affiliation(&jid.to_bare()), &standing);
        self.room_mut().affiliations.set(jid.to_bare(), standing);
    }

    fn home_of(&self, told: &Told, peer: &Peer) -> std::sync::Arc<str> {
        let domain = told.jid.as_ref().map_or("", Address::domain);
        if self.policy.user_domains.iter().any(|own| own == domain) && !peer.core_only {
            // Whoever is at the source although we could have been nearer.
            return peer.domain.clone();
        }
        let vouching = self.room().replication.instances.iter().find(|instance| instance.vouches_for(domain));
        vouching.map_or_else(|| peer.domain.clone(), |instance| instance.domain().into())
    }

    /// The occupants of a peer's instance, as it tells itself: all of them, or what changed since a version that we
    /// have. All or nothing; only those whom we have banned are passed over.
    pub(crate) fn hear_occupants(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        let from = self.only_instance(peer)?;
        let request = tree(request)?;
        let number = |name| request.attr(name).map(str::parse::<u64>).transpose();
        let since = number("since").map_err(|_| Condition::BadRequest)?;
        let until = number("until").map_err(|_| Condition::BadRequest)?.ok_or(Condition::BadRequest)?;
        let told = self.read_occupants(peer, &request)?;
        let gone = read_outs(&request)?;
        self.check_gap(peer, since)?;
        match since {
            None => self.drop_untold(peer, &told),
            Some(_) => gone.iter().for_each(|nick| self.drop_remote(&peer.domain, nick)),
        }
        for told in told {
            if self.check_banned(&told).is_ok() {
                self.take_in(&peer.domain, told);
            }
        }
        self.turn.send(stanza.result());
        self.meet(peer, &from, until);
        Ok(())
    }

    fn read_occupants(&self, peer: &Peer, request: &Element) -> Result<Vec<Told>, StanzaError> {
        let items: Vec<&Element> = request.children().filter(|child| child.is("in", ns::SYNC)).collect();
        if items.len() > self.policy.occupants_max as usize {
            return Err(StanzaError::new(Condition::PolicyViolation));
        }
        let told = items.into_iter().map(read_in).collect::<Result<Vec<_>, _>>()?;
        told.iter().try_for_each(|told| self.check_told(peer, told))?;
        Ok(told)
    }

    fn check_gap(&self, peer: &Peer, since: Option<u64>) -> Heard {
        let known = self.room().replication.met.get(&peer.domain).copied().unwrap_or(0);
        match since {
            Some(since) if since != known => {
                let stale = El::new("stale", ns::SYNC).attr("n", known.to_string()).payload();
                Err(StanzaError::of_kind(Condition::UnexpectedRequest, ErrorKind::Wait).with(stale))
            }
            _ => Ok(()),
        }
    }

    fn check_told(&self, peer: &Peer, told: &Told) -> Heard {
        // Users of anybody's domain may be at the source; it answers for them.
        match &told.jid {
            Some(jid) if !peer.is_source => self.only_vouched(peer, jid),
            _ => Ok(()),
        }
    }

    fn drop_untold(&mut self, peer: &Peer, told: &[Told]) {
        let told: BTreeSet<&Nick> = told.iter().map(|told| &told.nick).collect();
        let of_peer = self.room().occupants.of_home(&peer.domain);
        let gone: Vec<Nick> =
            of_peer.map(|known| known.claimed.clone()).filter(|nick| !told.contains(nick)).collect();
        gone.iter().for_each(|nick| self.drop_remote(&peer.domain, nick));
    }

    fn drop_remote(&mut self, home: &str, nick: &Nick) {
        let id = self.room().occupants.remote(home, nick).map(Occupant::id);
        let notice = Notice { gone: true, ..Notice::default() };
        id.iter().for_each(|id| self.remove(id, &notice));
    }

    /// What is no instance any more has no occupants.
    pub(crate) fn drop_home(&mut self, home: &str) {
        let ids: Vec<OccupantId> = self.room().occupants.of_home(home).map(Occupant::id).collect();
        let notice = Notice { gone: true, ..Notice::default() };
        ids.iter().for_each(|id| self.remove(id, &notice));
    }

    /// A presence of an occupant of a peer's instance.
    pub(crate) fn hear_presence(&mut self, peer: &Peer, stanza: &Stanza) {
        if let Err(refusal) = self.try_hear_presence(peer, stanza) {
            self.report(peer, "refused a presence");
            self.turn.refuse(stanza, refusal);
        }
    }

    fn try_hear_presence(&mut self, peer: &Peer, stanza: &Stanza) -> Heard {
        self.only_instance(peer)?;
        let told = self.read_presence(stanza)?;
        let version = stanza.child("at", ns::SYNC).and_then(Payload::typed::<At>).map(|at| at.ver);
        let known = self.room().replication.met.get(&peer.domain).copied();
        if version.is_some() && version <= known {
            return Ok(());
        }
        match stanza.ty() {
            "" => {
                self.check_told(peer, &told)?;
                self.check_banned(&told)?;
                self.take_in(&peer.domain, told);
            }
            "unavailable" => self.hear_gone(peer, stanza, &told)?,
            _ => return Err(Condition::BadRequest.into()),
        }
        if let (Some(version), Some(_), Some(room)) = (version, known, &mut self.room) {
            room.replication.met.insert(peer.domain.clone(), version);
        }
        Ok(())
    }

    /// A banned user is not let in through another instance.
    fn check_banned(&self, told: &Told) -> Heard {
        let affiliation = told.jid.as_ref().map_or(Affiliation::None, |jid| self.affiliation(&jid.to_bare()));
        let excluded = self.room().config.members_only && affiliation < Affiliation::Member;
        if affiliation == Affiliation::Outcast || (excluded && told.jid.is_some()) {
            return Err(Condition::Forbidden.into());
        }
        Ok(())
    }

    fn hear_gone(&mut self, peer: &Peer, stanza: &Stanza, told: &Told) -> Heard {
        let Some(occupant) = self.room().occupants.remote(&peer.domain, &told.nick).cloned() else {
            return Ok(());
        };
        let x = stanza.child("x", ns::MUC_USER).and_then(|x| x.element().ok());
        let (codes, item) = x.as_ref().map(read_departure).unwrap_or_default();
        if codes.contains(&303) {
            let nick =
                item.as_ref().and_then(|item| item.attr("nick")).and_then(|nick| Nick::parse(nick).ok());
            let nick = nick.ok_or_else(|| StanzaError::new(Condition::JidMalformed))?;
            let claim = told.claim.unwrap_or_else(|| self.claim_stamp());
            self.rename_remote(&occupant, &nick, claim);
            return Ok(());
        }
        let text = |name| item.as_ref().and_then(|item| item.get_child(name, ns::MUC_USER));
        let notice = Notice {
            codes: codes
                .into_iter()
                .filter(|code| matches!(code, 301 | 307 | 321 | 322 | 332 | 333))
                .collect(),
            gone: true,
            actor: text("actor").and_then(|actor| actor.attr("nick")).map(str::to_owned),
            reason: text("reason").map(Element::text),
            last_words: told.presence.clone(),
            ..Notice::default()
        };
        self.remove(&occupant.id(), &notice);
        if let Some(jid) = &occupant.jid {
            self.end_granted_role(jid);
        }
        self.close_if_deserted();
        Ok(())
    }

    /// Takes in what a peer tells of one of its occupants, new or known.
    pub(crate) fn take_in(&mut self, home: &str, told: Told) {
        let bare = told.jid.as_ref().map(Address::to_bare);
        let known = self.room().occupants.remote(home, &told.nick).cloned();
        let known = match (known, &bare) {
            // Somebody else under a nick that we believed another's: its instance knows.
            (Some(other), Some(bare)) if other.jid.as_ref().is_some_and(|jid| jid != bare) => {
                self.drop_remote(home, &told.nick);
                None
            }
            (known, _) => known,
        };
        let (key, told_role) = (told.nick.key(), told.role);
        let mut occupant = self.as_told(home, told, bare, known.as_ref());
        occupant.role = self.role_of_remote(&occupant, told_role);
        if known.is_none() {
            occupant.nick = self.nick_for(&occupant);
        }
        // After a change of nick it is known already.
        if known.as_ref() != Some(&occupant) {
            self.put_occupant(occupant.clone());
            self.announce(&occupant, &Notice::default());
            self.push_presence(&occupant, &Notice::default());
        }
        self.settle_nick(&key);
    }

    fn as_told(
        &mut self,
        home: &str,
        told: Told,
        bare: Option<Address>,
        known: Option<&Occupant>,
    ) -> Occupant {
        let jid = bare.or_else(|| known.and_then(|known| known.jid.clone()));
        // Whose address is known has the id that goes with it, whatever its instance says.
        let oid = jid.as_ref().map(|jid| self.occupant_id(jid));
        let oid = oid.or(told.oid).or_else(|| known.map(|known| known.oid.clone()));
        let claim = told.claim.or_else(|| known.map(|known| known.claim));
        Occupant {
            nick: known.map_or_else(|| told.nick.clone(), |known| known.nick.clone()),
            claimed: told.nick,
            home: home.into(),
            oid: oid.unwrap_or_else(|| self.token(24)),
            role: Role::None,
            jid,
            claim: claim.unwrap_or_else(|| self.claim_stamp()),
            sessions: vec![Session { jid: told.jid, presence: told.presence, keeps_lists: false }],
        }
    }

    /// Keeps an occupant as it is now.
    pub(crate) fn put_occupant(&mut self, occupant: Occupant) {
        self.save_occupant(&occupant);
        self.room_mut().occupants.insert(occupant);
    }

    /// A peer's word lowers a role, never raises it: privileges do not travel.
    fn role_of_remote(&self, occupant: &Occupant, told: Option<Role>) -> Role {
        let affiliation = self.affiliation_of(occupant);
        let ours = match &occupant.jid {
            Some(jid) => self.role_for(jid, affiliation),
            None => affiliation.default_role(&self.room().config),
        };
        told.filter(|told| *told > Role::None).map_or(ours, |told| told.min(ours))
    }

    /// A peer bounced something of ours: one that does not know our occupant gets the list again.
    pub(crate) fn handle_peer_error(&mut self, peer: &Peer, stanza: &Stanza) {
        if stanza.kind == Kind::Message {
            self.return_to_writer(stanza);
        }
        let error = stanza.child("error", ns::STANZA).and_then(|error| error.element().ok());
        let unknown = error.is_some_and(|error| error.has_child("unknown-occupant", ns::SYNC));
        if unknown {
            self.set_introduced(&peer.domain, false);
            let instance = self.room().replication.instance(&peer.domain).cloned();
            instance.iter().for_each(|instance| self.introduce(instance));
        }
    }

    fn read_presence(&self, stanza: &Stanza) -> Result<Told, StanzaError> {
        let x = stanza.child("x", ns::MUC_USER).and_then(|x| x.element().ok());
        let item = x.as_ref().and_then(|x| x.get_child("item", ns::MUC_USER));
        let at: Option<At> = stanza.child("at", ns::SYNC).and_then(Payload::typed);
        let from = stanza.from.as_ref().ok_or(Condition::JidMalformed)?;
        let reserved =
            |child: &&Payload| strip::is_reserved(child, from) || strip::is_reserved(child, &self.jid);
        Ok(Told {
            nick: read_nick(from.resource())?,
            jid: item.map(read_jid).transpose()?.flatten(),
            oid: at.as_ref().and_then(|at| at.oid.clone()),
            claim: at.map(|at| at.h),
            role: item.and_then(|item| item.attr("role")).and_then(|role| role.parse().ok()),
            presence: stanza.children.iter().filter(|child| !reserved(child)).cloned().collect(),
        })
    }
}

fn bad_item(nick: Option<&str>) -> StanzaError {
    let named = El::new("bad-item", ns::SYNC).text(nick.unwrap_or(""));
    StanzaError::of_kind(Condition::JidMalformed, ErrorKind::Modify).with(named.payload())
}

fn read_nick(text: Option<&str>) -> Result<Nick, StanzaError> {
    text.and_then(|nick| Nick::parse(nick).ok()).ok_or_else(|| bad_item(text))
}

fn read_jid(item: &Element) -> Result<Option<Address>, StanzaError> {
    item.attr("jid").map(|jid| Address::parse(jid).map_err(|_| bad_item(item.attr("nick")))).transpose()
}

fn read_roster_item(item: &Element) -> Result<(Told, Affiliation), StanzaError> {
    let affiliation = item.attr("affiliation").and_then(|a| a.parse().ok()).unwrap_or(Affiliation::None);
    let nick = read_nick(item.attr("name"))?;
    let (oid, claim, role, presence) = (None, None, None, Vec::new());
    Ok((Told { nick, jid: read_jid(item)?, oid, claim, role, presence }, affiliation))
}

fn read_in(item: &Element) -> Result<Told, StanzaError> {
    Ok(Told {
        nick: read_nick(item.attr("nick"))?,
        jid: read_jid(item)?,
        oid: item.attr("oid").map(str::to_owned),
        claim: item.attr("h").and_then(|h| h.parse().ok()),
        role: item.attr("role").and_then(|role| role.parse().ok()),
        presence: item.children().filter_map(|child| Payload::parse_xml(&String::from(child)).ok()).collect(),
    })
}

fn read_outs(request: &Element) -> Result<Vec<Nick>, StanzaError> {
    let outs = request.children().filter(|child| child.is("out", ns::SYNC));
    outs.map(|out| read_nick(out.attr("nick"))).collect()
}

fn read_departure(x: &Element) -> (Vec<u16>, Option<Element>) {
    let statuses = x.children().filter(|child| child.is("status", ns::MUC_USER));
    let codes = statuses.filter_map(|status| status.attr("code")?.parse().ok()).collect();
    (codes, x.get_child("item", ns::MUC_USER).cloned())
}
