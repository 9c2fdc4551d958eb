//! Work that goes on behind the answer, or in slices, as changes ask for it.

use super::command::Change;
use crate::model::{AppKey, EndpointKey, EnvKey, TaskAsk, UnixMs};

/// Work that is to go on as a task.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Where.
    pub env: EnvKey,
    /// To which endpoint of which application; none where it is about the environment.
    pub endpoint: Option<(AppKey, EndpointKey)>,
    /// What.
    pub ask: TaskAsk,
    /// Messages made from then on.
    pub since: UnixMs,
    /// And before then.
    pub until: UnixMs,
    /// How much there is to do, where that is known.
    pub total: Option<u64>,
    /// What it has found out already: then it is finished as it begins.
    pub found: Option<String>,
}

impl NewTask {
    /// Work on an endpoint: on messages made from `since` until before `until`.
    pub fn to(
        env: EnvKey,
        (app, endpoint): (AppKey, EndpointKey),
        ask: TaskAsk,
        (since, until): (UnixMs, UnixMs),
    ) -> Self {
        Self { env, endpoint: Some((app, endpoint)), ask, since, until, total: None, found: None }
    }

    /// As a change.
    pub fn into_change(self) -> Change {
        Change::StartTask(Box::new(self))
    }
}

/// How far all sealed values have been looked at, in the order in which the engine keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResealPlace {
    /// Which of the engine's columns.
    pub column: usize,
    /// Behind which row of it.
    pub after: i64,
}

impl ResealPlace {
    /// Before the first value.
    pub const START: Self = Self { column: 0, after: i64::MIN };
}

/// What a slice of resealing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that are sealed with the newest key now, and were not before.
    pub resealed: u64,
    /// Values that no key opens; the log names them.
    pub unreadable: u64,
    /// Where the next slice begins, if there is one.
    pub next: Option<ResealPlace>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::command::{ChangeRequest, Command};

    #[test]
    fn a_document_weighs_what_it_holds() {
        let weight = |found: Option<String>| {
            let task = NewTask {
                env: EnvKey(1),
                endpoint: None,
                ask: TaskAsk::Document,
                since: 0,
                until: 0,
                total: None,
                found,
            };
            Command::Change(Box::new(ChangeRequest { at: 0, idempotency: None, change: task.into_change() })).weight()
        };
        assert_eq!(weight(Some("x".repeat(1 << 20))) - weight(None), 1 << 20);
    }
}
