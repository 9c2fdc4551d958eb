//! The embedded engine: one SQLite file in WAL mode with `synchronous=FULL`.
//!
//! One connection writes (owned by the journal's thread), a few read, one checkpoints. SQLite
//! logs whole pages, so the hot path only appends; see [`index`] and [`super::idempotency`] for
//! what is filled later.

mod apply;
mod counters;
mod index;
mod keys;
mod purge;
mod reader;
mod resent;
mod restore;
mod retention;
mod sweep;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags};

use super::seal::Sealer;
use super::sql::reseal;
pub(in crate::store) use keys::message_of_event;
pub use reader::SqliteReader;
pub use restore::restore;
pub(in crate::store) use retention::due as maintenance_due;
pub use writer::SqliteWriter;

/// The oldest SQLite that may run: 3.51.3 mends a fault by which a reset of the log could lose data.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../../migrations/sqlite/0002_sources.sql"),
    include_str!("../../../migrations/sqlite/0003_access.sql"),
    include_str!("../../../migrations/sqlite/0004_insight.sql"),
    include_str!("../../../migrations/sqlite/0005_actions.sql"),
];
/// The version of a store that the first of them has made. Stores of lower versions were made before
/// the first release, and nothing leads on from them.
const VERSION_FIRST: usize = 2;
/// The version of a store that all of them have made.
pub(in crate::store) const VERSION: usize = VERSION_FIRST - 1 + MIGRATIONS.len();
/// Rights of the store's files.
const PRIVATE: u32 = 0o600;

/// Where the embedded store is, and its bounds.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The folder that holds it.
    pub folder: PathBuf,
    /// Bytes that the write-ahead log may grow to before the writer waits for its checkpoint.
    pub wal_bytes_max: u64,
    /// Opens and seals secrets.
    pub sealer: Arc<Sealer>,
}

impl SqliteOptions {
    /// The file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("posthouse.db")
    }
}

/// Makes the store ready: file, pragmas, migrations, check of the key.
pub fn prepare(options: &SqliteOptions) -> anyhow::Result<()> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        bail!("SQLite {} is too old: at least 3.51.3 is needed", rusqlite::version());
    }
    let file = options.file();
    match create_private(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => make_private(&file)?,
        made => made.with_context(|| format!("making {}", file.display()))?,
    }
    let mut connection = open_writer(&file)?;
    migrate(&mut connection)?;
    let transaction = connection.transaction()?;
    reseal::check_key((&*transaction).into(), &options.sealer)?;
    Ok(transaction.commit()?)
}

/// Makes an empty file that only its owner can read and write. SQLite takes an empty file as an
/// empty database, and gives the files beside it the same rights.
fn create_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(file).map(drop)
}

/// Takes away what others may do with the file and those beside it. It does not open them: closing
/// a file that SQLite has open in this process would give up SQLite's locks on it.
fn make_private(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for suffix in ["", "-wal", "-shm"] {
        let path = super::suffixed(file, suffix);
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.permissions().mode() & 0o777 & !PRIVATE != 0 {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(PRIVATE))
                .with_context(|| format!("taking away what others may do with {}", path.display()))?;
        }
    }
    Ok(())
}

fn open_writer(file: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(file).with_context(|| format!("opening {}", file.display()))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        bail!(
            "{} cannot have a write-ahead log (journal mode {mode}): is it on a network file system?",
            file.display()
        );
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

pub(in crate::store) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Forward-only, each in one transaction. A store of a version that this Posthouse does not know is
/// refused.
fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?.try_into()?;
    if version > VERSION {
        bail!("the store has version {version}, this Posthouse knows up to {VERSION}: run the newer Posthouse");
    }
    if (1..VERSION_FIRST).contains(&version) {
        bail!(
            "the store has version {version}, which was made before the first release and cannot be taken over: \
             begin with an empty data folder"
        );
    }
    let done = version.saturating_sub(VERSION_FIRST - 1);
    for (i, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", i64::try_from(VERSION_FIRST + i)?)?;
        transaction.commit()?;
    }
    Ok(())
}
