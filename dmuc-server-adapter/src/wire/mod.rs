//! Bytes to stanzas and back: limits before trees, one serialisation for many recipients.
//!
//! [`Reader`] turns the bytes of one XMPP stream into [`Read`]s without recursion and without ever building what is
//! over a [`Limits`]; [`Writer`] gathers what goes out into large batches. Neither does any I/O of its own beyond
//! writing to the sink it is given.

mod connection;
mod draft;
mod limits;
mod reader;
mod scope;
mod stream;
mod writer;

pub use connection::Connection;
pub use draft::{Reason, Refused, SenderRule};
pub use limits::{Excess, Limits};
pub use reader::{Expect, Read, Reader, parse_stanzas};
pub use stream::{StreamCondition, StreamError, StreamHeader, ns};
pub use writer::{Ended, Writer};
