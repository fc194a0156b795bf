//! Hats on occupants (XEP-0317): which ones the room has is configuration, who wears them is in the affiliation list.

use std::collections::BTreeSet;

use minidom::Element;
use xmpp_parsers::data_forms::DataForm;

use crate::address::Address;
use crate::adhoc::{Answers, bad_payload};
use crate::instance::Instance;
use crate::ns;
use crate::room::affiliations::Standing;
use crate::room::config::Hat;
use crate::room::consequences::Deed;
use crate::room::occupants::Occupant;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, El, Payload, StanzaError};

/// The commands that change something, which are proposed to the source as they are.
pub(crate) const CREATE: &str = "urn:xmpp:hats:commands:create";
pub(crate) const DESTROY: &str = "urn:xmpp:hats:commands:destroy";
pub(crate) const ASSIGN: &str = "urn:xmpp:hats:commands:assign";
pub(crate) const UNASSIGN: &str = "urn:xmpp:hats:commands:unassign";

/// Their fields (XEP-0317 §4.8).
pub(crate) const JID: &str = "hats#jid";
pub(crate) const TITLE: &str = "hats#title";
pub(crate) const URI: &str = "hats#uri";
pub(crate) const HUE: &str = "hats#hue";

/// Most hats of one user.
const WORN_MAX: usize = 16;

/// What an admin wants.
#[derive(Debug, Clone)]
pub(crate) enum HatOrder {
    /// Creates a hat or changes the one with this URI.
    Create(String, Hat),
    Destroy(String),
    Assign(Address, String),
    Unassign(Address, String),
}

impl HatOrder {
    /// Reads the form of a command.
    pub fn read(node: &str, answers: Answers<'_>) -> Result<Self, StanzaError> {
        let needed = |var| answers.text(var).ok_or_else(|| bad_payload(format!("'{var}' is missing.")));
        let uri = needed(URI)?.to_owned();
        match node {
            CREATE => {
                let (title, hue) = (needed(TITLE)?.to_owned(), answers.text(HUE).map(str::to_owned));
                Ok(Self::Create(uri, Hat { title, hue }))
            }
            DESTROY => Ok(Self::Destroy(uri)),
            ASSIGN => Ok(Self::Assign(answers.jid(JID)?, uri)),
            UNASSIGN => Ok(Self::Unassign(answers.jid(JID)?, uri)),
            _ => Err(Condition::BadRequest.into()),
        }
    }

    /// A command that a shadow proposes.
    pub fn proposed(command: &Element) -> Result<Self, StanzaError> {
        let form = command.get_child("x", ns::DATA).ok_or(Condition::BadRequest)?;
        let form: DataForm = xso::transform(form).map_err(|_| Condition::BadRequest)?;
        Self::read(command.attr("node").unwrap_or(""), Answers(&form))
    }
}

impl Instance {
    /// The hats that an occupant wears (XEP-0317 §4.1), unless who it is rests on hearsay.
    pub(crate) fn hats_of(&self, occupant: &Occupant) -> Option<Payload> {
        let room = self.room();
        let worn = &room.affiliations.entry(occupant.jid.as_ref()?)?.hats;
        let known = worn.iter().filter_map(|uri| Some((uri, room.config.hats.get(uri)?)));
        let hats: Vec<El> = known.map(|(uri, hat)| hat.element(uri)).collect();
        let shown = !hats.is_empty() && !self.is_hearsay(occupant);
        shown.then(|| El::new("hats", ns::HATS).children(hats).payload())
    }

    /// Whether somebody may have this done, and it can be done.
    pub(crate) fn check_hat_order(&self, actor: &Address, order: &HatOrder) -> Result<(), StanzaError> {
        if self.affiliation(actor) < Affiliation::Admin {
            return Err(Condition::Forbidden.into());
        }
        let config = &self.room().config;
        let none = || bad_payload("There is no such hat.");
        match order {
            _ if self.room().head.locked => {
                Err(StanzaError::new(Condition::NotAllowed).because("Configure the room first."))
            }
            HatOrder::Create(uri, hat) => {
                let put = config.as_ref().clone().put_hat(uri.clone(), hat.clone());
                put.map_err(|why| bad_payload(format!("The hat {why}.")))
            }
            HatOrder::Destroy(uri) => config.hats.get(uri).map(|_| ()).ok_or_else(none),
            HatOrder::Assign(jid, uri) => {
                config.hats.get(uri).ok_or_else(none)?;
                self.may_wear_more(jid, uri)
            }
            HatOrder::Unassign(jid, uri) => match self.room().affiliations.entry(jid) {
                Some(standing) if standing.hats.contains(uri) => Ok(()),
                _ => Err(bad_payload("They do not wear it.")),
            },
        }
    }

    fn may_wear_more(&self, jid: &Address, uri: &str) -> Result<(), StanzaError> {
        if jid.local().is_none() {
            return Err(bad_payload("Hats belong to users."));
        }
        let worn = self.room().affiliations.entry(jid).map(|standing| &standing.hats);
        if worn.is_some_and(|worn| worn.len() >= WORN_MAX && !worn.contains(uri)) {
            return Err(bad_payload(format!("Nobody wears more than {WORN_MAX} hats.")));
        }
        Ok(())
    }

    /// Does what was ordered and checked, with us as the source. A hat that is destroyed is taken from everybody
    /// (XEP-0317 §4.3).
    pub(crate) fn mint_hat_order(&mut self, order: HatOrder) {
        let mut config = self.room().config.as_ref().clone();
        match order {
            HatOrder::Create(uri, hat) => {
                config.hats.insert(uri, hat);
                self.mint_config(config);
            }
            HatOrder::Destroy(uri) => {
                let wears = |(_, standing): &(&Address, &Standing)| standing.hats.contains(&uri);
                let wearers = self.room().affiliations.iter().filter(wears).map(|(jid, _)| jid.clone());
                self.mint_hats(wearers.collect(), |hats| hats.remove(&uri));
                config.hats.remove(&uri);
                self.mint_config(config);
            }
            HatOrder::Assign(jid, uri) => self.mint_hats(vec![jid], |hats| hats.insert(uri.clone())),
            HatOrder::Unassign(jid, uri) => self.mint_hats(vec![jid], |hats| hats.remove(&uri)),
        }
    }

    /// Changes what users wear, in the list of which we are the source.
    fn mint_hats(&mut self, whose: Vec<Address>, change: impl Fn(&mut BTreeSet<String>) -> bool) {
        let changed = |jid: Address| {
            let mut standing = self.room().affiliations.entry(&jid).cloned().unwrap_or_default();
            change(&mut standing.hats).then(|| (jid, standing, Deed::default()))
        };
        let changed: Vec<_> = whose.into_iter().filter_map(changed).collect();
        if !changed.is_empty() {
            self.mint_standings(changed);
        }
    }
}
