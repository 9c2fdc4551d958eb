//! Moving an installation from the embedded store to PostgreSQL: the command's side and the running server's.
//!
//! ```text
//!  copy while it is served ─► stand still (503) ─► the rest ─► `moved` in the data folder ─► released
//! ```
//!
//! The server stands still as long as the command's connection to its socket lasts, and for good once the data
//! folder says that the store was moved: a command that is killed before that leaves a server that goes on, one
//! that is killed after it a target that is finished by the next. At no time may both be served.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::CA_BYTES_MAX;
use super::control::{Answer, Request};
use super::folder::{Folder, InUse, MOVED, check_owner, has_store, is_ours, key_file_of, socket_of};
use crate::accept::Gateway;
use crate::config::{Config, PostgresUrl};
use crate::dispatch::runner::Dispatcher;
use crate::model::{Clock, SlotSet, SystemClock};
use crate::store::copy::{Copied, Copy, Say};
use crate::store::postgres::{self, PgOptions};
use crate::store::seal::Sealer;
use crate::store::sqlite::{self, SqliteOptions};

/// How long requests that were let in may take until they are answered.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(30);
/// How much longer than an attempt may take its outcome may take until it is stored.
const OUTCOMES_STORED_WITHIN: Duration = Duration::from_secs(10);
/// How long the command waits for the server to stand still: longer than it can take.
const STANDS_STILL_WITHIN: Duration = Duration::from_mins(10);
/// Readers that a command needs: it has a connection of its own.
const NO_READERS: usize = 1;
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What was moved.
pub struct Moved {
    /// Rows by table.
    pub copied: Vec<Copied>,
    /// The file that opens what is sealed, for the servers to be given.
    pub key_file: PathBuf,
}

/// What to connect with.
pub fn options(config: &Config, url: &PostgresUrl) -> anyhow::Result<PgOptions> {
    let roots = match &config.egress.extra_ca_file {
        Some(file) => Some(crate::config::read_capped(file, CA_BYTES_MAX)?.into_bytes()),
        None => None,
    };
    PgOptions::new(url.reveal(), roots.as_deref(), Arc::new(Sealer::new(&[0; 32])), NO_READERS)
}

/// Copies the installation in the configured data folder into a database, and leaves a data folder that is
/// not served any more. Goes on where an earlier copy stopped, unless told to begin `anew`.
pub fn copy(config: &Config, url: &PostgresUrl, anew: bool, say: Say<'_>) -> anyhow::Result<Moved> {
    let folder = &config.storage.data_dir;
    if !has_store(folder) {
        bail!("there is no store in {}: name its folder with --from", folder.display());
    }
    check_owner(folder)?;
    let key_file = key_file_of(&config.storage);
    if !key_file.path().exists() {
        bail!("the key file {} is missing: nothing of the store's secrets opens without it", key_file.path().display());
    }
    let sealer = Arc::new(key_file.sealer()?);
    let store = SqliteOptions {
        folder: folder.clone(),
        wal_bytes_max: config.storage.wal_bytes_max,
        sealer: Arc::clone(&sealer),
    };
    let mut hold = Hold::of(config)?;
    if let Hold::Folder(_) = hold {
        sqlite::prepare(&store)?;
    }
    let target = options(config, url)?;
    postgres::migrate(&target, true).context("preparing the database")?;
    let mut copy = Copy::begin(&store.file(), &target, &sealer, anew)?;
    copy.catch_up(SystemClock.now_ms(), say)?;
    if let Hold::Nothing = hold {
        say("the server stands still from here on: it answers 503");
        hold = Hold::still(config)?;
    }
    // The key may have been replaced meanwhile.
    let sealer = key_file.sealer()?;
    let copied = copy.finish(&sealer, SystemClock.now_ms(), say)?;
    copy.wait_for_clock()?;
    mark_moved(folder, url)?;
    copy.release()?;
    drop(hold);
    Ok(Moved { copied, key_file: std::path::absolute(key_file.path())? })
}

