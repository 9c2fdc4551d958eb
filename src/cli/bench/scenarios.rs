//! The scenarios of the suite, with the floors each is held to.

use std::time::{Duration, Instant};

use super::load::Loaded;
use super::machine::pause;
use super::report::{MIB, Report};
use super::session::{Session, Setup};
use super::suite::Suite;

/// A scenario: how it is called and what it does.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) number: &'static str,
    pub(super) name: &'static str,
    pub(super) long_only: bool,
    pub(super) run: fn(&mut Suite<'_>) -> anyhow::Result<()>,
}

impl Scenario {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.number == name || self.name == name
    }
}

/// All of them, in the order in which they run.
#[rustfmt::skip]
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { number: "1", name: "one-endpoint", long_only: false, run: one_endpoint },
    Scenario { number: "2", name: "1000-applications", long_only: false, run: many_applications },
    Scenario { number: "2l", name: "5000000-messages", long_only: true, run: five_million },
    Scenario { number: "3", name: "one-in-ten-failing", long_only: false, run: failing },
    Scenario { number: "4", name: "fan-out", long_only: false, run: fan_out },
    Scenario { number: "5", name: "open-loop", long_only: false, run: open_loop },
    Scenario { number: "6", name: "single-producer", long_only: false, run: single_producer },
    Scenario { number: "7", name: "memory", long_only: false, run: memory },
    Scenario { number: "8", name: "isolation", long_only: false, run: isolation },
    Scenario { number: "9", name: "restart", long_only: false, run: restart },
    Scenario { number: "10", name: "receive", long_only: false, run: receive },
];

/// The names, for a message.
pub(super) fn names() -> String {
    let names: Vec<_> = SCENARIOS.iter().map(|s| format!("{} {}", s.number, s.name)).collect();
    names.join(", ")
}

/// Every scenario's first demand: nothing lost, nothing twice, nothing refused.
fn accounting(suite: &mut Suite<'_>, name: &str, report: &Report) {
    let r = report;
    suite.row(
        &format!("{name}: accounting"),
        format!(
            "{} acknowledged, {} delivered, lost {}, duplicates {}, errors {}",
            r.acknowledged,
            r.delivered,
            r.lost,
            r.duplicates,
            r.errors_text()
        ),
        "lost 0, duplicates 0",
        Some(r.lost == 0 && r.duplicates == 0 && r.astray == 0 && r.drain_s.is_some()),
    );
}

fn rate_text(r: &Report) -> String {
    format!(
        "{:.0} acknowledged/s, {:.0} delivered/s (first 10 s {:.0}, last {:.0}), drain {}",
        r.acknowledged_per_s.whole,
        r.delivered_per_s.whole,
        r.delivered_per_s.first,
        r.delivered_per_s.last,
        r.drain_s.map_or("not finished".to_owned(), |s| format!("{s:.2} s"))
    )
}

/// One fresh server, one set-up, one phase.
fn simple(
    suite: &mut Suite<'_>,
    name: &str,
    seconds: u64,
    change: impl FnOnce(&mut Setup, &mut super::session::Phase),
) -> anyhow::Result<Report> {
    let folder = suite.fresh_folder(name)?;
    let server = suite.start(&folder, &[])?;
    let mut setup = Suite::setup(&server, &folder)?;
    let mut phase = suite.phase(name, seconds);
    change(&mut setup, &mut phase);
    let session = Session::open(setup)?;
    let report = suite.measure(&session, &phase)?;
    server.stop()?;
    drop(session);
    std::fs::remove_dir_all(&folder)?;
    accounting(suite, name, &report);
    Ok(report)
}

fn one_endpoint(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let name = "one-endpoint";
    let r = simple(suite, name, 60, |_, _| {})?;
    let rate = r.delivered_per_s.whole;
    suite.row(name, rate_text(&r), "20,000 delivered/s", Some(rate >= 20_000.0));
    if let Some(s) = r.server {
        let cpu = s.cpu_ms_per_message;
        suite.row("CPU of the server per message", format!("{cpu:.4} ms"), "–", None);
    }
    if let Some(d) = r.disk {
        let bytes = d.bytes_per_delivery;
        suite.row("disk per delivered message", format!("{bytes:.0} B"), "1,000 B", Some(bytes <= 1_000.0));
    }
    Ok(())
}

/// At least 85 % of scenario 1, and the last ten seconds as good as the first.
fn judge_many(suite: &mut Suite<'_>, name: &str, r: &Report) {
    let alone = suite.report("one-endpoint").map(|one| one.delivered_per_s.whole);
    let share = alone.map(|one| r.delivered_per_s.whole / one);
    let text = share.map_or(String::new(), |s| format!("; {:.0} % of one-endpoint", s * 100.0));
    suite.row(name, rate_text(r) + &text, "85 % of one-endpoint", share.map(|s| s >= 0.85));
    let flat = r.delivered_per_s.last / r.delivered_per_s.first.max(1.0);
    suite.row(
        &format!("{name}: flat"),
        format!("last 10 s are {:.0} % of the first", flat * 100.0),
        "85 %",
        Some(flat >= 0.85),
    );
}

