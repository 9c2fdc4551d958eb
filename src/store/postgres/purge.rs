//! Rows of what was deleted go, a job for each application and endpoint, in statements that are bounded in
//! rows. A job goes when all that it is about is gone, and not before every attempt that was in flight at
//! the deletion is on record.

use crate::model::UnixMs;
use crate::store::maintenance::Maintained;
use crate::store::sql::db::{Db, Optional, Result, params};
use crate::store::sql::purged::Kind;

/// How long after a deletion attempts may still be recorded: longer than any attempt lasts, on any node.
const IN_FLIGHT_MS: i64 = 120_000;

struct Job {
    target: i64,
    kind: Kind,
    url: Option<i64>,
    deleted_at: UnixMs,
}

/// What goes with an endpoint and with an application: `?1` is its key, `?2` how many rows.
const OF_ENDPOINT: [&str; 4] = [
    "DELETE FROM waiting WHERE endpoint = ?1 AND (due, message) IN
       (SELECT due, message FROM waiting WHERE endpoint = ?1 ORDER BY due, message LIMIT ?2)",
    "DELETE FROM parked WHERE endpoint = ?1 AND message IN
       (SELECT message FROM parked WHERE endpoint = ?1 ORDER BY message LIMIT ?2)",
    // Their URLs first: after a crash nothing else would name them.
    "DELETE FROM endpoint_url WHERE id IN
       (SELECT url FROM attempt WHERE endpoint = ?1 ORDER BY key LIMIT ?2)",
    "DELETE FROM attempt WHERE endpoint = ?1 AND key IN
       (SELECT key FROM attempt WHERE endpoint = ?1 ORDER BY key LIMIT ?2)",
];
const OF_APPLICATION: [&str; 3] = [
    "DELETE FROM payload WHERE id IN (SELECT payload FROM message WHERE app = ?1 ORDER BY key LIMIT ?2)",
    "DELETE FROM pending WHERE message IN (SELECT key FROM message WHERE app = ?1 ORDER BY key LIMIT ?2)",
    "DELETE FROM message WHERE app = ?1 AND key IN
       (SELECT key FROM message WHERE app = ?1 ORDER BY key LIMIT ?2)",
];

/// Removes a slice of what was deleted longest ago.
pub(super) fn slice(db: Db<'_>, now: UnixMs, budget: usize) -> Result<Maintained> {
    let Some(job) = next(db, now)? else { return Ok(Maintained::default()) };
    let statements: &[&str] = match job.kind {
        Kind::Endpoint => &OF_ENDPOINT,
        Kind::Application => &OF_APPLICATION,
    };
    let mut rows = 0;
    let mut is_last_short = false;
    for sql in statements {
        let gone = db.prepare_cached(sql)?.execute(params![job.target, budget as i64])?;
        is_last_short = gone < budget;
        rows = rows.max(gone);
    }
    if is_last_short && rows < budget {
        end(db, &job, now)?;
    }
    Ok(Maintained { rows, more: next(db, now)?.is_some(), ..Maintained::default() })
}

fn next(db: Db<'_>, now: UnixMs) -> Result<Option<Job>> {
    db.prepare_cached("SELECT target, kind, url, deleted_at FROM purge WHERE next_at <= ? ORDER BY next_at LIMIT 1")?
        .query_row([now], |row| {
            let kind = Kind::from_code(row.get(1)?);
            Ok(Job { target: row.get(0)?, kind, url: row.get(2)?, deleted_at: row.get(3)? })
        })
        .optional()
}

/// Nothing is left for now. The job goes when nothing can follow any more; else it is looked at again.
fn end(db: Db<'_>, job: &Job, now: UnixMs) -> Result<()> {
    let last_at = job.deleted_at + if job.kind == Kind::Endpoint { IN_FLIGHT_MS } else { 0 };
    if now <= last_at {
        db.prepare_cached("UPDATE purge SET next_at = ? WHERE target = ?")?.execute([last_at + 1, job.target])?;
        return Ok(());
    }
    if let Some(url) = job.url {
        db.prepare_cached("DELETE FROM endpoint_url WHERE id = ?")?.execute([url])?;
    }
    db.prepare_cached("DELETE FROM purge WHERE target = ?")?.execute([job.target])?;
    Ok(())
}
