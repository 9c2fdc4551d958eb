//! A report for a person, and as a row of a Markdown table.

use std::fmt::Write as _;

use super::report::{MIB, Machine, Rates, Report};
use super::stats::Quantiles;

impl Report {
    /// The table for a person.
    pub(super) fn table(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<26} {value}");
        };
        line("run", format!("{} · {}", self.name, self.date));
        line("load", self.load_text());
        if let Some(trouble) = &self.trouble {
            line("STOPPED EARLY", trouble.clone());
        }
        line("acknowledged", format!("{} in {:.1} s", self.acknowledged, self.load_s));
        line("acknowledged/s", rates_text(self.acknowledged_per_s));
        line("delivered/s", rates_text(self.delivered_per_s));
        for s in &self.series {
            let rates = format!("{:>9.0} {:>9.0}", s.acknowledged_per_s, s.delivered_per_s);
            line(&format!("  from {:>4} s (ack, del)", s.from_s), rates);
        }
        line("acknowledgement", quantiles_text(self.acknowledgement));
        line("end to end", quantiles_text(self.end_to_end));
        let drain = self.drain_s.map_or("NOT DRAINED".to_owned(), |s| format!("{s:.2} s"));
        line("drain", drain);
        line("delivered", self.delivered.to_string());
        line("lost · duplicates", format!("{} · {}", self.lost, self.duplicates));
        line("errors", self.errors_text());
        if self.failing_percent > 0 || self.hanging > 0 {
            line(
                "failing first · again · hung",
                format!("{} · {} · {}", self.failing_first_attempts, self.failing_retries, self.hung_attempts),
            );
        }
        line("connections load · sink", format!("{} · {}", self.connections_opened, self.sink_connections));
        if let Some(s) = self.server {
            line(
                "server CPU",
                format!("{:.4} ms/message, {:.4} ms/delivery", s.cpu_ms_per_message, s.cpu_ms_per_delivery),
            );
            line("server memory · peak", format!("{:.1} · {:.1} MiB", s.rss_mib, s.rss_peak_mib));
        }
        if let Some(d) = self.disk {
            line("data folder", format!("{:.1} MiB, {:.0} B/delivery", d.bytes as f64 / MIB, d.bytes_per_delivery));
        }
        line(
            "bench CPU",
            format!(
                "{:.1} s; load {:.1} µs/message, sink {:.1} µs/delivery",
                self.bench_cpu_s, self.load_cpu_us_per_message, self.sink_cpu_us_per_delivery
            ),
        );
        if let Some(machine) = &self.machine {
            line("machine", machine.text());
        }
        out
    }

    fn load_text(&self) -> String {
        let pace = self.rate.map_or_else(
            || format!("closed loop, {} connections", self.connections),
            |rate| format!("open loop, {rate}/s"),
        );
        format!(
            "{pace}; {} applications × {} endpoints, {} B{}{}",
            self.applications,
            self.endpoints_per_application,
            self.payload_bytes,
            if self.idempotency_key { ", a fresh idempotency key each" } else { "" },
            if self.stripe_source { ", through Stripe sources" } else { "" }
        )
    }

    /// What went wrong, or `none`.
    pub(super) fn errors_text(&self) -> String {
        let mut parts: Vec<String> = self.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        for (name, count) in [
            ("backed off", self.back_offs),
            ("connection", self.io_errors),
            ("unanswered", self.unanswered),
            ("unsent", self.unsent),
            ("astray", self.astray),
            ("malformed", self.malformed),
            ("delivered unacknowledged", self.delivered_unacknowledged),
        ] {
            if count > 0 {
                parts.push(format!("{name}: {count}"));
            }
        }
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }

    /// The head of the Markdown table that `markdown_row` continues.
    pub(super) const MARKDOWN_HEAD: &str = "\
| date | run | ack/s | delivered/s (first → last 10 s) | ack p50/p99/max ms | end to end p50/p99/max ms \
| drain s | lost | dup. | errors | CPU ms/msg | RSS/peak MiB | B/delivery | fdatasync p50/p99 ms | ceiling/s |\n\
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";

    /// One row.
    pub(super) fn markdown_row(&self) -> String {
        let dash = || "–".to_owned();
        let three = |q: Quantiles| format!("{:.2}/{:.2}/{:.1}", q.p50_ms, q.p99_ms, q.max_ms);
        let d = self.delivered_per_s;
        format!(
            "| {} | {} | {:.0} | {:.0} ({:.0} → {:.0}) | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.date,
            self.name.replace('|', "/"),
            self.acknowledged_per_s.whole,
            d.whole,
            d.first,
            d.last,
            three(self.acknowledgement),
            three(self.end_to_end),
            self.drain_s.map_or_else(dash, |s| format!("{s:.2}")),
            self.lost,
            self.duplicates,
            self.errors_text().replace('|', "/"),
            self.server.map_or_else(dash, |s| format!("{:.4}", s.cpu_ms_per_message)),
            self.server.map_or_else(dash, |s| format!("{:.0}/{:.0}", s.rss_mib, s.rss_peak_mib)),
            self.disk.map_or_else(dash, |d| format!("{:.0}", d.bytes_per_delivery)),
            self.machine
                .as_ref()
                .map_or_else(dash, |m| { format!("{:.2}/{:.2}", m.fdatasync.p50_ms, m.fdatasync.p99_ms) }),
            self.machine.as_ref().map_or_else(dash, |m| format!("{:.0}", m.ceiling_per_s)),
        )
    }
}

impl Machine {
    /// One line about the machine.
    pub(super) fn text(&self) -> String {
        format!(
            "{} cores · fdatasync 16 KiB p50 {:.2} ms, p99 {:.2} ms · generator's ceiling {:.0}/s \
             (CPU: load {:.1} µs, sink {:.1} µs a request) · {}",
            self.cores,
            self.fdatasync.p50_ms,
            self.fdatasync.p99_ms,
            self.ceiling_per_s,
            self.ceiling_load_cpu_us,
            self.ceiling_sink_cpu_us,
            self.date
        )
    }
}

fn rates_text(r: Rates) -> String {
    if r.first == 0.0 && r.last == 0.0 {
        // Shorter than two whole seconds: there is no first and last.
        return format!("{:.0}", r.whole);
    }
    let change = if r.first > 0.0 { (r.last / r.first - 1.0) * 100.0 } else { 0.0 };
    format!("{:.0} (first {:.0}, last {:.0}: {change:+.1} %)", r.whole, r.first, r.last)
}

fn quantiles_text(q: Quantiles) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", q.p50_ms, q.p99_ms, q.max_ms)
}
