//! Attempts by endpoint and hour, counted without a write of their own: when an entry of
//! `attempt_by_endpoint` is inserted, its attempt is counted in the same transaction. An entry that
//! was there already (a slice that is filled again after a crash) is not counted a second time.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::index::Entry;
use crate::model::Key;
use crate::model::id::key_time;
use crate::store::sql::stats::HOUR_MS;

/// The hour of an attempt.
const fn hour_of(attempt: Key) -> i64 {
    key_time(attempt) / HOUR_MS
}

/// What a share of a slice adds: bounded by the share.
#[derive(Default)]
pub(super) struct HourCounts {
    /// Successes and failures by hour and endpoint.
    by_place: BTreeMap<(i64, i64), (i64, i64)>,
}

impl HourCounts {
    /// An entry was inserted.
    pub(super) fn add(&mut self, entry: Entry) {
        let (success, failure) = self.by_place.entry((hour_of(entry.key), entry.leading)).or_default();
        *if entry.success { success } else { failure } += 1;
    }

    /// Writes what was gathered, in the order of the table.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut add = connection.prepare_cached(
            "INSERT INTO endpoint_hour (hour, endpoint, success, failure) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET success = success + excluded.success, failure = failure + excluded.failure",
        )?;
        for ((hour, endpoint), (success, failure)) in &self.by_place {
            add.execute([hour, endpoint, success, failure])?;
        }
        Ok(())
    }
}
