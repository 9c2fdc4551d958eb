//! Slices of work that keep the store tidy: commands like all others, so that they share the
//! journal's transactions and never run beside a commit.

use std::time::Duration;

use crate::model::{AppKey, EndpointKey, Pending, SlotSet, UnixMs};

/// One slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// When.
    pub at: UnixMs,
    /// What.
    pub work: Work,
    /// Rows that it may touch, in each of the tables that it works on. A row with a long body counts
    /// for more.
    pub rows: usize,
}

/// What a slice works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Bytes of messages whose day is over.
    Payloads,
    /// Attempts that began before, with their places in lists.
    Attempts {
        /// In milliseconds since 1970.
        before: UnixMs,
    },
    /// Counts of the hours before.
    Hours {
        /// In milliseconds since 1970.
        before: UnixMs,
    },
    /// Messages that were made, and due, before; with their bytes and their place in lists.
    Messages {
        /// In milliseconds since 1970.
        before: UnixMs,
    },
    /// Background tasks that ended before.
    Tasks {
        /// In milliseconds since 1970.
        before: UnixMs,
    },
    /// Requests in the logs of sources, from when they came.
    SourceLogs {
        /// In milliseconds since 1970.
        before: UnixMs,
    },
    /// What is left of messages that are gone: deliveries set aside, event ids.
    Leftovers {
        /// Of messages made before, in milliseconds since 1970.
        before: UnixMs,
    },
    /// Rows of what was deleted.
    Purge,
    /// Background tasks: of those whose endpoint lies in these slots, the one that has waited longest. Moves
    /// [`TASK_ROWS_MAX`] deliveries at most.
    RunTasks {
        /// Lanes are told by whoever holds them, so that they hear of it in the same moment.
        slots: SlotSet,
    },
}

/// Deliveries that one slice of a task moves.
pub const TASK_ROWS_MAX: usize = 1_000;
/// Tasks of one environment that are not finished.
pub const TASKS_RUNNING_MAX: usize = 1_000;
/// The same of one application, so that one customer leaves room for the others.
pub const TASKS_RUNNING_PER_APP_MAX: usize = 100;

/// What a slice did.
#[derive(Debug, Clone, Default)]
pub struct Maintained {
    /// Rows that it removed or moved.
    pub rows: usize,
    /// There is more to be done.
    pub more: bool,
    /// How long it held up the commit that it was part of.
    pub took: Duration,
    /// Deliveries that are no more.
    pub withdrawn: Vec<Pending>,
    /// Deliveries that have another place in line now; resends of the same message have theirs still.
    pub moved_up: Vec<Pending>,
    /// Deliveries that are due now.
    pub recovered: Option<Recovered>,
}

/// Deliveries that a task has put in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Whose.
    pub app: AppKey,
    /// To where.
    pub endpoint: EndpointKey,
    /// When the first is due.
    pub due: UnixMs,
}

/// Before when what is kept is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Now: payloads carry their own day.
    pub now: UnixMs,
    /// Attempts, and counts of them.
    pub attempts: UnixMs,
    /// Messages.
    pub messages: UnixMs,
    /// Background tasks, from when they ended.
    pub tasks: UnixMs,
    /// Requests in the logs of sources, which are kept with their bytes.
    pub source_logs: UnixMs,
    /// Slots whose background tasks are looked for.
    pub slots: SlotSet,
}

/// Which kinds of work there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// [`Work::Payloads`]
    pub payloads: bool,
    /// [`Work::Attempts`]
    pub attempts: bool,
    /// [`Work::Hours`]
    pub hours: bool,
    /// [`Work::Messages`]; some may have to stay because they were due later.
    pub messages: bool,
    /// [`Work::Tasks`]
    pub tasks: bool,
    /// [`Work::SourceLogs`]
    pub source_logs: bool,
    /// [`Work::Purge`]
    pub purge: bool,
    /// [`Work::RunTasks`]
    pub tasks_running: bool,
}
