//! The writer: one connection, one transaction a batch.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};

use super::apply::{HotStatements, WriterState};
use super::change::Changer;
use super::{SqliteOptions, index};
use crate::model::UnixMs;
use crate::store::command::{Command, Done, Reply};
use crate::store::{CommitError, StoreWriter};

/// Index entries inserted in a commit for each message in it, and at least.
const SHARE_PER_COMMAND: usize = 3;
const SHARE_MIN: usize = 64;
/// Index entries inserted at once when the journal is idle.
const IDLE_SHARE: usize = 8_192;
const BACKUP_PAGES: i32 = 1_024;

/// Writes to the embedded store.
pub struct SqliteWriter {
    connection: Rc<Connection>,
    state: WriterState,
    endpoints_max: usize,
    log: Arc<LogSize>,
    wal_pages_max: i64,
}

/// Pages in the write-ahead log, as of the last commit.
#[derive(Default)]
struct LogSize(AtomicI64);

impl SqliteWriter {
    /// Opens the store for writing. `endpoints_max` is the bound on endpoints of one application.
    /// Not `Send`: open it on the thread that commits.
    pub fn open(options: &SqliteOptions, endpoints_max: usize, now: UnixMs) -> anyhow::Result<Self> {
        let mut connection = super::open_writer(&options.file())?;
        let log = Arc::new(LogSize::default());
        let counted = Arc::clone(&log);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            counted.0.store(i64::from(pages), Ordering::Relaxed);
            Ok(())
        }))?;
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let state = WriterState::open(&connection, Arc::clone(&options.sealer), now)?;
        let wal_pages_max = (options.wal_bytes_max as i64 / page).max(1_000);
        spawn_checkpointer(&options.file(), &log, wal_pages_max)?;
        Ok(Self { connection: Rc::new(connection), state, endpoints_max, log, wal_pages_max })
    }

    fn apply(&mut self, batch: &[Command]) -> rusqlite::Result<Vec<Reply>> {
        let connection = Rc::clone(&self.connection);
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut replies = Vec::with_capacity(batch.len());
        let mut hot = HotStatements::new(&connection)?;
        for command in batch {
            let reply = match command {
                Command::Publish(publish) => hot.publish(&mut self.state, publish)?,
                Command::Settle(settle) => {
                    let mut settled = hot.settle(&mut self.state, settle)?;
                    if let Some(reason) = settle.disable {
                        settled.disabled = self.changer(&connection, settle.at).disable_endpoint(
                            settle.app,
                            settle.endpoint,
                            reason,
                        )?;
                    }
                    Ok(Done::Settled(settled))
                }
                Command::Change(request) => self.changer(&connection, request.at).apply(request)?,
            };
            replies.push(reply);
        }
        drop(hot);
        self.fill(&connection, SHARE_MIN + SHARE_PER_COMMAND * batch.len())?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(replies)
    }

    fn changer<'c>(&'c mut self, connection: &'c Connection, at: UnixMs) -> Changer<'c> {
        Changer { connection, state: &mut self.state, endpoints_max: self.endpoints_max, at }
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

    fn roll_back(&mut self, error: &rusqlite::Error) -> CommitError {
        // Where SQLite has rolled back by itself there is nothing to roll back, and it says so.
        let _ = self.connection.execute_batch("ROLLBACK");
        self.state.rollback();
        classify(error)
    }

    /// Lets the log begin anew once it is long: the checkpointer has copied most of it, this copies
    /// the rest while nobody writes.
    fn bound_log(&self) {
        if self.log.0.load(Ordering::Relaxed) > self.wal_pages_max {
            let result = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
            if let Err(error) = result {
                tracing::warn!(%error, "checkpoint failed; it is tried again after the next commit");
            }
        }
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
            let swept = self.state.seen.sweep(&connection, now)?;
            let forgotten = connection
                .prepare_cached("DELETE FROM remembered_change WHERE hash IN (SELECT hash FROM remembered_change WHERE expires_at < ? LIMIT 1000)")?
                .execute([now])?;
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

    fn backup(&mut self, file: &Path, between: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()> {
        let temporary = file.with_extension("partial");
        let _ = std::fs::remove_file(&temporary);
        let mut copy =
            Connection::open(&temporary).with_context(|| format!("making the backup {}", temporary.display()))?;
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
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder)?.sync_all()?;
        Ok(())
    }
}

fn classify(error: &rusqlite::Error) -> CommitError {
    match error.sqlite_error_code() {
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
fn spawn_checkpointer(file: &Path, log: &Arc<LogSize>, wal_pages_max: i64) -> anyhow::Result<()> {
    let connection = super::open_writer(file)?;
    let log = Arc::downgrade(log);
    std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
        while let Some(size) = log.upgrade().map(|log| log.0.load(Ordering::Relaxed)) {
            if size > wal_pages_max / 2 {
                let result = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
                if let Err(error) = result {
                    tracing::warn!(%error, "checkpoint failed; it is tried again");
                }
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    })?;
    Ok(())
}
