//! A session against one server: its sink, its applications and endpoints, one or more phases.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::ledger::{Ledger, Topology};
use super::load::{self, LoadPlan, Loaded, Target};
use super::machine::{ProcessUse, folder_bytes, loop_runtime, pause};
use super::report::{Measured, Report};
use super::sink::Sink;
use super::template::{STRIPE_SECRET, Template};
use super::wire::{Answer, Connection};

const SETUP_CONNECTIONS: u32 = 32;
const SETUP_TRIES_MAX: u32 = 50;
const FILL_TIME_MAX: Duration = Duration::from_mins(10);

/// What a session is set up with.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) url: String,
    /// Further nodes.
    pub(super) also: Vec<SocketAddr>,
    pub(super) key: String,
    pub(super) applications: u32,
    pub(super) fan_out: u32,
    pub(super) failing_percent: u32,
    pub(super) hanging: u32,
    pub(super) payload_bytes: u32,
    pub(super) idempotency_key: bool,
    pub(super) stripe_source: bool,
    pub(super) sink_listen: SocketAddr,
    pub(super) sink_delay: Duration,
    pub(super) threads: u32,
    pub(super) server_pid: Option<u32>,
    pub(super) data_dir: Option<PathBuf>,
}

/// One measured load.
#[derive(Debug, Clone)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) connections: u32,
    pub(super) connections_max: u32,
    pub(super) duration: Duration,
    pub(super) messages: Option<u64>,
    pub(super) rate: Option<u32>,
    pub(super) drain_timeout: Duration,
}

/// A sink, and a server that delivers to it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) setup: Setup,
    pub(super) sink: Sink,
    pub(super) ledger: Arc<Ledger>,
    pub(super) epoch: Instant,
    address: SocketAddr,
    /// The receiving paths of the applications' sources, where there are sources.
    sources: Arc<[String]>,
}

impl Session {
    /// Starts the sink and creates applications and endpoints.
    pub(super) fn open(setup: Setup) -> anyhow::Result<Self> {
        let address = load::loopback(&setup.url)?;
        anyhow::ensure!(setup.sink_listen.ip().is_loopback(), "the sink listens on loopback only");
        let seed: u64 = rand::random();
        let topology = Topology {
            token: format!("{:08x}", seed >> 32),
            seed,
            applications: setup.applications,
            fan_out: setup.fan_out,
            failing_percent: setup.failing_percent,
            hanging: setup.hanging,
        };
        let ledger = Arc::new(Ledger::new(topology));
        let epoch = Instant::now();
        let sink = Sink::start(setup.sink_listen, setup.threads, setup.sink_delay, Arc::clone(&ledger), epoch)?;
        let mut session = Self { setup, sink, ledger, epoch, address, sources: Arc::default() };
        session.sources = session.create()?.into();
        Ok(session)
    }

    /// The server was started again, perhaps on another address.
    pub(super) fn moved(&mut self, url: &str, pid: u32) -> anyhow::Result<()> {
        self.address = load::loopback(url)?;
        url.clone_into(&mut self.setup.url);
        self.setup.server_pid = Some(pid);
        Ok(())
    }

    /// Applications with their endpoints, and with sources if asked for: these one's receiving paths.
    fn create(&self) -> anyhow::Result<Vec<String>> {
        let topology = &self.ledger.topology;
        let all = topology.applications + topology.hanging;
        let work = async {
            let mut workers = JoinSet::new();
            let mut sources = vec![String::new(); if self.setup.stripe_source { all as usize } else { 0 }];
            for nth in 0..SETUP_CONNECTIONS.min(all) {
                let is_receiving = self.setup.stripe_source;
                let creator = Creator {
                    address: self.address,
                    key: self.setup.key.clone(),
                    sink: self.sink.address,
                    topology: topology.clone(),
                };
                workers.spawn(async move {
                    let mut connection = Connection::open(creator.address).await?;
                    let mut sources = Vec::new();
                    for application in (nth..all).step_by(SETUP_CONNECTIONS as usize) {
                        creator.application(&mut connection, application).await?;
                        if is_receiving {
                            sources.push((application as usize, creator.source(&mut connection, application).await?));
                        }
                    }
                    anyhow::Ok(sources)
                });
            }
            while let Some(done) = workers.join_next().await {
                for (application, path) in done?? {
                    sources[application] = path;
                }
            }
            anyhow::Ok(sources)
        };
        let made = std::thread::scope(|scope| scope.spawn(|| loop_runtime()?.block_on(work)).join());
        made.map_err(|_| anyhow::anyhow!("the set-up panicked"))?
            .with_context(|| format!("cannot set up applications at {}", self.setup.url))
    }

    fn plan(&self, phase: &Phase, target: Target) -> LoadPlan {
        LoadPlan {
            addresses: std::iter::once(self.address).chain(self.setup.also.iter().copied()).collect(),
            target,
            template: self.template(),
            connections: phase.connections,
            connections_max: phase.connections_max,
            duration: phase.duration,
            messages: phase.messages.unwrap_or(u64::MAX),
            rate: phase.rate,
            threads: self.setup.threads,
        }
    }

    fn template(&self) -> Template {
        let authority = self.address.to_string();
        let bytes = self.setup.payload_bytes as usize;
        if self.setup.stripe_source {
            return Template::of_stripe(&authority, Arc::clone(&self.sources), bytes);
        }
        Template::new(&authority, &self.setup.key, &self.ledger.topology, bytes, self.setup.idempotency_key)
    }

