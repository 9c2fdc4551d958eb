//! What a run came to, put in relation. How it is shown is in `table.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::ledger::Tally;
use super::load::Loaded;
use super::machine::{ProcessUse, date};
use super::session::{Phase, Setup};
use super::stats::{Quantiles, Series, SinkStats};

/// First and last so many seconds are compared.
const EDGE_S: usize = 10;
pub(super) const MIB: f64 = 1_048_576.0;

/// Everything that a phase measured, before it is put in relation.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    pub(super) setup: &'a Setup,
    pub(super) phase: &'a Phase,
    pub(super) loaded: Loaded,
    pub(super) sink: SinkStats,
    pub(super) tally: Tally,
    pub(super) drained: bool,
    pub(super) delivered_at_end: u64,
    pub(super) sink_cpu: Duration,
    pub(super) bench: (Option<ProcessUse>, Option<ProcessUse>),
    pub(super) server: (Option<ProcessUse>, Option<ProcessUse>),
    pub(super) disk: (Option<u64>, Option<u64>),
}

/// A rate over the whole load, and over its first and last seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Rates {
    pub(super) whole: f64,
    pub(super) first: f64,
    pub(super) last: f64,
}

/// Ten seconds of the load.
#[expect(clippy::struct_field_names, reason = "units come last in names")]
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Slice {
    pub(super) from_s: usize,
    pub(super) acknowledged_per_s: f64,
    pub(super) delivered_per_s: f64,
}

/// What the server spent.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct ServerUse {
    pub(super) cpu_ms_per_message: f64,
    pub(super) cpu_ms_per_delivery: f64,
    pub(super) rss_mib: f64,
    pub(super) rss_peak_mib: f64,
}

/// What the data folder holds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct DiskUse {
    pub(super) bytes: u64,
    pub(super) grown_bytes: u64,
    pub(super) bytes_per_delivery: f64,
}

/// The machine, measured in the same run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) date: String,
    pub(super) cores: usize,
    pub(super) fdatasync: Quantiles,
    pub(super) ceiling_per_s: f64,
    pub(super) ceiling_load_cpu_us: f64,
    pub(super) ceiling_sink_cpu_us: f64,
}

/// What a phase came to.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    pub(super) date: String,
    pub(super) connections: u32,
    pub(super) rate: Option<u32>,
    pub(super) applications: u32,
    pub(super) endpoints_per_application: u32,
    pub(super) failing_percent: u32,
    pub(super) hanging: u32,
    pub(super) payload_bytes: u32,
    pub(super) idempotency_key: bool,
    pub(super) stripe_source: bool,
    pub(super) load_s: f64,
    pub(super) issued: u64,
    pub(super) acknowledged: u64,
    pub(super) unanswered: u64,
    /// Due in the open loop, but never sent.
    pub(super) unsent: u64,
    pub(super) delivered: u64,
    pub(super) acknowledged_per_s: Rates,
    pub(super) delivered_per_s: Rates,
    pub(super) series: Vec<Slice>,
    pub(super) acknowledgement: Quantiles,
    pub(super) end_to_end: Quantiles,
    /// From the last acknowledgement to the last delivery; absent when something is missing.
    pub(super) drain_s: Option<f64>,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) delivered_unacknowledged: u64,
    pub(super) astray: u64,
    pub(super) malformed: u64,
    pub(super) failing_first_attempts: u64,
    pub(super) failing_retries: u64,
    pub(super) hung_attempts: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) back_offs: u64,
    pub(super) io_errors: u64,
    pub(super) connections_opened: u64,
    pub(super) sink_connections: u64,
    pub(super) server: Option<ServerUse>,
    pub(super) disk: Option<DiskUse>,
    pub(super) load_cpu_us_per_message: f64,
    pub(super) sink_cpu_us_per_delivery: f64,
    pub(super) bench_cpu_s: f64,
    pub(super) machine: Option<Machine>,
    pub(super) trouble: Option<String>,
}

/// A quotient that is 0 when there is nothing to divide by.
pub(super) fn per(value: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { value / count as f64 }
}

