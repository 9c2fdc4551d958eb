//! The engine over PostgreSQL (15 or newer): one node or many.
//!
//! ```text
//!  journal ──► writer ──► one transaction a batch, fenced by this node's epoch
//!  lists, dispatch ──► reader ──► pools of connections
//! ```
//!
//! PostgreSQL logs rows and not pages, so that indexes by application and endpoint are kept in the
//! transaction of their rows. What grows with every message is partitioned by day.

mod cluster;
mod hot;
mod inserts;
mod listen;
mod membership;
mod migrate;
mod notice;
mod options;
pub(super) mod partitions;
mod purge;
mod reader;
pub(super) mod session;
pub(super) mod standing;
mod tls;
mod upkeep;
mod writer;

use std::time::Duration;

pub use cluster::{Arriving, Cluster, arriving};
pub(super) use hot::message_of_event;
/// What is unique about messages, for those who copy them.
pub(super) mod unique {
    pub(in crate::store) use super::hot::{DEDUPE_KEPT_MS, EVENT_ID_KEPT_MS, Kind, event_hash};
}
pub use listen::{Heard, listen};
pub use membership::View;
pub(super) use migrate::COPYING;
pub use migrate::{MigrationStatus, check_key, check_whole, kept_key, migrate, status};
pub use notice::Bulletin;
pub use options::PgOptions;
pub use reader::PgReader;
pub use standing::{Joining, Standing, Tenure};
pub(super) use upkeep::due as maintenance_due;
pub(super) use writer::PAYLOAD_BLOCK_BITS;
pub use writer::PgWriter;

use session::Session;
pub use session::SessionError;

/// How long what is done at start and beside the journal waits for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

fn connect(options: &PgOptions) -> Result<Session, SessionError> {
    Session::connect(options, PATIENCE)
}

/// For tests: tables and key.
#[cfg(test)]
pub(crate) fn prepare(options: &PgOptions) {
    migrate(options, true).expect("migrated");
    check_key(options).expect("checked");
}

/// For tests: a node alone, in the tenure 0, as often as it is opened.
#[cfg(test)]
pub(crate) fn sole_standing(options: &PgOptions) -> Standing {
    let session = connect(options).expect("connected");
    session
        .batch("INSERT INTO node (number, name, epoch, last_key) VALUES (3, 'sole', 0, 0) ON CONFLICT DO NOTHING")
        .expect("written");
    let last_key = numbers(options, "SELECT last_key FROM node")[0][0];
    let standing = Standing::default();
    standing.begin(Tenure { number: 3, epoch: 0, last_key });
    standing
}

/// For tests: all that is old enough is counted.
#[cfg(test)]
pub(crate) fn count_all(options: &PgOptions, now: crate::model::UnixMs) {
    let session = connect(options).expect("connected");
    while upkeep::round(&session, now).expect("a round") {}
}

/// For tests: rows of numbers.
#[cfg(test)]
pub(crate) fn numbers(options: &PgOptions, sql: &str) -> Vec<Vec<i64>> {
    let session = connect(options).expect("connected");
    let rows = session.query(&session.prepare(sql).expect("sql"), &[]).expect("read");
    let columns = |row: &session::PgRow| (0..).map_while(|column| row.integer(column).ok()).collect();
    rows.iter().map(columns).collect()
}
