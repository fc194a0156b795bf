//! What we tell the other instances: one stanza each, serialised once.

use std::sync::Arc;

use crate::address::Address;
use crate::event::Event;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::ns;
use crate::record::part;
use crate::replication::payload::{At, Ev, Ver};
use crate::replication::{Asked, InstanceInfo, Standing};
use crate::room::affiliations::Standing as Affiliated;
use crate::room::occupants::Occupant;
use crate::room::owner::Ending;
use crate::room::presence::Notice;
use crate::stanza::{El, Payload, Stanza};

impl Instance {
    /// The addresses of an occupant with this nick at the instances that are told of what happens here and fulfil a
    /// condition.
    fn peers_of(&self, nick: &Nick, wanted: impl Fn(&InstanceInfo) -> bool) -> Arc<[Address]> {
        let told = self.told_instances().filter(|instance| wanted(instance));
        told.filter_map(|instance| instance.jid.with_resource(nick.as_str()).ok()).collect()
    }

    /// Active instances that our operator still allows.
    pub(crate) fn told_instances(&self) -> impl Iterator<Item = &InstanceInfo> {
        self.room().replication.active().filter(|instance| self.is_allowed(instance.domain()))
    }

    /// Whether other instances know an occupant as one of ours: it is here, or at a plain XEP-0281 peer, which only its
    /// source talks to.
    pub(crate) fn speaks_for(&self, occupant: &Occupant) -> bool {
        let plain = || self.room().replication.instance(&occupant.home).is_some_and(|home| home.core_only);
        self.room().occupants.is_here(occupant) || (self.is_source() && plain())
    }

    /// What an occupant here says in passing, to every other instance.
    pub(crate) fn push_message(&mut self, message: &Stanza, nick: &Nick) {
        let peers = self.peers_of(nick, |_| true);
        self.turn.fan_out(message, peers);
    }

    /// An event of ours, to every instance but that of whoever said it.
    pub(crate) fn push_event(&mut self, event: &Event, home: &str) {
        let Some(nick) = event.nick.clone() else { return self.push_own_event(event) };
        let peers = self.peers_of(&nick, |peer| !peer.core_only && peer.domain() != home);
        let plain = self.plain_message(event, Some(&nick));
        self.turn.fan_out(&plain.clone().with(Payload::of(&Ev::of(event, false))), peers);
        let plain_peers = self.peers_of(&nick, |peer| peer.core_only && peer.domain() != home);
        self.turn.fan_out(&plain, plain_peers);
    }

    /// What the room itself says, from room to room; plain XEP-0281 peers know messages of occupants only.
    fn push_own_event(&mut self, event: &Event) {
        let peers =
            self.told_instances().filter(|peer| !peer.core_only).map(|peer| peer.jid.clone()).collect();
        let message = self.plain_message(event, None).with(Payload::of(&Ev::of(event, false)));
        self.turn.fan_out(&message, peers);
    }

    /// An event of another instance, to plain XEP-0281 peers, which nobody else talks to.
    pub(crate) fn relay_event(&mut self, event: &Event, shown: &Nick) {
        if self.is_source() {
            let peers = self.peers_of(shown, |peer| peer.core_only);
            let plain = self.plain_message(event, Some(shown));
            self.turn.fan_out(&plain, peers);
        }
    }

    /// An event as XEP-0281 pushes it.
    fn plain_message(&self, event: &Event, nick: Option<&Nick>) -> Stanza {
        let from = nick.map_or_else(|| self.jid.clone(), |nick| self.nick_jid(nick.as_str()));
        let mut message =
            Stanza::message("groupchat").with_from(&from).with_all(event.content.iter().cloned());
        message.id = event.stanza.as_deref().map(Into::into);
        message.lang = event.lang.as_deref().map(Into::into);
        message
    }

