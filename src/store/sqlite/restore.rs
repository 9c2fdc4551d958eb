//! Putting a backup in the place of a store. The caller has locked the data folder.
//!
//! ```text
//!  copy beside the store ─► check the copy ─► the old store goes aside ─► the copy gets its name
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{SqliteOptions, VERSION, VERSION_FIRST, create_private, open_writer};
use crate::store::seal::Sealer;
use crate::store::sql::reseal;
use crate::store::{suffixed, sync_folder_of};

/// What every file of SQLite begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Tables that no other application's database has together.
const TABLES: [&str; 4] = ["meta", "message", "pending", "idempotency_run"];
/// Faults of a damaged file that are looked for.
const FAULTS_MAX: usize = 1;
/// Stores that were put aside in one folder.
const ASIDE_MAX: u32 = 1_000;

/// Puts a copy of the backup `file` in place; says where the store is that was there before.
/// Refuses to replace one unless told to, and refuses a file that is no sound store which this
/// sealer's keys open. Until the last step the old store is the one that counts.
pub fn restore(options: &SqliteOptions, file: &Path, replace: bool) -> anyhow::Result<Option<PathBuf>> {
    let store = options.file();
    if store.exists() && !replace {
        bail!("there is a store in {} already: --replace puts it aside", options.folder.display());
    }
    let temporary = suffixed(&store, ".restore");
    let _ = std::fs::remove_file(&temporary);
    let prepared = copy(file, &temporary).and_then(|()| check(file, &temporary, &options.sealer));
    if let Err(error) = prepared {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    let aside = if store.exists() { Some(put_aside(&store)?) } else { None };
    // A log without its store would be taken for the new one's.
    remove_if_there(&suffixed(&store, "-wal"))?;
    remove_if_there(&suffixed(&store, "-shm"))?;
    std::fs::rename(&temporary, &store)?;
    sync_folder_of(&store)?;
    Ok(aside)
}

fn copy(file: &Path, temporary: &Path) -> anyhow::Result<()> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let shown = file.display();
    let mut source = std::fs::File::open(file).with_context(|| format!("opening the backup {shown}"))?;
    let mut magic = [0; MAGIC.len()];
    if source.read_exact(&mut magic).is_err() || magic != *MAGIC {
        bail!("{shown} is no Posthouse store");
    }
    if std::fs::metadata(suffixed(file, "-wal")).is_ok_and(|log| log.len() > 0) {
        bail!("{shown} has a log beside it: it is a store in use, or the file of one, and no backup");
    }
    create_private(temporary).with_context(|| format!("making {}", temporary.display()))?;
    std::fs::copy(file, temporary).with_context(|| format!("copying {shown} to {}", temporary.display()))?;
    let copied = std::fs::File::open(temporary)?;
    // The copy came with the rights of the backup.
    copied.set_permissions(std::fs::Permissions::from_mode(super::PRIVATE))?;
    copied.sync_all()?;
    Ok(())
}

/// Looks at the copy, so that what was checked is what is put in place; errors name the file that
/// the operator knows.
fn check(file: &Path, copy: &Path, sealer: &Sealer) -> anyhow::Result<()> {
    let shown = file.display();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy, flags)?;
    let damaged = || format!("{shown} is damaged");
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).with_context(damaged)?;
    for table in TABLES {
        let there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
        if connection.query_row(there, [table], |_| Ok(())).optional().with_context(damaged)?.is_none() {
            bail!("{shown} is no Posthouse store");
        }
    }
    if version < VERSION_FIRST as i64 {
        bail!("{shown} has version {version}, which was made before the first release and cannot be taken over");
    }
    if version > VERSION as i64 {
        bail!(
            "{shown} has version {version}, this Posthouse knows up to {VERSION}: restore it with the newer Posthouse"
        );
    }
    let sql = format!("PRAGMA integrity_check({FAULTS_MAX})");
    let found: String = connection.query_row(&sql, [], |row| row.get(0)).with_context(damaged)?;
    if found != "ok" {
        bail!("{shown} is damaged: {found}");
    }
    if !reseal::opens((&connection).into(), sealer).with_context(damaged)? {
        bail!("the key file does not open {shown}: put the key file in place that was in use when it was made");
    }
    let others = reseal::sealed_by_others((&connection).into(), sealer).with_context(damaged)?;
    if others > 0 {
        bail!(
            "{shown} was made while its encryption key was being replaced, and {others} values in it are sealed with \
             a key that the key file does not hold: put both keys in it, a line each"
        );
    }
    connection.close().map_err(|(_, error)| error)?;
    // The copy may have its log in use by its own header, but nothing in it.
    for suffix in ["-wal", "-shm", "-journal"] {
        remove_if_there(&suffixed(copy, suffix))?;
    }
    Ok(())
}

/// Gives the store that is there a second name, with what is still in its log.
fn put_aside(store: &Path) -> anyhow::Result<PathBuf> {
    let fold = || -> anyhow::Result<()> {
        let connection = open_writer(store)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    };
    if let Err(error) = fold() {
        // It may be damaged: that is why it is replaced. Its log then goes with it.
        tracing::warn!(error = format!("{error:#}"), "the log of the store that is replaced could not be folded in");
    }
    for number in 1..=ASIDE_MAX {
        let aside = suffixed(store, &format!(".replaced-{number}"));
        if aside.exists() {
            continue;
        }
        // A second name first: the store keeps its own until the copy takes it, in one step.
        std::fs::hard_link(store, &aside).with_context(|| format!("naming {}", aside.display()))?;
        let log = suffixed(store, "-wal");
        if log.exists() {
            std::fs::rename(&log, suffixed(&aside, "-wal"))?;
        }
        sync_folder_of(store)?;
        return Ok(aside);
    }
    bail!("{ASIDE_MAX} stores were put aside in this folder already: remove some")
}

fn remove_if_there(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
