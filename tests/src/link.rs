//! The way between two sites: it counts what crosses, and it can be cut.
//!
//! Server-to-server streams carry stanzas one way only (from the side that connected), so a link is one direction: the
//! connections which the servers of one site open to the domains of another.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::stanza_counter::{StanzaCounter, StanzaSeen};

/// How often a waiting thread looks whether the link was cut or closed.
const TICK: Duration = Duration::from_millis(10);

/// The largest piece forwarded at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// How a link is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Connections are closed and new ones refused.
    Refused,
    /// Connections stay open and accept nothing: the other side has fallen silent. On mending they are closed.
    Silent,
}

/// A stanza that crossed a link.
pub type Crossing = StanzaSeen;

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    /// Raised at every cut and mending: connections of an earlier epoch are over.
    epoch: u64,
    crossed: Vec<Crossing>,
    /// Threads that still hold a connection.
    pumps: usize,
    broken: Option<String>,
}

/// One direction between two sites.
#[derive(Debug, Clone, Default)]
pub struct Link {
    state: Arc<Mutex<State>>,
    closed: Arc<AtomicBool>,
}

impl Link {
    /// A link that carries nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forwards connections to `entrance` on to `target`, as part of this link.
    ///
    /// # Panics
    /// When `entrance` is in use.
    pub fn forward(&self, entrance: SocketAddr, target: SocketAddr) {
        let listener = listen(entrance);
        let link = self.clone();
        spawn(move || link.accept(listener, target));
    }

    /// Interrupts the link, and returns when it is. Stanzas that were written to it but had not crossed are lost.
    pub fn cut(&self, how: Cut) {
        {
            let mut state = self.state();
            state.cut = Some(how);
            // A silent link keeps its connections, so that the servers do not notice.
            state.epoch += u64::from(how == Cut::Refused);
        }
        sleep(TICK * 5);
        while how == Cut::Refused && self.state().pumps > 0 {
            sleep(TICK);
        }
    }

    /// Mends the link, and returns when it takes connections; the servers have to connect anew.
    pub fn mend(&self) {
        {
            let mut state = self.state();
            state.cut = None;
            state.epoch += 1;
        }
        sleep(TICK * 5);
    }

    /// How many stanzas have crossed so far: to be given to [`Link::since`] later.
    pub fn mark(&self) -> usize {
        self.state().crossed.len()
    }

    /// The stanzas that crossed since `mark`.
    ///
    /// # Panics
    /// When something crossed that was not XML, so that the counts would mean nothing.
    pub fn since(&self, mark: usize) -> Vec<Crossing> {
        let state = self.state();
        if let Some(error) = &state.broken {
            panic!("the stanzas on a link could not be counted: {error}");
        }
        state.crossed[mark..].to_vec()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn accept(&self, listener: TcpListener, target: SocketAddr) {
        let entrance = listener.local_addr().expect("a listener has an address");
        let mut open = Some(listener);
        while !self.is_closed() {
            let refused = self.state().cut == Some(Cut::Refused);
            if refused {
                open = None;
            } else if let Ok((connection, _)) = open.get_or_insert_with(|| listen(entrance)).accept() {
                self.carry(&connection, target);
                continue;
            }
            sleep(TICK);
        }
    }

    fn carry(&self, inbound: &TcpStream, target: SocketAddr) {
        let Ok(outbound) = TcpStream::connect(target) else { return };
        let epoch = self.state().epoch;
        for (from, to) in [(inbound, &outbound), (&outbound, inbound)] {
            let streams = from.try_clone().and_then(|from| Ok((from, to.try_clone()?)));
            let (from, to) = streams.expect("a descriptor is free");
            let link = self.clone();
            self.state().pumps += 1;
            spawn(move || {
                link.pump(from, to, epoch);
                link.state().pumps -= 1;
            });
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, epoch: u64) {
        let mut counter = StanzaCounter::default();
        let mut buffer = vec![0; CHUNK_BYTES];
        from.set_nonblocking(false)
            .and_then(|()| from.set_read_timeout(Some(TICK)))
            .expect("the stream is open");
        while let Some(read) = self.read(&mut from, &mut buffer, epoch) {
            self.count(&mut counter, &buffer[..read]);
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        // Both ends are over together; either may already be gone.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Waits for bytes; `None` when the connection is over.
    fn read(&self, from: &mut TcpStream, buffer: &mut [u8], epoch: u64) -> Option<usize> {
        loop {
            let cut = {
                let state = self.state();
                (state.epoch == epoch && !self.is_closed()).then_some(state.cut)?
            };
            if cut.is_some() {
                sleep(TICK);
                continue;
            }
            match from.read(buffer) {
                Ok(0) => return None,
                // A cut made while the bytes came in holds for them too.
                Ok(_) if self.state().cut.is_some() => {}
                Ok(read) => return Some(read),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
        }
    }

    fn count(&self, counter: &mut StanzaCounter, bytes: &[u8]) {
        let seen = counter.read(bytes);
        let mut state = self.state();
        match seen {
            Ok(seen) => {
                let is_stanza = |one: &StanzaSeen| matches!(one.name.as_str(), "message" | "presence" | "iq");
                state.crossed.extend(seen.into_iter().filter(is_stanza));
            }
            Err(error) => state.broken = Some(error),
        }
    }
}

fn listen(entrance: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(entrance).unwrap_or_else(|error| panic!("{entrance}: {error}"));
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    listener
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Block;

    fn reply(entrance: SocketAddr, text: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(entrance).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.write_all(text).ok()?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).ok()?;
        Some(answer)
    }

    fn echo(address: SocketAddr) {
        let listener = TcpListener::bind(address).unwrap();
        spawn(move || {
            for mut stream in listener.incoming().flatten() {
                spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
    }

    #[test]
    fn a_link_counts_carries_and_can_be_cut_and_mended() {
        let block = Block::claim();
        let (entrance, target) = ((block.address(), 5_269).into(), (block.address(), 5_269).into());
        echo(target);
        let link = Link::new();
        link.forward(entrance, target);
        let text = b"<stream><message to='a'/><iq/>";
        assert_eq!(reply(entrance, text).as_deref(), Some(&text[..]));
        // There and back again.
        assert_eq!(link.since(0).len(), 4);
        for cut in [Cut::Refused, Cut::Silent] {
            link.cut(cut);
            assert_eq!(reply(entrance, text), None, "{cut:?}");
            link.mend();
            assert!(reply(entrance, text).is_some());
        }
        assert_eq!(link.since(0).len(), 12);
        link.close();
    }
}
