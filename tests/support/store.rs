//! The embedded store, looked at from outside while no server uses it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// The database of a data folder.
pub(crate) fn database(data_dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(data_dir).expect("the data folder");
    let mut found: Vec<_> = entries.map(|e| e.expect("an entry").path()).filter(|path| is_database(path)).collect();
    assert_eq!(found.len(), 1, "one database in {}: {found:?}", data_dir.display());
    found.remove(0)
}

fn is_database(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == SQLITE_MAGIC
}

/// What a crash left is sound: looked at in a copy, so that the server still finds it as it was.
pub(crate) fn assert_sound_copy(data_dir: &Path) {
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the copy");
    let database = database(data_dir);
    let name = database.file_name().expect("a name").to_string_lossy().into_owned();
    for suffix in ["", "-wal"] {
        let from = data_dir.join(format!("{name}{suffix}"));
        if from.exists() {
            std::fs::copy(&from, copy.path().join(format!("{name}{suffix}"))).expect("a copy");
        }
    }
    assert_sound(&copy.path().join(&name));
}

/// `PRAGMA integrity_check`.
pub(crate) fn assert_sound(database: &Path) {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("opens");
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(answer, "ok", "integrity_check of {}", database.display());
}
