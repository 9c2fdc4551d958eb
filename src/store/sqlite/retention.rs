//! What is too old goes: payloads by the day in their ids, attempts and messages by their keys,
//! counts by their hours. Never beyond what the deferred indexes have taken in: what is behind
//! their watermarks is read from the tables again after a crash.

use rusqlite::{Connection, OptionalExtension, params};

use super::apply::{DAY_MS, PAYLOAD_SEQUENCE_BITS, WriterState};
use super::sweep::{ATTEMPTS, Candidate, MESSAGES, Sweep, cost_of};
use crate::model::id::first_key_at;
use crate::model::{EndpointKey, MessageKey, Pending, UnixMs};
use crate::store::maintenance::{Due, Horizon, Maintained};
use crate::store::sql::db::Error;
use crate::store::sql::task;

const HOUR_MS: i64 = 3_600_000;
/// Pending deliveries of messages that go which are looked up at once.
const PENDING_MAX: usize = 16_384;

/// What retention has under way. All of it can be begun anew.
#[derive(Default)]
pub(super) struct Retention {
    attempts: Sweep,
    messages: Sweep,
    /// The last message that was looked at: some are passed over, because they were due later.
    message_after: i64,
    /// The last delivery set aside that was looked at.
    parked_after: (i64, i64),
}

/// The first id of a payload that is not expired.
pub(super) const fn first_alive_payload(now: UnixMs) -> i64 {
    let now = if now < 0 { 0 } else { now };
    (now / DAY_MS + 1) << PAYLOAD_SEQUENCE_BITS
}

/// Which kinds of work there are.
pub(in crate::store) fn due(connection: &Connection, horizon: Horizon) -> Result<Due, Error> {
    let any = |sql: &str, value: i64| connection.prepare_cached(sql)?.exists([value]);
    Ok(Due {
        payloads: any("SELECT 1 FROM payload WHERE id < ? LIMIT 1", first_alive_payload(horizon.now))?,
        attempts: any("SELECT 1 FROM attempt WHERE key < ? LIMIT 1", first_key_at(horizon.attempts))?,
        hours: any("SELECT 1 FROM endpoint_hour WHERE hour < ? LIMIT 1", horizon.attempts.max(0) / HOUR_MS)?,
        messages: any("SELECT 1 FROM message WHERE key < ? LIMIT 1", first_key_at(horizon.messages))?,
        tasks: any("SELECT 1 FROM background_task WHERE status <> 0 AND updated_at < ? LIMIT 1", horizon.tasks)?,
        source_logs: any("SELECT 1 FROM source_log WHERE key < ? LIMIT 1", first_key_at(horizon.source_logs))?,
        purge: any("SELECT 1 FROM purge WHERE next_at <= ? LIMIT 1", horizon.now)?,
        tasks_running: task::any_running(connection.into(), horizon.slots)?,
    })
}

/// Removes payloads whose day is over.
pub(super) fn payloads(connection: &Connection, now: UnixMs, budget: usize) -> rusqlite::Result<Maintained> {
    let mut statement =
        connection.prepare_cached("SELECT id, length(body) FROM payload WHERE id < ? ORDER BY id LIMIT ?")?;
    let mut expired = statement.query(params![first_alive_payload(now), budget as i64])?;
    let (mut last, mut cost, mut more) = (None, 0, true);
    while cost < budget {
        let Some(row) = expired.next()? else {
            more = false;
            break;
        };
        last = Some(row.get::<_, i64>(0)?);
        cost += cost_of(row.get(1)?);
    }
    drop(expired);
    let rows = match last {
        Some(last) => connection.prepare_cached("DELETE FROM payload WHERE id <= ?")?.execute([last])?,
        None => 0,
    };
    Ok(Maintained { rows, more, ..Maintained::default() })
}

