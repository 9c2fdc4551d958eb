//! The writer: one connection, one transaction a batch.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};

use super::apply::{HotStatements, WriterState};
use super::{SqliteOptions, index, purge, retention};
use crate::model::UnixMs;
use crate::store::command::{Command, Done, Raised, Reply};
use crate::store::maintenance::{Maintained, Maintenance, Work};
use crate::store::sql::change::Changer;
use crate::store::sql::db::{Error, Result};
use crate::store::{CommitError, StoreWriter};

/// Index entries inserted in a commit for each message in it, and at least.
const SHARE_PER_COMMAND: usize = 3;
const SHARE_MIN: usize = 64;
/// Index entries inserted at once when the journal is idle.
const IDLE_SHARE: usize = 8_192;
const BACKUP_PAGES: i32 = 1_024;
/// Commits between looks at remembered changes whose time is over (also done when idle).
const FORGET_EVERY: u64 = 256;

/// Writes to the embedded store.
pub struct SqliteWriter {
    pub(super) connection: Rc<Connection>,
    state: WriterState,
    folder: PathBuf,
    log: Arc<Log>,
    wal_pages_max: i64,
    /// Pages in the log at which the writer checkpoints itself.
    bound: i64,
    commits: u64,
    checkpointer: Option<JoinHandle<()>>,
}

impl Drop for SqliteWriter {
    /// The checkpointer goes first, so that the writer's connection is the one that closes the log.
    fn drop(&mut self) {
        self.log.closed.store(true, Ordering::Release);
        if let Some(thread) = self.checkpointer.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the checkpointer panicked");
            }
        }
    }
}

/// The write-ahead log as writer and checkpointer see it.
#[derive(Default)]
struct Log {
    /// Pages in it, as of the last commit.
    pages: AtomicI64,
    /// Held by the one who checkpoints.
    checkpointing: Mutex<()>,
    /// The writer is gone.
    closed: AtomicBool,
}

impl Log {
    /// Copies what is in the log into the file, as far as readers allow; says whether it is all.
    fn checkpoint(&self, connection: &Connection) -> bool {
        let _alone = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read) {
            Ok((busy, pages, copied)) => busy == 0 && pages == copied,
            Err(error) => {
                tracing::warn!(%error, "checkpoint failed; it is tried again");
                false
            }
        }
    }
}

