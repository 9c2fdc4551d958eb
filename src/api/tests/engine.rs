//! The store below the API's tests: the embedded one, or with `POSTHOUSE_TEST_ENGINE=postgres`
//! PostgreSQL, a database for each gateway.

use std::sync::Arc;

use crate::model::{Clock as _, SystemClock};
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
    Folder(#[expect(dead_code, reason = "kept for its drop")] tempfile::TempDir),
    Database(#[expect(dead_code, reason = "kept for its drop")] Database),
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
            let (reader, queries, open_writer) = on_postgres(&database.0, Arc::clone(sealer));
            Engine { reader, queries, open_writer, kept: Kept::Database(database) }
        }
        Ok(other) => panic!("POSTHOUSE_TEST_ENGINE is {other:?}, expected sqlite or postgres"),
    }
}

/// The one place where the engine over PostgreSQL is opened for the API's tests.
fn on_postgres(url: &str, _sealer: Arc<Sealer>) -> (Arc<dyn StoreReader>, Arc<dyn StoreQueries>, OpenWriter) {
    panic!("the engine over PostgreSQL is not in this version: {url}")
}

fn embedded(sealer: Arc<Sealer>) -> Engine {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteOptions { folder: folder.path().to_owned(), wal_bytes_max: 64 << 20, sealer };
    sqlite::prepare(&options).expect("a store");
    let reader = Arc::new(SqliteReader::open(options.clone()));
    let open_writer = move || -> Box<dyn StoreWriter> {
        Box::new(SqliteWriter::open(&options, ENDPOINTS_MAX, SystemClock.now_ms()).expect("a writer"))
    };
    Engine {
        reader: Arc::clone(&reader) as _,
        queries: reader,
        open_writer: Box::new(open_writer),
        kept: Kept::Folder(folder),
    }
}
