//! What is kept: the [`journal`] through which everything durable goes, the trait behind which an
//! engine keeps it, and the engines.
//!
//! ```text
//!  accept, record, api ──► Journal ──► StoreWriter::commit(batch) ──► replies, in order
//!  dispatch, api       ──► StoreReader, StoreQueries
//! ```
//!
//! Deliberately absent: a queue beside the store, a transaction that is open across a call to
//! the outside, and any assumption that there is one process or one writer.

mod access;
mod asked;
pub mod command;
#[cfg(test)]
mod conformance;
pub mod copy;
pub mod idempotency;
pub mod inbound;
pub mod journal;
pub mod key_file;
pub mod maintenance;
pub mod memory;
pub mod patch;
pub mod postgres;
pub mod query;
mod refusal;
pub mod seal;
pub mod search;
pub mod snapshots;
mod sql;
pub mod sqlite;

use async_trait::async_trait;

use crate::model::{
    AppConfig, AppKey, EndpointKey, EnvKey, EnvPolicy, Message, MessageKey, Pending, SlotSet, UnixMs, Waiting,
};
use command::{Command, Raised, Reply};

/// The same path with something behind its whole name: what is written before it is renamed.
fn suffixed(path: &std::path::Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes durable that a file has its name.
fn sync_folder_of(file: &std::path::Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(std::path::Path::new(".")))?.sync_all()
}

/// A batch that was not committed, as a whole.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// No room on the disk. Nothing of the batch is stored; what was stored is whole.
    #[error("no room on the disk")]
    Full,
    /// A command of the batch could not be applied for a reason inside us. Nothing is stored.
    #[error("a command could not be applied: {0}")]
    Command(String),
    /// The database cannot be reached, or takes nothing now. Nothing of the batch is stored.
    #[error("the database is away: {0}")]
    Away(String),
    /// The commit was not answered: whether the batch is stored is found out by [`StoreWriter::resolve`].
    #[error("the commit was not answered: {0}")]
    Unknown(String),
    /// Writing or syncing failed. Whether the batch is stored is not known, and this process must
    /// not acknowledge anything any more.
    #[error("the disk failed: {0}")]
    Io(String),
}

/// A read that failed for a reason inside us.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It took too long and was stopped.
    #[error("the query took longer than {0} ms")]
    TooSlow(u64),
    /// Anything else.
    #[error("reading failed: {0}")]
    Engine(String),
}

/// The one who writes. Owned by the journal, which calls it from a thread of its own.
pub trait StoreWriter {
    /// Makes the whole batch durable, or nothing of it. Replies are in the order of the commands;
    /// a command that is refused does not disturb the others.
    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Reply>, CommitError>;

    /// After [`CommitError::Unknown`], and before anything else is committed: the replies of that batch if it is
    /// stored after all, nothing if it is not; an error where that cannot be said yet.
    fn resolve(&mut self) -> Result<Option<Vec<Reply>>, CommitError> {
        Ok(None)
    }

    /// The messages that the last commit made by itself.
    fn take_raised(&mut self) -> Vec<Raised> {
        Vec::new()
    }

    /// One bounded slice of work that can wait (filling indexes, sweeping). Called when nothing
    /// else is to be done; says whether there is more.
    fn tend(&mut self, now: UnixMs) -> Result<bool, CommitError>;

    /// Copies the store, as it is at the end, to `file`: slice by slice, with `between` called
    /// after each so that commits go on. The copy has a temporary name until it is whole and synced,
    /// only its owner can read it, and it is not made in the store's own folder.
    fn backup(&mut self, file: &std::path::Path, between: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()>;
}

/// What accept and dispatch read: the core that every engine has.
#[async_trait]
pub trait StoreReader: Send + Sync + 'static {
    /// An application with its endpoints, in one consistent picture.
    async fn app_config(&self, app: AppKey) -> Result<Option<AppConfig>, ReadError>;

    /// The application of a uid.
    async fn app_by_uid(&self, env: EnvKey, uid: &str) -> Result<Option<AppKey>, ReadError>;

    /// The application of an environment whose endpoints take operational webhooks.
    async fn operational_app(&self, env: EnvKey) -> Result<Option<AppKey>, ReadError>;

    /// What holds for an environment.
    async fn env_policy(&self, env: EnvKey) -> Result<Option<EnvPolicy>, ReadError>;

    /// The applications of endpoints; those that are gone are left out.
    async fn apps_of(&self, endpoints: &[EndpointKey]) -> Result<Vec<(EndpointKey, AppKey)>, ReadError>;

    /// Messages with their bytes, in any order; those that are gone are left out.
    async fn messages(&self, keys: &[MessageKey]) -> Result<Vec<Message>, ReadError>;

    /// Deliveries without an outcome to endpoints of these slots, by key, after `after`.
    async fn pending(&self, slots: &SlotSet, after: Option<Pending>, limit: usize) -> Result<Vec<Pending>, ReadError>;

    /// For each endpoint of these slots that has waiting deliveries: when the first is due.
    async fn waiting_endpoints(&self, slots: &SlotSet) -> Result<Vec<(EndpointKey, UnixMs)>, ReadError>;

    /// Waiting deliveries of an endpoint in the order of due times, after `after`.
    async fn waiting(
        &self,
        endpoint: EndpointKey,
        after: Option<(UnixMs, MessageKey)>,
        limit: usize,
    ) -> Result<Vec<Waiting>, ReadError>;
}