fn rates(series: &Series, count: u64, seconds: f64, from: usize, to: usize) -> Rates {
    let edge = EDGE_S.min((to.saturating_sub(from) / 2).max(1));
    Rates {
        whole: if seconds > 0.0 { count as f64 / seconds } else { 0.0 },
        first: series.rate(from, (from + edge).min(to)),
        last: series.rate(to.saturating_sub(edge).max(from), to),
    }
}

impl Report {
    pub(super) fn new(m: &Measured<'_>) -> Self {
        let Measured { setup, phase, loaded, sink, tally, .. } = m;
        let load = &loaded.stats;
        let seconds = loaded.end_ns.saturating_sub(loaded.start_ns) as f64 / 1e9;
        // The whole seconds of the shared clock that lie inside the load.
        let from = loaded.start_ns.div_ceil(1_000_000_000) as usize;
        let to = (loaded.end_ns / 1_000_000_000) as usize;
        let series = (from..to).step_by(EDGE_S).map(|at| {
            let until = (at + EDGE_S).min(to);
            Slice {
                from_s: at - from,
                acknowledged_per_s: load.series.rate(at, until),
                delivered_per_s: sink.series.rate(at, until),
            }
        });
        let due = phase.rate.map(|r| f64::from(r) * phase.duration.as_secs_f64());
        let due = due.map_or(0, |d| (d as u64).min(phase.messages.unwrap_or(u64::MAX)));
        let attempts = sink.delivered + sink.duplicates + sink.failing_first + sink.failing_again;
        let cpu =
            |(before, after): (Option<ProcessUse>, Option<ProcessUse>)| Some((after?, after?.cpu_s - before?.cpu_s));
        Self {
            name: phase.name.clone(),
            date: date(),
            connections: phase.connections,
            rate: phase.rate,
            applications: setup.applications,
            endpoints_per_application: setup.fan_out,
            failing_percent: setup.failing_percent,
            hanging: setup.hanging,
            payload_bytes: setup.payload_bytes,
            idempotency_key: setup.idempotency_key,
            stripe_source: setup.stripe_source,
            load_s: seconds,
            issued: loaded.issued,
            acknowledged: load.acknowledged,
            unanswered: loaded.unanswered,
            unsent: due.saturating_sub(loaded.issued),
            delivered: sink.delivered,
            acknowledged_per_s: rates(&load.series, load.acknowledged, seconds, from, to),
            delivered_per_s: rates(&sink.series, m.delivered_at_end, seconds, from, to),
            series: series.collect(),
            acknowledgement: load.latencies.quantiles(),
            end_to_end: sink.latencies.quantiles(),
            drain_s: m.drained.then(|| sink.last_ns.saturating_sub(loaded.end_ns) as f64 / 1e9),
            lost: tally.lost,
            duplicates: sink.duplicates,
            delivered_unacknowledged: tally.unacknowledged,
            astray: sink.astray,
            malformed: sink.malformed,
            failing_first_attempts: sink.failing_first,
            failing_retries: sink.failing_again,
            hung_attempts: sink.hung,
            statuses: load.statuses.clone(),
            back_offs: load.back_offs,
            io_errors: load.io_errors,
            connections_opened: load.connections,
            sink_connections: sink.connections,
            server: cpu(m.server).map(|(after, cpu_s)| ServerUse {
                cpu_ms_per_message: per(cpu_s * 1e3, load.acknowledged),
                cpu_ms_per_delivery: per(cpu_s * 1e3, sink.delivered),
                rss_mib: after.rss_bytes as f64 / MIB,
                rss_peak_mib: after.rss_peak_bytes as f64 / MIB,
            }),
            disk: m.disk.0.zip(m.disk.1).map(|(before, bytes)| {
                let grown_bytes = bytes.saturating_sub(before);
                let bytes_per_delivery = per(grown_bytes as f64, sink.delivered);
                DiskUse { bytes, grown_bytes, bytes_per_delivery }
            }),
            load_cpu_us_per_message: per(loaded.cpu.as_secs_f64() * 1e6, load.acknowledged),
            sink_cpu_us_per_delivery: per(m.sink_cpu.as_secs_f64() * 1e6, attempts),
            bench_cpu_s: cpu(m.bench).map_or(0.0, |(_, cpu_s)| cpu_s),
            machine: None,
            trouble: loaded.trouble.clone(),
        }
    }
}
