//! What occupants see of each other (XEP-0045 §7.2.2, §7.7).

use std::sync::Arc;

use crate::address::Address;
use crate::instance::{Instance, occupant_id_payload};
use crate::nick::Nick;
use crate::ns;
use crate::room::config::Whois;
use crate::room::occupants::{Face, Occupant, OccupantId};
use crate::room::roles::{Affiliation, Role};
use crate::room::subscribers::Node;
use crate::stanza::{Condition, El, ErrorKind, Payload, Stanza, StanzaError, Template};

/// What a presence says beyond who and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notice {
    /// Status codes.
    pub codes: Vec<u16>,
    /// Why, for people.
    pub reason: Option<String>,
    /// Who did it, by nick.
    pub actor: Option<String>,
    /// The version of the affiliation lists that this makes (`<mav/>`, XEP-0463).
    pub versions: Option<Payload>,
    /// The nick that this one is given up for.
    pub new_nick: Option<Nick>,
    /// The room is destroyed.
    pub destroy: Option<El>,
    /// The occupant is out.
    pub gone: bool,
    /// What it said on leaving.
    pub last_words: Vec<Payload>,
    /// The id under which the occupant itself wanted this; nobody else hears it (XEP-0045 §7.4, `muc#stable_id`).
    pub id: Option<Arc<str>>,
}

impl Notice {
    /// Only status codes.
    pub fn codes(codes: &[u16]) -> Self {
        Self { codes: codes.to_vec(), ..Self::default() }
    }

    /// The same with another code.
    pub fn and(&self, code: u16) -> Self {
        let mut with = self.clone();
        with.codes.push(code);
        with
    }
}

impl Instance {
    /// The affiliation that an occupant has now.
    pub(crate) fn affiliation_of(&self, occupant: &Occupant) -> Affiliation {
        let listed = occupant.jid.as_ref().map_or(Affiliation::None, |jid| self.affiliation(jid));
        if self.is_hearsay(occupant) { listed.min(Affiliation::Member) } else { listed }
    }

    /// The `muc#user` extension about an occupant.
    pub(crate) fn user_extension(&self, occupant: &Occupant, notice: &Notice, full: bool) -> Payload {
        let role = if notice.gone && notice.new_nick.is_none() { Role::None } else { occupant.role };
        // With the room its affiliations end too.
        let affiliation =
            if notice.destroy.is_some() { Affiliation::None } else { self.affiliation_of(occupant) };
        let mut item = El::new("item", ns::MUC_USER)
            .attr("affiliation", affiliation.as_str())
            .attr("role", role.as_str())
            .attr_opt("nick", notice.new_nick.as_ref().map(Nick::as_str));
        if let Some(jid) = occupant.shown_jid().filter(|_| full) {
            item = item.attr("jid", jid.as_str());
        }
        if let Some(actor) = &notice.actor {
            item = item.child(El::new("actor", ns::MUC_USER).attr("nick", actor));
        }
        if let Some(reason) = &notice.reason {
            item = item.child(El::new("reason", ns::MUC_USER).text(reason));
        }
        let x = notice.versions.iter().fold(El::new("x", ns::MUC_USER), El::payload_child);
        let x = x.child(item).children(notice.destroy.clone());
        let statuses =
            notice.codes.iter().map(|code| El::new("status", ns::MUC_USER).attr("code", code.to_string()));
        x.children(statuses).payload()
    }

    /// An occupant's presence as shown here, to those who see real JIDs (`full`) or to the others.
    pub(crate) fn render(&self, occupant: &Occupant, notice: &Notice, full: bool) -> Stanza {
        let said = if notice.gone { &notice.last_words } else { occupant.presence() };
        let mut presence = Stanza::presence()
            .with_from(&self.nick_jid(occupant.nick.as_str()))
            .with_all(said.iter().cloned())
            .with(occupant_id_payload(&occupant.oid))
            .with(self.user_extension(occupant, notice, full))
            .with_opt(self.hats_of(occupant).filter(|_| !notice.gone));
        presence.ty = notice.gone.then(|| "unavailable".into());
        presence
    }

    /// Whether everybody may see real JIDs.
    pub(crate) fn is_open_about_jids(&self) -> bool {
        self.room().config.whois == Whois::Anyone
    }

    /// Tells everyone here about an occupant; its own clients here get 110 on top, and its real JID. Whoever goes
    /// hears it before the others do (XEP-0045 §7.14), whoever stays after them.
    pub(crate) fn announce(&mut self, occupant: &Occupant, notice: &Notice) {
        if notice.gone {
            self.announce_to_self(occupant, notice);
        }
        self.announce_to_others(occupant, notice);
        if !notice.gone {
            self.announce_to_self(occupant, notice);
        }
    }

    /// Tells everyone here but the occupant itself, if the room shows occupants of its role.
    pub(crate) fn announce_to_others(&mut self, occupant: &Occupant, notice: &Notice) {
        if self.room().config.broadcasts(occupant.role) {
            self.show_to_others(occupant, notice);
        }
    }

