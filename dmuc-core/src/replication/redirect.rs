//! Sending users to the instance that is near them: a source's to their shadow (XEP-0281 "Joining a Room"), a shadow's to
//! whichever answers for them.

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::policy::Redirect;
use crate::stanza::{Condition, El, Kind, Stanza, StanzaError};

/// Where somebody who wants to enter should enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Here,
    /// At the instance near it.
    Elsewhere(Address),
}

impl Instance {
    /// Where the sender of a join belongs. Whoever comes back soon after being redirected gets in here: clients that
    /// cannot follow are not locked out, and nobody is sent in circles.
    ///
    /// A shadow has no choice: whom another instance answers for, nobody else may speak for (it would be told that the
    /// shadow is not authoritative).
    pub(crate) fn destination(&self, stanza: &Stanza) -> Destination {
        let Some(from) = &stanza.from else { return Destination::Here };
        let replication = &self.room().replication;
        let theirs = replication.active().find(|instance| instance.vouches_for(from.domain()));
        let (Some(shadow), false) = (theirs, self.room().occupants.of_session(from).is_some()) else {
            return Destination::Here;
        };
        if !self.is_source() {
            let ours = self.policy.user_domains.iter().any(|own| own == from.domain());
            return if ours { Destination::Here } else { Destination::Elsewhere(shadow.jid.clone()) };
        }
        let retries = replication
            .redirected
            .get(from.bare_str())
            .is_some_and(|then| self.age(*then) < self.policy.redirect_retry_ms);
        let due = match self.policy.redirect {
            Redirect::Never => false,
            Redirect::Always => true,
            Redirect::After(n) => self.users_of(&shadow.vouch) >= n as usize,
        };
        if due && !retries { Destination::Elsewhere(shadow.jid.clone()) } else { Destination::Here }
    }

    fn users_of(&self, domains: &[String]) -> usize {
        let theirs = |jid: &Address| domains.iter().any(|domain| domain == jid.domain());
        self.room().occupants.local().filter(|occupant| occupant.jid.as_ref().is_some_and(theirs)).count()
    }

    /// Refuses a join with the other instance's address, and invites there (XEP-0249).
    pub(crate) fn send_elsewhere(&mut self, stanza: &Stanza, instance: &Address) {
        let Some(from) = &stanza.from else { return };
        let now = self.turn.now;
        self.room_mut().replication.remember_redirect(from.to_bare(), now);
        let uri = format!("xmpp:{instance}?join");
        let elsewhere = StanzaError::new(Condition::Redirect(uri));
        self.refuse_entry(stanza, &elsewhere.because("This room is also at a service near you."));
        let mut direct = El::new("x", ns::CONFERENCE).attr("jid", instance.as_str());
        direct = direct.attr("reason", "The same room, at a service near you.");
        if let Some(password) = self.room().config.password.as_deref() {
            direct = direct.attr("password", password);
        }
        let id = self.token(9);
        let invitation =
            Stanza::new(Kind::Message).with_from(&self.jid).with_to(from).with_id(&id).with(direct.payload());
        self.turn.send(invitation);
    }
}
