//! Recoveries: a row of `background_task` each. A slice moves deliveries from `parked` to `waiting` and
//! says in the same transaction how far it is, so that a crash at any point neither loses nor
//! repeats a move.

use super::db::{Db, Error, NONE, Optional, Result, Row, params};

use super::change::{Changer, Stop};
use super::rows;
use crate::model::id::first_key_at;
use crate::model::{AppKey, BackgroundTask, EndpointKey, EnvKey, Parked, TaskStatus, Trigger, UnixMs};
use crate::store::command::{Changed, Refusal};
use crate::store::maintenance::{
    Maintained, RECOVER_ROWS_MAX, Recovered, TASKS_RUNNING_MAX, TASKS_RUNNING_PER_APP_MAX,
};

/// A task: columns [`TASK`].
pub(in crate::store) fn task(row: &Row<'_>) -> Result<BackgroundTask> {
    Ok(BackgroundTask {
        id: rows::id(row, 0)?,
        env: EnvKey(row.get(2)?),
        app: AppKey(row.get(3)?),
        endpoint: EndpointKey(row.get(4)?),
        status: TaskStatus::from_code(row.get(5)?).unwrap_or(TaskStatus::Failed),
        moved: row.get::<i64>(6)? as u64,
        updated_at: row.get(7)?,
    })
}

pub(in crate::store) const TASK: &str = "key, nonce, env, app, endpoint, status, moved, updated_at";

impl Changer<'_> {
    /// Begins a recovery of messages made from `since` until before `until`.
    pub(in crate::store) fn recover(
        &mut self,
        app: AppKey,
        endpoint: EndpointKey,
        since: UnixMs,
        until: UnixMs,
    ) -> Result<Changed, Stop> {
        let found = self.endpoint(app, endpoint)?.ok_or(Refusal::NotFound)?;
        if found.spec.disabled.is_some() {
            return Err(Refusal::EndpointDisabled.into());
        }
        let owner = rows::application_of(self.db, app)?.ok_or(Refusal::NotFound)?;
        let (of_env, of_app) = self.running_tasks(owner.env, app)?;
        if of_env >= TASKS_RUNNING_MAX || of_app >= TASKS_RUNNING_PER_APP_MAX {
            return Err(Refusal::TooManyTasks.into());
        }
        let task = BackgroundTask {
            id: self.state.new_id(self.at),
            env: owner.env,
            app,
            endpoint,
            status: TaskStatus::Running,
            moved: 0,
            updated_at: self.at,
        };
        self.run(
            "INSERT INTO background_task (key, nonce, env, app, endpoint, status, before, done_to, moved, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
            params![
                task.id.key,
                task.id.nonce.as_slice(),
                task.env.0,
                app.0,
                endpoint.0,
                task.status.code(),
                first_key_at(until),
                first_key_at(since) - 1,
                self.at
            ],
        )?;
        Ok(Changed::Task(task))
    }

    /// How many tasks of an environment, and how many of one of its applications, are not finished.
    fn running_tasks(&self, env: EnvKey, app: AppKey) -> Result<(usize, usize)> {
        let hint = self.db.hint("INDEXED BY background_task_running_of");
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE app = ?) FROM background_task {hint} WHERE status = 0 AND env = ?"
        );
        let read = |row: &Row<'_>| Ok((row.get::<i64>(0)? as usize, row.get::<i64>(1)? as usize));
        self.db.prepare_cached(&sql)?.query_row([app.0, env.0], read)
    }

    /// Moves a slice of the recovery that was looked at longest ago.
    pub(in crate::store) fn recover_slice(&mut self, budget: usize) -> Result<Maintained> {
        let sql = format!(
            "SELECT {TASK}, before, done_to FROM background_task WHERE status = 0 ORDER BY updated_at, key LIMIT 1"
        );
        let read = |row: &Row<'_>| Ok((task(row)?, row.get::<i64>(8)?, row.get::<i64>(9)?));
        let Some((mut task, before, done_to)) = self.db.prepare_cached(&sql)?.query_row(NONE, read).optional()? else {
            return Ok(Maintained::default());
        };
        let endpoint = match self.endpoint(task.app, task.endpoint) {
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(%error, endpoint = task.endpoint.0, "an endpoint cannot be read: its recovery has failed");
                None
            }
            read => read?,
        };
        if endpoint.is_none_or(|endpoint| endpoint.spec.disabled.is_some()) {
            task.status = TaskStatus::Failed;
            return self.keep(&task, done_to, Maintained { more: true, ..Maintained::default() });
        }
        let budget = budget.clamp(1, RECOVER_ROWS_MAX);
        let found = parked(self.db, task.endpoint, (done_to, before), budget)?;
        let done_to = found.last().map_or(done_to, |(message, _)| *message);
        let mut moved = 0;
        for (message, _) in found.iter().filter(|(_, state)| *state != Parked::Cancelled.code()) {
            // On another node a resend may have delivered it meanwhile.
            if self.run("DELETE FROM parked WHERE endpoint = ? AND message = ?", [task.endpoint.0, *message])? == 1 {
                self.wait_now(task.endpoint, *message)?;
                moved += 1;
            }
        }
        task.moved += moved as u64;
        if found.len() < budget {
            task.status = TaskStatus::Finished;
        }
        let recovered = (moved > 0).then_some(Recovered { app: task.app, endpoint: task.endpoint, due: self.at });
        self.keep(&task, done_to, Maintained { rows: moved, more: true, recovered, ..Maintained::default() })
    }

    /// A delivery is due now, with its schedule from the start. A resend that has its place there does
    /// not stand in its way.
    fn wait_now(&self, endpoint: EndpointKey, message: i64) -> Result<()> {
        let mut due = self.at;
        let sql = "INSERT INTO waiting (endpoint, due, message, attempts, manual) VALUES (?, ?, ?, 0, ?) ON CONFLICT DO NOTHING";
        while self.run(sql, params![endpoint.0, due, message, Trigger::Scheduled.code()])? == 0 {
            due += 1;
        }
        Ok(())
    }

    fn keep(&self, task: &BackgroundTask, done_to: i64, done: Maintained) -> Result<Maintained> {
        self.run(
            "UPDATE background_task SET status = ?, done_to = ?, moved = ?, updated_at = ? WHERE key = ?",
            params![task.status.code(), done_to, task.moved as i64, self.at, task.id.key],
        )?;
        Ok(done)
    }
}

/// Deliveries set aside of messages strictly between two keys, with their states.
fn parked(db: Db<'_>, endpoint: EndpointKey, (after, before): (i64, i64), limit: usize) -> Result<Vec<(i64, i64)>> {
    db.prepare_cached(
        "SELECT message, state FROM parked WHERE endpoint = ? AND message > ? AND message < ?
             ORDER BY message LIMIT ?",
    )?
    .query_map(params![endpoint.0, after, before, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}
