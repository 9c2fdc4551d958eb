//! What came and went, by environment and time: gathered in memory, written off the hot path in the transaction
//! that says up to which key all is counted, and read with the tail behind that key.
//!
//! Whose a message or an attempt is tells its application; what belongs to one that is gone counts nowhere, and
//! neither do operational webhooks.

use std::collections::BTreeMap;

use super::db::{Db, NONE, Optional, Result, params};
use crate::model::id::{first_key_at, key_time};
use crate::model::latencies::{BOUNDS_MS, step_of};
use crate::model::{EnvKey, Key, Latencies, UnixMs};
use crate::store::query::{Traffic, TrafficBucket};

/// Widths of buckets in seconds, and for how many seconds they are kept.
const WIDTHS: [(i64, i64); 2] = [(MINUTE_S, 25 * 3_600), (HOUR_S, 31 * 86_400)];
const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
/// Messages, and attempts, that a reading counts by itself, because they are in no bucket yet: as many as the
/// engine counts in some hundredths of a second.
const TAIL_MAX: usize = 5_000;
const TAIL_MAX_POSTGRES: usize = 100_000;

/// Counts of one environment in one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Counts {
    accepted: u64,
    delivered: u64,
    failed: u64,
    latencies: Latencies,
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.latencies.merge(&other.latencies);
    }
}

/// What was counted and is not written yet, by environment and minute.
#[derive(Debug, Default)]
pub(in crate::store) struct Gathered {
    by_place: BTreeMap<(i64, i64), Counts>,
}

impl Gathered {
    fn at(&mut self, env: i64, at: UnixMs) -> &mut Counts {
        self.by_place.entry((env, at.div_euclid(MINUTE_S * 1_000))).or_default()
    }

    /// Messages that were accepted in the minute of `at`.
    pub(in crate::store) fn accepted(&mut self, env: i64, at: UnixMs, count: u64) {
        self.at(env, at).accepted += count;
    }

    /// Attempts of a step of time that were made in the minute of `at`.
    pub(in crate::store) fn attempted(&mut self, env: i64, at: UnixMs, success: bool, step: usize, count: u64) {
        let counts = self.at(env, at);
        *if success { &mut counts.delivered } else { &mut counts.failed } += count;
        counts.latencies.add(step, count);
    }

    /// Counts all of another.
    pub(in crate::store) fn merge(&mut self, other: &Self) {
        for (place, counts) in &other.by_place {
            self.by_place.entry(*place).or_default().merge(counts);
        }
    }

    /// Environments and minutes.
    pub(in crate::store) fn places(&self) -> usize {
        self.by_place.len()
    }

    /// Adds all to the buckets of each width, and removes those of the same environments whose time is over: in
    /// the long run as many as come.
    pub(in crate::store) fn write(&self, db: Db<'_>) -> Result<()> {
        let mut read = db.prepare_cached(
            "SELECT accepted, delivered, failed, latencies FROM traffic WHERE env = ? AND width = ? AND bucket = ?",
        )?;
        let mut write = db.prepare_cached(
            "INSERT INTO traffic (env, width, bucket, accepted, delivered, failed, latencies)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (env, width, bucket) DO UPDATE SET accepted = excluded.accepted,
               delivered = excluded.delivered, failed = excluded.failed, latencies = excluded.latencies",
        )?;
        let mut sweep = db.prepare_cached("DELETE FROM traffic WHERE env = ? AND width = ? AND bucket < ?")?;
        for (width, kept_s) in WIDTHS {
            for ((env, bucket), more) in self.by_width(width) {
                let place = [env, width, bucket];
                let mut counts = read.query_row(place, |row| counts(row, 0)).optional()?.unwrap_or_default();
                counts.merge(&more);
                let Counts { accepted, delivered, failed, latencies } = counts;
                write.execute(params![
                    env,
                    width,
                    bucket,
                    accepted as i64,
                    delivered as i64,
                    failed as i64,
                    latencies.encode()
                ])?;
                sweep.execute([env, width, bucket - kept_s / width])?;
            }
        }
        Ok(())
    }

    /// The minutes together that make a bucket of `width` seconds.
    fn by_width(&self, width: i64) -> BTreeMap<(i64, i64), Counts> {
        let mut wide: BTreeMap<(i64, i64), Counts> = BTreeMap::new();
        for ((env, minute), counts) in &self.by_place {
            wide.entry((*env, minute * MINUTE_S / width)).or_default().merge(counts);
        }
        wide
    }
}

