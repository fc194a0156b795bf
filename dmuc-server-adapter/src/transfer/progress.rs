//! How far it is.

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Rooms are counted and, where nobody may change them meanwhile, taken.
    Counting,
    /// It is looked whether the target holds something else.
    Comparing,
    /// Records go from source to target.
    Copying,
    /// Source and target are read again and compared.
    Verifying,
    /// A store is checked.
    Checking,
}

/// Is told how far it is, often: it must not take long.
pub trait Progress: Send + Sync {
    /// A phase begins. `steps` says how many there will be, as far as that is known beforehand: each room and each entry
    /// of a log is one.
    fn begin(&self, phase: Phase, steps: Option<u64>);
    /// So many more steps are done.
    fn advance(&self, steps: u64);
}

/// For those who do not want to know.
impl Progress for () {
    fn begin(&self, _: Phase, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}
