//! Attempts of an application's endpoints, counted by time and by event type.
//!
//! By the hour and of all types they are counted already. Anything else is counted row by row. Both go from the newest
//! as far back as one reading may: what is told says from when on it is complete.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use super::db::{Db, NONE, Optional, Result, params};
use super::scan::SCAN_TIME_MAX;
use super::stats::HOUR_MS;
use crate::model::id::{first_key_at, key_time};
use crate::model::{AppKey, Parked, UnixMs};
use crate::store::query::{AppAttempts, AppSpan, Tally};

/// Attempts, and cancelled deliveries, that are counted row by row in one reading.
const ROWS_MAX: usize = 50_000;
/// The newest stretch of time that is counted row by row; each before it is twice as long.
const STRETCH_MS: i64 = 60_000;

/// Hours times endpoints that are summed up in one reading: 69 days of 100 endpoints, a week of 1,000.
const SEEKS_MAX: i64 = 166_666;
/// The same in one statement, of which there is always one.
const SEEKS_STEP: i64 = 16_384;
/// The newest hours that are summed up at once; those before them are twice as many each time.
const HOURS_STEP: i64 = 168;

/// Attempts in the hours of a time, of all types, exact, as far back as they can be counted.
pub(in crate::store) fn by_hour(db: Db<'_>, app: AppKey, span: &AppSpan) -> Result<AppAttempts> {
    let began = Instant::now();
    let hours = (span.since.div_euclid(HOUR_MS), (span.until + HOUR_MS - 1).div_euclid(HOUR_MS));
    let mut found = Counting::new(span);
    let sql = match db {
        // One seek an hour and endpoint.
        Db::Sqlite(_) => {
            "WITH RECURSIVE hours (hour) AS (SELECT ?2 UNION ALL SELECT hour + 1 FROM hours WHERE hour + 1 < ?3)
             SELECT counted.hour, sum(success), sum(failure)
             FROM hours CROSS JOIN endpoint
               CROSS JOIN endpoint_hour AS counted ON counted.hour = hours.hour AND counted.endpoint = endpoint.key
             WHERE endpoint.app = ?1 GROUP BY 1"
        }
        Db::Postgres(_) => {
            "SELECT hour, sum(success)::bigint, sum(failure)::bigint FROM endpoint_hour
             WHERE hour >= ?2 AND hour < ?3 AND endpoint IN (SELECT key FROM endpoint WHERE app = ?1) GROUP BY 1"
        }
    };
    let oldest: Option<i64> = db
        .prepare_cached("SELECT hour FROM endpoint_hour ORDER BY hour LIMIT 1")?
        .query_row(NONE, |row| row.get(0))
        .optional()?;
    let endpoints: i64 =
        db.prepare_cached("SELECT count(*) FROM endpoint WHERE app = ?")?.query_row([app.0], |row| row.get(0))?;
    // Before the oldest hour there is nothing to count.
    let first = oldest.map_or(hours.1, |oldest| oldest.clamp(hours.0, hours.1));
    let (mut end, mut step, mut left) = (hours.1, HOURS_STEP, SEEKS_MAX);
    while end > first {
        let at_once = step.min(SEEKS_STEP / endpoints.max(1)).max(1);
        let from = (end - at_once).max(first);
        left -= (end - from) * endpoints;
        if end < hours.1 && (left < 0 || began.elapsed() >= SCAN_TIME_MAX) {
            break;
        }
        db.prepare_cached(sql)?.each([app.0, from, end], |row| {
            let (hour, success, failure): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            found.add(hour * HOUR_MS, "", [success as u64, failure as u64, 0]);
            Ok(true)
        })?;
        (end, step) = (from, step.saturating_mul(2));
    }
    let since = if end > first { end * HOUR_MS } else { span.since };
    tail(db, app, (since, hours.1 * HOUR_MS), &mut found)?;
    cancelled(db, app, &AppSpan { since, ..span.clone() }, &mut found, false)?;
    Ok(found.end(since))
}

/// Attempts that are in no hour yet.
fn tail(db: Db<'_>, app: AppKey, (since, until): (UnixMs, UnixMs), found: &mut Counting) -> Result<()> {
    let behind = match db {
        Db::Sqlite(_) => "coalesce((SELECT value FROM meta WHERE name = 'attempt_by_endpoint'), 0)",
        Db::Postgres(_) => "(SELECT max(up_to) FROM counted)",
    };
    // Entries of a slice that is being filled are counted before the watermark moves.
    let uncounted = match db {
        Db::Sqlite(_) => {
            "AND NOT EXISTS (SELECT 1 FROM attempt_by_endpoint AS counted
                              WHERE counted.endpoint = attempt.endpoint AND counted.attempt = attempt.key)"
        }
        Db::Postgres(_) => "",
    };
    let sql = format!(
        "SELECT (key >> {}) / {HOUR_MS}, kind, count(*) FROM attempt {} WHERE key > {behind}
           AND key >= ?2 AND key < ?3 AND endpoint IN (SELECT key FROM endpoint WHERE app = ?1) {uncounted} GROUP BY 1, 2",
        first_key_at(1).trailing_zeros(),
        db.hint("NOT INDEXED"),
    );
    db.prepare_cached(&sql)?.each([app.0, first_key_at(since), first_key_at(until)], |row| {
        let (hour, kind, count): (i64, u8, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        found.add(hour * HOUR_MS, "", outcome(kind, count as u64));
        Ok(true)
    })
}