fn counts(row: &super::db::Row<'_>, first: usize) -> Result<Counts> {
    let number = |column: usize| row.get::<i64>(first + column).map(|number| number.max(0) as u64);
    Ok(Counts {
        accepted: number(0)?,
        delivered: number(1)?,
        failed: number(2)?,
        latencies: Latencies::decode(row.blob(first + 3)?),
    })
}

/// Up to which key messages and attempts are in their buckets.
fn watermark(db: Db<'_>) -> Result<Key> {
    let sql = match db {
        Db::Sqlite(_) => "SELECT coalesce((SELECT value FROM meta WHERE name = 'traffic'), 0)",
        Db::Postgres(_) => "SELECT max(up_to) FROM counted",
    };
    db.prepare_cached(sql)?.query_row(NONE, |row| row.get(0))
}

/// Rows that are counted: with keys behind the first and up to the second, at most so many.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Span {
    pub(in crate::store) behind: Key,
    pub(in crate::store) up_to: Key,
    pub(in crate::store) limit: usize,
}

/// Counts what is behind the watermark: of messages and of attempts the first `limit`. Says up to which key
/// all is counted, where that is not all.
pub(in crate::store) fn tail(db: Db<'_>, limit: usize) -> Result<(Gathered, Option<Key>)> {
    let span = Span { behind: watermark(db)?, up_to: Key::MAX, limit };
    let mut gathered = Gathered::default();
    let cut = [add_messages(db, span, &mut gathered)?, add_attempts(db, span, &mut gathered)?];
    Ok((gathered, cut.into_iter().flatten().min()))
}

