//! Recoveries: deliveries move from `parked` to `waiting`.

use super::change::Changer;
use super::db::{Db, Optional, Result, params};
use super::task::Running;
use crate::model::id::key_time;
use crate::model::{BackgroundTask, EndpointKey, Parked, TaskStatus, Trigger};
use crate::store::maintenance::{Maintained, Recovered};

impl Changer<'_> {
    /// Moves a slice of a recovery.
    pub(super) fn recover_slice(&mut self, running: &mut Running, budget: usize) -> Result<Maintained> {
        let task = &mut running.task;
        let found = parked(self.db, task.endpoint, (running.done_to, running.before), budget)?;
        running.done_to = found.last().map_or(running.done_to, |(message, _)| *message);
        let mut moved = 0;
        for (message, _) in found.iter().filter(|(_, state)| *state != Parked::Cancelled.code()) {
            // On another node a resend may have delivered it meanwhile.
            if self.run("DELETE FROM parked WHERE endpoint = ? AND message = ?", [task.endpoint.0, *message])? == 1 {
                self.wait_from(task, *message)?;
                moved += 1;
            }
        }
        if found.len() < budget {
            task.status = TaskStatus::Finished;
        }
        let recovered =
            (moved > 0).then_some(Recovered { app: task.app, endpoint: task.endpoint, due: key_time(task.id.key) });
        Ok(Maintained { rows: moved, recovered, ..Maintained::default() })
    }

    /// A delivery is due since its task began, with its schedule from the start: so its place can be looked up
    /// (see [`super::task::places`]). A resend that has its place there does not stand in its way.
    pub(super) fn wait_from(&self, task: &BackgroundTask, message: i64) -> Result<()> {
        let mut due = key_time(task.id.key);
        let insert = "INSERT INTO waiting (endpoint, due, message, attempts, manual) VALUES (?, ?, ?, 0, ?) ON CONFLICT DO NOTHING";
        let held = "SELECT manual FROM waiting WHERE endpoint = ? AND due = ? AND message = ?";
        while self.run(insert, params![task.endpoint.0, due, message, Trigger::Scheduled.code()])? == 0 {
            let place = [task.endpoint.0, due, message];
            let by = self.db.prepare_cached(held)?.query_row(place, |row| row.get(0)).optional()?;
            if by.is_some_and(|code| Trigger::from_code(code) == Trigger::Scheduled) {
                break;
            }
            due += 1;
        }
        Ok(())
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

/// How many deliveries a recovery would move, and whether these are all: no more than `limit` are looked at.
pub(super) fn count(
    db: Db<'_>,
    endpoint: EndpointKey,
    (after, before): (i64, i64),
    limit: usize,
) -> Result<(u64, bool)> {
    let sql = "SELECT count(*) FILTER (WHERE state <> ?), count(*) FROM
                 (SELECT state FROM parked WHERE endpoint = ? AND message > ? AND message < ? LIMIT ?) AS found";
    let (count, looked_at): (i64, i64) = db
        .prepare_cached(sql)?
        .query_row(params![Parked::Cancelled.code(), endpoint.0, after, before, limit as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok((count as u64, (looked_at as usize) < limit))
}
