//! Who has missed something (XEP-0437): those with an affiliation who are in at no instance when somebody speaks.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::address::Address;
use crate::event::Event;
use crate::instance::Instance;
use crate::io::Action;
use crate::ns;
use crate::room::roles::Affiliation;

/// Who is to hear that there is something to read, or need not any more.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// How often occupants had come and gone, and the list had changed, when somebody was last told: until one of them
    /// moves there is nobody new to tell.
    told: Option<(u64, u64)>,
    caught_up: BTreeSet<Address>,
}

impl Instance {
    /// Somebody spoke: whoever belongs here and is not in has missed it.
    pub(crate) fn note_activity(&mut self, event: &Event) {
        let room = self.room();
        let now = (room.occupants.moves(), room.head.aff);
        if room.activity.told == Some(now) || event.child("body", ns::STANZA).is_none() {
            return;
        }
        let inside: BTreeSet<&Address> = room.occupants.iter().filter_map(|o| o.jid.as_ref()).collect();
        let belonging = room.affiliations.iter().filter(|(jid, standing)| {
            standing.affiliation >= Affiliation::Member && jid.local().is_some() && !inside.contains(jid)
        });
        let users: Arc<[Address]> = belonging.map(|(jid, _)| jid.clone()).collect();
        self.room_mut().activity.told = Some(now);
        self.turn.other(Action::Missed { users });
    }

    /// A user has come in, or belongs here no more.
    pub(crate) fn note_caught_up(&mut self, user: &Address) {
        self.room_mut().activity.caught_up.insert(user.clone());
    }

    /// Tells, at the end of a turn, who has nothing to catch up on any more.
    pub(crate) fn tell_caught_up(&mut self) {
        let Some(room) = &mut self.room else { return };
        let arrived = room.occupants.take_arrived();
        let belongs = |jid: &Address| room.affiliations.of(jid) >= Affiliation::Member;
        let mut users = std::mem::take(&mut room.activity.caught_up);
        users.extend(arrived.into_iter().filter(belongs));
        if !users.is_empty() {
            self.turn.other(Action::CaughtUp { users });
        }
    }
}
