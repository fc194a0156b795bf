//! A store as a file: JSON Lines (`docs/store-format.md`).

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite, AsyncWriteExt,
    BufWriter,
};

use super::compare::Key;
use super::error::TransferError;
use super::progress::Progress;
use super::record::{Counts, FORMAT, Record, Tally, VERSION};
use super::source::Source;

/// Longest line that is read, in bytes: a room with a great many parts stays far below.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Writes everything that a source has.
pub(super) async fn write(
    source: &mut impl Source,
    out: impl AsyncWrite + Unpin,
    progress: &dyn Progress,
) -> Result<Counts, TransferError> {
    let mut out = BufWriter::new(out);
    let mut counted = Counts::default();
    while let Some(record) = source.next().await? {
        out.write_all(record.line().as_bytes()).await?;
        match record {
            Record::Room(_) | Record::Entry(_) => progress.advance(1),
            Record::Trailer { counts, .. } => counted = counts,
            _ => {}
        }
    }
    out.flush().await?;
    Ok(counted)
}

/// A file as a source: every line must be what was exported, in its place, and all digests right.
pub(super) struct LineSource<'a, R> {
    file: &'a mut R,
    line: u64,
    tally: Tally,
    /// What the last line that began something was about; what follows is above it.
    last: Option<Key>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Beginning,
    Between,
    InRoom,
    /// After the logs of a room have begun, no entry comes.
    InLogs,
    Ended,
}

impl<'a, R: AsyncBufRead + AsyncSeek + Send + Unpin> LineSource<'a, R> {
    /// Reads the file from its beginning.
    pub async fn open(file: &'a mut R) -> Result<Self, TransferError> {
        file.rewind().await?;
        Ok(Self { file, line: 0, tally: Tally::default(), last: None, state: State::Beginning })
    }

    fn malformed(&self, mistake: impl Into<String>) -> TransferError {
        TransferError::Malformed { line: self.line, mistake: mistake.into() }
    }

    async fn read_line(&mut self) -> Result<Option<Record>, TransferError> {
        let mut line = Vec::new();
        let read = (&mut *self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        self.line += 1;
        match line.last() {
            None => Ok(None),
            Some(b'\n') => serde_json::from_slice(&line).map(Some).map_err(|error| self.unreadable(&error)),
            Some(_) if read as u64 == LINE_BYTES_MAX => Err(self.malformed("the line is too long")),
            Some(_) => Err(self.malformed("the file ends within a line: it is not complete")),
        }
    }

    fn unreadable(&self, error: &serde_json::Error) -> TransferError {
        // Each line is a document of its own; which one it is, is known better here.
        self.malformed(error.to_string().replace(" at line 1 column ", " at column "))
    }

    /// Whether the record may stand here, and says what it must.
    fn check(&mut self, record: &Record) -> Result<(), TransferError> {
        let key = Key::of(record);
        let expected = match (self.state, record) {
            (State::Beginning, Record::Header { format, version }) => {
                return self.check_header(format, *version);
            }
            (State::Beginning, _) => Err("a header is expected"),
            (State::Between, Record::Rule(_) | Record::Tombstone(_)) => Ok(State::Between),
            (State::Between, Record::Room(_)) => Ok(State::InRoom),
            (State::Between, Record::Trailer { .. }) if *record != self.tally.trailer() => {
                Err("counts or digest are not those of the lines above: the file is damaged")
            }
            (State::Between, Record::Trailer { .. }) => Ok(State::Ended),
            (State::InRoom, Record::Entry(_)) => Ok(State::InRoom),
            (State::InRoom | State::InLogs, Record::Log(_)) => Ok(State::InLogs),
            (State::InRoom | State::InLogs, Record::EndOfRoom { .. })
                if *record != self.tally.end_of_room() =>
            {
                Err("count or digest are not those of the room above: the file is damaged")
            }
            (State::InRoom | State::InLogs, Record::EndOfRoom { .. }) => Ok(State::Between),
            _ => Err("the record is out of place"),
        };
        if key.is_some() && key <= self.last {
            return Err(self.malformed("the record is out of order, or there twice"));
        }
        self.state = expected.map_err(|mistake| self.malformed(mistake))?;
        self.last = key.or(self.last.take());
        Ok(())
    }

    fn check_header(&mut self, format: &str, version: u32) -> Result<(), TransferError> {
        if format != FORMAT {
            return Err(self.malformed(format!("this is `{format}`, not `{FORMAT}`")));
        }
        if version != VERSION {
            return Err(
                self.malformed(format!("this is version {version}, and this program reads {VERSION}"))
            );
        }
        self.state = State::Between;
        Ok(())
    }
}

impl<R: AsyncBufRead + AsyncSeek + Send + Unpin> Source for LineSource<'_, R> {
    async fn next(&mut self) -> Result<Option<Record>, TransferError> {
        match (self.read_line().await?, self.state) {
            (None, State::Ended) => Ok(None),
            (None, _) => Err(self.malformed("the file ends without its trailer: it is not complete")),
            (Some(_), State::Ended) => Err(self.malformed("something follows the trailer")),
            (Some(record), _) => {
                self.check(&record)?;
                self.tally.note(&record);
                Ok(Some(record))
            }
        }
    }
}
