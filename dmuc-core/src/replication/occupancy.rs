//! Who is in the room at the other instances: rosters, full lists, single presences (XEP-0281 "Joining a Shadow").

use minidom::Element;
use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::clock::Hlc;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::ns;
use crate::replication::gate::Peer;
use crate::replication::payload::{At, condition};
use crate::replication::shadow::{Heard, tree};
use crate::replication::{Asked, InstanceInfo};
use crate::room::occupants::{Occupant, OccupantId, Session};
use crate::room::presence::Notice;
use crate::room::roles::{Affiliation, Role};
use crate::room::strip;
use crate::stanza::{Condition, El, ErrorKind, Payload, Stanza, StanzaError};

/// An occupant as its instance tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    nick: Nick,
    jid: Option<Address>,
    oid: Option<String>,
    claim: Hlc,
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
        let roster = El::new("roster", ns::DMUC).children(items).payload();
        self.ask(&to.jid, "set", roster, Asked::Told);
    }

    /// Our own occupants, all of them.
    pub(crate) fn send_occupants(&mut self, to: &Address, what: Asked) {
        let items = self.room().occupants.local().map(|occupant| {
            let item = El::new("in", ns::SYNC)
                .attr("nick", occupant.nick.as_str())
                .attr_opt("jid", occupant.shown_jid().map(Address::as_str))
                .attr("oid", &occupant.oid)
                .attr("h", occupant.claim.to_string())
                .attr("role", occupant.role.as_str());
            occupant.presence().iter().fold(item, El::payload_child)
        });
        let until = self.room().replication.occupancy.to_string();
        let occupants = El::new("occupants", ns::SYNC).attr("until", until).children(items).payload();
        self.ask(to, "set", occupants, what);
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
                && self.room().occupants.remote(&home, &told.nick).is_none();
            if new {
                self.note_affiliation(peer, &told, affiliation);
                self.take_in(&home, told);
            }
        }
        self.room_mut().head.locked = false;
        self.save_head();
        self.turn.send(stanza.result());
        Ok(())
    }

    /// A plain XEP-0281 source has no list to send: what the roster says of those who are in is all there is.
    fn note_affiliation(&mut self, peer: &Peer, told: &Told, affiliation: Affiliation) {
        let Some(jid) = told.jid.as_ref().filter(|_| peer.core_only && affiliation != Affiliation::None)
        else {
            return;
        };
        let (nick, reason, role, n) = (None, None, None, self.room().head.aff);
        let standing = crate::room::affiliations::Standing { affiliation, nick, reason, role, n };
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

    /// All occupants of a peer's instance, as it tells itself. Ours are sent in return to one that is met anew.
    pub(crate) fn hear_occupants(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        let from = self.only_instance(peer)?;
        let request = tree(request)?;
        let told: Vec<Element> =
            request.children().filter(|child| child.is("in", ns::SYNC)).cloned().collect();
        if told.len() > self.policy.occupants_max as usize {
            return Err(StanzaError::new(Condition::PolicyViolation));
        }
        let told = told.iter().map(read_in).collect::<Result<Vec<_>, _>>()?;
        for told in &told {
            self.check_told(peer, told)?;
        }
        if request.attr("since").is_none() {
            self.drop_untold(peer, &told);
        }
        told.into_iter().for_each(|told| self.take_in(&peer.domain, told));
        self.turn.send(stanza.result());
        let until = request.attr("until").and_then(|until| until.parse().ok()).unwrap_or(0);
        let met = self.room_mut().replication.met.insert(peer.domain.clone(), until).is_some();
        if !met && !self.room().head.locked {
            self.greet(&from, peer);
        }
        Ok(())
    }

    /// A peer met for the first time gets our occupants; the source, that a new shadow is complete, so it asks for the
    /// history.
    fn greet(&mut self, from: &Address, peer: &Peer) {
        self.send_occupants(from, Asked::Told);
        if peer.is_source {
            self.request_history();
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
        let kept = |occupant: &&Occupant| told.iter().any(|told| told.nick == occupant.claimed);
        let gone: Vec<OccupantId> =
            self.room().occupants.of_home(&peer.domain).filter(|o| !kept(o)).map(Occupant::id).collect();
        let notice = Notice { gone: true, ..Notice::default() };
        gone.iter().for_each(|id| self.remove(id, &notice));
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
        let told = read_presence(stanza)?;
        match stanza.ty() {
            "" => {
                self.check_told(peer, &told)?;
                self.check_banned(&told)?;
                self.take_in(&peer.domain, told);
                Ok(())
            }
            "unavailable" => self.hear_gone(peer, stanza, &told),
            _ => Err(Condition::BadRequest.into()),
        }
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
            self.rename_remote(&occupant, &nick, told.claim);
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

    fn rename_remote(&mut self, occupant: &Occupant, nick: &Nick, claim: Hlc) {
        let shown = self.shown_nick(&occupant.home, occupant.jid.as_ref(), nick, claim);
        if shown == occupant.nick {
            // It has taken the name that it was shown under already.
            let mut settled = occupant.clone();
            settled.claimed = nick.clone();
            self.save_occupant(&settled);
            self.room_mut().occupants.insert(settled);
        } else {
            self.rename(&occupant.id(), &shown, &[]);
        }
    }

    /// Takes in what a peer tells of one of its occupants, new or known.
    pub(crate) fn take_in(&mut self, home: &str, told: Told) {
        let session = Session { jid: told.jid.clone(), presence: told.presence };
        let bare = told.jid.as_ref().map(Address::to_bare);
        let known = self.room().occupants.remote(home, &told.nick).cloned();
        let role = self.role_of_remote(bare.as_ref(), told.role, known.as_ref());
        let occupant = match known {
            Some(known) => Occupant { jid: bare.or(known.jid), role, sessions: vec![session], ..known },
            None => {
                let nick = self.shown_nick(home, bare.as_ref(), &told.nick, told.claim);
                let oid = told.oid.or_else(|| bare.as_ref().map(|jid| self.occupant_id(jid)));
                let oid = oid.unwrap_or_else(|| self.token(24));
                let home = home.into();
                Occupant {
                    nick,
                    claimed: told.nick,
                    home,
                    oid,
                    role,
                    jid: bare,
                    claim: told.claim,
                    sessions: vec![session],
                }
            }
        };
        self.save_occupant(&occupant);
        self.room_mut().occupants.insert(occupant.clone());
        self.announce(&occupant, &Notice::default());
    }

    /// A peer's word lowers a role, never raises it: privileges do not travel.
    fn role_of_remote(&self, bare: Option<&Address>, told: Option<Role>, known: Option<&Occupant>) -> Role {
        let ours = match bare.or(known.and_then(|known| known.jid.as_ref())) {
            Some(jid) => self.role_on_entry(jid),
            None => Affiliation::None.default_role(&self.room().config),
        };
        told.filter(|told| *told > Role::None).map_or(ours, |told| told.min(ours))
    }

    /// The nick that a peer's occupant is shown under: its own, or an alias if somebody else's claim is better.
    ///
    /// The better claim is, in this order: a registered owner's, that of an occupant of the source, the older one,
    /// that of the lesser instance. Every instance finds the same; each renames its own losers.
    fn shown_nick(&mut self, home: &str, bare: Option<&Address>, nick: &Nick, claim: Hlc) -> Nick {
        let rival = self
            .room()
            .occupants
            .by_key(&nick.key())
            .find(|o| o.jid.as_ref() != bare || bare.is_none())
            .cloned();
        let Some(rival) = rival.filter(|rival| &*rival.home != home) else { return nick.clone() };
        let source = self.room().head.firsthost.as_str().to_owned();
        let reserved = self.room().affiliations.holder_of(&nick.key()).cloned();
        let rank = |jid: Option<&Address>, claim: Hlc, home: &str| {
            (reserved.as_ref() != jid || jid.is_none(), home != source, claim, home.to_owned())
        };
        let newcomer_wins = rank(bare, claim, home) < rank(rival.jid.as_ref(), rival.claim, &rival.home);
        if !newcomer_wins {
            return alias(nick, bare);
        }
        let other = alias(&rival.nick, rival.jid.as_ref());
        if self.room().occupants.is_here(&rival) {
            self.rename(&rival.id(), &other, &[210]);
        } else {
            self.show_under(&rival, &other);
        }
        nick.clone()
    }

    /// Shows a peer's occupant under another nick until its own instance renames it.
    fn show_under(&mut self, occupant: &Occupant, nick: &Nick) {
        let claimed = occupant.claimed.clone();
        self.rename(&occupant.id(), nick, &[]);
        let renamed = self.room().occupants.by_key(&nick.key()).find(|o| o.home == occupant.home).cloned();
        if let Some(mut renamed) = renamed {
            renamed.claimed = claimed;
            self.save_occupant(&renamed);
            self.room_mut().occupants.insert(renamed);
        }
    }

    /// A peer bounced something of ours: one that does not know our occupant gets the list again.
    pub(crate) fn handle_peer_error(&mut self, peer: &Peer, stanza: &Stanza) {
        let error = stanza.child("error", ns::STANZA).and_then(|error| error.element().ok());
        let unknown = error.is_some_and(|error| error.has_child("unknown-occupant", ns::SYNC));
        if let (true, Some(room)) = (unknown, peer.room.clone()) {
            self.send_occupants(&room, Asked::Told);
        }
    }
}

/// `nick~` and six hex digits of the user's address: the name of whoever loses a nick conflict.
fn alias(nick: &Nick, bare: Option<&Address>) -> Nick {
    let digest = Sha256::digest(bare.map_or("", Address::as_str));
    let suffix: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    Nick::parse(&format!("{nick}~{suffix}")).unwrap_or_else(|_| nick.clone())
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
    let (oid, claim, role, presence) = (None, Hlc::default(), None, Vec::new());
    Ok((Told { nick, jid: read_jid(item)?, oid, claim, role, presence }, affiliation))
}

fn read_in(item: &Element) -> Result<Told, StanzaError> {
    Ok(Told {
        nick: read_nick(item.attr("nick"))?,
        jid: read_jid(item)?,
        oid: item.attr("oid").map(str::to_owned),
        claim: item.attr("h").and_then(|h| h.parse().ok()).unwrap_or_default(),
        role: item.attr("role").and_then(|role| role.parse().ok()),
        presence: item.children().filter_map(|child| Payload::parse_xml(&String::from(child)).ok()).collect(),
    })
}

fn read_presence(stanza: &Stanza) -> Result<Told, StanzaError> {
    let x = stanza.child("x", ns::MUC_USER).and_then(|x| x.element().ok());
    let item = x.as_ref().and_then(|x| x.get_child("item", ns::MUC_USER));
    let at: Option<At> = stanza.child("at", ns::SYNC).and_then(Payload::typed);
    let from = stanza.from.as_ref().and_then(Address::resource);
    let room = stanza.from.clone().unwrap_or_else(|| Address::parse("invalid").expect("a domain"));
    let said = stanza.children.iter().filter(|child| !strip::is_reserved(child, &room));
    Ok(Told {
        nick: read_nick(from)
            .map_err(|_| StanzaError::new(Condition::JidMalformed).with(condition("bad-item")))?,
        jid: item.map(read_jid).transpose()?.flatten(),
        oid: at.as_ref().and_then(|at| at.oid.clone()),
        claim: at.map(|at| at.h).unwrap_or_default(),
        role: item.and_then(|item| item.attr("role")).and_then(|role| role.parse().ok()),
        presence: said.cloned().collect(),
    })
}

fn read_departure(x: &Element) -> (Vec<u16>, Option<Element>) {
    let statuses = x.children().filter(|child| child.is("status", ns::MUC_USER));
    let codes = statuses.filter_map(|status| status.attr("code")?.parse().ok()).collect();
    (codes, x.get_child("item", ns::MUC_USER).cloned())
}
