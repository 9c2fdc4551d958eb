//! A single run: machine, set-up, load, report.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::args::RunArgs;
use super::ledger::{Ledger, Topology};
use super::load::{self, LoadPlan, Target};
use super::machine::{cores, date, measure_fdatasync};
use super::report::{Machine, Report, per};
use super::session::{Phase, Session, Setup};
use super::sink::Sink;
use super::template::Template;

const CEILING_TIME: Duration = Duration::from_secs(3);

/// Runs it and prints the table.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let key = args.key.clone().or_else(|| std::env::var("POSTHOUSE_KEY").ok());
    let key = key.context("no API key: give --key or set POSTHOUSE_KEY")?;
    load::loopback(&args.url)?;
    let machine = if args.skip_machine {
        None
    } else {
        let disk = args.server_data_dir.as_deref().unwrap_or(Path::new("."));
        Some(measure_machine(disk, args.connections, args.payload_bytes, args.threads)?)
    };
    let session = Session::open(Setup {
        url: args.url.clone(),
        also: args.also.iter().map(|url| load::loopback(url)).collect::<Result<_, _>>()?,
        key,
        applications: args.applications,
        fan_out: args.endpoints_per_application,
        failing_percent: args.failing,
        hanging: args.hanging,
        payload_bytes: args.payload_bytes,
        idempotency_key: args.idempotency_key,
        stripe_source: args.stripe_source,
        sink_listen: args.sink_listen,
        sink_delay: Duration::from_millis(args.sink_delay_ms),
        threads: args.threads,
        server_pid: args.server_pid,
        data_dir: args.server_data_dir.clone(),
    })?;
    session.fill_hanging(args.hanging_messages)?;
    let default_s = if args.messages.is_some() { 3_600 } else { 60 };
    let mut report = session.measure(&Phase {
        name: args.name.clone(),
        connections: args.producers.unwrap_or(args.connections),
        connections_max: args.connections_max,
        duration: args.duration.unwrap_or(Duration::from_secs(default_s)),
        messages: args.messages,
        rate: args.rate,
        drain_timeout: args.drain_timeout,
    })?;
    report.machine = machine;
    print!("{}", report.table());
    write_files(args, &report)?;
    anyhow::ensure!(report.trouble.is_none(), "the load ended early");
    Ok(())
}

fn write_files(args: &RunArgs, report: &Report) -> anyhow::Result<()> {
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.markdown {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        if file.metadata()?.len() == 0 {
            file.write_all(Report::MARKDOWN_HEAD.as_bytes())?;
        }
        file.write_all(report.markdown_row().as_bytes())?;
    }
    Ok(())
}

/// The disk, and the generator against its own sink.
pub(super) fn measure_machine(
    disk: &Path,
    connections: u32,
    payload_bytes: u32,
    threads: u32,
) -> anyhow::Result<Machine> {
    let fdatasync = measure_fdatasync(disk)?;
    let topology =
        Topology { token: "ceiling0".to_owned(), seed: 1, applications: 1, fan_out: 1, failing_percent: 0, hanging: 0 };
    let template = Template::new("127.0.0.1", "ceiling", &topology, payload_bytes as usize, true);
    let ledger = Arc::new(Ledger::new(topology));
    let epoch = Instant::now();
    let listen = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let sink = Sink::start(listen, threads, Duration::ZERO, Arc::clone(&ledger), epoch)?;
    let plan = LoadPlan {
        addresses: vec![sink.address],
        target: Target::OwnSink,
        template,
        connections,
        connections_max: connections,
        duration: CEILING_TIME,
        messages: u64::MAX,
        rate: None,
        threads,
    };
    let loaded = load::run(plan, &ledger, epoch)?;
    let seconds = loaded.end_ns.saturating_sub(loaded.start_ns) as f64 / 1e9;
    let done = loaded.stats.acknowledged;
    Ok(Machine {
        date: date(),
        cores: cores(),
        fdatasync,
        ceiling_per_s: if seconds > 0.0 { done as f64 / seconds } else { 0.0 },
        ceiling_load_cpu_us: per(loaded.cpu.as_secs_f64() * 1e6, done),
        ceiling_sink_cpu_us: per(sink.cpu().as_secs_f64() * 1e6, done),
    })
}
