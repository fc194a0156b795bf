//! Changes that are made at one instance and decided at another: configuration and affiliations by the source, kicks by
//! the instance of whoever is kicked.

use minidom::Element;
use xmpp_parsers::data_forms::DataForm;

use crate::address::Address;
use crate::event::EventId;
use crate::instance::Instance;
use crate::io::Cause;
use crate::nick::Nick;
use crate::ns;
use crate::replication::Asked;
use crate::replication::gate::Peer;
use crate::replication::payload::{Verdict, condition};
use crate::replication::shadow::{Heard, tree};
use crate::room::admin::{Actor, Order};
use crate::room::hats::HatOrder;
use crate::room::invite::Invitation;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, El, Payload, Stanza, StanzaError};

impl Instance {
    /// Sends ordered changes of role and affiliation to the source; its verdict answers the user.
    pub(crate) fn propose_orders(&mut self, actor: &Actor, orders: &[Order], cause: Option<Cause>) {
        let items = orders.iter().map(Order::element);
        let query = El::new("query", ns::MUC_ADMIN).children(items);
        let base = self.room().head.aff;
        self.propose(&actor.jid.clone(), base, &query.payload(), cause);
    }

    /// Sends an owner's request to the source.
    pub(crate) fn propose_owner_set(&mut self, actor: &Address, query: &Element, cause: Cause) {
        let base = self.room().head.cfg;
        match Payload::parse_xml(&String::from(query)) {
            Ok(query) => self.propose(&actor.to_bare(), base, &query, Some(cause)),
            Err(_) => self.turn.send_opt(cause.refusal(&Condition::BadRequest.into())),
        }
    }

    /// Sends an admin's command about hats to the source; its verdict answers the user.
    pub(crate) fn propose_hats(&mut self, actor: &Address, node: &str, form: &DataForm, cause: Cause) {
        let base = self.room().head.aff;
        let command = El::new("command", ns::COMMANDS).attr("node", node).payload_child(&Payload::of(form));
        self.propose(actor, base, &command.payload(), Some(cause));
    }

    /// Asks the source to let somebody in whom one of our occupants invites; then it is invited.
    pub(crate) fn propose_invitation(&mut self, inviter: &Address, invitation: Invitation) {
        let (base, wish) = (self.room().head.aff, invitation.request());
        self.propose_as(inviter, base, &wish, Asked::Admission(Box::new(invitation)));
    }

    /// A shadow's occupant invites: if it may, the invited become members.
    fn decide_invitation(&mut self, actor: &Actor, wish: &Element) -> Heard {
        if actor.role < Role::Participant || !self.room().config.may_invite(actor.affiliation) {
            return Err(Condition::Forbidden.into());
        }
        let invited = wish.children().filter(|child| child.is("invite", ns::MUC_USER));
        let invited = invited.filter_map(|invite| Address::parse(invite.attr("to")?).ok());
        let strangers =
            invited.map(|jid| jid.to_bare()).filter(|jid| self.affiliation(jid) == Affiliation::None);
        let orders: Vec<Order> = strangers
            .map(|jid| Order { affiliation: Some(Affiliation::Member), ..Order::about(jid) })
            .collect();
        if !orders.is_empty() {
            self.mint_orders(None, &orders);
        }
        Ok(())
    }

    /// Sends what a user of ours wants to the source, which decides.
    pub(crate) fn propose(&mut self, actor: &Address, base: u64, what: &Payload, cause: Option<Cause>) {
        if self.room().head.core_only {
            let at_source = StanzaError::new(Condition::NotAllowed)
                .because("This room can be administered only at its source.");
            return self.turn.send_opt(cause.and_then(|cause| cause.refusal(&at_source)));
        }
        self.propose_as(actor, base, what, Asked::ForUser(cause));
    }

    fn propose_as(&mut self, actor: &Address, base: u64, what: &Payload, asked: Asked) {
        let Some(source) = self.room().head.source.clone() else { return };
        let h = self.claim_stamp();
        let proposal = El::new("propose", ns::SYNC)
            .attr("id", EventId::random(&mut self.rng).to_string())
            .attr("h", h.to_string())
            .attr("base", base.to_string())
            .attr("actor", actor.as_str())
            .payload_child(what);
        self.ask(&source, "set", proposal.payload(), asked);
    }

    /// A shadow sends what one of its users wants of the source. The actor is one of its own, and has only the
    /// privileges that our list gives.
    pub(crate) fn hear_proposal(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_instance(peer)?;
        if !self.is_source() {
            return Err(StanzaError::new(Condition::Forbidden).with(condition("not-source")));
        }
        let request = tree(request)?;
        let id: EventId = request.attr("id").and_then(|id| id.parse().ok()).ok_or(Condition::BadRequest)?;
        let actor =
            request.attr("actor").and_then(|jid| Address::parse(jid).ok()).ok_or(Condition::JidMalformed)?;
        if !self.is_vouched(&peer.domain, &actor) {
            return Err(StanzaError::new(Condition::Forbidden).with(condition("not-authoritative")));
        }
        let wish = request.children().next().ok_or(Condition::BadRequest)?;
        self.decide(&actor.to_bare(), &peer.domain, wish)?;
        let verdict = stanza.result().with(Payload::of(&Verdict { id, ok: true, why: None }));
        // A room that has ended takes no answers any more: the verdict is first.
        match self.room {
            Some(_) => self.turn.send(verdict),
            None => self.turn.send_first(verdict),
        }
        Ok(())
    }

