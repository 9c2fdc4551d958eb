//! What goes with time, and what is added up. Payloads, attempts and messages go with the partitions of
//! their days; narrow tables are swept.

use super::partitions::{DAY_MS, PAYLOAD_SEQUENCE_BITS, Partitions, Table, day_of, drop_day};
use super::session::{Session, SessionError};
use crate::model::UnixMs;
use crate::model::id::first_key_at;
use crate::store::maintenance::{Due, Horizon, Maintained};
use crate::store::sql::db::{Db, Error, Result, Value};
use crate::store::sql::stats::HOUR_MS;
use crate::store::sql::task;
use crate::store::sql::traffic::{self, Gathered, Span};

/// Unique keys and answers to changes that one sweep removes.
const SWEPT_AT_ONCE: i64 = 10_000;
/// Tables that are measured: those that grow with messages.
const MEASURED: [&str; 7] = ["message", "payload", "attempt", "pending", "waiting", "parked", "unique_key"];
/// How far behind the newest attempts are added up: all that were given an earlier key are stored by then,
/// because no transaction of any node lasts longer.
const COUNTED_BEHIND_MS: i64 = 30_000;
/// What is added up in one transaction.
const COUNTED_AT_ONCE_MS: i64 = 60_000;

/// The first id of a payload that is not expired.
const fn first_alive_payload(now: UnixMs) -> i64 {
    let now = if now < 0 { 0 } else { now };
    (now / DAY_MS + 1) << PAYLOAD_SEQUENCE_BITS
}

/// Days of a table of which nothing is kept any more. A day with unfinished deliveries is kept.
fn old_days(db: Db<'_>, table: Table, before: i64) -> Result<Vec<i64>> {
    let Db::Postgres(session) = db else { return Ok(Vec::new()) };
    let days = Partitions::read(session)?.days(table);
    let old: Vec<i64> = days.into_iter().filter(|day| table.first_of(day + 1) <= before).collect();
    if table != Table::Message {
        return Ok(old);
    }
    let mut unfinished = db.prepare_cached(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM pending WHERE message >= ?1 AND message < ?2)
            OR EXISTS (SELECT 1 FROM waiting WHERE message >= ?1 AND message < ?2)",
    )?;
    let mut finished = Vec::with_capacity(old.len());
    for day in old {
        if !unfinished.exists([table.first_of(day), table.first_of(day + 1)])? {
            finished.push(day);
        }
    }
    Ok(finished)
}

/// Which kinds of work there are.
pub(in crate::store) fn due(db: Db<'_>, horizon: Horizon) -> Result<Due> {
    let any = |sql: &str, value: i64| db.prepare_cached(sql)?.exists([value]);
    let old = |table, before| old_days(db, table, before).map(|days| !days.is_empty());
    Ok(Due {
        payloads: old(Table::Payload, first_alive_payload(horizon.now))?,
        attempts: old(Table::Attempt, first_key_at(horizon.attempts))?,
        hours: any("SELECT 1 FROM endpoint_hour WHERE hour < ? LIMIT 1", horizon.attempts.max(0) / HOUR_MS)?,
        messages: old(Table::Message, first_key_at(horizon.messages))?,
        tasks: any("SELECT 1 FROM background_task WHERE status <> 0 AND updated_at < ? LIMIT 1", horizon.tasks)?,
        source_logs: any("SELECT 1 FROM source_log WHERE key < ? LIMIT 1", first_key_at(horizon.source_logs))?,
        purge: any("SELECT 1 FROM purge WHERE next_at <= ? LIMIT 1", horizon.now)?,
        tasks_running: task::any_running(db, horizon.slots)?,
    })
}

/// Drops the oldest day of a table that may go. Where somebody reads it, it is left for the next time.
fn drop_oldest(db: Db<'_>, table: Table, before: i64) -> Result<Maintained> {
    let days = old_days(db, table, before)?;
    let (Db::Postgres(session), Some(day)) = (db, days.first()) else { return Ok(Maintained::default()) };
    match drop_day(session, table, *day) {
        Ok(()) => {
            tracing::info!(table = table.name(), day, "a day was dropped: all that is in it may go");
            Ok(Maintained { rows: 1, more: days.len() > 1, ..Maintained::default() })
        }
        Err(error) if error.is_lock_timeout() => Ok(Maintained::default()),
        Err(error) => Err(error.into()),
    }
}

/// Payloads whose day is over.
pub(super) fn payloads(db: Db<'_>, now: UnixMs) -> Result<Maintained> {
    drop_oldest(db, Table::Payload, first_alive_payload(now))
}

