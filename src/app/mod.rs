//! The composition root: build everything from the configuration, start it, drain it.
//!
//! ```text
//!  open:  lock ─► key ─► store ─► journal thread ─► dispatch (gain)
//!  serve: listen · control socket · timers · housekeeping ─► until SIGTERM, SIGINT or a failed disk
//!  drain: no more requests ─► attempts end ─► journal writes all ─► exit
//! ```

mod bodies;
pub mod control;
mod engine;
mod first_start;
mod folder;
mod heads;
mod listen;
pub mod moving;
mod node;
pub mod restore;
mod rotation;
mod timed;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::accept::cron::Ticker;
use crate::accept::fetch::HttpFetcher;
use crate::accept::key_use::{self, KeyUse};
use crate::accept::limited::BodyBudget;
use crate::accept::quota::Quotas;
use crate::accept::receive::Receiving;
use crate::accept::trying::Trying;
use crate::accept::{Admission, Gateway};
use crate::config::{AttemptLines, Config, LogFormat};
use crate::deliver::http::HttpDeliver;
use crate::deliver::{AddressGuard, Client, ClientConfig, DnsResolver, Resolve};
use crate::dispatch::runner::{Dispatcher, Parts};
use crate::dispatch::scheduler::SchedulerLimits;
use crate::maintain::Maintainer;
use crate::metrics::Metrics;
use crate::model::{Clock, SlotSet, SystemClock};
use crate::record::line::Lines;
use crate::store::journal::{Health, Journal, JournalLimits, JournalTask};
use crate::store::snapshots::Snapshots;
use engine::{Engine, OpenWriter};
use node::Surroundings;

/// How often housekeeping looks at the disk, the gauges and idle connections.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// What waits is counted in the store each time while it is less than this, and else every so many times.
const QUEUE_DEPTH_QUICK: u64 = 50_000;
const QUEUE_DEPTH_TICKS: u64 = 15;
/// How long answers have to leave after the disk failed.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// Bytes of a certificate file.
const CA_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// An open store with everything around it.
pub struct App {
    config: Config,
    /// What the API and the commands work with.
    pub gateway: Arc<Gateway>,
    dispatcher: Dispatcher,
    deliver: Arc<HttpDeliver>,
    lines: Option<Lines>,
    /// This process among others, on PostgreSQL.
    node: Option<Arc<node::Node>>,
    journal_thread: std::thread::JoinHandle<Health>,
    folder: folder::Folder,
    rotation: Arc<rotation::Rotation>,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, and everything is written.
    Drained,
    /// The disk failed: what is stored is safe, nothing more can be.
    DiskFailed,
}

