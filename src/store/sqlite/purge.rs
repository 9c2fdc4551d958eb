//! Rows of what was deleted go, a job for each application and endpoint. A job is written in the
//! transaction of the deletion, and goes when all that it is about is gone: not before every attempt
//! that was in flight then is on record.

use rusqlite::{Connection, OptionalExtension, params};

use super::apply::WriterState;
use super::sweep::{ATTEMPTS_OF_DELETED, Candidate, MESSAGES_OF_DELETED, Sweep};
use crate::model::UnixMs;
use crate::model::id::first_key_at;
use crate::store::maintenance::Maintained;
use crate::store::sql::purged::Kind;

/// How long after a deletion attempts may still be recorded: longer than any attempt lasts.
const IN_FLIGHT_MS: i64 = 120_000;
/// How long a job is left alone that has to wait for an index.
const AGAIN_MS: i64 = 10_000;

/// The job under way. It can be begun anew.
#[derive(Default)]
pub(super) struct Purge {
    target: i64,
    sweep: Sweep,
    /// URLs that attempts of the endpoint went to.
    urls: Vec<i64>,
}

struct Job {
    target: i64,
    kind: Kind,
    url: Option<i64>,
    deleted_at: UnixMs,
}

/// Removes a slice of what was deleted longest ago.
pub(super) fn slice(
    connection: &Connection,
    state: &mut WriterState,
    now: UnixMs,
    budget: usize,
) -> rusqlite::Result<Maintained> {
    let Some(job) = next(connection, now)? else { return Ok(Maintained::default()) };
    if state.purge.target != job.target {
        state.purge = Purge { target: job.target, ..Purge::default() };
    }
    let mut rows = 0;
    if job.kind == Kind::Endpoint {
        rows = deliveries(connection, job.target, budget)?;
        if rows == budget {
            return Ok(Maintained { rows, more: true, ..Maintained::default() });
        }
    }
    let budget = budget - rows;
    rows += match job.kind {
        Kind::Endpoint => attempts(connection, state, job.target, budget)?,
        Kind::Application => messages(connection, state, job.target, budget)?,
    };
    if state.purge.sweep.is_idle() {
        end(connection, state, &job, now)?;
    }
    Ok(Maintained { rows, more: next(connection, now)?.is_some(), ..Maintained::default() })
}

fn next(connection: &Connection, now: UnixMs) -> rusqlite::Result<Option<Job>> {
    connection
        .prepare_cached("SELECT target, kind, url, deleted_at FROM purge WHERE next_at <= ? ORDER BY next_at LIMIT 1")?
        .query_row([now], |row| {
            let kind = Kind::from_code(row.get(1)?);
            Ok(Job { target: row.get(0)?, kind, url: row.get(2)?, deleted_at: row.get(3)? })
        })
        .optional()
}

/// Deliveries of an endpoint that wait or are set aside; those that are pending are settled by dispatch.
fn deliveries(connection: &Connection, endpoint: i64, budget: usize) -> rusqlite::Result<usize> {
    let waiting = connection
        .prepare_cached(
            "DELETE FROM waiting WHERE endpoint = ?1 AND (due, message) IN
               (SELECT due, message FROM waiting WHERE endpoint = ?1 ORDER BY due, message LIMIT ?2)",
        )?
        .execute(params![endpoint, budget as i64])?;
    let parked = connection
        .prepare_cached(
            "DELETE FROM parked WHERE endpoint = ?1 AND message IN
               (SELECT message FROM parked WHERE endpoint = ?1 ORDER BY message LIMIT ?2)",
        )?
        .execute(params![endpoint, (budget - waiting) as i64])?;
    Ok(waiting + parked)
}