/// Removes attempts that began before.
pub(super) fn attempts(
    connection: &Connection,
    state: &mut WriterState,
    before: UnixMs,
    budget: usize,
) -> rusqlite::Result<Maintained> {
    let indexed = state.attempts_by_message.complete_to().min(state.attempts_by_endpoint.complete_to());
    let before = first_key_at(before).min(indexed.saturating_add(1));
    let sweep = &mut state.retention.attempts;
    let wanted = sweep.room().min(budget);
    if wanted > 0 {
        let mut statement = connection.prepare_cached(
            "SELECT key, message, endpoint FROM attempt WHERE key > ? AND key < ? ORDER BY key LIMIT ?",
        )?;
        let mut found = statement.query(params![sweep.last().unwrap_or(0), before, wanted as i64])?;
        let mut count = 0;
        while let Some(row) = found.next()? {
            sweep.add(Candidate { key: row.get(0)?, leading: [row.get(1)?, row.get(2)?] });
            count += 1;
        }
        if count < wanted {
            sweep.close();
        }
    }
    if sweep.room() == 0 {
        sweep.close();
    }
    let rows = sweep.remove(connection, &ATTEMPTS, budget)?;
    Ok(Maintained { rows, more: !sweep.is_idle(), ..Maintained::default() })
}

/// Removes messages that were made, and due, before. What of them is pending still is withdrawn.
pub(super) fn messages(
    connection: &Connection,
    state: &mut WriterState,
    before: UnixMs,
    budget: usize,
) -> rusqlite::Result<Maintained> {
    let (due_before, indexed) = (before, state.messages_by_app.complete_to());
    let before = first_key_at(before).min(indexed.saturating_add(1));
    let Retention { messages: sweep, message_after, .. } = &mut state.retention;
    let wanted = sweep.room().min(budget);
    let mut withdrawn = Vec::new();
    let mut ended = false;
    if wanted > 0 {
        let mut statement = connection.prepare_cached(
            "SELECT key, app, payload, deliver_at FROM message WHERE key > ? AND key < ? ORDER BY key LIMIT ?",
        )?;
        let first = *message_after + 1;
        let mut found = statement.query(params![*message_after, before, wanted as i64])?;
        let mut gathered = Vec::new();
        let mut count = 0;
        while let Some(row) = found.next()? {
            count += 1;
            *message_after = row.get(0)?;
            if row.get::<_, Option<i64>>(3)?.is_none_or(|due| due < due_before) {
                gathered.push(Candidate { key: *message_after, leading: [row.get(1)?, row.get(2)?] });
            }
        }
        ended = count < wanted;
        withdrawn = pending_of(connection, first, *message_after)?;
        if withdrawn.len() == PENDING_MAX
            && let Some(last) = withdrawn.last().map(|pending| pending.message)
        {
            // The rest of them is not known: the last message and those behind it come next.
            gathered.retain(|row| row.key < last.0);
            *message_after = last.0 - 1;
            ended = false;
        }
        withdrawn.retain(|pending| gathered.binary_search_by_key(&pending.message.0, |row| row.key).is_ok());
        for row in gathered {
            sweep.add(row);
        }
    }
    if ended || sweep.room() == 0 {
        sweep.close();
    }
    let rows = sweep.remove(connection, &MESSAGES, budget)?;
    let more = !ended || !sweep.is_idle();
    if !more {
        state.retention.message_after = 0;
    }
    Ok(Maintained { rows, more, withdrawn, ..Maintained::default() })
}

