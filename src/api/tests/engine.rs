//! The store below the API's tests: the embedded one, or with `POSTHOUSE_TEST_ENGINE=postgres`
//! PostgreSQL, a database for each gateway.

use std::sync::Arc;

use crate::model::{Clock as _, SystemClock};
use crate::store::postgres::{self, PgOptions, PgReader, PgWriter};
use crate::store::query::StoreQueries;
use crate::store::seal::Sealer;
use crate::store::sqlite::{self, SqliteOptions, SqliteReader, SqliteWriter};
use crate::store::{StoreReader, StoreWriter};
use crate::test_postgres;

/// Endpoints of one application at most.
const ENDPOINTS_MAX: usize = 5;

/// Opens the writer, in the thread that is to own it.
pub(super) type OpenWriter = Box<dyn FnOnce() -> Box<dyn StoreWriter> + Send>;

/// A new store, open.
pub(super) struct Engine {
    pub(super) reader: Arc<dyn StoreReader>,
    pub(super) queries: Arc<dyn StoreQueries>,
    pub(super) open_writer: OpenWriter,
    pub(super) kept: Kept,
}

/// Where the store is. It goes when this is dropped, which is after all that has it open.
pub(super) enum Kept {
    Folder(#[expect(dead_code, reason = "kept for its drop")] tempfile::TempDir, std::path::PathBuf),
    Database(#[expect(dead_code, reason = "kept for its drop")] Database, Box<PgOptions>),
}

/// A database on the shared server, by its URL.
pub(super) struct Database(String);

impl Drop for Database {
    fn drop(&mut self) {
        // After a failure it stays, until the server goes.
        if !std::thread::panicking() {
            test_postgres::shared().drop_database(&self.0);
        }
    }
}

/// A new store on the engine that the environment names.
pub(super) fn engine(sealer: &Arc<Sealer>) -> Engine {
    match std::env::var("POSTHOUSE_TEST_ENGINE").as_deref() {
        Err(_) | Ok("sqlite") => embedded(Arc::clone(sealer)),
        Ok("postgres") => {
            let database = Database(test_postgres::shared().create_database());
            let (reader, queries, open_writer, options) = on_postgres(&database.0, Arc::clone(sealer));
            Engine { reader, queries, open_writer, kept: Kept::Database(database, Box::new(options)) }
        }
        Ok(other) => panic!("POSTHOUSE_TEST_ENGINE is {other:?}, expected sqlite or postgres"),
    }
}

fn on_postgres(url: &str, sealer: Arc<Sealer>) -> (Arc<dyn StoreReader>, Arc<dyn StoreQueries>, OpenWriter, PgOptions) {
    let options = PgOptions::new(url, None, sealer, 6).expect("options");
    let opened = options.clone();
    // Not on a thread of the runtime: it stands still until the tables are made.
    let ready = std::thread::spawn(move || {
        postgres::prepare(&opened);
        postgres::sole_standing(&opened)
    });
    let standing = Arc::new(ready.join().expect("ready"));
    let reader = Arc::new(PgReader::new(&options));
    let of_writer = options.clone();
    let open_writer = move || -> Box<dyn StoreWriter> { Box::new(PgWriter::new(of_writer, standing, ENDPOINTS_MAX)) };
    (Arc::clone(&reader) as _, reader, Box::new(open_writer), options)
}

impl Kept {
    /// Changes rows behind the store's back; how many.
    pub(super) fn execute(&self, sql: &str) -> usize {
        match self {
            Self::Folder(_, file) => {
                rusqlite::Connection::open(file).expect("opens").execute(sql, []).expect("executed")
            }
            Self::Database(_, options) => postgres::numbers(options, &format!("{sql} RETURNING 1")).len(),
        }
    }

    /// Rows of numbers.
    pub(super) fn numbers(&self, sql: &str) -> Vec<Vec<i64>> {
        match self {
            Self::Folder(_, file) => {
                let connection = rusqlite::Connection::open(file).expect("opens");
                let mut found = connection.prepare(sql).expect("a statement");
                let columns = found.column_count();
                let rows = found.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
                rows.expect("read").collect::<Result<_, _>>().expect("rows")
            }
            Self::Database(_, options) => postgres::numbers(options, sql),
        }
    }
}

fn embedded(sealer: Arc<Sealer>) -> Engine {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteOptions { folder: folder.path().to_owned(), wal_bytes_max: 64 << 20, sealer };
    sqlite::prepare(&options).expect("a store");
    let reader = Arc::new(SqliteReader::open(options.clone()));
    let file = options.file();
    let open_writer = move || -> Box<dyn StoreWriter> {
        Box::new(SqliteWriter::open(&options, ENDPOINTS_MAX, SystemClock.now_ms()).expect("a writer"))
    };
    Engine {
        reader: Arc::clone(&reader) as _,
        queries: reader,
        open_writer: Box::new(open_writer),
        kept: Kept::Folder(folder, file),
    }
}