fn attempts(connection: &Connection, state: &mut WriterState, endpoint: i64, budget: usize) -> rusqlite::Result<usize> {
    let indexed = state.attempts_by_message.complete_to().min(state.attempts_by_endpoint.complete_to());
    let Purge { sweep, urls, .. } = &mut state.purge;
    let wanted = sweep.room().min(budget);
    if wanted > 0 {
        let mut statement = connection.prepare_cached(
            "SELECT entry.attempt, attempt.message, attempt.url FROM attempt_by_endpoint AS entry
               LEFT JOIN attempt ON attempt.key = entry.attempt
             WHERE entry.endpoint = ? AND entry.attempt > ? AND entry.attempt <= ? ORDER BY entry.attempt LIMIT ?",
        )?;
        let mut found = statement.query(params![endpoint, sweep.last().unwrap_or(0), indexed, wanted as i64])?;
        let mut count = 0;
        while let Some(row) = found.next()? {
            let message = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
            sweep.add(Candidate { key: row.get(0)?, leading: [message, endpoint] });
            urls.extend(row.get::<_, Option<i64>>(2)?.filter(|url| urls.last() != Some(url)));
            count += 1;
        }
        if count < wanted || sweep.room() == 0 {
            sweep.close();
            // Before the attempts that name them: after a crash nothing else would.
            for url in std::mem::take(urls) {
                connection.prepare_cached("DELETE FROM endpoint_url WHERE id = ?")?.execute([url])?;
            }
        }
    }
    sweep.remove(connection, &ATTEMPTS_OF_DELETED, budget)
}

fn messages(connection: &Connection, state: &mut WriterState, app: i64, budget: usize) -> rusqlite::Result<usize> {
    let indexed = state.messages_by_app.complete_to();
    let sweep = &mut state.purge.sweep;
    let wanted = sweep.room().min(budget);
    if wanted > 0 {
        let mut statement = connection.prepare_cached(
            "SELECT entry.message, message.payload FROM message_by_app AS entry
               LEFT JOIN message ON message.key = entry.message
             WHERE entry.app = ? AND entry.message > ? AND entry.message <= ? ORDER BY entry.message LIMIT ?",
        )?;
        let mut found = statement.query(params![app, sweep.last().unwrap_or(0), indexed, wanted as i64])?;
        let mut count = 0;
        while let Some(row) = found.next()? {
            sweep.add(Candidate { key: row.get(0)?, leading: [app, row.get::<_, Option<i64>>(1)?.unwrap_or(0)] });
            count += 1;
        }
        if count < wanted || sweep.room() == 0 {
            sweep.close();
        }
    }
    sweep.remove(connection, &MESSAGES_OF_DELETED, budget)
}

/// Nothing is left for now. The job goes when nothing can follow any more; else it is looked at again.
fn end(connection: &Connection, state: &WriterState, job: &Job, now: UnixMs) -> rusqlite::Result<()> {
    let (last_at, indexed) = match job.kind {
        Kind::Application => (job.deleted_at, state.messages_by_app.complete_to()),
        Kind::Endpoint => {
            let indexed = state.attempts_by_message.complete_to().min(state.attempts_by_endpoint.complete_to());
            (job.deleted_at + IN_FLIGHT_MS, indexed)
        }
    };
    let left = match job.kind {
        Kind::Application => "SELECT 1 FROM message_by_app WHERE app = ?",
        Kind::Endpoint => "SELECT 1 FROM attempt_by_endpoint WHERE endpoint = ?",
    };
    if connection.prepare_cached(left)?.exists([job.target])? {
        let again = if indexed < first_key_at(last_at + 1) { now + AGAIN_MS } else { now };
        return put_off(connection, job, again);
    }
    if now <= last_at || indexed < first_key_at(last_at + 1) {
        // What was on record when it was deleted may be in no list yet. Once it is, only what was in flight
        // then can follow.
        let is_listed = indexed >= first_key_at(job.deleted_at + 1);
        let again = now + AGAIN_MS;
        return put_off(connection, job, if is_listed { again.max(last_at + 1) } else { again });
    }
    if let Some(url) = job.url {
        connection.prepare_cached("DELETE FROM endpoint_url WHERE id = ?")?.execute([url])?;
    }
    connection.prepare_cached("DELETE FROM purge WHERE target = ?")?.execute([job.target])?;
    Ok(())
}

fn put_off(connection: &Connection, job: &Job, until: UnixMs) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE purge SET next_at = ? WHERE target = ?")?.execute([until, job.target])?;
    Ok(())
}
