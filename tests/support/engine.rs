//! Which store the servers of the tests keep their messages in: the embedded one, or with
//! `POSTHOUSE_TEST_ENGINE=postgres` PostgreSQL, where each data folder has a database of its own. The
//! tests are the same; those about the embedded store's files say so by [`is_about_the_embedded_store`].

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::postgres;

/// Whether the servers keep their messages in PostgreSQL.
pub(crate) fn is_postgres() -> bool {
    match std::env::var("POSTHOUSE_TEST_ENGINE").as_deref() {
        Err(_) | Ok("sqlite") => false,
        Ok("postgres") => true,
        Ok(other) => panic!("POSTHOUSE_TEST_ENGINE is {other:?}, expected sqlite or postgres"),
    }
}

/// Whether a test is to end here, because it is about files of the embedded store and runs on
/// PostgreSQL. The test is then listed, with its number in this binary and the reason, on standard
/// error itself: of a test that passes, what is printed is not seen.
#[track_caller]
pub(crate) fn is_about_the_embedded_store(why: &str) -> bool {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    if !is_postgres() {
        return false;
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let line =
        format!("not run on PostgreSQL, {number}: {} ({}): {why}\n", thread.name().unwrap_or("?"), Location::caller());
    std::io::stderr().write_all(line.as_bytes()).expect("written");
    true
}

/// The databases that were made, by their data folders.
fn databases() -> MutexGuard<'static, HashMap<PathBuf, String>> {
    static DATABASES: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Mutex::default);
    DATABASES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The URL of the database that belongs to a data folder, made at the first call; `None` where the
/// store is the embedded one.
pub(crate) fn database_of(data_dir: &Path) -> Option<String> {
    is_postgres().then(|| {
        let known = databases().get(data_dir).cloned();
        // The lock is not held while one is made: a folder belongs to one test.
        known.unwrap_or_else(|| {
            let url = postgres::shared().create_database();
            databases().insert(data_dir.to_owned(), url.clone());
            url
        })
    })
}

/// What the command line says of the store that belongs to a data folder.
pub(crate) fn flags(data_dir: &Path) -> Vec<OsString> {
    let mut flags = vec!["--data-dir".into(), data_dir.into()];
    flags.extend(database_of(data_dir).into_iter().flat_map(|url| ["--database".into(), url.into()]));
    flags
}

/// A data folder that is seen by another path as well.
pub(crate) fn is_also(data_dir: &Path, other: PathBuf) {
    let known = databases().get(data_dir).cloned();
    if let Some(url) = known {
        databases().insert(other, url);
    }
}

/// Removes the databases of the data folders in this folder, which ends with its test. After a
/// failure they are left to be looked at, until the server goes.
pub(crate) fn remove_databases(folder: &Path) {
    if std::thread::panicking() {
        return;
    }
    let gone: Vec<_> = databases().extract_if(|data_dir, _| data_dir.starts_with(folder)).collect();
    for (_, url) in gone {
        postgres::shared().drop_database(&url);
    }
}
