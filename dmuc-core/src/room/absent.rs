//! Members who are not in, shown among the occupants as unavailable, if the room wants that (statuses 102 and 103).
//!
//! They are shown to those who may retrieve the list of members, and only who has a nickname reserved can be.

use crate::address::Address;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::ns;
use crate::room::affiliations::Standing;
use crate::room::occupants::Occupant;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{El, Stanza, Template};

impl Instance {
    /// Shows an occupant's client who belongs here and is not in.
    pub(crate) fn show_absent_to(&mut self, client: &Address, occupant: &Occupant) {
        let config = &self.room().config;
        let may_know = config.may_get_member_list(self.affiliation_of(occupant), occupant.role);
        if !config.absent_members || !may_know {
            return;
        }
        let full = config.whois.shows_to(occupant.role);
        let absent = self.absent().map(|(jid, standing, nick)| self.as_absent(jid, standing, &nick, full));
        let absent = absent.map(|presence| Template::new(&presence)).collect();
        self.turn.burst(absent, client);
    }

    /// Shows everybody here who is not in.
    pub(crate) fn show_absent_to_all(&mut self) {
        let here: Vec<Occupant> = self.room().occupants.local().cloned().collect();
        for occupant in here {
            for client in occupant.sessions.iter().filter_map(|session| session.jid.as_ref()) {
                self.show_absent_to(client, &occupant);
            }
        }
    }

    fn absent(&self) -> impl Iterator<Item = (&Address, &Standing, Nick)> {
        let room = self.room();
        let belongs =
            room.affiliations.iter().filter(|(_, standing)| standing.affiliation >= Affiliation::Member);
        let named = belongs.filter_map(|(jid, standing)| {
            Some((jid, standing, Nick::parse(standing.nick.as_deref()?).ok()?))
        });
        named.filter(|(jid, _, nick)| {
            room.occupants.matching(jid).is_empty() && room.occupants.by_nick(nick).is_none()
        })
    }

    fn as_absent(&self, jid: &Address, standing: &Standing, nick: &Nick, full: bool) -> Stanza {
        let item = El::new("item", ns::MUC_USER)
            .attr("affiliation", standing.affiliation.as_str())
            .attr("role", Role::None.as_str())
            .attr_opt("jid", full.then(|| jid.as_str()));
        Stanza::presence()
            .with_type("unavailable")
            .with_from(&self.nick_jid(nick.as_str()))
            .with(El::new("x", ns::MUC_USER).child(item).payload())
    }
}