fn thousand(setup: &mut Setup) {
    setup.applications = 1_000;
    setup.idempotency_key = true;
}

/// What a provider sends, signed: verified, told from duplicates, stored, forwarded.
fn receive(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let name = "receive";
    let r = simple(suite, name, 30, |setup, _| setup.stripe_source = true)?;
    suite.row(name, rate_text(&r), "15,000 delivered/s", Some(r.delivered_per_s.whole >= 15_000.0));
    let name = "receive: 5,000/s";
    let r = simple(suite, "receive-open-loop", 30, |setup, phase| {
        setup.stripe_source = true;
        phase.rate = Some(5_000);
    })?;
    let (a, bound) = (r.acknowledgement, (3.0 * suite.machine.fdatasync.p99_ms).max(30.0));
    suite.row(
        name,
        format!("acknowledged p50 {:.2} ms, p99 {:.2} ms; {}", a.p50_ms, a.p99_ms, rate_text(&r)),
        format!("p99 {bound:.1} ms"),
        Some(a.p99_ms <= bound && r.unsent == 0),
    );
    Ok(())
}

fn many_applications(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let name = "1000-applications";
    let r = simple(suite, name, 60, |setup, _| thousand(setup))?;
    judge_many(suite, name, &r);
    Ok(())
}

fn five_million(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let name = "5000000-messages";
    let r = simple(suite, name, 3_600, |setup, phase| {
        thousand(setup);
        phase.messages = Some(5_000_000);
    })?;
    judge_many(suite, name, &r);
    Ok(())
}

fn failing(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let name = "one-in-ten-failing";
    let r = simple(suite, name, 60, |setup, _| {
        thousand(setup);
        setup.failing_percent = 10;
    })?;
    let without = suite.report("1000-applications").map(|all| all.acknowledged_per_s.whole);
    let share = without.map(|all| r.acknowledged_per_s.whole / all);
    let text = share.map_or(String::new(), |s| format!("; {:.0} % of the rate without", s * 100.0));
    let attempts =
        format!("; failing endpoints: {} first attempts, {} retries", r.failing_first_attempts, r.failing_retries);
    suite.row(name, rate_text(&r) + &text + &attempts, "70 % of the rate without", share.map(|s| s >= 0.7));
    Ok(())
}

/// Messages per second, each to ten endpoints.
const FAN_OUT_RATE: u32 = 4_200;

fn fan_out(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    // An open loop: producers that do not wait would only measure how fast a backlog grows.
    let r = simple(suite, "fan-out", 60, |setup, phase| {
        setup.fan_out = 10;
        phase.rate = Some(FAN_OUT_RATE);
    })?;
    let ok = r.delivered_per_s.whole >= 40_000.0;
    suite.row("fan-out", rate_text(&r), "40,000 delivered/s", Some(ok));
    Ok(())
}

fn open_loop(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let r = simple(suite, "open-loop", 30, |_, phase| phase.rate = Some(5_000))?;
    let e = r.end_to_end;
    let p99_max = (3.0 * suite.machine.fdatasync.p99_ms).max(40.0);
    suite.row(
        "open-loop",
        format!("end to end p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms; {}", e.p50_ms, e.p99_ms, e.max_ms, rate_text(&r)),
        format!("p50 4 ms, p99 {p99_max:.1} ms"),
        Some(e.p50_ms <= 4.0 && e.p99_ms <= p99_max && r.unsent == 0),
    );
    Ok(())
}

fn single_producer(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let r = simple(suite, "single-producer", 30, |_, phase| {
        phase.connections = 1;
    })?;
    let a = r.acknowledgement;
    let sync = suite.machine.fdatasync.p50_ms;
    suite.row(
        "single-producer",
        format!(
            "acknowledged p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms ({:.0}/s; fdatasync alone p50 {sync:.2} ms)",
            a.p50_ms, a.p99_ms, a.max_ms, r.acknowledged_per_s.whole
        ),
        format!("p50 {:.2} ms (2 × fdatasync + 1 ms)", 2.0 * sync + 1.0),
        Some(a.p50_ms <= 2.0 * sync + 1.0),
    );
    Ok(())
}

