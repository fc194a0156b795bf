//! Loopback addresses nobody else uses.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// The port whose listener marks a block as taken. No server of a site uses it.
const CLAIM_PORT: u16 = 5_999;

/// 254 loopback addresses (`127.a.b.1` to `.254`) which are ours as long as this lives.
///
/// Test processes run side by side, and the servers need their standard ports; so each world has its own addresses.
#[derive(Debug)]
pub struct Block {
    second: u8,
    third: u8,
    next: Mutex<u8>,
    _claim: TcpListener,
}

impl Block {
    /// Claims a free block.
    ///
    /// # Panics
    /// When no block can be claimed.
    pub fn claim() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let start = now ^ (std::process::id() << 7);
        for step in 0..1_000_u32 {
            let number = start.wrapping_add(step.wrapping_mul(7_919));
            let [.., third, second] = number.to_le_bytes();
            let (second, third) = (second % 100 + 20, third);
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, second, third, 254), CLAIM_PORT)) {
                return Self { second, third, next: Mutex::new(1), _claim: claim };
            }
        }
        panic!("no free block of loopback addresses");
    }

    /// The next unused address of the block.
    ///
    /// # Panics
    /// When the block is used up.
    pub fn address(&self) -> Ipv4Addr {
        let mut next = self.next.lock().expect("no holder panics");
        let address = Ipv4Addr::new(127, self.second, self.third, *next);
        *next += 1;
        assert!(*next < 254, "a world needs fewer than 253 addresses");
        address
    }
}