impl App {
    /// Opens the store. Refuses a folder that another process has open.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let folder = folder::Folder::lock(&config.storage)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started_at = clock.now_ms();
        let metrics = Arc::new(Metrics::new());
        let Engine { sealer, reader, queries, open_writer, ownership, neighbours, node } =
            Engine::open(&config, &folder, Arc::clone(&metrics), clock.now_ms()).await?;
        let limits =
            JournalLimits { rows_max: config.limits.journal_rows_max, bytes_max: config.limits.journal_bytes_max };
        let (journal, task) = Journal::new(limits, Arc::clone(&metrics), Arc::clone(&clock));
        let snapshots = Arc::new(Snapshots::new(reader.clone(), config.limits.routing_cache_applications));
        let guard = AddressGuard::new(config.egress.allow_networks.clone())
            .https_only(config.egress.https_only)
            .refusing(own_addresses(config.server.listen.ip()));
        let fetcher = HttpFetcher::new(client(&config, guard.clone())?, Arc::clone(&clock));
        let client = client(&config, guard.clone())?;
        let timeout = Duration::from_millis(config.delivery.attempt_timeout_ms);
        let deliver = Arc::new(HttpDeliver::new(client, timeout, Arc::clone(&clock)));
        let lines = lines(&config)?;
        let dispatcher = Dispatcher::new(Parts {
            limits: scheduler_limits(&config),
            payload_bytes_max: config.delivery.payload_bytes_in_memory_max,
            ownership,
            neighbours,
            retry_schedule: config.delivery.retry_schedule.clone().into(),
            snapshots: Arc::clone(&snapshots),
            reader: reader.clone(),
            journal: journal.clone(),
            deliver: deliver.clone(),
            clock: Arc::clone(&clock),
            random: Box::new(rand::random),
            metrics: Arc::clone(&metrics),
            lines: lines.clone(),
            runtime: tokio::runtime::Handle::current(),
        });
        let journal_thread = start_journal(task, open_writer, dispatcher.clone()).await?;
        let gateway = Arc::new(Gateway {
            admission: Arc::new(Admission::new(journal.health())),
            journal,
            reader,
            queries,
            snapshots,
            sealer,
            guard,
            clock,
            metrics,
            body_budget: BodyBudget::new(
                config.limits.body_bytes_in_memory_max,
                config.limits.body_bytes_max,
                Duration::from_millis(config.server.body_timeout_ms),
            ),
            quotas: Quotas::new(config.limits.requests_per_second_per_key),
            receiving: Receiving::new(Arc::new(fetcher)),
            trying: Trying::new(deliver.clone()),
            limits: config.limits.clone(),
            server: config.server.clone(),
            listening: std::sync::OnceLock::new(),
            streams: Arc::new(tokio::sync::Semaphore::new(crate::api::STREAMS_MAX)),
            https_only: config.egress.https_only,
            delivery: config.delivery.clone(),
            portal: config.portal.clone(),
            key_use: KeyUse::default(),
            lanes: Arc::clone(dispatcher.lanes()),
            started_at,
            retention: config.retention.clone(),
        });
        let rotation = Arc::new(rotation::Rotation::new(folder.key_file().clone()));
        Ok(Self { config, gateway, dispatcher, deliver, lines, node, journal_thread, folder, rotation })
    }

    /// Serves until it is told to end.
    pub async fn serve(self) -> anyhow::Result<Ended> {
        let address = self.config.server.listen;
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        // Set once, here.
        let _ = self.gateway.listening.set(url.clone());
        let tenure = match &self.node {
            Some(node) => Some(node.join(&self.dispatcher).await.context("joining the other nodes")?),
            None => None,
        };
        let first = first_start::make_environment(&self.gateway).await?;
        let control = control::bind(&self.folder.socket())?;
        let stillness = Arc::new(moving::Stillness::new(
            Arc::clone(&self.gateway),
            self.dispatcher.clone(),
            self.folder.path().to_owned(),
            self.node.is_none(),
        ));
        let (gateway, rotation) = (Arc::clone(&self.gateway), Arc::clone(&self.rotation));
        let control = tokio::spawn(control::serve(control, gateway, rotation, stillness));
        if self.node.is_none() {
            let pending = self.dispatcher.gain(&SlotSet::FULL).await.context("reading what is pending")?;
            tracing::info!(pending, "recovered");
        }
        let around = Surroundings { dispatcher: self.dispatcher.clone(), gateway: Arc::clone(&self.gateway) };
        let node = self.node.clone().zip(tenure);
        if let Some((node, tenure)) = &node {
            node.begin(&around, *tenure).await;
        }
        let node = tokio::spawn(async move {
            match node {
                Some((node, tenure)) => node.run(around, tenure).await,
                None => std::future::pending().await,
            }
        });
        first_start::announce_listening(&url, self.config.log.format);
        first_start::welcome(&self.gateway, &self.config, &self.folder, &url, first).await?;

        let (stop, stopped) = watch::channel(false);
        let dispatcher = self.dispatcher.clone();
        let timers = tokio::spawn(async move { dispatcher.run_timers().await });
        let housekeeping = tokio::spawn(housekeeping(
            Arc::clone(&self.gateway),
            self.dispatcher.clone(),
            Arc::clone(&self.deliver),
            self.folder.path().to_owned(),
            self.disk_reserve(),
        ));
        let maintainer = Maintainer {
            journal: self.gateway.journal.clone(),
            queries: Arc::clone(&self.gateway.queries),
            clock: Arc::clone(&self.gateway.clock),
            retention: self.config.retention.clone(),
            ownership: Arc::clone(self.dispatcher.ownership()),
        };
        let maintenance = tokio::spawn(maintainer.run());
        // What was missed is made up for at once: not on a disk that has no room.
        look_at_disk(&self.gateway, self.folder.path(), self.disk_reserve());
        let ticking =
            tokio::spawn(Ticker::new(Arc::clone(&self.gateway), Arc::clone(self.dispatcher.ownership())).run());
        let uses = tokio::spawn(key_use::run(Arc::clone(&self.gateway)));
        // Ends by itself: with the rotation, or with a log line that says what to do.
        tokio::spawn(Arc::clone(&self.rotation).go_on(Arc::clone(&self.gateway)));
        let listening = tokio::spawn(listen::serve(listener, Arc::clone(&self.gateway), stopped));
        let mut health = self.gateway.journal.health();
        let ended = tokio::select! {
            signal = signal() => {
                tracing::info!(signal = signal?, "stopping: requests and attempts in flight are finished");
                Ended::Drained
            }
            _ = health.wait_for(|health| *health == Health::Failed) => Ended::DiskFailed,
            // None of these ends by itself: one that does takes the process down visibly.
            result = timers => anyhow::bail!("the timers ended: {result:?}"),
            result = housekeeping => anyhow::bail!("housekeeping ended: {result:?}"),
            result = maintenance => anyhow::bail!("maintenance ended: {result:?}"),
            result = uses => anyhow::bail!("the writing of the use of keys ended: {result:?}"),
            result = ticking => anyhow::bail!("the schedules ended: {result:?}"),
            result = node => anyhow::bail!("the node's control loop ended: {result:?}"),
            result = control => anyhow::bail!("the control socket ended: {result:?}"),
        };
        if ended == Ended::DiskFailed {
            tokio::time::sleep(LAST_ANSWERS).await;
            return Ok(ended);
        }
        self.gateway.admission.drain();
        stop.send_replace(true);
        let deadline = Duration::from_millis(self.config.server.shutdown_timeout_ms);
        let leaving = async {
            if let Some(node) = &self.node {
                node.leave(&self.dispatcher, deadline).await;
            }
            self.dispatcher.stop(deadline).await
        };
        let (requests, attempts) = tokio::join!(tokio::time::timeout(deadline, listening), leaving);
        if requests.is_err() || attempts > 0 {
            tracing::warn!(
                attempts,
                "not everything ended in time; attempts without an outcome are repeated at the next start"
            );
        }
        self.close().await
    }

    /// Bytes that the disk of the data folder must have: none where messages are kept elsewhere.
    fn disk_reserve(&self) -> u64 {
        if self.node.is_some() { 0 } else { self.config.storage.disk_reserve_bytes }
    }

    /// For a command: on PostgreSQL it writes as a node that takes no work.
    pub async fn join_as_guest(&self) -> anyhow::Result<()> {
        match &self.node {
            Some(node) => node.join_as_guest().await.context("reaching the database"),
            None => Ok(()),
        }
    }

    /// Writes all that waits and closes the store.
    pub async fn close(self) -> anyhow::Result<Ended> {
        self.gateway.journal.close();
        let thread = self.journal_thread;
        let health = tokio::task::spawn_blocking(move || thread.join()).await?;
        if let Some(node) = &self.node {
            node.end().await;
        }
        if let Some(lines) = &self.lines {
            lines.close();
        }
        self.folder.close();
        match health {
            Ok(Health::Closed) => Ok(Ended::Drained),
            Ok(_) => Ok(Ended::DiskFailed),
            Err(_) => anyhow::bail!("the journal's thread panicked"),
        }
    }
}

