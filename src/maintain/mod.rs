//! What keeps the store tidy while it works: retention, purging of what was deleted, background tasks.
//!
//! One task. It looks whether there is work, which costs a read and no commit, and does it slice by
//! slice through the journal, in the same transactions as everything else. A slice grows and
//! shrinks with the time that it takes, and the pauses between slices are a multiple of that, so
//! that traffic keeps most of the writer also when there is no end of work.
//!
//! Where it stands is in the store: after a crash it goes on. Deliberately absent: any decision
//! about what goes that is not one of the store's rows or the configuration.

mod pace;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Retention;
use crate::dispatch::ownership::Ownership;
use crate::model::{Clock, Slot, SlotSet, UnixMs};
use crate::store::ReadError;
use crate::store::command::{Command, Done, Refusal};
use crate::store::journal::{Journal, NotTaken};
use crate::store::maintenance::{Horizon, Maintained, Maintenance, Work};
use crate::store::query::StoreQueries;
use pace::Pace;

/// How often it is looked whether something was deleted or asked for.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether something is too old.
const LOOK_FOR_OLD: Duration = Duration::from_mins(1);
/// How long it is left alone when the journal is full or the store fails.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Slices of one kind of work in a row: then the others have their turn.
const SLICES_MAX: usize = 64;
/// Of several nodes, the one that holds this slot does the work; background tasks are done where the slot of their
/// endpoint is held.
const SLOT: Slot = Slot(0);
const DAY_MS: i64 = 86_400_000;
/// Days that a background task is listed after it ended.
const TASK_DAYS: u16 = 7;

/// Why a slice was not done. It is tried again.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What the task is built from.
pub struct Maintainer {
    /// Where slices go.
    pub journal: Journal,
    /// Says whether there is work.
    pub queries: Arc<dyn StoreQueries>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// How long what is kept.
    pub retention: Retention,
    /// Whether the work is this process's.
    pub ownership: Arc<Ownership>,
}

impl Maintainer {
    /// Runs for good; does nothing more when the journal is closed.
    pub async fn run(self) {
        let mut pace = Pace::default();
        // What a crash interrupted may have left some behind.
        let mut leftovers = true;
        let mut looked_for_old: Option<Instant> = None;
        loop {
            let is_whole = self.ownership.may_work(SLOT);
            if !is_whole {
                // Who had it before may have been interrupted, too.
                (leftovers, looked_for_old) = (true, None);
            }
            if self.slots().is_empty() {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let for_old = is_whole && looked_for_old.is_none_or(|at| at.elapsed() >= LOOK_FOR_OLD);
            let pause = match self.round(&mut pace, for_old, &mut leftovers).await {
                Ok(more) => {
                    if for_old && !more {
                        looked_for_old = Some(Instant::now());
                    }
                    if more { Duration::ZERO } else { LOOK }
                }
                Err(Undone::NotTaken(NotTaken::Closed)) => return std::future::pending().await,
                Err(error) => {
                    tracing::warn!(%error, "maintenance failed; it is tried again");
                    AFTER_FAILURE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Some slices of each kind of work that there is; says whether there is more. A kind that fails
    /// does not keep the others from their turn: the first error is said in the end.
    async fn round(&self, pace: &mut Pace, for_old: bool, leftovers: &mut bool) -> Result<bool, Undone> {
        let horizon = self.horizon();
        let due = self.queries.maintenance_due(horizon).await?;
        let (attempts, messages) = (horizon.attempts, horizon.messages);
        let works = [
            (due.tasks_running, Work::RunTasks { slots: horizon.slots }),
            (self.ownership.may_work(SLOT) && due.purge, Work::Purge),
            (for_old && due.payloads, Work::Payloads),
            (for_old && due.attempts, Work::Attempts { before: attempts }),
            (for_old && due.hours, Work::Hours { before: attempts }),
            (for_old && due.messages, Work::Messages { before: messages }),
            (for_old && due.tasks, Work::Tasks { before: horizon.tasks }),
            (for_old && due.source_logs, Work::SourceLogs { before: horizon.source_logs }),
        ];
        let (mut more, mut failed) = (false, None);
        for work in works.into_iter().filter_map(|(is_due, work)| is_due.then_some(work)) {
            match self.slices(work, pace).await {
                Ok(done) => {
                    *leftovers |= done.rows > 0 && matches!(work, Work::Messages { .. });
                    more |= done.more;
                }
                Err(error @ Undone::NotTaken(_)) => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if for_old && *leftovers && !more {
            let done = self.slices(Work::Leftovers { before: messages }, pace).await?;
            *leftovers = done.more;
            more |= done.more;
        }
        failed.map_or(Ok(more), Err)
    }

    fn horizon(&self) -> Horizon {
        let now = self.clock.now_ms();
        let before = |days: u16| now - i64::from(days) * DAY_MS;
        Horizon {
            now,
            attempts: before(self.retention.attempt_days),
            messages: before(self.retention.message_days),
            tasks: before(TASK_DAYS),
            source_logs: before(self.retention.payload_days),
            slots: self.slots(),
        }
    }

    /// The slots whose background tasks are done here.
    fn slots(&self) -> SlotSet {
        if self.ownership.is_over() { SlotSet::EMPTY } else { self.ownership.slots() }
    }

    /// Slices of one kind of work, with pauses, until it is done or the others have their turn.
    async fn slices(&self, mut work: Work, pace: &mut Pace) -> Result<Maintained, Undone> {
        let mut all = Maintained::default();
        for _ in 0..SLICES_MAX {
            let is_here = match &mut work {
                // What was given away meanwhile is another's.
                Work::RunTasks { slots } => {
                    *slots = self.slots();
                    !slots.is_empty()
                }
                _ => self.ownership.may_work(SLOT),
            };
            if !is_here {
                break;
            }
            let done = self.slice(work, pace.rows(work), self.clock.now_ms()).await?;
            all.rows += done.rows;
            all.more = done.more;
            let pause = pace.fed(work, done.took);
            if !done.more {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Ok(all)
    }

    async fn slice(&self, work: Work, rows: usize, at: UnixMs) -> Result<Maintained, Undone> {
        match self.journal.commit(Command::Maintain(Maintenance { at, work, rows })).await?? {
            Done::Maintained(done) => Ok(*done),
            _ => Err(Refusal::Failed.into()),
        }
    }
}
