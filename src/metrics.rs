//! What is counted, in the Prometheus text format. No label per endpoint or application.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::model::latencies::{Latencies, step_of};
use crate::model::{OutcomeKind, UnixMs};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabel {
    table: &'static str,
}

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    /// Messages acknowledged.
    pub messages_accepted: Counter,
    /// Requests to receiving URLs that were refused.
    pub requests_rejected: Counter,
    /// Requests to receiving URLs that were the same as one before.
    pub requests_duplicate: Counter,
    /// Messages that sources of type cron made.
    pub cron_ticks: Counter,
    attempts: Vec<Counter>,
    /// How long attempts take.
    pub attempt_seconds: Histogram,
    /// From handing a command to the journal to its answer.
    pub accept_to_commit_seconds: Histogram,
    /// From the commit of a message to the start of its first attempt.
    pub commit_to_attempt_seconds: Histogram,
    /// How long commits take.
    pub commit_seconds: Histogram,
    /// Commands in a batch.
    pub batch_size: Histogram,
    /// Deliveries that are pending or waiting, in the store.
    pub queue_depth: Gauge,
    /// Of these, in memory.
    pub deliveries_in_memory: Gauge,
    /// Commands that wait for the journal.
    pub journal_depth: Gauge,
    /// Attempts in flight.
    pub in_flight: Gauge,
    /// Age of the oldest delivery that is due, in seconds.
    pub oldest_due_seconds: Gauge<f64, AtomicU64>,
    /// Bytes that are free on the disk of the data folder; 0 where that is not known.
    pub disk_free_bytes: Gauge,
    /// Commits of the last seconds.
    pub commits: RecentCommits,
    /// Slots that this node holds, of several nodes.
    pub slots_held: Gauge,
    /// Nodes whose lease holds.
    pub nodes: Gauge,
    /// Slots that this node has handed over.
    pub hand_overs: Counter,
    /// Outcomes that the database refused, because another node had taken over.
    pub fenced_outcomes: Counter,
    /// Leases that this node has lost.
    pub leases_lost: Counter,
    /// Statements of PostgreSQL, or several that go out together, until they are answered, in seconds.
    pub statement_seconds: Histogram,
    /// How long reads wait for a connection to PostgreSQL, in seconds.
    pub pool_wait_seconds: Histogram,
    /// Tables of PostgreSQL with all their partitions: bytes of rows, bytes of indexes, dead rows.
    tables: [Family<TableLabel, Gauge>; 3],
    lanes: [Gauge; 3],
}

/// Milliseconds over which commits are put together.
const COMMITS_MS: UnixMs = 10_000;

/// Commits of some seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Commits {
    /// How many.
    pub count: u64,
    /// Commands in them.
    pub commands: u64,
    /// How long they took.
    pub latencies: Latencies,
}

/// Commits of the present ten seconds, and of those before.
#[derive(Debug, Default)]
pub struct RecentCommits {
    windows: Mutex<(i64, [Commits; 2])>,
}

impl RecentCommits {
    /// A commit of so many commands is over, and took so long.
    pub fn observe(&self, commands: usize, took_ms: u32, now: UnixMs) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        turn(&mut windows, now);
        let present = &mut windows.1[0];
        present.count += 1;
        present.commands += commands as u64;
        present.latencies.add(step_of(took_ms), 1);
    }

    /// Commits of the last 10 to 20 seconds, and how many seconds these are.
    pub fn read(&self, now: UnixMs) -> (Commits, f64) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        turn(&mut windows, now);
        let (mut all, before) = (windows.1[0], windows.1[1]);
        all.count += before.count;
        all.commands += before.commands;
        all.latencies.merge(&before.latencies);
        (all, (COMMITS_MS + now.rem_euclid(COMMITS_MS)) as f64 / 1_000.0)
    }
}

/// Brings the windows to the present.
fn turn((number, windows): &mut (i64, [Commits; 2]), now: UnixMs) {
    let present = now.div_euclid(COMMITS_MS);
    if present != *number {
        let before = if present == *number + 1 { windows[0] } else { Commits::default() };
        (*number, *windows) = (present, [Commits::default(), before]);
    }
}

