//! Where the reads of an engine stand in line.

use super::db::{Db, Result};
use crate::store::ReadError;
use crate::store::seal::Sealer;

/// In which line a read stands: none waits behind those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Line {
    /// What deliveries and publishing wait for.
    Core,
    /// Lists, and what is shown.
    Lists,
    /// What anybody at all can ask for: tokens of receiving URLs that are not in memory.
    Strangers,
}

/// Reads of an engine, each in one read transaction, time-boxed, off the async threads.
pub(in crate::store) trait Lines: Send + Sync + 'static {
    /// Runs one read.
    fn read<T, F>(&self, line: Line, query: F) -> impl Future<Output = std::result::Result<T, ReadError>> + Send
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>, &Sealer) -> Result<T> + Send + 'static;
}