impl SqliteWriter {
    /// Opens the store for writing. `endpoints_max` is the bound on endpoints of one application.
    /// Not `Send`: open it on the thread that commits.
    pub fn open(options: &SqliteOptions, endpoints_max: usize, now: UnixMs) -> anyhow::Result<Self> {
        let mut connection = super::open_writer(&options.file())?;
        let log = Arc::new(Log::default());
        let counted = Arc::clone(&log);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            counted.pages.store(i64::from(pages), Ordering::Relaxed);
            Ok(())
        }))?;
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let state = WriterState::open(&connection, Arc::clone(&options.sealer), endpoints_max, now)?;
        let wal_pages_max = (options.wal_bytes_max as i64 / page).max(1_000);
        let checkpointer = Some(spawn_checkpointer(&options.file(), &log, wal_pages_max)?);
        let (connection, bound) = (Rc::new(connection), wal_pages_max);
        let folder = options.folder.clone();
        Ok(Self { connection, state, folder, log, wal_pages_max, bound, commits: 0, checkpointer })
    }

    /// Days that the bytes of the messages are kept that the writer makes by itself, operational webhooks;
    /// 90 unless set.
    #[must_use]
    pub fn keeping_own_payloads(mut self, days: u16) -> Self {
        self.state.core.own_payload_days = days;
        self
    }

    /// A backup beside the store would be lost with it, or be taken for a part of it.
    fn check_target(&self, file: &Path) -> anyhow::Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let shown = folder.display();
        let target = folder.canonicalize().with_context(|| format!("the folder of the backup, {shown}"))?;
        let own = self.folder.canonicalize().with_context(|| format!("the data folder {}", self.folder.display()))?;
        if target.starts_with(&own) {
            bail!("{} is in the data folder {}: put the backup elsewhere", file.display(), own.display());
        }
        Ok(())
    }

    /// Copies the store to `temporary`, slice by slice, and syncs it.
    fn copy_to(&mut self, temporary: &Path, between: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()> {
        super::create_private(temporary).with_context(|| format!("making the backup {}", temporary.display()))?;
        let mut copy = Connection::open(temporary)?;
        copy.pragma_update(None, "synchronous", "off")?;
        let source = Rc::clone(&self.connection);
        {
            let backup = Backup::new(&source, &mut copy)?;
            while backup.step(BACKUP_PAGES)? != StepResult::Done {
                between(self);
            }
        }
        copy.pragma_update(None, "journal_mode", "delete")?;
        drop(copy);
        std::fs::File::open(temporary)?.sync_all()?;
        Ok(())
    }

    fn apply(&mut self, batch: &[Command]) -> Result<Vec<Reply>> {
        let connection = Rc::clone(&self.connection);
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut replies = Vec::with_capacity(batch.len());
        let mut hot = HotStatements::new(&connection)?;
        for command in batch {
            let reply = match command {
                Command::Publish(publish) => hot.publish(&mut self.state, publish)?,
                Command::Settle(settle) => {
                    let mut settled = hot.settle(&mut self.state, settle)?;
                    if settled.applied {
                        settled.endpoint = self.changer(&connection, settle.at).health(settle)?;
                    }
                    Ok(Done::Settled(settled))
                }
                Command::Change(request) => self.changer(&connection, request.at).apply(request)?,
                Command::Maintain(slice) => Ok(Done::Maintained(Box::new(self.maintain(&connection, *slice)?))),
            };
            replies.push(reply);
            if self.state.core.has_unwritten() {
                hot.insert_raised(&mut self.state)?;
            }
        }
        drop(hot);
        let share = SHARE_MIN + SHARE_PER_COMMAND * batch.len();
        let now = batch.iter().map(at).max().unwrap_or(0);
        self.fill(&connection, share)?;
        self.state.seen.sweep(&connection, now, share)?;
        self.state.traffic.write_if_due(&connection, self.state.core.keys.last(), now)?;
        self.commits += 1;
        if self.commits.is_multiple_of(FORGET_EVERY) {
            forget_changes(&connection, now)?;
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(replies)
    }

    /// One slice of work that keeps the store tidy.
    fn maintain(&mut self, connection: &Connection, slice: Maintenance) -> Result<Maintained> {
        let (began, rows) = (Instant::now(), slice.rows);
        let state = &mut self.state;
        let done = match slice.work {
            Work::Payloads => retention::payloads(connection, slice.at, rows),
            Work::Attempts { before } => retention::attempts(connection, state, before, rows),
            Work::Hours { before } => retention::hours(connection, before, rows),
            Work::Messages { before } => retention::messages(connection, state, before, rows),
            Work::Tasks { before } => {
                // The highest key may be among them.
                self.changer(connection, slice.at).keep_highest_key()?;
                retention::tasks(connection, before, rows)
            }
            Work::SourceLogs { before } => {
                self.changer(connection, slice.at).keep_highest_key()?;
                retention::source_logs(connection, before, rows)
            }
            Work::Leftovers { before } => retention::leftovers(connection, state, before, rows),
            Work::Purge => purge::slice(connection, state, slice.at, rows),
            Work::RunTasks { slots } => {
                return self.changer(connection, slice.at).task_slice(slots, rows).map(timed(began));
            }
        };
        Ok(timed(began)(done?))
    }

    fn changer<'c>(&'c mut self, connection: &'c Connection, at: UnixMs) -> Changer<'c> {
        Changer { db: connection.into(), state: &mut self.state.core, at }
    }

    fn fill(&mut self, connection: &Connection, share: usize) -> rusqlite::Result<()> {
        for index in self.state.indexes() {
            index.step(connection, share)?;
        }
        self.state.seen.step(connection, share)
    }

    fn begin(&mut self, at_least: usize) {
        for index in self.state.indexes() {
            index.cut(at_least);
        }
        self.state.begin();
    }

    fn roll_back(&mut self, error: &Error) -> CommitError {
        self.state.rollback();
        // Where SQLite has rolled back by itself there is nothing to roll back.
        if !self.connection.is_autocommit()
            && let Err(second) = self.connection.execute_batch("ROLLBACK")
            && !self.connection.is_autocommit()
        {
            return CommitError::Io(format!("{error}; and it could not be rolled back: {second}"));
        }
        classify(error)
    }

    /// Lets the log begin anew once it is long: the checkpointer has copied most of it, this copies
    /// the rest while nobody writes.
    fn bound_log(&mut self) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages <= self.bound {
            // The log has begun anew.
            if pages <= self.wal_pages_max {
                self.bound = self.wal_pages_max;
            }
            return;
        }
        // Where a reader holds it up there is no use in trying after each commit: readers are time-boxed.
        let complete = self.log.checkpoint(&self.connection);
        self.bound = if complete { self.wal_pages_max } else { pages + self.wal_pages_max / 8 };
    }
}