/// The server is no destination for itself. An address that means all of them names none.
fn own_addresses(listen: std::net::IpAddr) -> Vec<ipnet::IpNet> {
    if listen.is_unspecified() { Vec::new() } else { vec![listen.into()] }
}

fn scheduler_limits(config: &Config) -> SchedulerLimits {
    let delivery = &config.delivery;
    SchedulerLimits {
        in_flight_max: delivery.attempts_in_flight_max,
        unproven_in_flight_max: (delivery.attempts_in_flight_max / 2).max(1),
        window_max: u32::try_from(delivery.window_max).unwrap_or(u32::MAX),
        in_memory_max: delivery.deliveries_in_memory_max,
        lane_in_memory_max: delivery.deliveries_per_lane_in_memory_max,
    }
}

fn client(config: &Config, guard: AddressGuard) -> anyhow::Result<Client> {
    let servers: Vec<_> = config.egress.dns_servers.iter().map(|server| server.0).collect();
    let resolver: Arc<dyn Resolve> = if servers.is_empty() {
        Arc::new(DnsResolver::system().context("reading the system's resolver configuration")?)
    } else {
        Arc::new(DnsResolver::with_servers(&servers)?)
    };
    let extra_ca_pem = match &config.egress.extra_ca_file {
        Some(file) => {
            let pem = crate::config::read_capped(file, CA_BYTES_MAX)
                .with_context(|| format!("reading egress.extra_ca_file {}", file.display()))?;
            Some(pem.into_bytes())
        }
        None => None,
    };
    let client = ClientConfig {
        connect_timeout: Duration::from_millis(config.delivery.connect_timeout_ms),
        response_bytes_max: config.delivery.response_bytes_max,
        extra_ca_pem,
        // Many endpoints may share a host: fewer than can be in flight would be opened anew in every
        // burst, and a burst of openings is what a receiver's backlog drops.
        idle_per_host_max: config.delivery.attempts_in_flight_max,
        ..ClientConfig::default()
    };
    Ok(Client::new(&client, resolver, guard)?)
}

