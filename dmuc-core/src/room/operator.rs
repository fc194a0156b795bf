//! What operators of the service order of a room, whoever is in it.

use crate::address::Address;
use crate::instance::Instance;
use crate::io::OperatorOrder;
use crate::room::occupants::OccupantId;
use crate::room::owner::Ending;
use crate::room::presence::Notice;
use crate::stanza::{Payload, Stanza};

impl Instance {
    pub(crate) fn handle_operator(&mut self, order: OperatorOrder) {
        if self.room.is_none() {
            return;
        }
        match order {
            OperatorOrder::Announce(text) => self.announce_text(&text),
            OperatorOrder::Expel { user, reason } => self.expel(&user, reason),
            OperatorOrder::End { alternate, reason } if self.is_source() => {
                self.destroy(&Ending { alternate, password: None, reason });
            }
            // A shadow ends with its source, or its peer's rule.
            OperatorOrder::End { .. } => {}
        }
    }

    /// Said by the room to everyone here, and not kept.
    fn announce_text(&mut self, text: &str) {
        let id = self.token(9);
        let message = Stanza::message("groupchat").with_from(&self.jid.clone()).with_id(&id);
        self.tell_all_here(&message.with(Payload::text_element("body", text)));
    }

    /// Puts a user out of this instance, as a kick does (XEP-0045 §8.2).
    fn expel(&mut self, user: &Address, reason: Option<String>) {
        let here = |id: &OccupantId| {
            let occupants = &self.room().occupants;
            occupants.get(id).is_some_and(|occupant| occupants.is_here(occupant))
        };
        let expelled: Vec<OccupantId> =
            self.room().occupants.matching(user).into_iter().filter(here).collect();
        let notice = Notice { gone: true, reason, ..Notice::codes(&[307]) };
        expelled.iter().for_each(|id| self.remove(id, &notice));
    }
}
