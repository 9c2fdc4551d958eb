//! How much a slice takes on, and how long the pause behind it is. Pure.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use crate::store::maintenance::Work;

/// Rows of the first slice, and bounds of all.
const ROWS_FIRST: usize = 256;
const ROWS_MIN: usize = 16;
const ROWS_MAX: usize = 8_192;
/// What a slice is to take: a commit with one is still far below what a publisher notices.
const TARGET: Duration = Duration::from_millis(5);
/// The pause behind a slice, as a multiple of what it took, and its bounds.
const PAUSE_TIMES: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The pace of each kind of work.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rows: HashMap<Discriminant<Work>, usize>,
}

impl Pace {
    /// Rows of the next slice.
    pub(super) fn rows(&self, work: Work) -> usize {
        self.rows.get(&discriminant(&work)).copied().unwrap_or(ROWS_FIRST)
    }

    /// A slice took so long; says how long the pause behind it is.
    pub(super) fn fed(&mut self, work: Work, took: Duration) -> Duration {
        let rows = self.rows(work);
        // Twice as many at most: the next rows may be heavier.
        let factor = (TARGET.as_secs_f64() / took.as_secs_f64().max(1e-6)).clamp(0.25, 2.0);
        let next = (rows as f64 * factor) as usize;
        self.rows.insert(discriminant(&work), next.clamp(ROWS_MIN, ROWS_MAX));
        (took * PAUSE_TIMES).clamp(PAUSE_MIN, PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SlotSet;

    #[test]
    fn slices_grow_to_the_target_and_shrink_at_once() {
        let mut pace = Pace::default();
        // A row that takes 10 µs: 500 of them take 5 ms.
        for _ in 0..20 {
            let took = Duration::from_micros(10 * pace.rows(Work::Purge) as u64);
            pace.fed(Work::Purge, took);
        }
        assert!((450..=550).contains(&pace.rows(Work::Purge)), "{}", pace.rows(Work::Purge));
        assert_eq!(pace.rows(Work::RunTasks { slots: SlotSet::FULL }), ROWS_FIRST, "each kind has its own");
        let pause = pace.fed(Work::Purge, Duration::from_millis(50));
        assert_eq!(pause, Duration::from_millis(150));
        assert!(pace.rows(Work::Purge) <= 140, "{}", pace.rows(Work::Purge));
        for _ in 0..20 {
            pace.fed(Work::Purge, Duration::from_secs(1));
        }
        assert_eq!(pace.rows(Work::Purge), ROWS_MIN);
        for _ in 0..20 {
            assert_eq!(pace.fed(Work::Purge, Duration::ZERO), PAUSE_MIN);
        }
        assert_eq!(pace.rows(Work::Purge), ROWS_MAX);
    }
}