/// Says in the data folder that its store was moved, durably: nobody serves it any more.
fn mark_moved(folder: &Path, url: &PostgresUrl) -> anyhow::Result<()> {
    let file = folder.join(MOVED);
    let write = || -> std::io::Result<()> {
        let mut written = std::fs::File::create(&file)?;
        writeln!(written, "{url}")?;
        written.sync_all()?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("writing {}", file.display()))
}

/// What keeps others from writing to the store.
enum Hold {
    /// A server runs, and goes on.
    Nothing,
    /// No server runs, and none can start.
    Folder(#[expect(dead_code, reason = "its lock is what counts")] Folder),
    /// The server stands still as long as this connection lasts.
    Server(#[expect(dead_code, reason = "that it is open is what counts")] UnixStream),
}

impl Hold {
    /// The folder, where no server has it.
    fn of(config: &Config) -> anyhow::Result<Self> {
        match Folder::lock(&config.storage) {
            Ok(folder) => Ok(Self::Folder(folder)),
            Err(error) if error.is::<InUse>() => Ok(Self::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Has the server stand still, or holds the folder where it has ended meanwhile.
    fn still(config: &Config) -> anyhow::Result<Self> {
        let socket = socket_of(&config.storage.data_dir);
        if is_ours(&socket)
            && let Ok(stream) = UnixStream::connect(&socket)
        {
            return Self::server(stream);
        }
        match Self::of(config)? {
            Self::Nothing => bail!("a process has the store open and does not answer at {}", socket.display()),
            held => Ok(held),
        }
    }

    fn server(mut stream: UnixStream) -> anyhow::Result<Self> {
        stream.set_read_timeout(Some(STANDS_STILL_WITHIN))?;
        let mut line = serde_json::to_vec(&Request::StandStill)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        let reading = std::io::Read::take(stream.try_clone()?, ANSWER_BYTES_MAX);
        BufReader::new(reading).read_line(&mut answer)?;
        match serde_json::from_str(&answer).context("the server's answer is not whole")? {
            Answer::Ok(_) => Ok(Self::Server(stream)),
            Answer::Error(error) => bail!("the server does not stand still: {error}"),
        }
    }
}

/// The running server's side.
pub(super) struct Stillness {
    gateway: Arc<Gateway>,
    dispatcher: Dispatcher,
    folder: PathBuf,
    is_embedded: bool,
    /// Held by the command that has asked.
    asked: tokio::sync::Mutex<()>,
}

impl Stillness {
    pub(super) fn new(gateway: Arc<Gateway>, dispatcher: Dispatcher, folder: PathBuf, is_embedded: bool) -> Self {
        Self { gateway, dispatcher, folder, is_embedded, asked: tokio::sync::Mutex::new(()) }
    }

    /// One command at a time.
    pub(super) fn ask(&self) -> anyhow::Result<tokio::sync::MutexGuard<'_, ()>> {
        if !self.is_embedded {
            bail!("this server keeps its messages in PostgreSQL");
        }
        self.asked.try_lock().context("another command copies this store")
    }

    /// Refuses everything from now on, and waits until all that was let in and all that is in flight is stored.
    /// After an error it goes on as before.
    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        tracing::info!("standing still: the store is being moved");
        self.dispatcher.lose(&SlotSet::FULL);
        let attempts = Duration::from_millis(self.gateway.delivery.attempt_timeout_ms) + OUTCOMES_STORED_WITHIN;
        let is_still = self.gateway.admission.stand_still(REQUESTS_END_WITHIN).await
            && self.dispatcher.released(&SlotSet::FULL, attempts).await;
        if !is_still {
            self.go_on().await;
            bail!("requests or attempts did not end in time");
        }
        Ok(())
    }

    /// The command has gone: goes on where the store was not moved.
    pub(super) async fn end(&self) {
        if self.folder.join(MOVED).exists() {
            tracing::info!("the store was moved: this server accepts and delivers nothing any more");
        } else {
            tracing::warn!("the store was not moved: this server goes on");
            self.go_on().await;
        }
    }

    async fn go_on(&self) {
        if let Err(error) = self.dispatcher.gain(&SlotSet::FULL).await {
            tracing::error!(%error, "what is pending could not be read: restart the server");
        }
        self.gateway.admission.go_on();
    }
}
