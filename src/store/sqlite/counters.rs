//! Attempts by endpoint and hour, counted without a write of their own: when an entry of
//! `attempt_by_endpoint` is inserted, its attempt is counted in the same transaction. An entry that
//! was there already (a slice that is filled again after a crash) is not counted a second time.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::index::Entry;
use crate::model::id::{first_key_at, key_time};
use crate::model::{EndpointKey, Key, Parked, UnixMs};
use crate::store::query::EndpointStats;

/// Milliseconds of the hours that are counted by.
const HOUR_MS: i64 = 3_600_000;
/// Deliveries of one state that are counted.
const COUNT_MAX: i64 = 1_000_000;

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

/// What became of an endpoint's deliveries from `since` to `until`.
pub(super) fn endpoint_stats(
    connection: &Connection,
    endpoint: EndpointKey,
    since: UnixMs,
    until: UnixMs,
) -> rusqlite::Result<EndpointStats> {
    let messages = (first_key_at(since), first_key_at(until));
    let (success, failure) = attempts(connection, endpoint, since, until)?;
    let parked = |state: Parked| {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM parked
                     WHERE endpoint = ? AND message >= ? AND message < ? AND state = ? LIMIT ?)";
        count(connection, sql, params![endpoint.0, messages.0, messages.1, state.code(), COUNT_MAX])
    };
    let waiting = "SELECT count(*) FROM (SELECT 1 FROM waiting
                     WHERE endpoint = ? AND message >= ? AND message < ? LIMIT ?)";
    let pending = "SELECT count(*) FROM (SELECT 1 FROM pending
                     WHERE message >= ? AND message < ? AND endpoint = ? LIMIT ?)";
    Ok(EndpointStats {
        success,
        attempts_failed: failure,
        fail: parked(Parked::Failed)? + parked(Parked::Quarantined)?,
        pending: count(connection, pending, params![messages.0, messages.1, endpoint.0, COUNT_MAX])?
            + parked(Parked::Held)?,
        sending: count(connection, waiting, params![endpoint.0, messages.0, messages.1, COUNT_MAX])?,
        cancelled: parked(Parked::Cancelled)?,
    })
}

fn count(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<u64> {
    connection.prepare_cached(sql)?.query_row(values, |row| row.get::<_, i64>(0)).map(|count| count as u64)
}

/// Attempts that succeeded and that failed in the hours from that of `since` to that of `until`:
/// one seek an hour, and the tail that is not counted yet.
fn attempts(
    connection: &Connection,
    endpoint: EndpointKey,
    since: UnixMs,
    until: UnixMs,
) -> rusqlite::Result<(u64, u64)> {
    let (mut success, mut failure) = (0_i64, 0_i64);
    let bounds: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT (SELECT hour FROM endpoint_hour ORDER BY hour LIMIT 1),
                    (SELECT hour FROM endpoint_hour ORDER BY hour DESC LIMIT 1)",
        )?
        .query_row([], |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?)))?;
    let hours = (since.max(0) / HOUR_MS, until.max(0).saturating_add(HOUR_MS - 1) / HOUR_MS);
    if let Some((oldest, newest)) = bounds {
        let mut of_hour =
            connection.prepare_cached("SELECT success, failure FROM endpoint_hour WHERE hour = ? AND endpoint = ?")?;
        for hour in hours.0.max(oldest)..hours.1.min(newest + 1) {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            if let Some(counted) = of_hour.query_row([hour, endpoint.0], read).optional()? {
                success += counted.0;
                failure += counted.1;
            }
        }
    }
    let (first, before) = (first_key_at(hours.0 * HOUR_MS), first_key_at(hours.1.saturating_mul(HOUR_MS)));
    // Entries of a slice that is being filled are counted before the watermark moves.
    let tail: (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE kind = 0), count(*) FROM attempt NOT INDEXED
             WHERE key > coalesce((SELECT value FROM meta WHERE name = 'attempt_by_endpoint'), 0)
               AND key >= ?1 AND key < ?2 AND endpoint = ?3
               AND NOT EXISTS (SELECT 1 FROM attempt_by_endpoint AS counted
                                WHERE counted.endpoint = ?3 AND counted.attempt = attempt.key)",
        )?
        .query_row([first, before, endpoint.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(((success + tail.0) as u64, (failure + tail.1 - tail.0) as u64))
}