/// Attempts in a time by their event type, as far back as they can be counted.
pub(in crate::store) fn by_type(db: Db<'_>, app: AppKey, span: &AppSpan) -> Result<AppAttempts> {
    let mut found = Counting::new(span);
    let (mut end, mut stretch, mut left) = (span.until, STRETCH_MS, ROWS_MAX);
    while end > span.since {
        let begin = (end - stretch).max(span.since);
        let rows = attempts(db, app, (begin, end), left + 1)?;
        if rows.len() > left {
            break;
        }
        left -= rows.len();
        for (key, kind, event_type) in rows {
            found.add(key_time(key), &event_type, outcome(kind, 1));
        }
        (end, stretch) = (begin, stretch.saturating_mul(2));
    }
    cancelled(db, app, &AppSpan { since: end, ..span.clone() }, &mut found, true)?;
    Ok(found.end(end))
}

/// Attempts of a stretch of time, at most `limit`, in any order.
fn attempts(db: Db<'_>, app: AppKey, (since, until): (UnixMs, UnixMs), limit: usize) -> Result<Vec<(i64, u8, String)>> {
    let values = [app.0, first_key_at(since), first_key_at(until), limit as i64];
    let read = |row: &super::db::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    if let Db::Postgres(_) = db {
        let sql = "SELECT attempt.key, attempt.kind, message.event_type FROM endpoint
                     JOIN attempt ON attempt.endpoint = endpoint.key JOIN message ON message.key = attempt.message
                   WHERE endpoint.app = ?1 AND attempt.key >= ?2 AND attempt.key < ?3 LIMIT ?4";
        return db.prepare_cached(sql)?.query_map(values, read)?.collect();
    }
    let indexed = "SELECT attempt.key, attempt.kind, message.event_type FROM endpoint
                     CROSS JOIN attempt_by_endpoint AS place ON place.endpoint = endpoint.key
                       AND place.attempt >= ?2 AND place.attempt < ?3
                     CROSS JOIN attempt ON attempt.key = place.attempt
                     CROSS JOIN message ON message.key = attempt.message
                   WHERE endpoint.app = ?1 LIMIT ?4";
    let mut found: Vec<(i64, u8, String)> =
        db.prepare_cached(indexed)?.query_map(values, read)?.collect::<Result<_>>()?;
    let tail = "SELECT attempt.key, attempt.kind, message.event_type FROM attempt NOT INDEXED
                  CROSS JOIN message ON message.key = attempt.message
                WHERE attempt.key > coalesce((SELECT value FROM meta WHERE name = 'attempt_by_endpoint'), 0)
                  AND attempt.key >= ?2 AND attempt.key < ?3
                  AND attempt.endpoint IN (SELECT key FROM endpoint WHERE app = ?1)
                  AND NOT EXISTS (SELECT 1 FROM attempt_by_endpoint AS place
                                   WHERE place.endpoint = attempt.endpoint AND place.attempt = attempt.key)
                LIMIT ?4";
    for row in db.prepare_cached(tail)?.query_map(values, read)? {
        found.push(row?);
    }
    Ok(found)
}

/// Deliveries that were cancelled in the time, of those that are set aside: the newest of each endpoint.
fn cancelled(db: Db<'_>, app: AppKey, span: &AppSpan, found: &mut Counting, with_type: bool) -> Result<()> {
    let mut left = ROWS_MAX;
    let endpoints: Vec<i64> = db
        .prepare_cached("SELECT key FROM endpoint WHERE app = ? ORDER BY key DESC")?
        .query_map([app.0], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let mut newest =
        db.prepare_cached("SELECT message, state, at FROM parked WHERE endpoint = ? ORDER BY message DESC LIMIT ?")?;
    let mut type_of = db.prepare_cached("SELECT event_type FROM message WHERE key = ?")?;
    for endpoint in endpoints {
        let mut rows: Vec<(i64, UnixMs)> = Vec::new();
        newest.each([endpoint, left as i64], |row| {
            left -= 1;
            let at: UnixMs = row.get(2)?;
            if row.get::<i64>(1)? == Parked::Cancelled.code() && (span.since..span.until).contains(&at) {
                rows.push((row.get(0)?, at));
            }
            Ok(true)
        })?;
        for (message, at) in rows {
            let event_type: Option<String> =
                if with_type { type_of.query_row(params![message], |row| row.get(0)).optional()? } else { None };
            if event_type.is_some() || !with_type {
                found.add(at, event_type.as_deref().unwrap_or(""), [0, 0, 1]);
            }
        }
    }
    Ok(())
}

/// Succeeded, failed, cancelled.
const fn outcome(kind: u8, count: u64) -> [u64; 3] {
    if kind == 0 { [count, 0, 0] } else { [0, count, 0] }
}

/// Counts under way.
struct Counting {
    span: AppSpan,
    /// Empty: all types.
    wanted: HashSet<String>,
    tallies: BTreeMap<(UnixMs, String), [u64; 3]>,
}

impl Counting {
    fn new(span: &AppSpan) -> Self {
        let wanted = span.event_types.iter().cloned().collect();
        Self { span: span.clone(), wanted, tallies: BTreeMap::new() }
    }

    fn add(&mut self, at: UnixMs, event_type: &str, counts: [u64; 3]) {
        if !self.wanted.is_empty() && !self.wanted.contains(event_type) {
            return;
        }
        let bucket = match self.span.bucket_ms {
            Some(bucket_ms) => at.div_euclid(bucket_ms) * bucket_ms,
            None => self.span.since,
        };
        let tally = self.tallies.entry((bucket, event_type.to_owned())).or_default();
        for (sum, count) in tally.iter_mut().zip(counts) {
            *sum += count;
        }
    }

    fn end(self, since: UnixMs) -> AppAttempts {
        let tallies = self.tallies.into_iter().map(|((at, event_type), counts)| {
            let [success, failure, cancelled] = counts;
            Tally { at, event_type, success, failure, cancelled }
        });
        AppAttempts { since, tallies: tallies.collect() }
    }
}
