//! How many attempts at an endpoint match, for a fraction of a second at most.

use std::time::{Duration, Instant};

use super::db::{Db, Result, params};
use super::query::attempts;
use super::scan::{interval, watermark};
use crate::model::{EndpointKey, Key};
use crate::store::query::{AttemptFilter, AttemptsOf, Order, Page};
use crate::store::search::AttemptCount;

/// Attempts that are counted in one step.
const STEP: i64 = 20_000;
/// How long it goes on counting.
const TIME_MAX: Duration = Duration::from_millis(150);
/// Attempts that are looked at one by one, where their messages decide.
const LISTED_MAX: usize = 20_000;

/// Counts attempts at an endpoint.
pub(super) fn of_endpoint(db: Db<'_>, endpoint: EndpointKey, filter: &AttemptFilter) -> Result<AttemptCount> {
    let page = Page { after: None, order: Order::Descending, limit: LISTED_MAX };
    let message = &filter.message;
    if message.channel.is_some() || message.tag.is_some() || !message.event_types.is_empty() {
        let listed = attempts(db, AttemptsOf::Endpoint(endpoint), &page, filter)?;
        return Ok(AttemptCount { count: listed.rows.len() as u64, approximated: !listed.done });
    }
    let (low, mut high) = interval(&page, message.before, message.after);
    let (began, mut count) = (Instant::now(), 0);
    if let Db::Sqlite(_) = db {
        // What the index does not have yet, and then what it has.
        let watermark = watermark(db, "attempt_by_endpoint")?;
        count += step(db, TAIL, endpoint, (low.max(watermark), high), filter, i64::MAX)?.1;
        high = high.min(watermark.saturating_add(1));
    }
    loop {
        let from = if matches!(db, Db::Sqlite(_)) { INDEXED } else { TABLE };
        let (looked_at, matched, last) = step(db, from, endpoint, (low, high), filter, STEP)?;
        count += matched;
        let Some(last) = last.filter(|_| looked_at == STEP) else {
            return Ok(AttemptCount { count: count as u64, approximated: false });
        };
        if began.elapsed() >= TIME_MAX {
            return Ok(AttemptCount { count: count as u64, approximated: true });
        }
        high = last;
    }
}

const TAIL: &str = "attempt NOT INDEXED WHERE attempt.endpoint = ?1 AND attempt.key > ?2 AND attempt.key < ?3
     ORDER BY attempt.key DESC LIMIT ?4";
const TABLE: &str = "attempt WHERE attempt.endpoint = ?1 AND attempt.key > ?2 AND attempt.key < ?3
     ORDER BY attempt.key DESC LIMIT ?4";
const INDEXED: &str = "attempt_by_endpoint CROSS JOIN attempt ON attempt.key = attempt_by_endpoint.attempt
     WHERE attempt_by_endpoint.endpoint = ?1 AND attempt_by_endpoint.attempt > ?2 AND attempt_by_endpoint.attempt < ?3
     ORDER BY attempt_by_endpoint.attempt DESC LIMIT ?4";

/// How many were looked at, how many match, and the last.
fn step(
    db: Db<'_>,
    from: &str,
    endpoint: EndpointKey,
    (low, high): (Key, Key),
    filter: &AttemptFilter,
    limit: i64,
) -> Result<(i64, i64, Option<Key>)> {
    if low.saturating_add(1) >= high {
        return Ok((0, 0, None));
    }
    let success = match filter.success {
        None => "",
        Some(true) => " AND kind = 0",
        Some(false) => " AND kind <> 0",
    };
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE status >= ?5 AND status < ?6{success}), min(key)
           FROM (SELECT attempt.key, attempt.kind, attempt.status FROM {from}) AS looked_at"
    );
    // As PostgreSQL has them, in two bytes.
    let status = filter
        .status_class
        .map_or((0, i64::from(i16::MAX)), |class| (i64::from(class) * 100, i64::from(class) * 100 + 100));
    db.prepare_cached(&sql)?.query_row(params![endpoint.0, low, high, limit, status.0, status.1], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
}
