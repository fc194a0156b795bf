//! Errors that are told to one sender, kept within a rate: who sends what is wrong without end is not answered without
//! end.

use std::sync::Mutex;

use dmuc_core::rate::Buckets;
use dmuc_core::stanza::{Kind, Outbound};
use dmuc_core::{Address, Stanza};

use super::{board, lock, timers};

/// Most senders whose errors are counted at a time.
const SENDERS_MAX: usize = 20_000;

/// What each sender has been told of late.
pub(super) struct Errors {
    told: Mutex<Buckets<Address, 1>>,
}

impl Default for Errors {
    fn default() -> Self {
        Self { told: Mutex::new(Buckets::new(SENDERS_MAX)) }
    }
}

impl Errors {
    /// Whether this may go out. A request has to be answered (RFC 6120 §8.2.3), and peers need to know.
    pub fn admit(&self, board: &board::Board, out: &Outbound) -> bool {
        let Outbound::One(stanza) = out else { return true };
        let Some(to) = addressee(stanza) else { return true };
        let policy = board.now();
        if policy.peers.get(to.domain()).is_some() {
            return true;
        }
        let (rate, now) = (policy.rates.errors, timers::now());
        lock(&self.told).of(to.to_bare(), &[rate], now)[0].take(rate, now, 1).is_ok()
    }
}

/// To whom an error goes that need not be sent.
fn addressee(stanza: &Stanza) -> Option<&Address> {
    stanza.to.as_ref().filter(|_| stanza.is_error() && stanza.kind != Kind::Iq)
}
