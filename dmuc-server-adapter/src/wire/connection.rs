//! A reader with the socket half that feeds it.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::reader::{Expect, Read, Reader};

/// Bytes asked of the socket at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The receiving half of one stream.
#[derive(Debug)]
pub struct Connection<R> {
    source: R,
    reader: Reader,
    chunk: Vec<u8>,
    at: usize,
}

impl<R: AsyncRead + Unpin> Connection<R> {
    /// Reads from `source`.
    pub fn new(source: R, reader: Reader) -> Self {
        Self { source, reader, chunk: Vec::new(), at: 0 }
    }

    /// Sets what may come next; see [`Reader::expect`].
    pub fn expect(&mut self, expect: Expect) {
        self.reader.expect(expect);
    }

    /// Begins a new stream on the same connection (RFC 6120 §6.4.6).
    pub fn restart(&mut self, reader: Reader) {
        self.reader = reader;
    }

    /// The next thing said; `None` if the connection ended without a word. What had been read of a stanza by then is
    /// gone. Cancel safe.
    ///
    /// # Errors
    /// That of the socket.
    pub async fn next(&mut self) -> std::io::Result<Option<Read>> {
        loop {
            let mut rest = &self.chunk[self.at..];
            let read = self.reader.read(&mut rest);
            self.at = self.chunk.len() - rest.len();
            if read.is_some() {
                return Ok(read);
            }
            self.chunk.clear();
            self.at = 0;
            self.chunk.reserve(CHUNK_BYTES);
            if self.source.read_buf(&mut self.chunk).await? == 0 {
                return Ok(None);
            }
        }
    }
}
