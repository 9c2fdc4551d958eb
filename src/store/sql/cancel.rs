//! Cancelling: what is not ended at an endpoint, of messages made before a time, is given up. It becomes `parked` as
//! cancelled, and lanes forget it with the slice. What is in flight at that moment may still arrive; then it counts
//! as delivered.
//!
//! Three parts, in the order in which deliveries move on: what is pending, what waits, what is held. Each is walked
//! once, so that nothing slips through behind the walk.

use super::change::Changer;
use super::db::Result;
use super::task::Running;
use crate::model::{Key, MessageKey, Parked, Pending, TaskStatus, Trigger, UnixMs};
use crate::store::maintenance::Maintained;

/// The parts, as they are stored.
const PENDING: i64 = 0;
const WAITING: i64 = 1;

/// Rows of the queues that are looked at for one that is moved: others' deliveries stand between them.
const LOOKS: usize = 8;

impl Changer<'_> {
    /// Gives up a slice.
    pub(super) fn cancel_slice(&mut self, running: &mut Running, budget: usize) -> Result<Maintained> {
        let endpoint = running.task.endpoint;
        let (messages, is_over) = match running.stage {
            PENDING => self.cancel_pending_of(running, budget * LOOKS)?,
            WAITING => self.cancel_waiting_of(running, budget)?,
            _ => {
                let held = self.cancel_held_of(running, budget)?;
                if held < budget {
                    running.task.status = TaskStatus::Finished;
                }
                return Ok(Maintained { rows: held, ..Maintained::default() });
            }
        };
        if is_over {
            running.stage += 1;
            running.place = i64::MIN;
            running.done_to = i64::MIN;
        }
        let rows = messages.len();
        let withdrawn =
            messages.into_iter().map(|message| Pending { message: MessageKey(message), endpoint }).collect();
        Ok(Maintained { rows, withdrawn, ..Maintained::default() })
    }

    /// What is in line for its first attempt: in the order of messages, with what is pending for other endpoints.
    fn cancel_pending_of(&self, running: &mut Running, looks: usize) -> Result<(Vec<Key>, bool)> {
        let sql = "SELECT message, endpoint FROM pending WHERE (message, endpoint) > (?, ?) AND message < ?
                   ORDER BY message, endpoint LIMIT ?";
        let mut rows: Vec<(Key, i64)> = Vec::new();
        self.db.prepare_cached(sql)?.each([running.done_to, running.place, running.before, looks as i64], |row| {
            rows.push((row.get(0)?, row.get(1)?));
            Ok(true)
        })?;
        if let Some(&(message, endpoint)) = rows.last() {
            (running.done_to, running.place) = (message, endpoint);
        }
        let endpoint = running.task.endpoint;
        let mut cancelled = Vec::new();
        for (message, _) in rows.iter().filter(|(_, of)| *of == endpoint.0) {
            if self.run("DELETE FROM pending WHERE message = ? AND endpoint = ?", [*message, endpoint.0])? == 1 {
                self.park_cancelled(endpoint, MessageKey(*message))?;
                cancelled.push(*message);
            }
        }
        Ok((cancelled, rows.len() < looks))
    }

    /// What waits for its time, in the order of due times; resends by hand, too.
    fn cancel_waiting_of(&self, running: &mut Running, budget: usize) -> Result<(Vec<Key>, bool)> {
        let endpoint = running.task.endpoint;
        let sql = "SELECT due, message, manual FROM waiting WHERE endpoint = ? AND (due, message) > (?, ?)
                   ORDER BY due, message LIMIT ?";
        let mut rows: Vec<(UnixMs, Key, Trigger)> = Vec::new();
        self.db.prepare_cached(sql)?.each([endpoint.0, running.place, running.done_to, budget as i64], |row| {
            rows.push((row.get(0)?, row.get(1)?, Trigger::from_code(row.get(2)?)));
            Ok(true)
        })?;
        if let Some(&(due, message, _)) = rows.last() {
            (running.place, running.done_to) = (due, message);
        }
        let mut cancelled = Vec::new();
        for &(due, message, trigger) in rows.iter().filter(|(_, message, _)| *message < running.before) {
            let sql = "DELETE FROM waiting WHERE endpoint = ? AND due = ? AND message = ?";
            if self.run(sql, [endpoint.0, due, message])? == 1 {
                if trigger == Trigger::Scheduled {
                    self.park_cancelled(endpoint, MessageKey(message))?;
                }
                cancelled.push(message);
            }
        }
        Ok((cancelled, rows.len() < budget))
    }

    /// What is held; how many.
    fn cancel_held_of(&self, running: &mut Running, budget: usize) -> Result<usize> {
        let endpoint = running.task.endpoint;
        let sql = "SELECT message FROM parked WHERE endpoint = ? AND message > ? AND message < ? AND state = ?
                   ORDER BY message LIMIT ?";
        let values = [endpoint.0, running.done_to, running.before, Parked::Held.code(), budget as i64];
        let held: Vec<Key> =
            self.db.prepare_cached(sql)?.query_map(values, |row| row.get(0))?.collect::<Result<_>>()?;
        for &message in &held {
            self.park_cancelled(endpoint, MessageKey(message))?;
        }
        running.done_to = held.last().copied().unwrap_or(running.done_to);
        Ok(held.len())
    }
}
