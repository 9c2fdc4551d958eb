//! The load: closed loop (a fixed number of producers) or open loop (messages due at a rate).
//!
//! Each producer owns a connection and a rendered request; it takes a number, patches the request,
//! sends it, reads the answer, notes it. The open loop is in `pace.rs`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::machine::{ThreadClock, loop_runtime};
use super::pace;
use super::stats::{LoadStats, nanos};
use super::template::Template;
use super::wire::Connection;

/// How long, after the end, answers are still waited for.
const GRACE: Duration = Duration::from_secs(15);
/// A message refused with 503 is tried again so often.
const BACK_OFFS_MAX: u32 = 100;
const BACK_OFF_MAX: Duration = Duration::from_millis(100);
/// So many failures in a row, over all producers, end the load.
const FAILURES_IN_A_ROW_MAX: u32 = 2_000;

/// Where the messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The measured applications, accounted for in the ledger.
    Applications,
    /// The applications of the hanging endpoints in turn.
    Hanging,
    /// The bench's own sink: what the generator can do.
    OwnSink,
}

/// One load.
#[derive(Debug, Clone)]
pub(super) struct LoadPlan {
    /// The nodes, among which connections take turns; at least one.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) target: Target,
    pub(super) template: Template,
    pub(super) connections: u32,
    pub(super) connections_max: u32,
    pub(super) duration: Duration,
    pub(super) messages: u64,
    pub(super) rate: Option<u32>,
    pub(super) threads: u32,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) stats: LoadStats,
    /// The start, since the epoch, and the last acknowledgement.
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) issued: u64,
    pub(super) unanswered: u64,
    pub(super) cpu: Duration,
    /// Why the load ended before its time.
    pub(super) trouble: Option<String>,
}

/// What the threads of one load share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: LoadPlan,
    pub(super) ledger: Arc<Ledger>,
    pub(super) epoch: Instant,
    pub(super) start: Instant,
    /// Connections that were opened: they take turns among the nodes.
    opened: AtomicUsize,
    issued: AtomicU64,
    answered: AtomicU64,
    failures_in_a_row: AtomicU32,
    stop: AtomicBool,
    trouble: Mutex<Option<String>>,
}

/// One message to send: its number and the moment its latency counts from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    seq: u64,
    since_ns: u64,
}

impl Shared {
    /// The node that the next connection goes to.
    fn next_address(&self) -> SocketAddr {
        self.plan.addresses[self.opened.fetch_add(1, Relaxed) % self.plan.addresses.len()]
    }

    /// The next message, unless the load is over. `due` counts its latency from then.
    pub(super) fn ticket(&self, due: Option<Instant>) -> Option<Ticket> {
        let now = Instant::now();
        let since = due.unwrap_or(now);
        if self.is_over(since) {
            return None;
        }
        let nth = self.issued.fetch_add(1, Relaxed);
        if nth >= self.plan.messages {
            return None;
        }
        let seq = match self.plan.target {
            Target::Applications => self.ledger.issue(),
            Target::Hanging | Target::OwnSink => nth,
        };
        Some(Ticket { seq, since_ns: nanos(since.saturating_duration_since(self.epoch)) })
    }

    /// Whether nothing more may be due at `at`.
    pub(super) fn is_over(&self, at: Instant) -> bool {
        self.stop.load(Relaxed) || at.saturating_duration_since(self.start) >= self.plan.duration
    }

    fn application_of(&self, seq: u64) -> u32 {
        let topology = &self.ledger.topology;
        match self.plan.target {
            Target::Applications => topology.application_of(seq),
            Target::Hanging => topology.hanging_application((seq % u64::from(topology.hanging.max(1))) as u32),
            Target::OwnSink => 0,
        }
    }

    fn acknowledge(&self, ticket: Ticket, application: u32, stats: &mut LoadStats) {
        let now_ns = nanos(self.epoch.elapsed());
        stats.acknowledged += 1;
        stats.latencies.record(now_ns.saturating_sub(ticket.since_ns));
        stats.series.count(now_ns);
        stats.last_ns = now_ns;
        if self.plan.target == Target::Applications {
            stats.promised += u64::from(self.ledger.acknowledge(ticket.seq, application));
        }
        self.failures_in_a_row.store(0, Relaxed);
    }

    /// Ends the load when nothing works any more.
    fn failed(&self, what: impl FnOnce() -> String) {
        if self.failures_in_a_row.fetch_add(1, Relaxed) == FAILURES_IN_A_ROW_MAX {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(what());
            self.stop.store(true, Relaxed);
        }
    }
}

/// One producer: a connection and a request of its own.
#[derive(Debug)]
pub(super) struct Producer {
    shared: Arc<Shared>,
    stats: Arc<Mutex<LoadStats>>,
    template: Template,
    connection: Option<Connection>,
}

impl Producer {
    pub(super) fn new(shared: Arc<Shared>, stats: Arc<Mutex<LoadStats>>) -> Self {
        let template = shared.plan.template.clone();
        Self { shared, stats, template, connection: None }
    }

    /// Opens the connection ahead of the first message, whose latency then does not count it.
    async fn connect(&mut self) {
        if let Ok(connection) = Connection::open(self.shared.next_address()).await {
            self.stats().connections += 1;
            self.connection = Some(connection);
        }
    }

    /// Publishes one message until it is acknowledged, refused, or cannot be sent.
    pub(super) async fn publish(&mut self, ticket: Ticket) {
        for _ in 0..BACK_OFFS_MAX {
            match self.try_publish(ticket).await {
                Ok(None) => break,
                Ok(Some(wait)) => tokio::time::sleep(wait).await,
                Err(error) => {
                    self.connection = None;
                    self.stats().io_errors += 1;
                    self.shared.failed(|| format!("the server cannot be reached: {error}"));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    break;
                }
            }
        }
        self.shared.answered.fetch_add(1, Relaxed);
    }

