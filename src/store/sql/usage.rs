//! Usage: how much went where, counted by application; and which event types endpoints list.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::change::Changer;
use super::db::{Db, Optional, Result, params};
use super::scan::{MESSAGES_OF_APP, watermark};
use super::task::Running;
use crate::model::{AppKind, EnvKey, Id, IdKind, Key, TaskAsk, TaskStatus};
use crate::store::maintenance::Maintained;
use crate::store::query::Order;

/// Applications that are looked at in one slice: each may be as good as empty.
const APPS_AT_ONCE: usize = 64;

impl Changer<'_> {
    /// Counts, application by application, to how many endpoints each message was sent.
    pub(super) fn app_usage_slice(&mut self, running: &mut Running, budget: usize) -> Result<Maintained> {
        let TaskAsk::AppUsage { from, apps } = &running.ask else { return Ok(Maintained::default()) };
        let (from, mut left, mut rows) = (*from, budget, 0);
        for _ in 0..APPS_AT_ONCE {
            let next = next_app(self.db, running.task.env, apps.as_deref(), running.place)?;
            let Some(app) = next else {
                running.task.status = TaskStatus::Finished;
                break;
            };
            let bounds = (running.done_to.max(from), running.before);
            let keys = MESSAGES_OF_APP.keys(self.db, app.key, bounds, Order::Ascending, left)?;
            let sent = destinations(self.db, &keys)?;
            rows += keys.len();
            self.add_to_line(running.task.id, &app.format(IdKind::Application), sent)?;
            let is_whole = keys.len() < left;
            left -= keys.len();
            if let (false, Some(&last)) = (is_whole, keys.last()) {
                running.done_to = last;
                break;
            }
            (running.place, running.done_to) = (app.key, from);
            if left == 0 {
                break;
            }
        }
        Ok(Maintained { rows, ..Maintained::default() })
    }

    /// Counts, endpoint by endpoint, which event types they list.
    pub(super) fn event_types_slice(&mut self, running: &mut Running, budget: usize) -> Result<Maintained> {
        let types = self.db.json_field("endpoint.spec", "event_types");
        let sql = format!(
            "SELECT endpoint.key, application.env, application.kind, {types} FROM endpoint
             JOIN application ON application.key = endpoint.app WHERE endpoint.key > ? ORDER BY endpoint.key LIMIT ?"
        );
        let (mut looked_at, mut counts) = (0, BTreeMap::<String, u64>::new());
        self.db.prepare_cached(&sql)?.each([running.place, budget as i64], |row| {
            running.place = row.get(0)?;
            looked_at += 1;
            if row.get::<i64>(1)? == running.task.env.0 && AppKind::from_code(row.get(2)?) == AppKind::Customer {
                let listed = row.text_or_null(3)?.and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
                // One that lists none takes all: those are counted together.
                for name in listed.unwrap_or_else(|| vec![String::new()]) {
                    *counts.entry(name).or_default() += 1;
                }
            }
            Ok(true)
        })?;
        for (name, count) in counts {
            self.add_to_line(running.task.id, &name, count)?;
        }
        if looked_at < budget {
            running.task.status = TaskStatus::Finished;
        }
        Ok(Maintained { rows: looked_at, ..Maintained::default() })
    }

    fn add_to_line(&self, task: Id, name: &str, count: u64) -> Result<()> {
        self.run(
            "INSERT INTO task_result (task, name, count) VALUES (?, ?, ?)
             ON CONFLICT (task, name) DO UPDATE SET count = task_result.count + excluded.count",
            params![task.key, name, count as i64],
        )?;
        Ok(())
    }
}

/// The application after this one: of those that were asked for, or of the environment. One that is gone meanwhile
/// is passed over.
fn next_app(db: Db<'_>, env: EnvKey, apps: Option<&[Key]>, after: Key) -> Result<Option<Id>> {
    let read = |row: &super::db::Row<'_>| super::rows::id(row, 0);
    let Some(apps) = apps else {
        let sql = "SELECT key, nonce FROM application WHERE env = ? AND kind = 0 AND key > ? ORDER BY key LIMIT 1";
        return db.prepare_cached(sql)?.query_row([env.0, after], read).optional();
    };
    let mut one = db.prepare_cached("SELECT key, nonce FROM application WHERE key = ? AND env = ?")?;
    for key in apps.iter().filter(|key| **key > after) {
        if let Some(found) = one.query_row([*key, env.0], read).optional()? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// To how many endpoints these messages were sent, all together: attempts of the same delivery count once.
fn destinations(db: Db<'_>, messages: &[Key]) -> Result<u64> {
    let (Some(&first), Some(&last)) = (messages.first(), messages.last()) else { return Ok(0) };
    let mut sent: FxHashSet<(Key, Key)> = FxHashSet::default();
    if let Db::Postgres(_) = db {
        let sql = "SELECT DISTINCT message, endpoint FROM attempt
                   WHERE message = ANY($1::bigint[]) AND key > ($1::bigint[])[1]";
        let found: Vec<(Key, Key)> = db.with_numbers(sql, messages, |row| Ok((row.get(0)?, row.get(1)?)))?;
        return Ok(found.len() as u64);
    }
    // Attempts that are not indexed yet: as many as the tail of an index may be long.
    let tail = "SELECT message, endpoint FROM attempt NOT INDEXED WHERE key > ? AND message >= ? AND message <= ?";
    db.prepare_cached(tail)?.each([watermark(db, "attempt_by_message")?, first, last], |row| {
        sent.insert((row.get(0)?, row.get(1)?));
        Ok(true)
    })?;
    // Of other applications there are messages between.
    sent.retain(|(message, _)| messages.binary_search(message).is_ok());
    let mut of_message = db.prepare_cached(
        "SELECT DISTINCT attempt.endpoint FROM attempt_by_message CROSS JOIN attempt
           ON attempt.key = attempt_by_message.attempt WHERE attempt_by_message.message = ?",
    )?;
    for &message in messages {
        of_message.each([message], |row| {
            sent.insert((message, row.get(0)?));
            Ok(true)
        })?;
    }
    Ok(sent.len() as u64)
}
