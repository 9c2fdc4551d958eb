//! Background tasks: a row of `background_task` each. A slice does some of one and says in the same
//! transaction how far it is, so that a crash at any point neither loses nor repeats anything.
//!
//! What each kind does is in a file of its own: [`super::recover`], [`super::replay`], [`super::cancel`],
//! [`super::usage`].

use std::collections::BTreeSet;

use super::change::{Changer, Stop};
use super::db::{Db, Error, Optional, Result, Row, damaged, params};
use super::rows;
use crate::model::id::{first_key_at, key_time};
use crate::model::{
    AppKey, BackgroundTask, Endpoint, EndpointKey, EnvKey, Id, Key, SlotSet, TaskAsk, TaskKind, TaskLine, TaskStatus,
    UnixMs,
};
use crate::store::command::{Changed, NewTask, Refusal};
use crate::store::maintenance::{Maintained, TASK_ROWS_MAX, TASKS_RUNNING_MAX, TASKS_RUNNING_PER_APP_MAX};

/// Unfinished tasks among which those of some slots are looked for. Of more, those that have waited longest are
/// looked at first.
const LOOKED_AT_MAX: i64 = 4_096;
/// Tasks of an endpoint, the newest, whose places are looked at.
const PLACES_OF_MAX: i64 = 128;
/// Documents of an environment that are kept, the newest. Each may be some 16 MiB long.
const DOCUMENTS_KEPT: i64 = 8;
/// Documents that go when a new one comes.
const FORGOTTEN_MAX: i64 = 16;

pub(in crate::store) const TASK: &str = "key, nonce, env, app, endpoint, kind, status, moved, total, updated_at";

/// A task: columns [`TASK`].
pub(in crate::store) fn task(row: &Row<'_>) -> Result<BackgroundTask> {
    let kind = TaskKind::from_code(row.get(5)?).ok_or_else(|| damaged(5, "an unknown kind of task"))?;
    Ok(BackgroundTask {
        id: rows::id(row, 0)?,
        env: EnvKey(row.get(2)?),
        app: AppKey(row.get(3)?),
        endpoint: EndpointKey(row.get(4)?),
        kind,
        status: TaskStatus::from_code(row.get(6)?).unwrap_or(TaskStatus::Failed),
        moved: row.get::<i64>(7)? as u64,
        total: row.get::<Option<i64>>(8)?.map(|total| total as u64),
        updated_at: row.get(9)?,
    })
}

/// A task that goes on, and where it is.
pub(super) struct Running {
    pub(super) task: BackgroundTask,
    pub(super) ask: TaskAsk,
    /// Messages before this key.
    pub(super) before: Key,
    /// Those up to this one are done.
    pub(super) done_to: Key,
    /// Which part of it is being done.
    pub(super) stage: i64,
    /// Another place that it has to know.
    pub(super) place: i64,
}

/// A task that goes on: columns [`TASK`], then `before, done_to, stage, place, ask`.
fn running(row: &Row<'_>) -> Result<Running> {
    let task = task(row)?;
    // Recoveries of earlier versions were asked for nothing else.
    let ask = match row.text_or_null(14)? {
        None => TaskAsk::Recover,
        Some(ask) => serde_json::from_str(ask).map_err(|error| damaged(14, error))?,
    };
    Ok(Running { task, ask, before: row.get(10)?, done_to: row.get(11)?, stage: row.get(12)?, place: row.get(13)? })
}

/// Whether an unfinished task lies in one of these slots.
pub(in crate::store) fn any_running(db: Db<'_>, slots: SlotSet) -> Result<bool> {
    next_of(db, slots, |_| true).map(|found| found.is_some())
}