    /// A presence of an occupant, to every instance that hears of it from us: of our own to all, under a new version of
    /// our occupancy; of all others, at the source, to plain XEP-0281 peers.
    pub(crate) fn push_presence(&mut self, occupant: &Occupant, notice: &Notice) {
        if self.room().replication.instances.is_empty() {
            return;
        }
        let ours = self.speaks_for(occupant);
        if !ours && !self.is_source() {
            return;
        }
        let home = &occupant.home;
        let plain_peers = self.peers_of(&occupant.nick, |peer| peer.core_only && peer.domain() != &**home);
        let plain = self.plain_presence(occupant, notice);
        if ours {
            let peers = self.peers_of(&occupant.nick, |peer| !peer.core_only);
            let ver = self.next_occupancy();
            let at = At { ver, h: occupant.claim, oid: Some(occupant.oid.clone()) };
            self.turn.fan_out(&plain.clone().with(Payload::of(&at)), peers);
        }
        self.turn.fan_out(&plain, plain_peers);
    }

    fn plain_presence(&self, occupant: &Occupant, notice: &Notice) -> Stanza {
        let said = if notice.gone { &notice.last_words } else { occupant.presence() };
        let mut presence = Stanza::presence()
            .with_from(&self.nick_jid(occupant.nick.as_str()))
            .with_all(said.iter().cloned())
            .with(self.user_extension(occupant, notice, true));
        presence.ty = notice.gone.then(|| "unavailable".into());
        presence
    }

    fn next_occupancy(&mut self) -> u64 {
        self.room_mut().replication.occupancy += 1;
        let ver = self.room().replication.occupancy;
        self.turn.put(part::OCCUPANCY, &ver);
        ver
    }

    /// A private message to an occupant of another instance, to that instance alone.
    pub(crate) fn push_private(&mut self, message: Stanza, to: &Occupant) {
        let Some(instance) = self.room().replication.instance(&to.home) else { return };
        if let Ok(jid) = instance.jid.with_resource(to.claimed.as_str()) {
            self.turn.send(message.with_to(&jid));
        }
    }

    /// Asks a peer for something; the answer comes back as `what`.
    pub(crate) fn ask(&mut self, to: &Address, ty: &str, request: Payload, what: Asked) {
        self.ask_as(&self.jid.clone(), to, ty, request, what);
    }

    /// The same in the name of one of our occupants, or of the service. The id leads an answer to the service back to
    /// this room; it is given.
    pub(crate) fn ask_as(
        &mut self,
        from: &Address,
        to: &Address,
        ty: &str,
        request: Payload,
        what: Asked,
    ) -> String {
        let number = self.room_mut().replication.number();
        let salt = self.token(6);
        let id = match from.local() {
            Some(_) => format!("dmuc-{number}-{salt}"),
            None => format!("dmuc-{number}-{salt}:{}", self.jid.local().unwrap_or("")),
        };
        let now = self.turn.now;
        self.room_mut().replication.await_answer(&id, to, what, now);
        self.turn.send(Stanza::iq(ty, &id).with_from(from).with_to(to).with(request));
        id
    }

    /// The configuration, to all shadows; also to those that could not hold the last one, perhaps they can now.
    pub(crate) fn push_config(&mut self) {
        let suspended =
            self.room().replication.instances.iter().filter(|i| i.standing == Standing::Suspended);
        let suspended: Vec<InstanceInfo> = suspended.cloned().collect();
        let shadows = self.shadows().into_iter().chain(suspended);
        shadows.for_each(|instance| self.send_config(&instance));
    }

    pub(crate) fn send_config(&mut self, to: &InstanceInfo) {
        let room = self.room();
        let form = Payload::of(&room.config.submission());
        let mut config = El::new("config", ns::DMUC).payload_child(&form);
        if !to.core_only {
            config = config.payload_child(&Payload::of(&Ver { term: room.head.term, number: room.head.cfg }));
        }
        self.ask(&to.jid, "set", config.payload(), Asked::Config);
    }

    /// What changed in the affiliation list after version `since`, to all shadows.
    pub(crate) fn push_affiliations(&mut self, since: u64) {
        for instance in self.shadows().into_iter().filter(|instance| !instance.core_only) {
            self.send_affiliations(&instance, Some(since));
        }
    }