    /// Queues `each` messages on every hanging endpoint.
    pub(super) fn fill_hanging(&self, each: u64) -> anyhow::Result<()> {
        let messages = each * u64::from(self.setup.hanging);
        if messages == 0 {
            return Ok(());
        }
        let phase = Phase {
            name: String::new(),
            connections: 64,
            connections_max: 64,
            duration: FILL_TIME_MAX,
            messages: Some(messages),
            rate: None,
            drain_timeout: Duration::ZERO,
        };
        let loaded = load::run(self.plan(&phase, Target::Hanging), &self.ledger, self.epoch)?;
        anyhow::ensure!(
            loaded.stats.acknowledged == messages,
            "only {} of {messages} messages for hanging endpoints were accepted ({})",
            loaded.stats.acknowledged,
            loaded.trouble.unwrap_or_default()
        );
        Ok(())
    }

    /// Publishes without waiting for deliveries and without a report.
    pub(super) fn fill(&self, phase: &Phase) -> anyhow::Result<Loaded> {
        load::run(self.plan(phase, Target::Applications), &self.ledger, self.epoch)
    }

    fn server_use(&self) -> Option<ProcessUse> {
        self.setup.server_pid.and_then(|pid| ProcessUse::of(&pid.to_string()))
    }

    /// Loads, waits until all has arrived, reports.
    pub(super) fn measure(&self, phase: &Phase) -> anyhow::Result<Report> {
        self.sink.reset();
        let from = self.ledger.issued();
        let disk_before = self.setup.data_dir.as_deref().map(folder_bytes);
        let server_before = self.server_use();
        let (bench_before, sink_before) = (ProcessUse::of("self"), self.sink.cpu());
        let loaded = self.fill(phase)?;
        let delivered_at_end = self.sink.delivered();
        let lost = self.drain(from, loaded.stats.promised, phase.drain_timeout);
        Ok(Report::new(&Measured {
            setup: &self.setup,
            phase,
            tally: self.ledger.tally(from),
            drained: lost == 0,
            delivered_at_end,
            sink: self.sink.stats(),
            sink_cpu: self.sink.cpu().saturating_sub(sink_before),
            bench: (bench_before, ProcessUse::of("self")),
            server: (server_before, self.server_use()),
            disk: (disk_before, self.setup.data_dir.as_deref().map(folder_bytes)),
            loaded,
        }))
    }

    /// Waits until `promised` deliveries have arrived and none is missing; returns how many are.
    pub(super) fn drain(&self, from: u64, promised: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        loop {
            let seems_done = self.sink.delivered() >= promised;
            let late = Instant::now() >= deadline;
            if seems_done || late {
                let lost = self.ledger.tally(from).lost;
                if lost == 0 || late {
                    return lost;
                }
                pause(Duration::from_millis(200));
            }
            pause(Duration::from_millis(20));
        }
    }
}

/// Creates applications with their endpoints over one connection.
struct Creator {
    address: SocketAddr,
    key: String,
    sink: SocketAddr,
    topology: Topology,
}

impl Creator {
    async fn application(&self, to: &mut Connection, application: u32) -> anyhow::Result<()> {
        let uid = self.topology.uid(application);
        let body = format!(r#"{{"name":"{uid}","uid":"{uid}"}}"#);
        self.post(to, "/api/v1/app", &body).await?;
        let path = format!("/api/v1/app/{uid}/endpoint");
        let sink = self.sink;
        if application >= self.topology.applications {
            let nth = application - self.topology.applications;
            return self.post(to, &path, &format!(r#"{{"url":"http://{sink}/h/{nth}"}}"#)).await;
        }
        let first = application * self.topology.fan_out;
        for endpoint in first..first + self.topology.fan_out {
            self.post(to, &path, &format!(r#"{{"url":"http://{sink}/e/{endpoint}"}}"#)).await?;
        }
        Ok(())
    }

    /// A Stripe source of an application; its receiving path.
    async fn source(&self, to: &mut Connection, application: u32) -> anyhow::Result<String> {
        let uid = self.topology.uid(application);
        let body = serde_json::json!({
            "name": uid, "type": "stripe", "config": { "secret": STRIPE_SECRET }, "appId": uid,
        });
        let answer = self.posted(to, "/ingest/api/v1/source", &body.to_string()).await?;
        let source: serde_json::Value = serde_json::from_slice(to.body(answer))?;
        let url = source["ingestUrl"].as_str().context("a source without a URL")?;
        let at = url.find("/in/").context("a receiving URL that is none")?;
        Ok(url[at..].to_owned())
    }

    async fn post(&self, to: &mut Connection, path: &str, body: &str) -> anyhow::Result<()> {
        let answer = self.posted(to, path, body).await?;
        if answer.close {
            *to = Connection::open(self.address).await?;
        }
        Ok(())
    }

    /// Posts until it is taken, backing off while the server is busy.
    async fn posted(&self, to: &mut Connection, path: &str, body: &str) -> anyhow::Result<Answer> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        );
        for _ in 0..SETUP_TRIES_MAX {
            let answer = to.call(request.as_bytes()).await?;
            if answer.is_success() {
                return Ok(answer);
            }
            if answer.status != 503 {
                anyhow::bail!("POST {path} answers {}: {}", answer.status, to.excerpt(answer));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("POST {path}: the server stays busy")
    }
}