    /// Shows an occupant that the room used to hide, or hides one that it used to show.
    pub(crate) fn show_or_hide(&mut self, occupant: &Occupant, was_shown: bool) {
        match (was_shown, self.room().config.broadcasts(occupant.role)) {
            (true, false) => self.show_to_others(occupant, &Notice { gone: true, ..Notice::default() }),
            (false, true) => self.show_to_others(occupant, &Notice::default()),
            _ => {}
        }
    }

    fn show_to_others(&mut self, occupant: &Occupant, notice: &Notice) {
        let full = self.render(occupant, notice, true);
        let audience = self.room_mut().occupants.audience();
        let own = self.clients_here(occupant);
        if self.is_open_about_jids() {
            self.turn.fan_out(&full, but(&audience.all, &own));
            return self.notify(Node::Presence, &full);
        }
        self.turn.fan_out(&full, but(&audience.moderators, &own));
        let plain = self.render(occupant, notice, false);
        self.turn.fan_out(&plain, but(&audience.others, &own));
        self.notify(Node::Presence, &plain);
    }

    /// Tells an occupant's own clients here about itself (status 110).
    pub(crate) fn announce_to_self(&mut self, occupant: &Occupant, notice: &Notice) {
        let own = self.clients_here(occupant);
        if !own.is_empty() {
            let mut presence = self.render(occupant, &notice.and(110), true);
            presence.id.clone_from(&notice.id);
            self.turn.fan_out(&presence, own);
        }
    }

    /// The clients by which an occupant is in here: none, if it is in at another instance, whoever it is.
    fn clients_here(&self, occupant: &Occupant) -> Arc<[Address]> {
        let here = self.room().occupants.is_here(occupant);
        let clients = occupant.sessions.iter().filter(|_| here).filter_map(|session| session.jid.clone());
        clients.collect()
    }

    /// Tells a client that has just come in about everyone, but for the occupant `itself`.
    pub(crate) fn show_everyone_to(&mut self, client: &Address, role: Role, itself: &OccupantId) {
        self.serialise_faces();
        let Self { room: Some(room), .. } = self else { return };
        let full = room.config.whois.shows_to(role);
        let shown: Vec<Arc<Template>> = room
            .occupants
            .faces()
            .filter(|(id, occupant, _)| *id != itself && room.config.broadcasts(occupant.role))
            .map(|(.., face)| if full { face.full.clone() } else { face.plain.clone() })
            .collect();
        self.turn.burst(shown, client);
    }

    fn serialise_faces(&mut self) {
        let notice = Notice::default();
        let face = |occupant: &Occupant| Face {
            plain: Template::new(&self.render(occupant, &notice, false)),
            full: Template::new(&self.render(occupant, &notice, true)),
        };
        let missing: Vec<(OccupantId, Face)> =
            self.room().occupants.faceless().map(|(id, occupant)| (id.clone(), face(occupant))).collect();
        missing.into_iter().for_each(|(id, face)| self.room_mut().occupants.set_face(&id, face));
    }

    /// A client says something new of itself (XEP-0045 §7.7).
    pub(crate) fn handle_presence_update(&mut self, id: &OccupantId, stanza: &Stanza) {
        let presence = self.said_by_user(stanza);
        self.room_mut().occupants.set_presence(id, stanza.from.as_ref(), presence);
        let Some(occupant) = self.room().occupants.get(id).cloned() else { return };
        self.save_occupant(&occupant);
        self.announce(&occupant, &Notice { id: stanza.id.clone(), ..Notice::default() });
        self.push_presence(&occupant, &Notice::default());
    }

    /// A probe: an occupant may ask how another is; nobody else learns anything, not even who is in (XEP-0045 §17.3).
    pub(crate) fn handle_probe(&mut self, stanza: &Stanza) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let Ok(nick) = self.read_nick(to) else { return };
        let Some(asker) = self.room().occupants.of_session(from) else {
            return self
                .turn
                .refuse(stanza, StanzaError::of_kind(Condition::NotAcceptable, ErrorKind::Cancel));
        };
        let config = &self.room().config;
        let itself = nick == asker.nick;
        let asked = self.room().occupants.by_nick(&nick);
        let answer = match asked.filter(|asked| itself || config.broadcasts(asked.role)) {
            Some(asked) => {
                let notice = if itself { Notice::codes(&[110]) } else { Notice::default() };
                self.render(asked, &notice, itself || config.whois.shows_to(asker.role))
            }
            None => Stanza::presence().with_type("unavailable").with_from(to),
        };
        self.turn.send(answer.with_to(from));
    }
}

/// An audience without an occupant's own clients; the shared snapshot itself if there are none of them in it.
fn but(audience: &Arc<[Address]>, own: &[Address]) -> Arc<[Address]> {
    if audience.iter().any(|jid| own.contains(jid)) {
        audience.iter().filter(|jid| !own.contains(jid)).cloned().collect()
    } else {
        audience.clone()
    }
}
