//! Content that is deleted and what is recovered, in memory.

use super::data::Data;
use crate::model::id::{first_key_at, key_time};
use crate::model::{
    AppKey, BackgroundTask, EndpointKey, MessageKey, Parked, TaskAsk, TaskKind, TaskStatus, Trigger, UnixMs,
};
use crate::store::command::{Changed, NewTask, Refusal};
use crate::store::maintenance::{
    Maintained, Maintenance, Recovered, TASK_ROWS_MAX, TASKS_RUNNING_MAX, TASKS_RUNNING_PER_APP_MAX, Work,
};

/// A recovery: messages before this key, those up to that one are done.
pub(super) struct StoredTask {
    pub(super) task: BackgroundTask,
    before: i64,
    done_to: i64,
}

impl Data {
    pub(super) fn expunge_message(&mut self, app: AppKey, key: MessageKey) -> Result<Changed, Refusal> {
        let stored = self.messages.get_mut(&key.0).filter(|stored| stored.message.app == app);
        stored.ok_or(Refusal::NotFound)?.message.payload = None;
        let mut endpoints: Vec<i64> =
            self.pending.iter().filter(|(message, _)| *message == key.0).map(|(_, endpoint)| *endpoint).collect();
        let waiting = self.waiting.iter().filter(|(place, _)| place.2 == key.0);
        let scheduled = waiting.clone().filter(|(_, (_, trigger))| *trigger == Trigger::Scheduled);
        let to_park: Vec<i64> = endpoints.iter().copied().chain(scheduled.map(|(place, _)| place.0)).collect();
        endpoints.extend(waiting.map(|(place, _)| place.0));
        self.pending.retain(|(message, _)| *message != key.0);
        self.waiting.retain(|place, _| place.2 != key.0);
        for endpoint in to_park {
            self.parked.insert((endpoint, key.0), Parked::Cancelled);
        }
        for (_, state) in self.parked.iter_mut().filter(|((_, message), _)| *message == key.0) {
            if *state == Parked::Held {
                *state = Parked::Cancelled;
            }
        }
        let endpoints = endpoints.into_iter().map(EndpointKey).collect();
        Ok(Changed::Expunged { message: key, endpoints })
    }

    /// Begins a recovery; other tasks there are none.
    pub(super) fn recover(&mut self, new: &NewTask, at: UnixMs) -> Result<Changed, Refusal> {
        let (TaskAsk::Recover, Some((app, endpoint))) = (&new.ask, new.endpoint) else { return Err(Refusal::Failed) };
        let found = self.endpoints.get(&endpoint.0).filter(|found| found.app == app).ok_or(Refusal::NotFound)?;
        if found.spec.disabled.is_some() {
            return Err(Refusal::EndpointDisabled);
        }
        let env = self.apps.get(&app.0).ok_or(Refusal::NotFound)?.env;
        let running =
            self.tasks.values().filter(|stored| stored.task.env == env && stored.task.status == TaskStatus::Running);
        let of_app = running.clone().filter(|stored| stored.task.app == app).count();
        if running.count() >= TASKS_RUNNING_MAX || of_app >= TASKS_RUNNING_PER_APP_MAX {
            return Err(Refusal::TooManyTasks);
        }
        let id = self.new_id(at);
        let (kind, status) = (TaskKind::Recover, TaskStatus::Running);
        let task = BackgroundTask { id, env, app, endpoint, kind, status, moved: 0, total: None, updated_at: at };
        let stored =
            StoredTask { task: task.clone(), before: first_key_at(new.until), done_to: first_key_at(new.since) - 1 };
        self.tasks.insert(id.key, stored);
        Ok(Changed::Task(task))
    }

    /// Recoveries only: the rest of what maintenance does is a matter of disks.
    pub(super) fn maintain(&mut self, slice: Maintenance) -> Maintained {
        let Work::RunTasks { slots } = slice.work else { return Maintained::default() };
        let running = self
            .tasks
            .values_mut()
            .filter(|stored| stored.task.status == TaskStatus::Running && slots.contains_key(stored.task.endpoint.0));
        let Some(stored) = running.min_by_key(|stored| (stored.task.updated_at, stored.task.id.key)) else {
            return Maintained::default();
        };
        let endpoint = stored.task.endpoint;
        stored.task.updated_at = slice.at;
        if self.endpoints.get(&endpoint.0).is_none_or(|found| found.spec.disabled.is_some()) {
            stored.task.status = TaskStatus::Failed;
            return Maintained { more: true, ..Maintained::default() };
        }
        let budget = slice.rows.clamp(1, TASK_ROWS_MAX);
        let range = (endpoint.0, stored.done_to + 1)..(endpoint.0, stored.before);
        let found: Vec<(i64, Parked)> =
            self.parked.range(range).take(budget).map(|(&(_, message), state)| (message, *state)).collect();
        if found.len() < budget {
            stored.task.status = TaskStatus::Finished;
        }
        stored.done_to = found.last().map_or(stored.done_to, |(message, _)| *message);
        let moved: Vec<i64> =
            found.into_iter().filter(|(_, state)| *state != Parked::Cancelled).map(|(message, _)| message).collect();
        stored.task.moved += moved.len() as u64;
        let began = key_time(stored.task.id.key);
        let recovered = Recovered { app: stored.task.app, endpoint, due: began };
        for &message in &moved {
            self.parked.remove(&(endpoint.0, message));
            let mut due = began;
            while self.waiting.contains_key(&(endpoint.0, due, message)) {
                due += 1;
            }
            self.waiting.insert((endpoint.0, due, message), (0, Trigger::Scheduled));
        }
        let recovered = (!moved.is_empty()).then_some(recovered);
        Maintained { rows: moved.len(), more: true, recovered, ..Maintained::default() }
    }
}