    fn decide(&mut self, actor: &Address, home: &str, wish: &Element) -> Heard {
        if wish.is("query", ns::MUC_ADMIN) {
            let actor = self.remote_actor(actor, home);
            let orders = self.read_orders(wish)?;
            self.check_orders(&actor, &orders)?;
            self.mint_orders(Some(&actor), &orders);
            return Ok(());
        }
        if wish.is("command", ns::COMMANDS) {
            let order = HatOrder::proposed(wish)?;
            self.check_hat_order(actor, &order)?;
            self.mint_hat_order(order);
            return Ok(());
        }
        if wish.is("vCard", ns::VCARD) {
            let vcard = Payload::parse_xml(&String::from(wish)).map_err(|_| Condition::BadRequest)?;
            let new = self.check_vcard(actor, &vcard)?;
            self.mint_vcard(new);
            return Ok(());
        }
        if wish.is("query", ns::REGISTER) {
            return self.register(actor, wish);
        }
        if wish.is("x", ns::MUC_USER) {
            let actor = self.remote_actor(actor, home);
            return self.decide_invitation(&actor, wish);
        }
        if !wish.is("query", ns::MUC_OWNER) {
            return Err(Condition::BadRequest.into());
        }
        if self.affiliation(actor) < Affiliation::Owner {
            return Err(StanzaError::new(Condition::Forbidden).because("Only owners may do this."));
        }
        self.owner_order(wish)
    }

    /// What a user of a peer's instance is here.
    fn remote_actor(&self, jid: &Address, home: &str) -> Actor {
        let occupant =
            self.room().occupants.of_home(home).find(|occupant| occupant.jid.as_ref() == Some(jid));
        Actor {
            nick: occupant.map(|occupant| occupant.nick.clone()),
            affiliation: self.affiliation(jid),
            role: occupant.map_or(Role::None, |occupant| occupant.role),
            jid: jid.clone(),
        }
    }

    /// Sends a kick to the instance of whoever is kicked; true if its answer is awaited.
    pub(crate) fn forward_kick(&mut self, actor: &Actor, kick: &Order, cause: Option<Cause>) -> bool {
        let Ok(target) = self.order_occupant(kick).cloned() else { return false };
        let Some(instance) = self.room().replication.instance(&target.home).cloned() else { return false };
        let kick = Order { nick: Some(target.claimed), jid: None, ..kick.clone() };
        let query = El::new("query", ns::MUC_ADMIN).child(kick.element()).payload();
        let from = actor.nick.as_ref().map_or_else(|| self.jid.clone(), |nick| self.nick_jid(nick.as_str()));
        self.ask_as(&from, &instance.jid, "set", query, Asked::ForUser(cause));
        true
    }

    /// A peer's moderator kicks one of our occupants: its privilege is checked against our own list.
    pub(crate) fn hear_kick(&mut self, peer: &Peer, stanza: &Stanza, request: &Payload) -> Heard {
        self.only_instance(peer)?;
        let nick = stanza.from.as_ref().and_then(Address::resource).and_then(|nick| Nick::parse(nick).ok());
        let moderator = nick.and_then(|nick| self.room().occupants.remote(&peer.domain, &nick)).cloned();
        let moderator = moderator
            .ok_or_else(|| StanzaError::new(Condition::Forbidden).with(condition("unknown-occupant")))?;
        let actor = Actor {
            affiliation: self.affiliation_of(&moderator),
            nick: Some(moderator.nick),
            role: moderator.role,
            jid: moderator.jid.unwrap_or_else(|| self.jid.clone()),
        };
        let orders = self.read_orders(&tree(request)?)?;
        if !orders.iter().all(Order::is_kick) {
            return Err(StanzaError::new(Condition::Forbidden).with(condition("not-source")));
        }
        self.check_orders(&actor, &orders)?;
        for order in &orders {
            if !self.kick_here(&actor, order) {
                return Err(Condition::ItemNotFound.into());
            }
        }
        self.turn.send(stanza.result());
        self.close_if_deserted();
        Ok(())
    }

    /// What another instance decided, told to the user who asked.
    pub(crate) fn answer_user(&mut self, cause: Option<Cause>, stanza: &Stanza, ok: bool) {
        let Some(cause) = cause else { return };
        if ok {
            return self.turn.send_opt(cause.result());
        }
        let error = stanza.child("error", ns::STANZA).cloned();
        let unreachable = matches!(
            super::source::error_condition(stanza).as_deref(),
            Some("remote-server-timeout" | "remote-server-not-found" | "service-unavailable")
        );
        self.turn.send_opt(match error.filter(|_| !unreachable) {
            Some(error) => cause.failure(error),
            None => cause.refusal(&source_unreachable()),
        });
    }
}

pub(crate) fn source_unreachable() -> StanzaError {
    StanzaError::new(Condition::RecipientUnavailable)
        .with(condition("source-unreachable"))
        .because("The room's source cannot be reached.")
}