fn pending_of(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<Vec<Pending>> {
    connection
        .prepare_cached(
            "SELECT message, endpoint FROM pending WHERE message >= ? AND message <= ?
             ORDER BY message, endpoint LIMIT ?",
        )?
        .query_map(params![first, last, PENDING_MAX as i64], |row| {
            Ok(Pending { message: MessageKey(row.get(0)?), endpoint: EndpointKey(row.get(1)?) })
        })?
        .collect()
}

/// Removes counts of the hours before.
pub(super) fn hours(connection: &Connection, before: UnixMs, budget: usize) -> rusqlite::Result<Maintained> {
    let rows = connection
        .prepare_cached(
            "DELETE FROM endpoint_hour WHERE (hour, endpoint) IN
               (SELECT hour, endpoint FROM endpoint_hour WHERE hour < ? ORDER BY hour, endpoint LIMIT ?)",
        )?
        .execute(params![before.max(0) / HOUR_MS, budget as i64])?;
    Ok(Maintained { rows, more: rows == budget, ..Maintained::default() })
}

/// Removes background tasks that ended before.
pub(super) fn tasks(connection: &Connection, before: UnixMs, budget: usize) -> rusqlite::Result<Maintained> {
    connection
        .prepare_cached(
            "DELETE FROM task_result WHERE task IN
               (SELECT key FROM background_task WHERE status <> 0 AND updated_at < ? ORDER BY updated_at, key LIMIT ?)",
        )?
        .execute(params![before, budget as i64])?;
    let rows = connection
        .prepare_cached(
            "DELETE FROM background_task WHERE key IN
               (SELECT key FROM background_task WHERE status <> 0 AND updated_at < ? ORDER BY updated_at, key LIMIT ?)",
        )?
        .execute(params![before, budget as i64])?;
    Ok(Maintained { rows, more: rows == budget, ..Maintained::default() })
}

/// Removes requests in the logs of sources that came before.
pub(super) fn source_logs(connection: &Connection, before: UnixMs, budget: usize) -> rusqlite::Result<Maintained> {
    let mut statement = connection
        .prepare_cached("SELECT key, length(head) + length(body) FROM source_log WHERE key < ? ORDER BY key LIMIT ?")?;
    let mut old = statement.query(params![first_key_at(before), budget as i64])?;
    let (mut last, mut cost, mut more) = (0_i64, 0, true);
    while cost < budget {
        let Some(row) = old.next()? else {
            more = false;
            break;
        };
        last = row.get(0)?;
        cost += cost_of(row.get(1)?);
    }
    drop(old);
    let rows = connection.prepare_cached("DELETE FROM source_log WHERE key <= ?")?.execute([last])?;
    Ok(Maintained { rows, more, ..Maintained::default() })
}

/// Removes deliveries set aside whose message is gone, and lets event ids of messages that are gone be
/// swept.
pub(super) fn leftovers(
    connection: &Connection,
    state: &mut WriterState,
    before: UnixMs,
    mut budget: usize,
) -> rusqlite::Result<Maintained> {
    let before = first_key_at(before);
    let (mut endpoint, mut message) = state.retention.parked_after;
    let mut gone: Vec<(i64, i64)> = Vec::new();
    let mut more = true;
    let mut next =
        connection.prepare_cached("SELECT endpoint FROM parked WHERE endpoint > ? ORDER BY endpoint LIMIT 1")?;
    let mut of_endpoint = connection.prepare_cached(
        "SELECT message, EXISTS (SELECT 1 FROM message WHERE key = parked.message) FROM parked
         WHERE endpoint = ? AND message > ? AND message < ? ORDER BY message LIMIT ?",
    )?;
    while budget > 0 {
        let mut found = of_endpoint.query(params![endpoint, message, before, budget as i64])?;
        while let Some(row) = found.next()? {
            message = row.get(0)?;
            if !row.get::<_, bool>(1)? {
                gone.push((endpoint, message));
            }
            budget = budget.saturating_sub(1);
        }
        if budget == 0 {
            break;
        }
        budget -= 1;
        let Some(following) = next.query_row([endpoint], |row| row.get(0)).optional()? else {
            more = false;
            break;
        };
        (endpoint, message) = (following, 0);
    }
    let mut delete = connection.prepare_cached("DELETE FROM parked WHERE endpoint = ? AND message = ?")?;
    for &(endpoint, message) in &gone {
        delete.execute([endpoint, message])?;
    }
    state.retention.parked_after = if more { (endpoint, message) } else { (0, 0) };
    if !more {
        let oldest: Option<i64> = connection.query_row("SELECT min(key) FROM message", [], |row| row.get(0))?;
        state.seen.expire_events(oldest.unwrap_or(before));
    }
    Ok(Maintained { rows: gone.len(), more, ..Maintained::default() })
}
