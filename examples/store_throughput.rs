//! How fast the embedded store is by itself: one writer, batches of 256 messages and as many
//! outcomes, a fresh idempotency key on each message, many applications with an endpoint each.
//!
//! `cargo run --release --example store_throughput -- FOLDER [EVENTS] [APPLICATIONS]`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use posthouse::model::routing::Route;
use posthouse::model::{
    AppConfig, ApplicationSpec, Clock, EndpointSpec, EnvKey, Envelope, MessageKey, Next, Outcome, OutcomeKind,
    SecretBytes, SystemClock, Taken, Trigger,
};
use posthouse::store::StoreWriter;
use posthouse::store::command::{
    AttemptRecord, Change, ChangeRequest, Changed, Command, Done, Idempotency, Publish, Settle,
};
use posthouse::store::seal::Sealer;
use posthouse::store::sqlite::{SqliteOptions, SqliteWriter, prepare};
use rand::Rng;

const BATCH: usize = 256;
const PAYLOAD: usize = 500;
/// Rates are shown for so many parts of the run.
const PARTS: usize = 10;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("name a folder")?);
    let events: usize = arguments.next().map_or(Ok(2_000_000), |text| text.parse())?;
    let applications: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    let sealer = Arc::new(Sealer::new(&[1; 32]));
    let options = SqliteOptions { folder, wal_bytes_max: 64 * 1024 * 1024, sealer };
    prepare(&options)?;
    let mut writer = SqliteWriter::open(&options, 1_000, SystemClock.now_ms())?;
    let configs = configure(&mut writer, applications)?;
    let files = [options.file(), options.file().with_extension("db-wal")];

    let mut commit_us: Vec<u64> = Vec::new();
    let (mut outcomes, mut part_began, mut part_cpu) = (Vec::new(), Instant::now(), cpu_seconds());
    println!("| events | events/s | CPU µs/event | file bytes/event | log MiB |\n|---|---|---|---|---|");
    let per_part = events / PARTS;
    let mut in_part = 0;
    for done in (BATCH..=events).step_by(BATCH) {
        let mut batch: Vec<Command> = std::mem::take(&mut outcomes);
        batch.extend((0..BATCH).map(|_| message(&configs[rand::rng().next_u64() as usize % configs.len()])));
        let began = Instant::now();
        let replies = writer.commit(&batch)?;
        commit_us.push(began.elapsed().as_micros() as u64);
        for (command, reply) in batch.into_iter().zip(replies) {
            if let (Command::Publish(publish), Ok(Done::Published(published))) = (command, reply) {
                outcomes.push(success(&publish.config, MessageKey(published.id.key)));
            }
        }
        in_part += BATCH;
        if in_part >= per_part {
            let (cpu, seconds) = (cpu_seconds(), part_began.elapsed().as_secs_f64());
            println!(
                "| {done} | {:.0} | {:.2} | {:.0} | {:.0} |",
                in_part as f64 / seconds,
                (cpu - part_cpu) / in_part as f64 * 1e6,
                size(&files[0]) as f64 / done as f64,
                size(&files[1]) as f64 / 1_048_576.0,
            );
            (part_began, part_cpu, in_part) = (Instant::now(), cpu, 0);
        }
    }
    commit_us.sort_unstable();
    let at = |share: f64| commit_us[((commit_us.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    println!("commit ms: p50 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}", at(0.5), at(0.99), at(0.999), at(1.0));
    let began = Instant::now();
    drop(writer);
    SqliteWriter::open(&options, 1_000, SystemClock.now_ms())?;
    println!("closed and opened again in {:.0} ms", began.elapsed().as_secs_f64() * 1_000.0);
    Ok(())
}

fn configure(writer: &mut SqliteWriter, applications: usize) -> anyhow::Result<Vec<Arc<AppConfig>>> {
    let mut change = |change| -> anyhow::Result<Changed> {
        let request = ChangeRequest { at: SystemClock.now_ms(), idempotency: None, change };
        match writer.commit(&[Command::Change(Box::new(request))])?.remove(0)? {
            Done::Changed(changed) => Ok(*changed),
            other => anyhow::bail!("{other:?}"),
        }
    };
    let mut configs = Vec::with_capacity(applications);
    for _ in 0..applications {
        let spec = ApplicationSpec { name: "bench".into(), ..ApplicationSpec::default() };
        let made = change(Change::CreateApplication { env: EnvKey(1), uid: None, spec, get_if_exists: false })?;
        let Changed::Application(mut app, _) = made else { anyhow::bail!("no application") };
        let spec = Box::new(EndpointSpec { url: "http://127.0.0.1:9/".into(), ..EndpointSpec::default() });
        let secret = SecretBytes::new(vec![1; 24]);
        let made = change(Change::CreateEndpoint { app: app.key(), uid: None, spec, secret })?;
        let Changed::Endpoint(endpoint, _) = made else { anyhow::bail!("no endpoint") };
        app.version += 1;
        configs.push(Arc::new(AppConfig { app, endpoints: vec![endpoint] }));
    }
    Ok(configs)
}

fn message(config: &Arc<AppConfig>) -> Command {
    let mut hash = [0; 16];
    rand::rng().fill_bytes(&mut hash);
    Command::Publish(Box::new(Publish {
        config: Arc::clone(config),
        routes: vec![Route { endpoint: config.endpoints[0].key(), held: false, spilled: false }],
        envelope: Envelope {
            event_type: "invoice.paid".into(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            deliver_at: None,
            content_type: None,
        },
        payload: Bytes::from_static(&[b'x'; PAYLOAD]),
        payload_days: 90,
        only: None,
        idempotency: Some(Idempotency { hash, fingerprint: [0; 8], auto: true }),
        inbound: None,
        at: SystemClock.now_ms(),
    }))
}

fn success(config: &AppConfig, message: MessageKey) -> Command {
    let outcome = Outcome {
        status: 200,
        body: Bytes::from_static(b"ok"),
        ..Outcome::without_answer(OutcomeKind::Success, SystemClock.now_ms(), 2)
    };
    let endpoint = &config.endpoints[0];
    Command::Settle(Box::new(Settle {
        app: config.app.key(),
        endpoint: endpoint.key(),
        message,
        taken: Taken::Pending,
        trigger: Trigger::Scheduled,
        tenure: 0,
        attempt: Some(AttemptRecord { outcome, url_id: endpoint.url_id }),
        next: Next::Done,
        health: None,
        tell: None,
        at: SystemClock.now_ms(),
    }))
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |found| found.len())
}

/// Of all threads, by the kernel's ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = posthouse::config::read_capped(Path::new("/proc/self/stat"), 4_096).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