/// Counts messages; says up to which key, where there may be more.
pub(in crate::store) fn add_messages(db: Db<'_>, span: Span, gathered: &mut Gathered) -> Result<Option<Key>> {
    let (minute, group) = grouped(db, "message.key", "1, 2");
    let (key, count) = if group.is_empty() { ("message.key", "1") } else { ("max(message.key)", "count(*)") };
    let sql = format!(
        "SELECT {minute}, application.env, {count}, {key}
         FROM (SELECT key, app FROM message WHERE key > ? AND key <= ? ORDER BY key LIMIT ?) AS message
           LEFT JOIN application ON application.key = message.app AND application.kind = 0 {group}"
    );
    let mut seen = Seen::default();
    db.prepare_cached(&sql)?.each(span.values(), |row| {
        let (minute, env, count): (i64, Option<i64>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        seen.add(count, row.get(3)?);
        if let Some(env) = env {
            gathered.accepted(env, minute * MINUTE_S * 1_000, count as u64);
        }
        Ok(true)
    })?;
    Ok(seen.cut(span.limit))
}

/// Counts attempts; says up to which key, where there may be more.
pub(in crate::store) fn add_attempts(db: Db<'_>, span: Span, gathered: &mut Gathered) -> Result<Option<Key>> {
    let (minute, group) = grouped(db, "attempt.key", "1, 2, 3, 4");
    let (key, count) = if group.is_empty() { ("attempt.key", "1") } else { ("max(attempt.key)", "count(*)") };
    let took = match db {
        Db::Sqlite(_) => "duration_ms".to_owned(),
        Db::Postgres(_) => {
            let bounds = BOUNDS_MS.map(|bound| bound.to_string()).join(",");
            format!("width_bucket(duration_ms, '{{{bounds}}}'::bigint[])")
        }
    };
    let sql = format!(
        "SELECT {minute}, application.env, CASE WHEN attempt.kind = 0 THEN 1 ELSE 0 END, {took}, {count}, {key}
         FROM (SELECT key, endpoint, kind, duration_ms FROM attempt
               WHERE key > ? AND key <= ? ORDER BY key LIMIT ?) AS attempt
           LEFT JOIN endpoint ON endpoint.key = attempt.endpoint
           LEFT JOIN application ON application.key = endpoint.app AND application.kind = 0 {group}"
    );
    let mut seen = Seen::default();
    db.prepare_cached(&sql)?.each(span.values(), |row| {
        let (minute, env, success): (i64, Option<i64>, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (took, count): (u32, i64) = (row.get(3)?, row.get(4)?);
        seen.add(count, row.get(5)?);
        if let Some(env) = env {
            // PostgreSQL says the step by itself.
            let step = if group.is_empty() { step_of(took) } else { took as usize };
            gathered.attempted(env, minute * MINUTE_S * 1_000, success, step, count as u64);
        }
        Ok(true)
    })?;
    Ok(seen.cut(span.limit))
}

/// The minute of a key, and how rows are put together: by PostgreSQL itself, whose rows come over a wire.
fn grouped(db: Db<'_>, key: &str, by: &str) -> (String, String) {
    let minute = format!("({key} >> {}) / {}", first_key_at(1).trailing_zeros(), MINUTE_S * 1_000);
    match db {
        Db::Sqlite(_) => (minute, String::new()),
        Db::Postgres(_) => (minute, format!("GROUP BY {by}")),
    }
}

impl Span {
    fn values(self) -> [i64; 3] {
        [self.behind, self.up_to, i64::try_from(self.limit).unwrap_or(i64::MAX)]
    }
}

/// Rows that were counted.
#[derive(Default)]
struct Seen {
    rows: i64,
    last: Key,
}

impl Seen {
    fn add(&mut self, rows: i64, key: Key) {
        self.rows += rows;
        self.last = self.last.max(key);
    }

    /// The last of them, where there may be more.
    fn cut(&self, limit: usize) -> Option<Key> {
        (self.rows as usize >= limit).then_some(self.last)
    }
}

/// What came and went in an environment from `since` until `until`, which are multiples of `bucket_s` seconds:
/// 60, 3,600, or a multiple of one of these.
pub(in crate::store) fn read(
    db: Db<'_>,
    env: EnvKey,
    (since, until): (UnixMs, UnixMs),
    bucket_s: i64,
    now: UnixMs,
) -> Result<Traffic> {
    let limit = if matches!(db, Db::Sqlite(_)) { TAIL_MAX } else { TAIL_MAX_POSTGRES };
    let (tail, cut_at) = tail(db, limit)?;
    let width = if bucket_s % HOUR_S == 0 { HOUR_S } else { MINUTE_S };
    let series = series(db, env, width, (since, until), &tail)?;
    let mut filled: Vec<TrafficBucket> = Vec::new();
    let mut at = since;
    while at < until {
        let mut counts = Counts::default();
        let end = at + bucket_s * 1_000;
        for (_, more) in series.range(at / 1_000 / width..end / 1_000 / width) {
            counts.merge(more);
        }
        let Counts { accepted, delivered, failed, latencies } = counts;
        filled.push(TrafficBucket { at, accepted, delivered, failed, latencies });
        at = end;
    }
    let counted_to = cut_at.map_or(now, key_time).min(now);
    let from = (counted_to / 60_000 - 1) * 60_000;
    let (mut accepted, mut delivered) = (0, 0);
    for counts in self::series(db, env, MINUTE_S, (from, now + 60_000), &tail)?.values() {
        accepted += counts.accepted;
        delivered += counts.delivered;
    }
    let seconds = (counted_to - from).max(1_000) as f64 / 1_000.0;
    Ok(Traffic {
        buckets: filled,
        counted_to,
        accepted_per_s: accepted as f64 / seconds,
        delivered_per_s: delivered as f64 / seconds,
    })
}

/// Buckets of one width from `since` until before `until`, by their number.
fn series(
    db: Db<'_>,
    env: EnvKey,
    width: i64,
    (since, until): (UnixMs, UnixMs),
    tail: &Gathered,
) -> Result<BTreeMap<i64, Counts>> {
    let bounds = (since / 1_000 / width, until / 1_000 / width);
    let mut found: BTreeMap<i64, Counts> = BTreeMap::new();
    db.prepare_cached(
        "SELECT bucket, accepted, delivered, failed, latencies FROM traffic
         WHERE env = ? AND width = ? AND bucket >= ? AND bucket < ?",
    )?
    .each([env.0, width, bounds.0, bounds.1], |row| {
        found.insert(row.get(0)?, counts(row, 1)?);
        Ok(true)
    })?;
    for ((of, bucket), counts) in tail.by_width(width) {
        if of == env.0 && (bounds.0..bounds.1).contains(&bucket) {
            found.entry(bucket).or_default().merge(&counts);
        }
    }
    Ok(found)
}