/// Of the unfinished tasks in these slots that may go on, the one that has waited longest.
fn next_of(db: Db<'_>, slots: SlotSet, may_go_on: impl Fn(Key) -> bool) -> Result<Option<Key>> {
    let sql = "SELECT key, endpoint FROM background_task WHERE status = 0 ORDER BY updated_at, key LIMIT ?";
    let mut found = None;
    db.prepare_cached(sql)?.each([LOOKED_AT_MAX], |row| {
        let key = row.get(0)?;
        if slots.contains_key(row.get(1)?) && may_go_on(key) {
            found = Some(key);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// Where the newest tasks of an endpoint have put deliveries in its order of due times: when each began, or, where a
/// resend stood there, a millisecond later.
pub(in crate::store) fn places(db: Db<'_>, endpoint: EndpointKey) -> Result<BTreeSet<UnixMs>> {
    let sql = "SELECT key FROM background_task WHERE endpoint = ? ORDER BY key DESC LIMIT ?";
    let mut places = BTreeSet::new();
    db.prepare_cached(sql)?.each([endpoint.0, PLACES_OF_MAX], |row| {
        let began = key_time(row.get(0)?);
        places.extend([began, began + 1]);
        Ok(true)
    })?;
    Ok(places)
}

/// What a task has found out, by name; `limit` lines at most.
pub(in crate::store) fn lines(db: Db<'_>, task: Id, limit: usize) -> Result<Vec<TaskLine>> {
    db.prepare_cached("SELECT name, count, body FROM task_result WHERE task = ? ORDER BY name LIMIT ?")?
        .query_map([task.key, limit as i64], |row| {
            Ok(TaskLine { name: row.get(0)?, count: row.get::<i64>(1)? as u64, body: row.get(2)? })
        })?
        .collect()
}

impl Changer<'_> {
    /// Begins a task.
    pub(in crate::store) fn start_task(&mut self, new: &NewTask) -> Result<Changed, Stop> {
        let (app, endpoint) = new.endpoint.unwrap_or((AppKey(0), EndpointKey(0)));
        if new.endpoint.is_some() {
            let found = self.endpoint(app, endpoint)?.ok_or(Refusal::NotFound)?;
            if found.spec.disabled.is_some() && new.ask != TaskAsk::Cancel {
                return Err(Refusal::EndpointDisabled.into());
            }
        }
        let (of_env, of_app) = self.running_tasks(new.env, app)?;
        if of_env >= TASKS_RUNNING_MAX || of_app >= TASKS_RUNNING_PER_APP_MAX {
            return Err(Refusal::TooManyTasks.into());
        }
        let status = if new.found.is_some() { TaskStatus::Finished } else { TaskStatus::Running };
        let task = BackgroundTask {
            id: self.state.new_id(self.at),
            env: new.env,
            app,
            endpoint,
            kind: new.ask.kind(),
            status,
            moved: 0,
            total: new.total,
            updated_at: self.at,
        };
        self.insert_task(&task, new)?;
        if let Some(found) = &new.found {
            self.run(
                "INSERT INTO task_result (task, name, count, body) VALUES (?, '', 0, ?)",
                params![task.id.key, found],
            )?;
            self.forget_documents(new.env)?;
        }
        Ok(Changed::Task(task))
    }

    fn insert_task(&self, task: &BackgroundTask, new: &NewTask) -> Result<()> {
        self.run(
            "INSERT INTO background_task (key, nonce, env, app, endpoint, kind, status, before, done_to, moved, total,
               ask, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
            params![
                task.id.key,
                task.id.nonce.as_slice(),
                task.env.0,
                task.app.0,
                task.endpoint.0,
                task.kind.code(),
                task.status.code(),
                first_key_at(new.until),
                first_key_at(new.since) - 1,
                task.total.map(|total| total as i64),
                super::change::json(&new.ask),
                self.at
            ],
        )?;
        Ok(())
    }

    /// Keeps the newest documents of an environment.
    fn forget_documents(&self, env: EnvKey) -> Result<()> {
        let kind = TaskKind::Document.code();
        let sql = format!(
            "SELECT key FROM background_task WHERE env = ? AND kind = {kind} ORDER BY key DESC LIMIT ? OFFSET ?"
        );
        let older: Vec<Key> = self
            .db
            .prepare_cached(&sql)?
            .query_map([env.0, FORGOTTEN_MAX, DOCUMENTS_KEPT], |row| row.get(0))?
            .collect::<Result<_>>()?;
        for key in older {
            self.run("DELETE FROM task_result WHERE task = ?", [key])?;
            self.run("DELETE FROM background_task WHERE key = ?", [key])?;
        }
        Ok(())
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

    /// Does a slice of the task that was looked at longest ago, of those in these slots. One whose slice failed
    /// rests while the others go on; when that has happened too often it has failed.
    pub(in crate::store) fn task_slice(&mut self, slots: SlotSet, budget: usize) -> Result<Maintained> {
        let stumbling = &self.state.stumbling;
        let Some(key) = next_of(self.db, slots, |key| !stumbling.rests(key, self.at))? else {
            return Ok(Maintained::default());
        };
        if self.state.stumbling.is_given_up(key) {
            tracing::error!(task = key, "slices of a task fail again and again: it has failed");
            self.fail_task(key)?;
            self.state.stumbling.forget(key);
            return Ok(Maintained { more: true, ..Maintained::default() });
        }
        let done = self.go_on(key, budget);
        match &done {
            Ok(_) => self.state.stumbling.forget(key),
            Err(error) => {
                tracing::warn!(%error, task = key, "a slice of a task failed");
                self.state.stumbling.note(key, error, self.at);
            }
        }
        done
    }

    fn fail_task(&self, key: Key) -> Result<()> {
        let sql = "UPDATE background_task SET status = ?, updated_at = ? WHERE key = ?";
        self.run(sql, [TaskStatus::Failed.code(), self.at, key])?;
        Ok(())
    }

    fn go_on(&mut self, key: Key, budget: usize) -> Result<Maintained> {
        let sql = format!("SELECT {TASK}, before, done_to, stage, place, ask FROM background_task WHERE key = ?");
        let read = self.db.prepare_cached(&sql)?.query_row([key], running).optional();
        let mut running = match read {
            Ok(Some(running)) => running,
            Ok(None) => return Ok(Maintained::default()),
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(%error, task = key, "a task cannot be read: it has failed");
                self.fail_task(key)?;
                return Ok(Maintained { more: true, ..Maintained::default() });
            }
            Err(error) => return Err(error),
        };
        let budget = budget.clamp(1, TASK_ROWS_MAX);
        let done = self.slice_of(&mut running, budget)?;
        running.task.moved += done.rows as u64;
        self.keep_task(&running)?;
        Ok(Maintained { more: true, ..done })
    }

    /// Some of a task. What it has moved is told by `rows`.
    fn slice_of(&mut self, running: &mut Running, budget: usize) -> Result<Maintained> {
        match &running.ask {
            TaskAsk::AppUsage { .. } => return self.app_usage_slice(running, budget),
            TaskAsk::EventTypes => return self.event_types_slice(running, budget),
            TaskAsk::Document => {
                running.task.status = TaskStatus::Finished;
                return Ok(Maintained::default());
            }
            TaskAsk::Recover | TaskAsk::ReplayMissing | TaskAsk::BulkReplay(_) | TaskAsk::Cancel => {}
        }
        let endpoint = self.endpoint_of(&running.task)?;
        let is_cancel = running.ask == TaskAsk::Cancel;
        let Some(endpoint) = endpoint.filter(|endpoint| is_cancel || endpoint.spec.disabled.is_none()) else {
            running.task.status = TaskStatus::Failed;
            return Ok(Maintained::default());
        };
        match running.ask {
            TaskAsk::Cancel => self.cancel_slice(running, budget),
            TaskAsk::Recover => self.recover_slice(running, budget),
            _ => self.replay_slice(running, &endpoint, budget),
        }
    }

    fn endpoint_of(&self, task: &BackgroundTask) -> Result<Option<Endpoint>> {
        match self.endpoint(task.app, task.endpoint) {
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(%error, endpoint = task.endpoint.0, "an endpoint cannot be read: its task has failed");
                Ok(None)
            }
            read => read,
        }
    }

    fn keep_task(&self, running: &Running) -> Result<()> {
        let Running { task, done_to, stage, place, .. } = running;
        self.run(
            "UPDATE background_task SET status = ?, done_to = ?, stage = ?, place = ?, moved = ?, updated_at = ?
             WHERE key = ?",
            params![task.status.code(), *done_to, *stage, *place, task.moved as i64, self.at, task.id.key],
        )?;
        Ok(())
    }
}

/// Which tasks a list has: what the contract has no word for only where it is asked for.
pub(in crate::store) fn listed(kind: Option<TaskKind>) -> String {
    match kind {
        Some(kind) => format!("kind = {}", kind.code()),
        None => format!("kind <> {}", TaskKind::Cancel.code()),
    }
}
