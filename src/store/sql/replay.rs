//! Replays: messages of an application that an endpoint never got, or that match a filter, get a place in its
//! order of due times. The messages are walked in the order of their keys, each is judged by what the store holds
//! of its delivery then, and where that walk is is kept with each slice.

use std::time::Instant;

use super::change::Changer;
use super::db::{Db, Result};
use super::judged::{Standing, Stands};
use super::recover;
use super::scan::{MESSAGES_OF_APP, SCAN_TIME_MAX};
use super::task::Running;
use crate::model::id::key_time;
use crate::model::routing::wants;
use crate::model::{
    AppKey, DeliveryState, Endpoint, Key, Message, MessageKey, Pending, ReplayFilter, TaskAsk, TaskStatus, UnixMs,
};
use crate::store::maintenance::{Maintained, Recovered};
use crate::store::query::{Counted, Order};

/// Messages, or deliveries, that a count looks at.
const COUNT_LOOKS_MAX: usize = 100_000;
/// Messages looked at in one step of a count.
const COUNT_STEP: usize = 1_000;

impl Changer<'_> {
    /// Puts a slice of what is replayed in line.
    pub(super) fn replay_slice(
        &mut self,
        running: &mut Running,
        endpoint: &Endpoint,
        budget: usize,
    ) -> Result<Maintained> {
        let (app, bounds) = (running.task.app, (running.done_to, running.before));
        let keys = MESSAGES_OF_APP.keys(self.db, app.0, bounds, Order::Ascending, budget)?;
        let sought = Sought::new(self.db, endpoint, &running.ask, &keys, self.at)?;
        let mut done = Maintained::default();
        for &key in &keys {
            let Some(stands) = sought.of(key)? else { continue };
            if stands.traces.parked.is_some() {
                self.run("DELETE FROM parked WHERE endpoint = ? AND message = ?", [endpoint.key().0, key])?;
            }
            if let Some(due) = stands.due {
                let sql = "DELETE FROM waiting WHERE endpoint = ? AND due = ? AND message = ?";
                self.run(sql, [endpoint.key().0, due, key])?;
                done.moved_up.push(Pending { message: MessageKey(key), endpoint: endpoint.key() });
            }
            self.wait_from(&running.task, key)?;
            done.rows += 1;
        }
        running.done_to = keys.last().copied().unwrap_or(running.done_to);
        if keys.len() < budget {
            running.task.status = TaskStatus::Finished;
        }
        let due = key_time(running.task.id.key);
        done.recovered = (done.rows > 0).then_some(Recovered { app, endpoint: endpoint.key(), due });
        Ok(done)
    }
}

/// How many messages a task would send to an endpoint now.
pub(in crate::store) fn count(
    db: Db<'_>,
    (app, endpoint): (AppKey, &Endpoint),
    ask: &TaskAsk,
    (after, before): (Key, Key),
    at: UnixMs,
) -> Result<Counted> {
    if *ask == TaskAsk::Recover {
        let (count, is_whole) = recover::count(db, endpoint.key(), (after, before), COUNT_LOOKS_MAX)?;
        return Ok(Counted { count, is_whole });
    }
    let (mut after, mut count, began) = (after, 0, Instant::now());
    for _ in 0..COUNT_LOOKS_MAX / COUNT_STEP {
        let keys = MESSAGES_OF_APP.keys(db, app.0, (after, before), Order::Ascending, COUNT_STEP)?;
        let sought = Sought::new(db, endpoint, ask, &keys, at)?;
        for &key in &keys {
            count += u64::from(sought.of(key)?.is_some());
        }
        let Some(&last) = keys.last().filter(|_| keys.len() == COUNT_STEP) else {
            return Ok(Counted { count, is_whole: true });
        };
        after = last;
        if began.elapsed() >= SCAN_TIME_MAX {
            break;
        }
    }
    Ok(Counted { count, is_whole: false })
}

/// What is looked for.
struct Sought<'s> {
    endpoint: &'s Endpoint,
    ask: &'s TaskAsk,
    standing: Standing<'s>,
    at: UnixMs,
}

impl<'s> Sought<'s> {
    /// Among these messages.
    fn new(db: Db<'s>, endpoint: &'s Endpoint, ask: &'s TaskAsk, among: &[Key], at: UnixMs) -> Result<Self> {
        Ok(Self { endpoint, ask, standing: Standing::of(db, endpoint.key(), among)?, at })
    }

    /// Where the delivery of a message stands, if it is to be sent. What is in line already, or is not due yet for
    /// the first time, is left as it is; what has lost its content cannot be sent. What was tried at one endpoint
    /// alone is missing at no other.
    fn of(&self, key: Key) -> Result<Option<Stands>> {
        let Some(message) = self.standing.message(key)?.filter(|message| self.is_meant(message)) else {
            return Ok(None);
        };
        let stands = self.standing.of_message(&message)?;
        let state = DeliveryState::of(&stands.traces);
        let is_in_line = stands.traces.pending || stands.due.is_some_and(|due| due <= self.at);
        let is_early = message.envelope.deliver_at.is_some_and(|at| at > self.at);
        let is_sought = match self.ask {
            TaskAsk::BulkReplay(filter) => !is_in_line && !is_early && is_of(filter, &stands, state),
            _ => state.is_none() && !is_early && !self.standing.is_for_one(key)?,
        };
        Ok((is_sought && self.standing.has_content(key)?).then_some(stands))
    }

    fn is_meant(&self, message: &Message) -> bool {
        let envelope = &message.envelope;
        match self.ask {
            TaskAsk::BulkReplay(filter) => {
                (filter.event_types.is_empty() || filter.event_types.contains(&envelope.event_type))
                    && filter.channel.as_ref().is_none_or(|channel| envelope.channels.contains(channel))
                    && filter.tag.as_ref().is_none_or(|tag| envelope.tags.contains(tag))
            }
            _ => wants(self.endpoint, &envelope.event_type, &envelope.channels),
        }
    }
}

/// Whether a delivery that stands so is one of those that were asked for. A message that never went to the endpoint
/// stands nowhere: it is not replayed, but missing.
fn is_of(filter: &ReplayFilter, stands: &Stands, state: Option<DeliveryState>) -> bool {
    state.is_some_and(|state| filter.status.is_none_or(|status| state.status() == status))
        && filter.status_class.is_none_or(|class| stands.last_status.is_some_and(|last| last / 100 == class))
}
