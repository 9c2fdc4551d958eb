//! How long attempts took, counted in steps that grow with the time: few enough to be kept for each
//! minute, fine enough for percentiles.

use super::varint;

/// Where steps begin, in milliseconds; before the first of these lies what took less than that.
pub const BOUNDS_MS: [u32; 26] = [
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000,
    10_000, 15_000, 30_000,
];
/// Steps.
pub const STEPS: usize = BOUNDS_MS.len() + 1;
/// The longest that an attempt may take: where the last step ends.
const END_MS: u32 = 60_000;

/// The step of an attempt that took so long.
pub fn step_of(duration_ms: u32) -> usize {
    BOUNDS_MS.partition_point(|bound| *bound <= duration_ms)
}

/// Attempts by how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latencies {
    counts: [u64; STEPS],
}

impl Latencies {
    /// Counts attempts of a step; a step that is not known counts as the longest.
    pub fn add(&mut self, step: usize, count: u64) {
        self.counts[step.min(STEPS - 1)] += count;
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time in milliseconds below which so many of a hundred attempts lie, taken to lie evenly within
    /// their step; to a tenth of a millisecond. `None` where there are no attempts.
    pub fn percentile_ms(&self, percent: u8) -> Option<f64> {
        let wanted = self.total() as f64 * f64::from(percent) / 100.0;
        let mut below = 0.0;
        for (step, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if below + count as f64 >= wanted {
                let from = step.checked_sub(1).map_or(0, |before| BOUNDS_MS[before]);
                let to = BOUNDS_MS.get(step).copied().unwrap_or(END_MS);
                let ms = f64::from(from) + f64::from(to - from) * (wanted - below) / count as f64;
                return Some((ms * 10.0).round() / 10.0);
            }
            below += count as f64;
        }
        None
    }

    /// As it is stored: each step's count, without the empty steps at the end.
    pub fn encode(&self) -> Vec<u8> {
        let used = self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let mut out = Vec::with_capacity(2 * used);
        self.counts[..used].iter().for_each(|count| varint::push(&mut out, *count));
        out
    }

    /// From what is stored; what cannot be read is left out.
    pub fn decode(mut bytes: &[u8]) -> Self {
        let mut read = Self::default();
        for count in &mut read.counts {
            let Some(stored) = varint::take(&mut bytes) else { break };
            *count = stored;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: &[u32]) -> Latencies {
        let mut latencies = Latencies::default();
        for duration in durations {
            latencies.add(step_of(*duration), 1);
        }
        latencies
    }

    #[test]
    fn a_time_is_in_the_step_that_begins_at_or_before_it() {
        for (duration_ms, step) in [(0, 0), (1, 1), (2, 2), (4, 3), (5, 4), (29_999, 25), (30_000, 26), (u32::MAX, 26)]
        {
            assert_eq!(step_of(duration_ms), step, "{duration_ms} ms");
        }
    }

    #[test]
    fn percentiles_lie_within_the_step_of_their_attempt() {
        let quick: Vec<u32> = vec![4; 95];
        let all = of(&[quick, vec![800; 5]].concat());
        let at = |percent| all.percentile_ms(percent).expect("there are attempts");
        assert!((3.0..5.0).contains(&at(50)) && (3.0..=5.0).contains(&at(95)), "{} {}", at(50), at(95));
        assert!((700.0..1_000.0).contains(&at(99)), "{}", at(99));
        assert_eq!(Latencies::default().percentile_ms(50), None);
        assert_eq!(of(&[0]).percentile_ms(50), Some(0.5), "half of the one millisecond");
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for durations in [&[][..], &[0], &[0, 3, 3, 61_000], &[250]] {
            let latencies = of(durations);
            assert_eq!(Latencies::decode(&latencies.encode()), latencies, "{durations:?}");
        }
        assert!(of(&[9; 300]).encode().len() <= 8, "empty steps take a byte, and none behind the last");
        assert_eq!(Latencies::decode(&[0xff; 4]), Latencies::default(), "half a number");
    }

    #[test]
    fn merging_adds_step_by_step() {
        let mut one = of(&[1, 2]);
        one.merge(&of(&[2, 9_000]));
        assert_eq!((one, one.total()), (of(&[1, 2, 2, 9_000]), 4));
    }
}