/// Attempts that began before.
pub(super) fn attempts(db: Db<'_>, before: UnixMs) -> Result<Maintained> {
    drop_oldest(db, Table::Attempt, first_key_at(before))
}

/// Messages that were made before, of days without unfinished deliveries.
pub(super) fn messages(db: Db<'_>, before: UnixMs) -> Result<Maintained> {
    drop_oldest(db, Table::Message, first_key_at(before))
}

/// Counts of the hours before.
pub(super) fn hours(db: Db<'_>, before: UnixMs, budget: usize) -> Result<Maintained> {
    swept(
        db,
        "DELETE FROM endpoint_hour WHERE (hour, endpoint) IN
           (SELECT hour, endpoint FROM endpoint_hour WHERE hour < ? ORDER BY hour, endpoint LIMIT ?)",
        before.max(0) / HOUR_MS,
        budget,
    )
}

/// Background tasks that ended before.
pub(super) fn tasks(db: Db<'_>, before: UnixMs, budget: usize) -> Result<Maintained> {
    db.prepare_cached(
        "DELETE FROM task_result WHERE task IN
           (SELECT key FROM background_task WHERE status <> 0 AND updated_at < ? ORDER BY updated_at, key LIMIT ?)",
    )?
    .execute([before, budget as i64])?;
    swept(
        db,
        "DELETE FROM background_task WHERE key IN
           (SELECT key FROM background_task WHERE status <> 0 AND updated_at < ? ORDER BY updated_at, key LIMIT ?)",
        before,
        budget,
    )
}

/// Requests in the logs of sources that came before.
pub(super) fn source_logs(db: Db<'_>, before: UnixMs, budget: usize) -> Result<Maintained> {
    swept(
        db,
        "DELETE FROM source_log WHERE key IN (SELECT key FROM source_log WHERE key < ? ORDER BY key LIMIT ?)",
        first_key_at(before),
        budget,
    )
}

