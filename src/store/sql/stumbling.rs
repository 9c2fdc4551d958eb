//! Background tasks whose slices fail. A slice that fails takes its transaction with it, so this is known to the
//! writer alone: after a restart it finds out anew.

use rustc_hash::FxHashMap;

use super::db::Error;
use crate::model::{Key, UnixMs};

/// Slices of a task that may fail one after the other.
const TRIES_MAX: u32 = 5;
/// How long a task rests after the first; twice as long after each that follows.
const REST_MS: UnixMs = 5_000;
/// Tasks that are known at once. Beyond that all are forgotten, and tried again.
const TASKS_MAX: usize = 4_096;

/// Tasks that rest.
#[derive(Debug, Default)]
pub(in crate::store) struct Stumbling {
    tasks: FxHashMap<Key, Stumbled>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Stumbled {
    times: u32,
    since: UnixMs,
}

impl Stumbling {
    /// Whether a task lets the others go first. A clock that was set back ends the rest, and so does giving up.
    pub(in crate::store) fn rests(&self, task: Key, at: UnixMs) -> bool {
        self.tasks.get(&task).filter(|stumbled| stumbled.times < TRIES_MAX).is_some_and(|stumbled| {
            let until = stumbled.since + (REST_MS << stumbled.times.saturating_sub(1));
            (stumbled.since..until).contains(&at)
        })
    }

    /// Whether a task is not to be tried again.
    pub(in crate::store) fn is_given_up(&self, task: Key) -> bool {
        self.tasks.get(&task).is_some_and(|stumbled| stumbled.times >= TRIES_MAX)
    }

    /// A slice failed. What may be over in a while does not count against the task.
    pub(in crate::store) fn note(&mut self, task: Key, error: &Error, at: UnixMs) {
        if self.tasks.len() >= TASKS_MAX {
            self.tasks.clear();
        }
        let stumbled = self.tasks.entry(task).or_default();
        stumbled.since = at;
        stumbled.times += u32::from(error.is_lasting());
    }

    /// A task goes on, or is over.
    pub(in crate::store) fn forget(&mut self, task: Key) {
        self.tasks.remove(&task);
    }
}
