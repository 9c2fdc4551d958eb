//! Counts that cost the hot path no write of their own.
//!
//! Attempts by endpoint and hour: when an entry of `attempt_by_endpoint` is inserted, its attempt is
//! counted in the same transaction. An entry that was there already (a slice that is filled again
//! after a crash) is not counted a second time.
//!
//! What came and went by environment gathers in memory, and is written every few seconds with the key
//! up to which it was counted. What lies behind that key after a crash is read again.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::index::Entry;
use crate::model::Key;
use crate::model::id::key_time;
use crate::model::latencies::step_of;
use crate::model::{EnvKey, UnixMs};
use crate::store::sql::db;
use crate::store::sql::stats::HOUR_MS;
use crate::store::sql::traffic::{self, Gathered};

/// How often counts are written while the journal is busy, in milliseconds; and how much seldomer for each place
/// that they are written to, so that with very many environments no commit waits long for it.
const WRITTEN_EVERY_MS: i64 = 4_000;
const SELDOMER_MS: i64 = 10;

/// What came and went by environment and minute, and is not written yet.
pub(super) struct TrafficCounter {
    /// Of what is committed.
    kept: Gathered,
    /// Of the transaction under way.
    fresh: Gathered,
    /// All of it is written in the transaction under way.
    is_written: bool,
    /// When it was written last.
    written_at: UnixMs,
}

impl TrafficCounter {
    /// Counts what a process before this one has not written.
    pub(super) fn open(connection: &Connection) -> db::Result<Self> {
        let (kept, _) = traffic::tail(connection.into(), usize::MAX)?;
        Ok(Self { kept, fresh: Gathered::default(), is_written: false, written_at: 0 })
    }

    /// A message was accepted.
    pub(super) fn accepted(&mut self, env: EnvKey, message: Key) {
        self.fresh.accepted(env.0, key_time(message), 1);
    }

    /// An attempt is on record.
    pub(super) fn attempted(&mut self, env: EnvKey, attempt: Key, success: bool, duration_ms: u32) {
        self.fresh.attempted(env.0, key_time(attempt), success, step_of(duration_ms), 1);
    }

    /// A transaction begins; what one before it has left was rolled back.
    pub(super) fn begin(&mut self) {
        (self.fresh, self.is_written) = (Gathered::default(), false);
    }

    /// The transaction was committed.
    pub(super) fn committed(&mut self) {
        if self.is_written {
            self.kept = Gathered::default();
        } else {
            self.kept.merge(&self.fresh);
        }
        self.begin();
    }

    /// Writes all, if that is some time ago. No key up to `last` is given any more.
    pub(super) fn write_if_due(&mut self, connection: &Connection, last: Key, now: UnixMs) -> db::Result<()> {
        let pause_ms = WRITTEN_EVERY_MS + SELDOMER_MS * self.kept.places() as i64;
        if (self.written_at..self.written_at + pause_ms).contains(&now) {
            return Ok(());
        }
        self.write(connection, last, now)
    }

    /// Writes all, and up to where it is counted.
    pub(super) fn write(&mut self, connection: &Connection, last: Key, now: UnixMs) -> db::Result<()> {
        if self.kept.places() + self.fresh.places() == 0 {
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.fresh);
        all.merge(&self.kept);
        all.write(connection.into())?;
        connection
            .prepare_cached(
                "INSERT INTO meta (name, value) VALUES ('traffic', ?)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute([last])?;
        (self.is_written, self.written_at) = (true, now);
        Ok(())
    }
}

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
