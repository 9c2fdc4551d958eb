//! What is counted on the way: latencies, rates by second, answers by status.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// A day of seconds: the bound of every series.
const SECONDS_MAX: usize = 86_400;

/// Latencies in microseconds, from 1 µs to one hour, three digits.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are valid"))
    }

    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record((nanoseconds / 1_000).max(1));
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        let at = |q| self.0.value_at_quantile(q) as f64 / 1_000.0;
        Quantiles { count: self.0.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: self.0.max() as f64 / 1_000.0 }
    }
}

/// The latencies that are reported.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Quantiles {
    pub(super) count: u64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

/// Events counted by second since the shared epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Series(Vec<u64>);

impl Series {
    pub(super) fn count(&mut self, at_ns: u64) {
        let second = (at_ns / 1_000_000_000) as usize;
        if second >= self.0.len() {
            if second >= SECONDS_MAX {
                return;
            }
            self.0.resize(second + 1, 0);
        }
        self.0[second] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// Events in whole seconds `from..to`, per second.
    pub(super) fn rate(&self, from: usize, to: usize) -> f64 {
        if to <= from {
            return 0.0;
        }
        let sum: u64 = self.0.iter().take(to).skip(from).sum();
        sum as f64 / (to - from) as f64
    }
}

/// What one thread of the load saw.
#[derive(Debug, Clone)]
pub(super) struct LoadStats {
    pub(super) latencies: Latencies,
    pub(super) series: Series,
    pub(super) acknowledged: u64,
    /// Deliveries to healthy endpoints that the acknowledgements promise.
    pub(super) promised: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) back_offs: u64,
    pub(super) io_errors: u64,
    pub(super) connections: u64,
    /// The last acknowledgement, in nanoseconds since the epoch.
    pub(super) last_ns: u64,
}

impl LoadStats {
    pub(super) fn new() -> Self {
        Self {
            latencies: Latencies::new(),
            series: Series::default(),
            acknowledged: 0,
            promised: 0,
            statuses: BTreeMap::new(),
            back_offs: 0,
            io_errors: 0,
            connections: 0,
            last_ns: 0,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.series.add(&other.series);
        self.acknowledged += other.acknowledged;
        self.promised += other.promised;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.back_offs += other.back_offs;
        self.io_errors += other.io_errors;
        self.connections += other.connections;
        self.last_ns = self.last_ns.max(other.last_ns);
    }
}

/// What one thread of the sink saw.
#[derive(Debug, Clone)]
pub(super) struct SinkStats {
    /// From the call (or the due time) to the first arrival at a healthy endpoint.
    pub(super) latencies: Latencies,
    pub(super) series: Series,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) failing_first: u64,
    pub(super) failing_again: u64,
    pub(super) hung: u64,
    pub(super) astray: u64,
    pub(super) malformed: u64,
    pub(super) connections: u64,
    /// First and last delivery, in nanoseconds since the epoch.
    pub(super) first_ns: Option<u64>,
    pub(super) last_ns: u64,
}

impl SinkStats {
    pub(super) fn new() -> Self {
        Self {
            latencies: Latencies::new(),
            series: Series::default(),
            delivered: 0,
            duplicates: 0,
            failing_first: 0,
            failing_again: 0,
            hung: 0,
            astray: 0,
            malformed: 0,
            connections: 0,
            first_ns: None,
            last_ns: 0,
        }
    }

    pub(super) fn deliver(&mut self, sent_ns: u64, now_ns: u64) {
        self.delivered += 1;
        self.latencies.record(now_ns.saturating_sub(sent_ns));
        self.series.count(now_ns);
        self.first_ns.get_or_insert(now_ns);
        self.last_ns = now_ns;
    }

    /// How many deliveries `share` of them are, and when (since the epoch) they had arrived;
    /// within a second they count as evenly spread.
    pub(super) fn series_share(&self, share: f64) -> (u64, u64) {
        let wanted = (self.delivered as f64 * share) as u64;
        let mut before = 0;
        for (second, &count) in self.series.0.iter().enumerate() {
            if count > 0 && before + count >= wanted {
                let start = second as u64 * 1_000_000_000;
                let from = start.max(self.first_ns.unwrap_or(0));
                let to = (start + 1_000_000_000).min(self.last_ns).max(from);
                let part = (wanted - before) as f64 / count as f64;
                return (wanted, from + ((to - from) as f64 * part) as u64);
            }
            before += count;
        }
        (self.delivered, self.last_ns)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.series.add(&other.series);
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.failing_first += other.failing_first;
        self.failing_again += other.failing_again;
        self.hung += other.hung;
        self.astray += other.astray;
        self.malformed += other.malformed;
        self.connections += other.connections;
        self.first_ns = match (self.first_ns, other.first_ns) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_ns = self.last_ns.max(other.last_ns);
    }
}

/// Nanoseconds as the counters hold them.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_share_lies_between_first_and_last() {
        let mut stats = SinkStats::new();
        for nth in 0..1_000 {
            stats.deliver(0, 500_000_000 + nth * 4_000_000);
        }
        let (count, at_ns) = stats.series_share(0.9);
        assert_eq!(count, 900);
        assert!(at_ns.abs_diff(500_000_000 + 900 * 4_000_000) < 10_000_000, "{at_ns}");
        assert_eq!(SinkStats::new().series_share(0.9), (0, 0));
    }

    #[test]
    fn rates_are_of_whole_seconds() {
        let mut series = Series::default();
        for at_ms in [100, 1_200, 1_300, 2_999, 3_000] {
            series.count(at_ms * 1_000_000);
        }
        assert!((series.rate(1, 3) - 1.5).abs() < 1e-9);
        assert!(series.rate(3, 3).abs() < 1e-9);
    }
}
