//! From store to store, to a file and from it.

use std::sync::Arc;

use dmuc_core::storage::Transfer;
use tokio::io::{AsyncBufRead, AsyncSeek, AsyncWrite};

use super::claim::Claim;
use super::compare::{Comparison, Depth, Difference, Kind, compare};
use super::error::{Role, TransferError};
use super::lines::{self, LineSource};
use super::progress::{Phase, Progress};
use super::record::{Counts, Record};
use super::sink::{StoreSink, Wanted};
use super::source::{Source, StoreSource};

/// What may be in a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nothing, or what an interrupted run has written.
    Empty,
    /// Rooms, tombstones and rules that the source does not have; they stay.
    Merged,
}

impl Target {
    /// Those differences that keep anything from being written.
    fn in_the_way(self, mut found: Vec<Difference>) -> Vec<Difference> {
        found.retain(|difference| match difference.kind {
            Kind::Missing => false,
            Kind::Foreign => self == Self::Empty,
            Kind::Different => true,
        });
        found
    }

    /// Those differences that are none once everything has been written.
    fn left(self, mut found: Vec<Difference>) -> Vec<Difference> {
        found.retain(|difference| difference.kind != Kind::Foreign || self == Self::Empty);
        found
    }
}

/// Copies everything from one store to another, and compares them in the end. Gives what the source holds.
///
/// While it runs no node can use a room of `from`. A run that was interrupted is taken up where it was: what the
/// target holds already is compared, not written again.
///
/// # Errors
/// [`TransferError`]; after `Awake` and `Occupied`, nothing was written.
pub async fn migrate(
    from: &Arc<dyn Transfer>,
    to: &Arc<dyn Transfer>,
    target: Target,
    progress: &dyn Progress,
) -> Result<Counts, TransferError> {
    let claim = Claim::take(from, progress).await?;
    let moved = move_claimed(&claim, from, to, target, progress).await;
    claim.release().await;
    moved
}

async fn move_claimed(
    claim: &Claim,
    from: &Arc<dyn Transfer>,
    to: &Arc<dyn Transfer>,
    target: Target,
    progress: &dyn Progress,
) -> Result<Counts, TransferError> {
    let source = || StoreSource::new(from, Role::Source);
    admit(&mut source(), to, target, progress).await?;
    progress.begin(Phase::Copying, Some(claim.steps()));
    copy(&mut source(), to, progress).await?;
    progress.begin(Phase::Verifying, Some(claim.steps()));
    let counts = verify(&mut source(), to, target, progress).await?;
    claim.check().map(|()| counts)
}

/// Writes everything that a store holds to a file. Gives how much that is.
///
/// While it runs no node can use a room of the store.
///
/// # Errors
/// [`TransferError`].
pub async fn export(
    from: &Arc<dyn Transfer>,
    out: impl AsyncWrite + Unpin + Send,
    progress: &dyn Progress,
) -> Result<Counts, TransferError> {
    let claim = Claim::take(from, progress).await?;
    progress.begin(Phase::Copying, Some(claim.steps()));
    let written = lines::write(&mut StoreSource::new(from, Role::Source), out, progress).await;
    let written = written.and_then(|counts| claim.check().map(|()| counts));
    claim.release().await;
    written
}

/// Reads a file that [`export`] has written into a store, and compares them in the end. Gives what the file holds.
///
/// The file is read as a whole before anything is written. A run that was interrupted is taken up where it was.
///
/// # Errors
/// [`TransferError`]; after `Malformed` and `Occupied`, nothing was written.
pub async fn import(
    file: &mut (impl AsyncBufRead + AsyncSeek + Unpin + Send),
    to: &Arc<dyn Transfer>,
    target: Target,
    progress: &dyn Progress,
) -> Result<Counts, TransferError> {
    let steps = admit(&mut LineSource::open(file).await?, to, target, progress).await?.steps();
    progress.begin(Phase::Copying, Some(steps));
    copy(&mut LineSource::open(file).await?, to, progress).await?;
    progress.begin(Phase::Verifying, Some(steps));
    verify(&mut LineSource::open(file).await?, to, target, progress).await
}

/// Looks whether the target holds nothing that it must not.
async fn admit(
    source: &mut impl Source,
    to: &Arc<dyn Transfer>,
    target: Target,
    progress: &dyn Progress,
) -> Result<Counts, TransferError> {
    progress.begin(Phase::Comparing, None);
    let mut held = StoreSource::new(to, Role::Target);
    let Comparison { differences, counts } = compare(source, &mut held, Depth::Outline, progress).await?;
    let differences = target.in_the_way(differences);
    if differences.is_empty() { Ok(counts) } else { Err(TransferError::Occupied(differences)) }
}

async fn copy(
    source: &mut impl Source,
    to: &Arc<dyn Transfer>,
    progress: &dyn Progress,
) -> Result<(), TransferError> {
    let mut sink = StoreSink::new(to);
    while let Some(record) = source.next().await? {
        if matches!(record, Record::Room(_) | Record::Entry(_)) {
            progress.advance(1);
        }
        if sink.put(record).await? == Wanted::Nothing {
            source.pass().await?;
        }
    }
    sink.finish().await
}

/// Reads both sides again, to the last entry.
async fn verify(
    source: &mut impl Source,
    to: &Arc<dyn Transfer>,
    target: Target,
    progress: &dyn Progress,
) -> Result<Counts, TransferError> {
    let mut held = StoreSource::new(to, Role::Target);
    let Comparison { differences, counts } = compare(source, &mut held, Depth::Content, progress).await?;
    let differences = target.left(differences);
    if differences.is_empty() { Ok(counts) } else { Err(TransferError::Differs(differences)) }
}