impl StoreWriter for SqliteWriter {
    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Reply>, CommitError> {
        self.begin(index::SLICE);
        match self.apply(batch) {
            Ok(replies) => {
                self.state.committed();
                self.bound_log();
                Ok(replies)
            }
            Err(error) => Err(self.roll_back(&error)),
        }
    }

    fn tend(&mut self, now: UnixMs) -> Result<bool, CommitError> {
        self.begin(1);
        let busy = self.state.indexes().iter().any(|index| index.has_work(1)) || self.state.seen.has_work();
        let connection = Rc::clone(&self.connection);
        let result = (|| {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            self.fill(&connection, IDLE_SHARE)?;
            self.state.traffic.write(&connection, self.state.core.keys.last(), now)?;
            self.state.seen.keep_floor(&connection)?;
            let swept = self.state.seen.sweep(&connection, now, IDLE_SHARE)?;
            let forgotten = forget_changes(&connection, now)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(busy || swept || forgotten > 0)
        })();
        match result {
            Ok(more) => {
                self.state.committed();
                self.bound_log();
                Ok(more)
            }
            Err(error) => Err(self.roll_back(&error)),
        }
    }

    fn take_raised(&mut self) -> Vec<Raised> {
        std::mem::take(&mut self.state.core.raised)
    }

    fn backup(&mut self, file: &Path, between: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()> {
        self.check_target(file)?;
        let temporary = crate::store::suffixed(file, ".partial");
        let _ = std::fs::remove_file(&temporary);
        if let Err(error) = self.copy_to(&temporary, between) {
            let _ = std::fs::remove_file(&temporary);
            return Err(error);
        }
        std::fs::rename(&temporary, file)?;
        crate::store::sync_folder_of(file)?;
        Ok(())
    }
}

/// Adds how long a slice took that began then.
fn timed(began: Instant) -> impl Fn(Maintained) -> Maintained {
    move |done| Maintained { took: began.elapsed(), ..done }
}

fn at(command: &Command) -> UnixMs {
    match command {
        Command::Publish(publish) => publish.at,
        Command::Settle(settle) => settle.at,
        Command::Change(request) => request.at,
        Command::Maintain(slice) => slice.at,
    }
}

/// Answers to changes whose time is over go, some at a time.
fn forget_changes(connection: &Connection, now: UnixMs) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM remembered_change WHERE hash IN
               (SELECT hash FROM remembered_change WHERE expires_at < ? LIMIT 1000)",
        )?
        .execute([now])
}

fn classify(error: &Error) -> CommitError {
    let code = match error {
        Error::Sqlite(error) => error.sqlite_error_code(),
        _ => None,
    };
    match code {
        Some(ErrorCode::DiskFull) => CommitError::Full,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied,
        ) => CommitError::Io(error.to_string()),
        _ => CommitError::Command(error.to_string()),
    }
}

/// Copies the log into the file beside the writer, so that the writer's own checkpoint is short.
/// Ends when the writer is gone.
fn spawn_checkpointer(file: &Path, log: &Arc<Log>, wal_pages_max: i64) -> anyhow::Result<JoinHandle<()>> {
    let connection = super::open_writer(file)?;
    let log = Arc::clone(log);
    let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
        let mut seen = 0;
        while !log.closed.load(Ordering::Acquire) {
            let pages = log.pages.load(Ordering::Relaxed);
            if pages > wal_pages_max / 2 && pages != seen {
                log.checkpoint(&connection);
                seen = pages;
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    })?;
    Ok(thread)
}
