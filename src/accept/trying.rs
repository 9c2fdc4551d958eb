//! Trying out: one signed attempt that is on no record, through the guarded client as all others; and calls that wait
//! for the first attempt of a message. Few at once: somebody waits for each, and whoever is tried may take its time.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::dispatch::runner::{Deliver, Letter};
use crate::model::{Endpoint, Outcome};

/// Attempts under way at once, and calls that wait.
const TRYING_MAX: usize = 32;

/// Tries out. One a process.
pub struct Trying {
    deliver: Arc<dyn Deliver>,
    under_way: Semaphore,
    waiting: Semaphore,
}

impl Trying {
    /// By the same means as deliveries are attempted.
    pub fn new(deliver: Arc<dyn Deliver>) -> Self {
        Self { deliver, under_way: Semaphore::new(TRYING_MAX), waiting: Semaphore::new(TRYING_MAX) }
    }

    /// One attempt, which ends by the deadline of all attempts; `None` where too many are under way.
    pub async fn attempt(&self, endpoint: &Arc<Endpoint>, letter: Letter<'_>) -> Option<Outcome> {
        let _one = self.under_way.try_acquire().ok()?;
        Some(self.deliver.attempt(endpoint, letter).await)
    }

    /// Leave to wait for an attempt, for as long as this is held; `None` where too many wait.
    pub fn wait(&self) -> Option<SemaphorePermit<'_>> {
        self.waiting.try_acquire().ok()
    }
}
