//! What goes out, in large batches.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmuc_core::stanza::Outbound;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::host::Delivery;

/// How long the other side may take nothing.
const STALL: Duration = Duration::from_secs(60);

/// Bytes of buffer that are kept between batches.
const KEEP_BYTES: usize = 1024 * 1024;

/// A bounded buffer of bytes for one stream: many threads append stanzas, one task writes what has gathered.
///
/// It outlives connections, so that what is queued while the other side is away goes out when it is back.
#[derive(Debug)]
pub struct Writer {
    buffer: Mutex<Buffer>,
    /// Something was appended, or the writer was closed.
    filled: Notify,
    /// The buffer was emptied, or the writer was closed.
    drained: Notify,
    stanza_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Buffer {
    text: String,
    closed: bool,
    bytes_max: usize,
}

/// Why [`Writer::run`] returned.
#[derive(Debug)]
pub enum Ended {
    /// [`Writer::close`] was called and all of it has been written.
    Drained,
    /// The sink failed; the batch in flight is lost.
    Failed(std::io::Error),
}

impl Writer {
    /// A writer that holds at most about `queue_bytes_max` bytes and carries no stanza over `stanza_bytes_max`.
    #[must_use]
    pub fn new(queue_bytes_max: usize, stanza_bytes_max: usize) -> Self {
        Self {
            buffer: Mutex::new(Buffer { bytes_max: queue_bytes_max, ..Buffer::default() }),
            filled: Notify::new(),
            drained: Notify::new(),
            stanza_bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        // Text that a panicking thread left half appended would break the stream, but appending does not panic.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends all of `out`, or nothing: `Accepted`, `Full`, `Closed`, or `NoRoute` if a stanza is too large ever to
    /// go over this stream. One lock for the whole of it.
    pub fn push(&self, out: &Outbound) -> Delivery {
        if largest(out) > self.stanza_bytes_max {
            tracing::error!(bytes = largest(out), "a stanza is too large for its stream and was dropped");
            return Delivery::NoRoute;
        }
        self.append(total(out), |text| out.write(text))
    }

    /// Appends text that is whole elements already.
    pub fn push_text(&self, xml: &str) -> Delivery {
        self.append(xml.len(), |text| text.push_str(xml))
    }

    fn append(&self, bytes: usize, write: impl FnOnce(&mut String)) -> Delivery {
        let mut buffer = self.lock();
        if buffer.closed {
            return Delivery::Closed;
        }
        let queued = buffer.text.len();
        if queued > 0 && queued + bytes > buffer.bytes_max {
            return Delivery::Full;
        }
        write(&mut buffer.text);
        drop(buffer);
        if queued == 0 {
            self.filled.notify_one();
        }
        Delivery::Accepted
    }

    /// Resolves when the buffer is at most half full, or closed.
    pub async fn ready(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.has_room() {
                return;
            }
            drained.await;
        }
    }

    fn has_room(&self) -> bool {
        let buffer = self.lock();
        buffer.closed || buffer.text.len() <= buffer.bytes_max / 2
    }

    /// Sets another bound; what waits already stays.
    pub fn set_queue_bytes_max(&self, bytes: usize) {
        self.lock().bytes_max = bytes;
    }

    /// Bytes waiting.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.lock().text.len()
    }

    /// Forgets what waits.
    pub fn clear(&self) {
        self.lock().text.clear();
        self.drained.notify_waiters();
    }

    /// Takes nothing more but `last`; [`run`](Self::run) returns when all of it is written.
    pub fn close(&self, last: &str) {
        let mut buffer = self.lock();
        if !buffer.closed {
            buffer.closed = true;
            buffer.text.push_str(last);
        }
        drop(buffer);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Writes what gathers to `sink`, each time everything there is, until closed or failed.
    pub async fn run(&self, sink: &mut (impl AsyncWrite + Unpin)) -> Ended {
        let mut batch = String::new();
        loop {
            let closed = self.swap(&mut batch);
            if batch.is_empty() {
                if closed {
                    return Ended::Drained;
                }
                self.filled.notified().await;
                continue;
            }
            self.drained.notify_waiters();
            if let Err(error) = write(sink, &batch).await {
                return Ended::Failed(error);
            }
            batch.clear();
            batch.shrink_to(KEEP_BYTES);
        }
    }

    fn swap(&self, batch: &mut String) -> bool {
        let mut buffer = self.lock();
        std::mem::swap(&mut buffer.text, batch);
        buffer.closed
    }
}

/// Writes all of `batch`; a sink that takes nothing at all for [`STALL`] counts as gone.
async fn write(sink: &mut (impl AsyncWrite + Unpin), batch: &str) -> std::io::Result<()> {
    let mut rest = batch.as_bytes();
    while !rest.is_empty() {
        match timeout(STALL, sink.write(rest)).await?? {
            0 => return Err(std::io::ErrorKind::WriteZero.into()),
            written => rest = &rest[written..],
        }
    }
    sink.flush().await
}

const TO_BYTES: usize = " to=''".len();

/// Bytes of the largest stanza in it, not counting what escaping adds to the address; for a single stanza an
/// estimate from below that leaves the attributes' escaping out as well.
fn largest(out: &Outbound) -> usize {
    match out {
        Outbound::One(stanza) => single(stanza),
        Outbound::FanOut { template, to } => {
            let address = to.iter().map(|to| to.as_str().len()).max().unwrap_or(0);
            template.head().len() + template.tail().len() + TO_BYTES + address
        }
        Outbound::Burst { templates, to } => {
            let body = templates.iter().map(|t| t.head().len() + t.tail().len()).max().unwrap_or(0);
            body + TO_BYTES + to.as_str().len()
        }
    }
}

/// Bytes of all of it, estimated as in [`largest`].
fn total(out: &Outbound) -> usize {
    match out {
        Outbound::One(stanza) => single(stanza),
        Outbound::FanOut { template, to } => {
            let body = template.head().len() + template.tail().len() + TO_BYTES;
            to.iter().map(|to| body + to.as_str().len()).sum()
        }
        Outbound::Burst { templates, to } => {
            templates.iter().map(|t| t.head().len() + t.tail().len() + TO_BYTES + to.as_str().len()).sum()
        }
    }
}

fn single(stanza: &dmuc_core::Stanza) -> usize {
    let optional = |text: Option<&str>| text.map_or(0, str::len);
    let addresses = optional(stanza.from.as_ref().map(dmuc_core::Address::as_str))
        + optional(stanza.to.as_ref().map(dmuc_core::Address::as_str));
    let children: usize = stanza.children.iter().map(|child| child.as_xml().len()).sum();
    48 + addresses + optional(stanza.id.as_deref()) + optional(stanza.ty.as_deref()) + children
}