    /// The list, whole or after a version.
    pub(crate) fn send_affiliations(&mut self, to: &InstanceInfo, since: Option<u64>) {
        let room = self.room();
        let item = |(jid, standing): (&Address, &Affiliated)| {
            let item = El::new("item", ns::SYNC)
                .attr("jid", jid.as_str())
                .attr("affiliation", standing.affiliation.as_str())
                .attr_opt("nick", standing.nick.as_deref())
                .attr_opt("role", standing.role.map(|role| role.as_str()))
                .attr("n", standing.n.to_string())
                .attr("changed", standing.changed.to_string())
                .children(standing.hats.iter().map(|uri| El::new("hat", ns::SYNC).attr("uri", uri)));
            let reason = standing.reason.as_deref();
            let item = item.children(reason.map(|reason| El::new("reason", ns::SYNC).text(reason)));
            standing.wish.iter().fold(item, |item, wish| item.payload_child(&wish.form))
        };
        let list = El::new("affiliations", ns::SYNC)
            .attr("term", room.head.term.to_string())
            .attr_opt("since", since.map(|n| n.to_string()))
            .attr("until", room.head.aff.to_string());
        let pages = self.pages(to.domain(), room.affiliations.since(since.unwrap_or(0)).map(item));
        let last = pages.len() - 1;
        for (n, page) in pages.into_iter().enumerate() {
            let more = (n < last).then_some("true");
            let list = list.clone().attr_opt("more", more).children(page);
            let what = if n == last { Asked::Affiliations } else { Asked::Told };
            self.ask(&to.jid, "set", list.payload(), what);
        }
    }

    /// The instances of the room, ourselves first.
    pub(crate) fn instances_element(&self) -> El {
        let room = self.room();
        let instance = |jid: &Address, rank: u32, vouch: &[String], standing: Standing| {
            let vouched = vouch.iter().map(|domain| El::new("vouch", ns::SYNC).text(domain));
            let state = (standing == Standing::Suspended).then_some("suspended");
            let element =
                El::new("instance", ns::SYNC).attr("jid", jid.as_str()).attr("rank", rank.to_string());
            element.attr_opt("state", state).children(vouched)
        };
        let ourselves = instance(&self.jid, 0, &self.policy.user_domains, Standing::Active);
        let known = room.replication.instances.iter().filter(|instance| !instance.core_only);
        let others = known.map(|i| instance(&i.jid, i.rank, &i.vouch, i.standing));
        El::new("instances", ns::SYNC)
            .attr("uid", room.head.uid.to_string())
            .attr("term", room.head.term.to_string())
            .attr("ver", room.head.ins.to_string())
            .attr("secret", &room.head.secret)
            .child(ourselves)
            .children(others)
    }

    /// Tells the shadows who the instances are, but for one that knows.
    pub(crate) fn push_instances(&mut self, but: &Address) {
        let element = self.instances_element().payload();
        let others = self.shadows().into_iter().filter(|other| other.jid != *but && !other.core_only);
        others.for_each(|other| self.ask(&other.jid, "set", element.clone(), Asked::Told));
    }

    /// The shadows, if we are the source.
    pub(crate) fn shadows(&self) -> Vec<InstanceInfo> {
        if self.is_source() { self.told_instances().cloned().collect() } else { Vec::new() }
    }

    /// The room ends: every shadow is told (`<tombstone/>`), if we are the source.
    pub(crate) fn tell_peers_of_the_end(&mut self, ending: Option<&Ending>) {
        let room = self.room();
        let mut stone = El::new("tombstone", ns::SYNC)
            .attr("uid", room.head.uid.to_string())
            .attr("term", room.head.term.to_string())
            .attr("h", room.log.last_stamp().to_string())
            .attr_opt("alt", ending.and_then(|ending| ending.alternate.as_ref()).map(Address::as_str));
        if let Some(reason) = ending.and_then(|ending| ending.reason.as_deref()) {
            stone = stone.child(El::new("reason", ns::SYNC).text(reason));
        }
        let stone = stone.payload();
        for shadow in self.shadows().into_iter().filter(|shadow| !shadow.core_only) {
            self.ask(&shadow.jid, "set", stone.clone(), Asked::Told);
        }
    }
}
