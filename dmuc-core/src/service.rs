//! What concerns the service as a whole: which room a stanza is for, and what the domain itself answers.

use crate::address::Address;
use crate::policy::ServicePolicy;
use crate::stanza::Stanza;
use crate::storage::Listed;

/// Where a stanza that reached the service goes.
#[derive(Debug, Clone)]
pub enum Route {
    /// To the instance at this address, which is woken (or made vacant) for it.
    Room(Address),
    /// Nowhere; these are the answers.
    Answer(Vec<Stanza>),
    /// The listing of public rooms: list them from the store, then [`room_list`].
    List {
        /// Only those after this one.
        after: Option<Address>,
        /// At most so many.
        max: u32,
    },
}

/// Finds out where a stanza goes. Every stanza has a sender and an addressee in the service's domain.
#[must_use]
pub fn route(stanza: &Stanza, policy: &ServicePolicy) -> Route {
    let _ = (stanza, policy);
    Route::Answer(Vec::new())
}

/// The answer to a discovery of rooms: `listed` is what the store has, hidden rooms included.
#[must_use]
pub fn room_list(request: &Stanza, listed: &[Listed]) -> Stanza {
    let _ = listed;
    request.result()
}
