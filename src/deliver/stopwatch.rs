//! Measures the parts of an attempt. It outlives a deadline that strikes in the middle, so that the time until
//! then is told, too.

use tokio::time::Instant;

use crate::model::trace::{Phase, Timings};

/// Runs from part to part.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    timings: Timings,
    running: Option<(Phase, Instant)>,
}

impl Stopwatch {
    /// The part that ran is over, and this one begins.
    pub(super) fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.end(now);
        self.running = Some((phase, now));
    }

    /// All is over: how long each part took.
    pub(super) fn read(&mut self) -> Timings {
        self.end(Instant::now());
        self.timings
    }

    fn end(&mut self, now: Instant) {
        if let Some((phase, began)) = self.running.take() {
            self.timings.set(phase, u32::try_from((now - began).as_millis()).unwrap_or(u32::MAX));
        }
    }
}
