//! What became of an endpoint's deliveries, from counts by hour and what is not counted yet.

use super::db::{Db, NONE, Optional, Params, Result, Row, params};
use crate::model::id::first_key_at;
use crate::model::{EndpointKey, Parked, UnixMs};
use crate::store::query::EndpointStats;

/// Milliseconds of the hours that are counted by.
pub(in crate::store) const HOUR_MS: i64 = 3_600_000;
/// Deliveries of one state that are counted.
const COUNT_MAX: i64 = 1_000_000;

/// What became of an endpoint's deliveries from `since` to `until`.
pub(in crate::store) fn endpoint_stats(
    db: Db<'_>,
    endpoint: EndpointKey,
    since: UnixMs,
    until: UnixMs,
) -> Result<EndpointStats> {
    let messages = (first_key_at(since), first_key_at(until));
    let (success, failure) = attempts(db, endpoint, since, until)?;
    let parked = |state: Parked| {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM parked
                     WHERE endpoint = ? AND message >= ? AND message < ? AND state = ? LIMIT ?) AS found";
        count(db, sql, params![endpoint.0, messages.0, messages.1, state.code(), COUNT_MAX])
    };
    let waiting = "SELECT count(*) FROM (SELECT 1 FROM waiting
                     WHERE endpoint = ? AND message >= ? AND message < ? LIMIT ?) AS found";
    let pending = "SELECT count(*) FROM (SELECT 1 FROM pending
                     WHERE message >= ? AND message < ? AND endpoint = ? LIMIT ?) AS found";
    Ok(EndpointStats {
        success,
        attempts_failed: failure,
        fail: parked(Parked::Failed)? + parked(Parked::Quarantined)?,
        pending: count(db, pending, params![messages.0, messages.1, endpoint.0, COUNT_MAX])? + parked(Parked::Held)?,
        sending: count(db, waiting, params![endpoint.0, messages.0, messages.1, COUNT_MAX])?,
        cancelled: parked(Parked::Cancelled)?,
    })
}

fn count(db: Db<'_>, sql: &str, values: impl Params) -> Result<u64> {
    db.prepare_cached(sql)?.query_row(values, |row| row.get::<i64>(0)).map(|count| count as u64)
}

/// Attempts that succeeded and that failed in the hours from that of `since` to that of `until`:
/// one seek an hour, and the tail that is not counted yet.
fn attempts(db: Db<'_>, endpoint: EndpointKey, since: UnixMs, until: UnixMs) -> Result<(u64, u64)> {
    let (mut success, mut failure) = (0_i64, 0_i64);
    let bounds: Option<(i64, i64)> = db
        .prepare_cached(
            "SELECT (SELECT hour FROM endpoint_hour ORDER BY hour LIMIT 1),
                    (SELECT hour FROM endpoint_hour ORDER BY hour DESC LIMIT 1)",
        )?
        .query_row(NONE, |row| Ok(row.get::<Option<i64>>(0)?.zip(row.get(1)?)))?;
    let hours = (since.max(0) / HOUR_MS, until.max(0).saturating_add(HOUR_MS - 1) / HOUR_MS);
    if let Some((oldest, newest)) = bounds {
        let mut of_hour =
            db.prepare_cached("SELECT success, failure FROM endpoint_hour WHERE hour = ? AND endpoint = ?")?;
        for hour in hours.0.max(oldest)..hours.1.min(newest + 1) {
            let read = |row: &Row<'_>| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?));
            if let Some(counted) = of_hour.query_row([hour, endpoint.0], read).optional()? {
                success += counted.0;
                failure += counted.1;
            }
        }
    }
    let (first, before) = (first_key_at(hours.0 * HOUR_MS), first_key_at(hours.1.saturating_mul(HOUR_MS)));
    // Entries of a slice that is being filled are counted before the watermark moves.
    let sql = match db {
        Db::Sqlite(_) => {
            "SELECT count(*) FILTER (WHERE kind = 0), count(*) FROM attempt NOT INDEXED
             WHERE key > coalesce((SELECT value FROM meta WHERE name = 'attempt_by_endpoint'), 0)
               AND key >= ?1 AND key < ?2 AND endpoint = ?3
               AND NOT EXISTS (SELECT 1 FROM attempt_by_endpoint AS counted
                                WHERE counted.endpoint = ?3 AND counted.attempt = attempt.key)"
        }
        Db::Postgres(_) => {
            "SELECT count(*) FILTER (WHERE kind = 0), count(*) FROM attempt
             WHERE key > (SELECT max(up_to) FROM counted) AND key >= ?1 AND key < ?2 AND endpoint = ?3"
        }
    };
    let tail: (i64, i64) =
        db.prepare_cached(sql)?.query_row([first, before, endpoint.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(((success + tail.0) as u64, (failure + tail.1 - tail.0) as u64))
}