/// Deliveries set aside whose message is gone, of those behind `after`, which moves on.
pub(super) fn leftovers(db: Db<'_>, after: &mut (i64, i64), before: UnixMs, budget: usize) -> Result<Maintained> {
    let page: Vec<(i64, i64)> = db
        .prepare_cached(
            "SELECT endpoint, message FROM parked WHERE (endpoint, message) > (?, ?) ORDER BY endpoint, message LIMIT ?",
        )?
        .query_map([after.0, after.1, budget as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    let before = first_key_at(before);
    let old: Vec<i64> = page.iter().map(|(_, message)| *message).filter(|message| *message < before).collect();
    let there = db.with_numbers(
        "SELECT key FROM unnest($1::bigint[]) AS wanted
           CROSS JOIN LATERAL (SELECT key FROM message WHERE message.key = wanted OFFSET 0) AS message",
        &old,
        |row| row.get::<i64>(0),
    )?;
    let there: rustc_hash::FxHashSet<i64> = there.into_iter().collect();
    let mut delete = db.prepare_cached("DELETE FROM parked WHERE endpoint = ? AND message = ?")?;
    let mut rows = 0;
    for (endpoint, message) in page.iter().filter(|(_, message)| *message < before && !there.contains(message)) {
        rows += delete.execute([*endpoint, *message])?;
    }
    let more = page.len() == budget;
    *after = if more { page.last().copied().unwrap_or_default() } else { (0, 0) };
    Ok(Maintained { rows, more, ..Maintained::default() })
}

fn swept(db: Db<'_>, sql: &str, before: i64, budget: usize) -> Result<Maintained> {
    let rows = db.prepare_cached(sql)?.execute([before, budget as i64])?;
    Ok(Maintained { rows, more: rows == budget, ..Maintained::default() })
}

/// What is done again and again on one node, apart from the journal: partitions ahead, unique keys whose
/// time is over, counts. Says whether there is more to be swept.
pub(in crate::store) fn round(session: &Session, now: UnixMs) -> Result<bool, SessionError> {
    let mut partitions = Partitions::read(session)?;
    let (today, mut ahead) = (day_of(now), Vec::new());
    for day in [today, today + 1, today + 2] {
        ahead.extend([(Table::Message, day), (Table::Attempt, day)]);
    }
    partitions.ensure(session, ahead)?;
    let counts = count(session, now)?;
    let sweep = |sql: &str, before: i64| {
        session.execute(&session.prepare(sql)?, &[Value::Integer(before), Value::Integer(SWEPT_AT_ONCE)])
    };
    // An event id is its message's as long as the day of that is there.
    let oldest = partitions.days(Table::Message).first().map_or(i64::MAX, |day| Table::Message.first_of(*day));
    let keys = sweep(
        &format!(
            "DELETE FROM unique_key WHERE hash IN
               (SELECT hash FROM unique_key WHERE expires_hour < ? AND (get_byte(hash, 0) <> 1 OR message < {oldest})
                ORDER BY expires_hour LIMIT ?)"
        ),
        now / HOUR_MS,
    )?;
    let changes = sweep(
        "DELETE FROM remembered_change WHERE row IN (SELECT row FROM remembered_change WHERE expires_at < ? LIMIT ?)",
        now,
    )?;
    Ok(counts || keys.max(changes) as i64 == SWEPT_AT_ONCE)
}

/// Adds up what came since the last time, of a minute at most: attempts by endpoint and hour of their keys,
/// messages and attempts by environment and time.
/// Says whether there is more.
fn count(session: &Session, now: UnixMs) -> Result<bool, SessionError> {
    let until = first_key_at(now - COUNTED_BEHIND_MS);
    session.batch("BEGIN")?;
    let counted = (|| -> Result<bool> {
        let from = session.query(&session.prepare("SELECT up_to FROM counted FOR UPDATE")?, &[])?;
        let from = from.first().map_or(Ok(0), |row| row.integer(0))?;
        // Nothing lies between: what was not there a minute ago is not waited for minute by minute.
        let first = first_behind(session, from)?.unwrap_or(until).clamp(from, until.max(from));
        let up_to = until.min(first.saturating_add(first_key_at(COUNTED_AT_ONCE_MS)));
        if from >= up_to {
            return Ok(false);
        }
        let shift = (first_key_at(1)).trailing_zeros();
        let add = session.prepare(&format!(
            "INSERT INTO endpoint_hour (hour, endpoint, success, failure)
             SELECT (key >> {shift}) / {HOUR_MS}, endpoint, count(*) FILTER (WHERE kind = 0),
               count(*) FILTER (WHERE kind <> 0) FROM attempt WHERE key > ? AND key <= ? GROUP BY 1, 2
             ON CONFLICT (hour, endpoint) DO UPDATE SET success = endpoint_hour.success + excluded.success,
               failure = endpoint_hour.failure + excluded.failure"
        ))?;
        session.execute(&add, &[Value::Integer(from), Value::Integer(up_to)])?;
        let (db, span) = (Db::Postgres(session), Span { behind: from, up_to, limit: usize::MAX });
        let mut traffic = Gathered::default();
        traffic::add_messages(db, span, &mut traffic)?;
        traffic::add_attempts(db, span, &mut traffic)?;
        traffic.write(db)?;
        session.execute(&session.prepare("UPDATE counted SET up_to = ?")?, &[Value::Integer(up_to)])?;
        Ok(up_to < until)
    })();
    session.batch(if counted.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    counted.map_err(|error| match error {
        Error::Postgres(error) => error,
        other => SessionError::Refused { code: String::new(), message: other.to_string() },
    })
}

/// The first message or attempt behind a key.
fn first_behind(session: &Session, key: i64) -> Result<Option<i64>, SessionError> {
    let mut first = None;
    for table in ["message", "attempt"] {
        let sql = format!("SELECT key FROM {table} WHERE key > ? ORDER BY key LIMIT 1");
        let found = session.query(&session.prepare(&sql)?, &[Value::Integer(key)])?;
        let found = found.first().map(|row| row.integer(0)).transpose()?;
        first = first.into_iter().chain(found).min();
    }
    Ok(first)
}

/// Tables with all their partitions: bytes of rows, bytes of indexes, dead rows.
pub(in crate::store) fn sizes(session: &Session) -> Result<Vec<(&'static str, [i64; 3])>, SessionError> {
    let sql = "SELECT coalesce(parent.relname, own.relname)::text, sum(pg_table_size(own.relid))::bigint,
                 sum(pg_indexes_size(own.relid))::bigint, sum(n_dead_tup)::bigint
               FROM pg_stat_user_tables AS own
                 LEFT JOIN pg_inherits ON inhrelid = own.relid LEFT JOIN pg_class AS parent ON parent.oid = inhparent
               WHERE own.schemaname = current_schema() GROUP BY 1";
    let mut sizes = Vec::new();
    for row in session.query(&session.prepare(sql)?, &[])? {
        let name = row.text(0)?;
        if let Some(table) = MEASURED.into_iter().find(|table| *table == name) {
            sizes.push((table, [row.integer(1)?, row.integer(2)?, row.integer(3)?]));
        }
    }
    Ok(sizes)
}
