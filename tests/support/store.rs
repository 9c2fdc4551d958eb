//! The store, looked at and changed from outside, past the server.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::engine;
use super::postgres;

const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// The embedded store's file in a data folder.
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

/// The rows of a store, whichever the engine: what is said here of tables and columns holds for both.
#[derive(Debug)]
pub(crate) enum Rows {
    Embedded(Connection),
    /// The name of the database.
    Postgres(String),
}

/// Tables in which the embedded store keeps its lists; PostgreSQL has indexes instead.
const EMBEDDED_LISTS: [&str; 3] = ["message_by_app", "attempt_by_message", "attempt_by_endpoint"];

impl Rows {
    /// Of the server with this data folder.
    pub(crate) fn of(data_dir: &Path) -> Self {
        match engine::database_of(data_dir) {
            Some(url) => Self::Postgres(url.rsplit('/').next().unwrap_or_default().to_owned()),
            None => Self::Embedded(Connection::open(database(data_dir)).expect("opens")),
        }
    }

    /// Runs statements, all or none.
    #[track_caller]
    pub(crate) fn execute(&self, sql: &str) {
        match self {
            Self::Embedded(connection) => {
                connection.execute_batch(&format!("BEGIN; {sql}; COMMIT")).expect("executed");
            }
            Self::Postgres(name) => {
                postgres::shared().psql(name, sql);
            }
        }
    }

    /// The first column of the rows that a statement answers with.
    #[track_caller]
    pub(crate) fn numbers(&self, sql: &str) -> Vec<i64> {
        match self {
            Self::Embedded(connection) => {
                let mut statement = connection.prepare(sql).expect("a statement");
                let rows = statement.query_map([], |row| row.get(0)).expect("rows");
                rows.collect::<Result<_, _>>().expect("numbers")
            }
            Self::Postgres(name) => {
                let text = postgres::shared().psql(name, sql);
                text.lines().map(|line| line.parse().expect("a number")).collect()
            }
        }
    }

    /// Whether tables have so many rows, each; those that this engine does without are passed over.
    #[track_caller]
    pub(crate) fn counts_are(&self, expected: &[(&str, usize)]) -> bool {
        let mut expected = expected.iter().filter(|(table, _)| self.has(table));
        expected.all(|(table, rows)| self.numbers(&format!("SELECT count(*) FROM {table}")) == [*rows as i64])
    }

    /// Makes all messages and attempts so much older, while no server runs: their keys begin with their
    /// time, the ids of payloads with their last day.
    pub(crate) fn make_older(&self, by_ms: i64) {
        let (keys, payloads, hours) = (by_ms << 21, (by_ms / 86_400_000) << 47, by_ms / 3_600_000);
        let changes = [
            ("message", format!("key = key - {keys}, payload = payload - {payloads}")),
            ("payload", format!("id = id - {payloads}")),
            ("message_by_app", format!("message = message - {keys}")),
            ("attempt", format!("key = key - {keys}, message = message - {keys}")),
            ("attempt_by_message", format!("message = message - {keys}, attempt = attempt - {keys}")),
            ("attempt_by_endpoint", format!("attempt = attempt - {keys}")),
            ("endpoint_hour", format!("hour = hour - {hours}")),
        ];
        if matches!(self, Self::Postgres(_)) {
            self.execute(&older_partitions(by_ms / 86_400_000));
        }
        let changes = changes.iter().filter(|(table, _)| self.has(table));
        let mut statements: Vec<_> = changes.map(|(table, change)| format!("UPDATE {table} SET {change}")).collect();
        if matches!(self, Self::Postgres(_)) {
            statements.push(format!("UPDATE unique_key SET message = message - {keys}"));
        }
        self.execute(&statements.join("; "));
    }

    fn has(&self, table: &str) -> bool {
        matches!(self, Self::Embedded(_)) || !EMBEDDED_LISTS.contains(&table)
    }
}

/// Makes partitions so many days before those that there are.
fn older_partitions(days: i64) -> String {
    format!(
        "DO $$ DECLARE part record; first bigint; BEGIN
           FOR part IN SELECT parent.relname AS parent, split_part(child.relname, '_', 2)::bigint - {days} AS day
             FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
               JOIN pg_class AS parent ON parent.oid = inhparent AND parent.relkind = 'p'
           LOOP
             CONTINUE WHEN to_regclass(part.parent || '_' || part.day) IS NOT NULL;
             first := CASE part.parent WHEN 'payload' THEN 1::bigint << 47 ELSE 86400000::bigint << 21 END;
             EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
               part.parent || '_' || part.day, part.parent, first * part.day, first * (part.day + 1));
           END LOOP; END $$"
    )
}

/// What a crash left is sound: looked at in a copy, so that the server still finds it as it was. With
/// PostgreSQL nothing of it is in files of ours.
pub(crate) fn assert_sound_copy(data_dir: &Path) {
    if engine::is_postgres() {
        return;
    }
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

/// What a server left that has stopped is sound. With PostgreSQL nothing of it is in files of ours.
pub(crate) fn assert_store_sound(data_dir: &Path) {
    if !engine::is_postgres() {
        assert_sound(&database(data_dir));
    }
}

/// `PRAGMA integrity_check`.
pub(crate) fn assert_sound(database: &Path) {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("opens");
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(answer, "ok", "integrity_check of {}", database.display());
}