fn lines(config: &Config) -> anyhow::Result<Option<Lines>> {
    let json = config.log.format == LogFormat::Json;
    Ok(match config.log.attempts {
        AttemptLines::None => None,
        AttemptLines::All => Some(Lines::start(json, false)?),
        AttemptLines::Failures => Some(Lines::start(json, true)?),
    })
}

/// Opens the writer on a thread of its own, which runs the journal.
async fn start_journal(
    task: JournalTask,
    open: OpenWriter,
    dispatcher: Dispatcher,
) -> anyhow::Result<std::thread::JoinHandle<Health>> {
    let (opened, is_open) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let (runtime, mut writer) = match (runtime, open()) {
            (Ok(runtime), Ok(writer)) => {
                let _ = opened.send(Ok(()));
                (runtime, writer)
            }
            (Err(error), _) => {
                let _ = opened.send(Err(error.into()));
                return Health::Failed;
            }
            (_, Err(error)) => {
                let _ = opened.send(Err(error));
                return Health::Failed;
            }
        };
        runtime.block_on(task.run(&mut *writer, &dispatcher))
    })?;
    is_open.await.context("the journal's thread ended")??;
    Ok(thread)
}

/// Whether the disk has room for messages.
fn look_at_disk(gateway: &Gateway, folder: &Path, reserve: u64) {
    match folder::free_bytes(folder) {
        Ok(free) => {
            gateway.metrics.disk_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
            if gateway.admission.set_disk_low(free < reserve) {
                if free < reserve {
                    tracing::error!(free, reserve, "the disk has too little room: nothing is accepted");
                } else {
                    tracing::info!(free, "the disk has room again");
                }
            }
        }
        Err(error) => tracing::warn!(%error, "the room on the disk could not be read"),
    }
}

/// Once a second: room on the disk, gauges, idle connections.
async fn housekeeping(
    gateway: Arc<Gateway>,
    dispatcher: Dispatcher,
    deliver: Arc<HttpDeliver>,
    folder: std::path::PathBuf,
    reserve: u64,
) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut depth = 0;
    for tick in 0_u64.. {
        ticks.tick().await;
        if depth < QUEUE_DEPTH_QUICK || tick % QUEUE_DEPTH_TICKS == 0 {
            match gateway.queries.queue_depth().await {
                Ok(counted) => {
                    depth = counted;
                    gateway.metrics.queue_depth.set(i64::try_from(counted).unwrap_or(i64::MAX));
                }
                Err(error) => tracing::warn!(%error, "what waits could not be counted"),
            }
        }
        look_at_disk(&gateway, &folder, reserve);
        dispatcher.measure();
        deliver.sweep();
    }
}

async fn signal() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