/// States of lanes as metrics name them.
pub const LANE_STATES: [&str; 3] = ["closed", "open", "half_open"];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("posthouse");
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 18));
        let attempts = Family::<OutcomeLabel, Counter>::default();
        let lanes = Family::<StateLabel, Gauge>::default();
        let metrics = Self {
            messages_accepted: Counter::default(),
            requests_rejected: Counter::default(),
            requests_duplicate: Counter::default(),
            cron_ticks: Counter::default(),
            attempts: OutcomeKind::ALL
                .iter()
                .map(|kind| attempts.get_or_create(&OutcomeLabel { outcome: kind.as_str() }).clone())
                .collect(),
            attempt_seconds: seconds(),
            accept_to_commit_seconds: seconds(),
            commit_to_attempt_seconds: seconds(),
            commit_seconds: seconds(),
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 14)),
            queue_depth: Gauge::default(),
            deliveries_in_memory: Gauge::default(),
            journal_depth: Gauge::default(),
            in_flight: Gauge::default(),
            oldest_due_seconds: Gauge::default(),
            disk_free_bytes: Gauge::default(),
            commits: RecentCommits::default(),
            slots_held: Gauge::default(),
            nodes: Gauge::default(),
            hand_overs: Counter::default(),
            fenced_outcomes: Counter::default(),
            leases_lost: Counter::default(),
            statement_seconds: seconds(),
            pool_wait_seconds: seconds(),
            tables: [Family::default(), Family::default(), Family::default()],
            lanes: LANE_STATES.map(|state| lanes.get_or_create(&StateLabel { state }).clone()),
            registry: Registry::default(),
        };
        registry.register("messages_accepted", "Messages acknowledged", metrics.messages_accepted.clone());
        let rejected = metrics.requests_rejected.clone();
        registry.register("source_requests_rejected", "Requests to receiving URLs that were refused", rejected);
        let duplicate = metrics.requests_duplicate.clone();
        registry.register("source_requests_duplicate", "Requests that were the same as one before", duplicate);
        let ticks = metrics.cron_ticks.clone();
        registry.register("source_cron_ticks", "Messages that sources of type cron made", ticks);
        registry.register("attempts", "Attempts by outcome", attempts);
        registry.register("attempt_duration_seconds", "How long attempts take", metrics.attempt_seconds.clone());
        registry.register(
            "accept_to_commit_seconds",
            "From accepting a request to its commit",
            metrics.accept_to_commit_seconds.clone(),
        );
        registry.register(
            "commit_to_attempt_seconds",
            "From the commit of a message to the start of its first attempt",
            metrics.commit_to_attempt_seconds.clone(),
        );
        registry.register("journal_commit_seconds", "How long commits take", metrics.commit_seconds.clone());
        registry.register("journal_batch_size", "Commands in a batch", metrics.batch_size.clone());
        registry.register(
            "queue_depth",
            "Deliveries that are pending or waiting, counted every second, above 50,000 every 15 s",
            metrics.queue_depth.clone(),
        );
        registry.register(
            "deliveries_in_memory",
            "Deliveries that lanes hold in memory",
            metrics.deliveries_in_memory.clone(),
        );
        registry.register("journal_depth", "Commands that wait for the journal", metrics.journal_depth.clone());
        registry.register("attempts_in_flight", "Attempts in flight", metrics.in_flight.clone());
        registry.register(
            "oldest_due_seconds",
            "Age of the oldest delivery that is due",
            metrics.oldest_due_seconds.clone(),
        );
        let free = metrics.disk_free_bytes.clone();
        registry.register("disk_free_bytes", "Bytes that are free on the disk of the data folder", free);
        metrics.register_nodes(&mut registry);
        registry.register("lanes", "Lanes by state of their breaker", lanes);
        Self { registry, ..metrics }
    }

    /// What there is of several nodes on PostgreSQL.
    fn register_nodes(&self, registry: &mut Registry) {
        registry.register("slots_held", "Slots of endpoints that this node of several holds", self.slots_held.clone());
        registry.register("nodes", "Nodes whose lease holds", self.nodes.clone());
        registry.register("hand_overs", "Slots that this node has handed over", self.hand_overs.clone());
        registry.register(
            "fenced_outcomes",
            "Outcomes that were refused, because another node had taken over",
            self.fenced_outcomes.clone(),
        );
        registry.register("leases_lost", "Leases that this node has lost", self.leases_lost.clone());
        registry.register(
            "database_statement_seconds",
            "Statements of PostgreSQL until they are answered",
            self.statement_seconds.clone(),
        );
        registry.register(
            "database_pool_wait_seconds",
            "How long reads wait for a connection to PostgreSQL",
            self.pool_wait_seconds.clone(),
        );
        let [rows, indexes, dead] = self.tables.clone();
        registry.register("database_table_bytes", "Bytes of a table of PostgreSQL, looked at each minute", rows);
        registry.register("database_index_bytes", "Bytes of its indexes", indexes);
        registry.register("database_dead_rows", "Rows that its vacuum has still to remove", dead);
    }

    /// What a table of PostgreSQL has: bytes of rows, bytes of indexes, dead rows.
    pub fn set_table(&self, table: &'static str, sizes: [i64; 3]) {
        for (family, size) in self.tables.iter().zip(sizes) {
            family.get_or_create(&TableLabel { table }).set(size);
        }
    }

    /// Counts a finished attempt.
    pub fn attempt(&self, kind: OutcomeKind, seconds: f64) {
        self.attempts[usize::from(kind.code())].inc();
        self.attempt_seconds.observe(seconds);
    }

    /// Sets the number of lanes in each state, in the order of [`LANE_STATES`].
    pub fn set_lanes(&self, counts: [usize; 3]) {
        for (gauge, count) in self.lanes.iter().zip(counts) {
            gauge.set(count as i64);
        }
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