fn memory(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let folder = suite.fresh_folder("memory")?;
    let server = suite.start(&folder, &[])?;
    let ready_ms = server.ready.as_secs_f64() * 1e3;
    suite.row("ready on an empty store", format!("{ready_ms:.0} ms"), "1,000 ms", Some(ready_ms <= 1e3));
    pause(Duration::from_secs(2));
    let idle = server.process_use().rss_bytes as f64 / MIB;
    suite.row("memory, idle", format!("{idle:.1} MiB"), "40 MiB", Some(idle <= 40.0));
    let session = Session::open(Suite::setup(&server, &folder)?)?;
    let phase = suite.phase("memory", 30);
    suite.measure(&session, &phase)?;
    let peak = server.process_use().rss_peak_bytes as f64 / MIB;
    suite.row("memory, first load", format!("peak {peak:.1} MiB"), "300 MiB", Some(peak <= 300.0));
    server.stop()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn isolation(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let folder = suite.fresh_folder("isolation")?;
    let server = suite.start(&folder, &[])?;
    let mut setup = Suite::setup(&server, &folder)?;
    setup.applications = 100;
    setup.hanging = 10;
    let session = Session::open(setup)?;
    let mut phase = suite.phase("isolation: alone", 60);
    phase.rate = Some(200);
    let alone = suite.measure(&session, &phase)?;
    session.fill_hanging(suite.scaled(10_000))?;
    "isolation: beside".clone_into(&mut phase.name);
    let hung_before = session.sink.stats().hung;
    let beside = suite.measure(&session, &phase)?;
    server.stop()?;
    drop(session);
    std::fs::remove_dir_all(&folder)?;
    accounting(suite, "isolation", &beside);
    let (a, b) = (alone.end_to_end, beside.end_to_end);
    suite.row(
        "isolation",
        format!(
            "healthy p50/p99 alone {:.2}/{:.2} ms, beside 10 hanging endpoints {:.2}/{:.2} ms ({} of {} arrived; {} attempts hung)",
            a.p50_ms, a.p99_ms, b.p50_ms, b.p99_ms, beside.delivered, beside.acknowledged, hung_before + beside.hung_attempts
        ),
        "p99 at most max(100 ms, twice alone)",
        Some(b.p99_ms <= (2.0 * a.p99_ms).max(100.0) && beside.lost == 0),
    );
    Ok(())
}

/// Nothing may time out while the backlog is built, and what did is tried again soon.
const RESTART_SETTINGS: &[(&str, &str)] = &[
    ("POSTHOUSE__DELIVERY__ATTEMPT_TIMEOUT_MS", "60000"),
    ("POSTHOUSE__DELIVERY__RETRY_SCHEDULE", "5,5,5,5,5,10,10,10,10,10"),
];
const RESTART_DRAIN_MAX: Duration = Duration::from_mins(5);

fn restart(suite: &mut Suite<'_>) -> anyhow::Result<()> {
    let folder = suite.fresh_folder("restart")?;
    let server = suite.start(&folder, RESTART_SETTINGS)?;
    let mut setup = Suite::setup(&server, &folder)?;
    setup.applications = 1_000;
    let mut session = Session::open(setup)?;
    session.sink.hang_all(true);
    let mut phase = suite.phase("restart", 600);
    phase.duration = Duration::from_mins(10);
    phase.messages = Some(suite.scaled(1_000_000));
    let loaded = session.fill(&phase)?;
    if let Some(trouble) = loaded.trouble {
        anyhow::bail!("the load ended early: {trouble}");
    }
    server.kill()?;
    session.sink.hang_all(false);
    session.sink.reset();
    let server = suite.start(&folder, RESTART_SETTINGS)?;
    session.moved(&server.url, server.pid())?;
    let lost = session.drain(0, loaded.stats.promised, RESTART_DRAIN_MAX);
    judge_restart(suite, &session, &server, &loaded, lost);
    server.stop()?;
    drop(session);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn judge_restart(suite: &mut Suite<'_>, session: &Session, server: &super::server::Server, loaded: &Loaded, lost: u64) {
    let sink = session.sink.stats();
    let since_start = |ns: u64| {
        let at: Instant = session.epoch + Duration::from_nanos(ns);
        at.saturating_duration_since(server.started).as_secs_f64()
    };
    let first_s = sink.first_ns.map_or(f64::INFINITY, since_start);
    // Until nine in ten have arrived: the last few wait for a retry.
    let (nine_in_ten, arrived_ns) = sink.series_share(0.9);
    let drain_s = (since_start(arrived_ns) - first_s).max(1e-3);
    let rate = nine_in_ten as f64 / drain_s;
    let (ready_max, first_max, rate_min, memory_max) = (3.0, 5.0, 5_000.0, 512.0);
    let ready_s = server.ready.as_secs_f64();
    let peak = server.process_use().rss_peak_bytes as f64 / MIB;
    suite.row(
        "restart",
        format!(
            "{} pending: ready {:.2} s, first delivery {first_s:.2} s, drain {rate:.0}/s to 90 %, all after {:.1} s, \
             lost {lost}, duplicates {}, memory peak {:.0} MiB",
            loaded.stats.acknowledged,
            ready_s,
            since_start(sink.last_ns),
            sink.duplicates,
            peak
        ),
        format!(
            "ready {ready_max} s, first delivery {first_max} s, drain {rate_min:.0}/s, memory {memory_max} MiB, lost 0"
        ),
        Some(ready_s <= ready_max && first_s <= first_max && rate >= rate_min && peak <= memory_max && lost == 0),
    );
}