    /// `Some` says how long to back off before the same message is sent again.
    async fn try_publish(&mut self, ticket: Ticket) -> std::io::Result<Option<Duration>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                lock(&self.stats).connections += 1;
                none.insert(Connection::open(self.shared.next_address()).await?)
            }
        };
        let application = self.shared.application_of(ticket.seq);
        let request = self.template.patch(application, ticket.seq, ticket.since_ns);
        let answer = connection.call(request).await?;
        let mut stats = lock(&self.stats);
        let mut wait = None;
        if answer.is_success() {
            self.shared.acknowledge(ticket, application, &mut stats);
        } else {
            *stats.statuses.entry(answer.status).or_default() += 1;
            if answer.status == 503
                && let Some(after) = answer.retry_after
            {
                stats.back_offs += 1;
                wait = Some(after.min(BACK_OFF_MAX));
            } else {
                let excerpt = || connection.excerpt(answer);
                self.shared.failed(|| format!("publish answers {}: {}", answer.status, excerpt()));
            }
        }
        drop(stats);
        if answer.close {
            self.connection = None;
        }
        Ok(wait)
    }

    fn stats(&self) -> MutexGuard<'_, LoadStats> {
        lock(&self.stats)
    }
}

fn lock(stats: &Mutex<LoadStats>) -> MutexGuard<'_, LoadStats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a load to its end: at most its duration and the grace.
pub(super) fn run(plan: LoadPlan, ledger: &Arc<Ledger>, epoch: Instant) -> anyhow::Result<Loaded> {
    let threads = plan.threads;
    let shared = Arc::new(Shared {
        plan,
        ledger: Arc::clone(ledger),
        epoch,
        start: Instant::now(),
        opened: AtomicUsize::new(0),
        issued: AtomicU64::new(0),
        answered: AtomicU64::new(0),
        failures_in_a_row: AtomicU32::new(0),
        stop: AtomicBool::new(false),
        trouble: Mutex::new(None),
    });
    let handles: Vec<_> = (0..threads)
        .map(|nth| {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name("bench-load".into());
            builder.spawn(move || run_thread(&shared, nth))
        })
        .collect::<Result<_, _>>()?;
    let mut stats = LoadStats::new();
    let mut cpu = Duration::ZERO;
    for handle in handles {
        let (thread_stats, thread_cpu) =
            handle.join().map_err(|_| anyhow::anyhow!("a thread of the load panicked"))??;
        stats.add(&thread_stats);
        cpu += thread_cpu;
    }
    let issued = shared.issued.load(Relaxed).min(shared.plan.messages);
    let trouble = shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Loaded {
        end_ns: stats.last_ns,
        stats,
        start_ns: nanos(shared.start - epoch),
        issued,
        unanswered: issued.saturating_sub(shared.answered.load(Relaxed)),
        cpu,
        trouble,
    })
}

fn run_thread(shared: &Arc<Shared>, nth: u32) -> anyhow::Result<(LoadStats, Duration)> {
    let clock = ThreadClock::of_this_thread();
    let stats = Arc::new(Mutex::new(LoadStats::new()));
    let runtime = loop_runtime()?;
    runtime.block_on(async {
        let end = shared.start + shared.plan.duration + GRACE;
        let work = async {
            match shared.plan.rate {
                Some(rate) => pace::open_loop(shared, &stats, rate, nth).await,
                None => closed_loop(shared, &stats, nth).await,
            }
        };
        // Too late is not an error: what is unanswered is counted.
        let _ = tokio::time::timeout_at(end.into(), work).await;
    });
    drop(runtime);
    let stats = lock(&stats).clone();
    Ok((stats, clock.cpu()))
}

async fn closed_loop(shared: &Arc<Shared>, stats: &Arc<Mutex<LoadStats>>, nth: u32) {
    let (all, threads) = (shared.plan.connections, shared.plan.threads);
    let mine = all / threads + u32::from(nth < all % threads);
    let mut producers = JoinSet::new();
    for _ in 0..mine {
        let mut producer = Producer::new(Arc::clone(shared), Arc::clone(stats));
        producers.spawn(async move {
            producer.connect().await;
            while let Some(ticket) = producer.shared.ticket(None) {
                producer.publish(ticket).await;
            }
        });
    }
    while producers.join_next().await.is_some() {}
}

/// The address behind a URL, which must be on this machine.
pub(super) fn loopback(url: &str) -> anyhow::Result<SocketAddr> {
    let parsed = url::Url::parse(url).with_context(|| format!("{url} is no URL"))?;
    anyhow::ensure!(parsed.scheme() == "http", "{url}: bench speaks plain http only");
    let port = parsed.port_or_known_default().unwrap_or(80);
    let ip = match parsed.host() {
        Some(url::Host::Ipv4(ip)) => std::net::IpAddr::V4(ip),
        Some(url::Host::Ipv6(ip)) => std::net::IpAddr::V6(ip),
        Some(url::Host::Domain("localhost")) => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => anyhow::bail!("{url}: bench works on loopback only"),
    };
    anyhow::ensure!(ip.is_loopback(), "{url}: bench works on loopback only");
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loaded() {
        for url in ["http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:8080", "http://127.9.9.9"] {
            assert!(loopback(url).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1", "https://127.0.0.1", "http://example.com", "http://0.0.0.0", "x"] {
            assert!(loopback(url).is_err(), "{url}");
        }
    }
}
